-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

describe("the emulator", function()
  it("tells its address and the environment that points at it", function()
    local emulator <close> = assert(codepipeline.emulator {})
    assert.matches("^http://127%.0%.0%.1:%d+$", emulator.url)
    assert.equal(emulator.url, emulator.environ.AWS_ENDPOINT_URL_CODEPIPELINE)
    assert.is_string(emulator.environ.AWS_ENDPOINT_URL_S3)
    assert.is_string(emulator.environ.AWS_ACCESS_KEY_ID)
    assert.is_string(emulator.environ.AWS_SECRET_ACCESS_KEY)
    assert.is_string(emulator.environ.AWS_REGION)
  end)

  it("can be closed twice, and says so afterwards", function()
    local emulator = assert(codepipeline.emulator {})
    emulator:close()
    emulator:close()
    assert.error_matches(function()
      return emulator.url
    end, "closed")
  end)

  it("says when its port is in use", function()
    local first <close> = assert(codepipeline.emulator {})
    local port = tonumber(first.url:match ":(%d+)$")
    local second, err = codepipeline.emulator { port = port }
    assert.is_nil(second)
    assert.equal("IO", err.status)
    assert.matches(tostring(port), err.message)
  end)

  it("goes on where it stopped when it has a file", function()
    local path = helper.path()
    do
      local emulator <close> = assert(codepipeline.emulator { path = path })
      local client <close> = assert(emulator:client())
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("kept", { action }) })
    end
    local emulator <close> = assert(codepipeline.emulator { path = path })
    local client <close> = assert(emulator:client())
    assert.equal("kept", assert(client:list_pipelines {}).pipelines[1].name)
    os.remove(path)
    os.remove(path .. "-wal")
    os.remove(path .. "-shm")
  end)

  it("keeps two instances apart", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      helper.with_emulator(function(_, other)
        assert.equal(0, #assert(other:list_pipelines {}).pipelines)
      end)
    end)
  end)
end)
