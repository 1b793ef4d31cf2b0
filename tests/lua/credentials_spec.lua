-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"

describe("credentials that a function gives", function()
  local emulator

  before_each(function()
    emulator = assert(codepipeline.emulator())
  end)

  after_each(function()
    emulator:close()
  end)

  local function client(options)
    options.endpoint_url, options.region = emulator.url, emulator.environ.AWS_REGION
    return codepipeline.client(options)
  end

  local function keys()
    return {
      access_key_id = emulator.environ.AWS_ACCESS_KEY_ID,
      secret_access_key = emulator.environ.AWS_SECRET_ACCESS_KEY,
    }
  end

  it("are asked for once when they last, and ahead of their end when they do not", function()
    local count = 0
    local lasting = assert(client {
      credentials = function()
        count = count + 1
        return keys()
      end,
    })
    assert(lasting:list_pipelines())
    assert(lasting:list_pipelines())
    assert.equal(1, count)
    local ending = assert(client {
      credentials = function()
        count = count + 1
        local given = keys()
        given.expires = os.time() + 3600
        return given
      end,
    })
    assert(ending:list_pipelines())
    assert(ending:list_pipelines())
    assert.equal(2, count)
  end)

  it("serve calls from coroutines and calls under way together", function()
    local one = assert(client { credentials = keys })
    local wrapped = coroutine.wrap(function()
      return one:list_pipelines()
    end)
    assert.same({}, assert(wrapped()).pipelines)
    local ended = 0
    for _ = 1, 20 do
      assert(one:submit("list_pipelines", {}, function(answer, err)
        assert(answer, err)
        ended = ended + 1
      end))
    end
    one:drain()
    assert.equal(20, ended)
  end)

  it("tell why there are none", function()
    local cases = {
      [function()
        return nil, "the vault is sealed"
      end] = "the vault is sealed",
      [function()
        error "broken"
      end] = "broken",
      [function()
        return "AKID"
      end] = "table of keys",
      [function()
        return { access_key_id = "AKID" }
      end] = "secret_access_key: a string, not a nil",
      [function()
        return { access_key_id = "AKID", secret_access_key = "s", expires = 12 }
      end] = "have expired",
    }
    for provider, words in pairs(cases) do
      local answer, err = assert(client { credentials = provider }):list_pipelines()
      assert.is_nil(answer)
      assert.equal("CREDENTIALS", err.status)
      assert.matches(words, err.message)
    end
    assert.error_matches(function()
      client { credentials = "AKID" }
    end, "credentials: a function, not a string")
  end)

  it("outlive the client's own variable in a view, and are collected with care", function()
    local view = assert(assert(client { credentials = keys }):with { read_timeout = 5 })
    collectgarbage()
    collectgarbage()
    assert(view:list_pipelines())
  end)

  it("may be none: an anonymous client is refused by the service, not here", function()
    local answer, err = assert(client { anonymous = true }):list_pipelines()
    assert.is_nil(answer)
    assert.equal("SERVICE", err.status)
    assert.equal("MissingAuthenticationTokenException", err.code)
    local both, why = client { anonymous = true, access_key_id = "A", secret_access_key = "s" }
    assert.is_nil(both)
    assert.matches("exclude each other", why.message)
  end)
end)
