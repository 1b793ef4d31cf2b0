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

  describe("a stubber", function()
    local codepipeline = require "codepipeline"
    local client, stubber

    before_each(function()
      client = assert(codepipeline.client { region = "eu-west-1", endpoint_url = "http://127.0.0.1:1" })
      stubber = assert(testing.stubber(client))
    end)

    it("answers in order, and sends nothing", function()
      stubber:add_response("list_pipelines", { pipelines = {} })
      stubber:add_response("PutJobSuccessResult", {}, { jobId = "test_job_id" })
      assert.equal(2, stubber:pending())
      local answer = assert(stubber.client:list_pipelines())
      assert.same({}, answer.pipelines)
      assert.equal(200, answer.ResponseMetadata.HTTPStatusCode)
      assert(stubber.client:put_job_success_result { jobId = "test_job_id" })
      assert.equal(0, stubber:pending())
      assert.equal("eu-west-1", stubber.client:region())
    end)

    it("gives errors as the service does", function()
      stubber:add_error("get_pipeline", "PipelineNotFoundException", { message = "no" })
      stubber:add_error("get_pipeline", "ThrottlingException", { http_status = 429, members = { message = "slow" } })
      local answer, err = stubber.client:get_pipeline { name = "x" }
      assert.is_nil(answer)
      assert.same({ "SERVICE", "PipelineNotFoundException", "no" }, { err.status, err.code, err.message })
      err = select(2, stubber.client:get_pipeline { name = "x" })
      assert.same({ "ThrottlingException", "slow", 429, 1 }, { err.code, err.message, err.http_status, err.attempts })
    end)

    it("says what it did not expect, and where it differs", function()
      local err = select(2, stubber.client:list_pipelines())
      assert.same({ "UNEXPECTED", "UnStubbedResponseError" }, { err.status, err.code })
      assert.matches("ListPipelines: no answers are left", tostring(err), 1, true)
      stubber:add_response("tag_resource", {}, { resourceArn = "r", tags = { { key = "k", value = testing.ANY } } })
      err = select(2, stubber.client:tag_resource { resourceArn = "r", tags = { { key = "l", value = "v" } } })
      assert.same({ "StubAssertionError", "tags[0].key" }, { err.code, err.path })
      err = select(2, stubber.client:list_pipelines())
      assert.equal("StubResponseError", err.code)
      assert(stubber.client:tag_resource { resourceArn = "r", tags = { { key = "k", value = "v" } } })
    end)

    it("answers pages, runs and submitted calls", function()
      stubber:add_response("list_pipelines", { pipelines = { { name = "a" } }, nextToken = "t" }, {})
      stubber:add_response("list_pipelines", { pipelines = { { name = "b" } } }, { nextToken = "t" })
      local names = {}
      for pipeline in stubber.client:paginate "list_pipelines" do
        names[#names + 1] = pipeline.name
      end
      assert.same({ "a", "b" }, names)
      stubber:add_response("start_pipeline_execution", { pipelineExecutionId = "1" }, { name = "site" })
      assert.equal("1", assert(stubber.client:start "site").id)
      assert.equal(0, stubber:pending())
    end)

    it("raises what is wrong with an answer where it is added", function()
      for _, wrong in ipairs {
        function() stubber:add_response("get_pipeline", { pipelin = {} }) end,
        function() stubber:add_response("get_pipelin", {}) end,
        function() stubber:add_error("get_pipeline", "X", { colour = 1 }) end,
        function() stubber:add_error("get_pipeline", "X", { http_status = 99 }) end,
        function() stubber.add_response("get_pipeline", {}) end,
      } do
        local fine, message = pcall(wrong)
        assert.is_false(fine)
        assert.matches("testing_spec.lua:%d+: ", tostring(message))
      end
      assert.has_error(function() testing.stubber {} end)
    end)

    it("outlives what it was made of", function()
      stubber:add_response("list_pipelines", {})
      local view = stubber.client
      stubber, client = nil, nil
      collectgarbage()
      collectgarbage()
      assert(view:list_pipelines())
    end)
  end)
end)
