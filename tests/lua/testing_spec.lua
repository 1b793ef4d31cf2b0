-- SPDX-License-Identifier: MIT
local testing = require "codepipeline.testing"

describe("testing", function()
  describe("a world", function()
    local world = testing.world(before_each, after_each, { region = "eu-west-1" })
    local first

    it("has an emulator and a client for each test", function()
      first = world.emulator.url
      assert.same({}, assert(world.client:list_pipelines()).pipelines)
      assert.equal("eu-west-1", world.emulator.environ.AWS_REGION)
      assert.equal("1  operation=ListPipelines status=200", testing.ledger_end(world.emulator))
    end)

    it("is another one each time", function()
      assert.same({}, assert(world.emulator:ledger()))
      assert.is_string(first)
    end)
  end)

  it("gives what the body returns, and closes what it had", function()
    local seen
    local one, two = testing.with_emulator(function(emulator, client)
      seen = { emulator, client }
      return 1, nil
    end)
    assert.same({ 1, nil }, { one, two })
    assert.is_nil(seen[2]:list_pipelines())
  end)

  it("tells of the last requests when the body fails", function()
    local fine, message = pcall(testing.with_emulator, { region = "eu-west-1" }, function(_, client)
      assert.is_nil(client:get_pipeline { name = "nowhere" })
      error "what went wrong"
    end)
    assert.is_false(fine)
    local said = "what went wrong\nthe emulator's last requests:\n1  operation=GetPipeline status=400 code=Pipe"
    assert.matches(said, message, 1, true)
  end)
end)
