-- SPDX-License-Identifier: MIT
-- Hooks, views and the doctor, and that no secret is seen in any of them.
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local function with_client(body)
  return helper.with_emulator(function(_, client)
    return body(client)
  end)
end

describe("a hook", function()
  it("sees every attempt before and after it", function()
    with_client(function(client)
      local seen = {}
      client:on("request", function(event)
        seen[#seen + 1] = event
      end)
      client:on("response", function(event)
        seen[#seen + 1] = event
      end)
      assert(client:list_pipelines { maxResults = 3 })
      assert.equal(2, #seen)
      assert.equal("request", seen[1].stage)
      assert.equal("ListPipelines", seen[1].operation)
      assert.equal('{"maxResults":3}', seen[1].text)
      assert.equal("***", seen[1].headers.authorization)
      assert.equal(1, seen[1].attempt)
      assert.equal("OK", seen[2].status)
      assert.equal(200, seen[2].http_status)
      assert.equal('{"pipelines":[]}', seen[2].text)
      assert.equal(seen[2].headers["x-amzn-requestid"], seen[2].request_id)
      assert.is_true(seen[2].duration >= 0)
    end)
  end)

  it("tells of refusals and of endpoints that are not there", function()
    local keys = { region = "eu-west-1", access_key_id = "A", secret_access_key = "s", max_attempts = 1 }
    keys.endpoint_url = "http://127.0.0.1:9"
    local client <close> = assert(codepipeline.client(keys))
    local last
    client:on("response", function(event)
      last = event
    end)
    local answer = client:list_pipelines()
    assert.is_nil(answer)
    assert.equal("NETWORK", last.status)
    assert.equal(0, last.http_status)
    assert.matches("Connection refused", last.message)
    with_client(function(other)
      other:on("response", function(event)
        last = event
      end)
      other:get_pipeline { name = "nobody" }
      assert.equal("PipelineNotFoundException", last.code)
      assert.equal("SERVICE", last.status)
    end)
  end)

  it("stops the call by raising, and its error comes out", function()
    with_client(function(client)
      client:on("request", function()
        error({ mine = true }, 0)
      end)
      local ok, err = pcall(client.list_pipelines, client)
      assert.is_false(ok)
      assert.is_true(err.mine)
      local again, second = pcall(client.list_pipelines, client)
      assert.is_false(again)
      assert.is_true(second.mine)
    end)
  end)

  it("cannot call the client it looks at, but a view of it", function()
    with_client(function(client)
      local view = assert(client:with {})
      local inner
      client:on("request", function()
        inner = assert(view:list_pipelines())
        client:list_pipelines()
      end)
      assert.error_matches(function()
        client:list_pipelines()
      end, "cannot be called by a function that looks on")
      assert.same({}, inner.pipelines)
    end)
  end)

  it("is given for a stage there is", function()
    with_client(function(client)
      assert.error_matches(function()
        client:on("before", print)
      end, '"request" and "response", not "before"')
    end)
  end)

  it("sees no secret", function()
    with_client(function(client)
      local seen = {}
      local function note(event)
        for key, value in pairs(event) do
          seen[#seen + 1] = key .. "=" .. tostring(value)
        end
        for name, value in pairs(event.headers) do
          seen[#seen + 1] = name .. "=" .. value
        end
      end
      client:on("request", note)
      client:on("response", note)
      local _, err = client:put_webhook {
        webhook = {
          name = "hook",
          targetPipeline = "nobody",
          targetAction = "a",
          filters = { { jsonPath = "$.ref" } },
          authentication = "GITHUB_HMAC",
          authenticationConfiguration = { SecretToken = "canary-hook" },
        },
      }
      local action = helper.action("Make", "Build", "Builder", { "Source" }, {}, { Password = "canary-password" })
      local _, refused = client:create_pipeline { pipeline = helper.pipeline("site", { action }) }
      seen[#seen + 1] = tostring(err) .. tostring(refused) .. tostring(client)
      local all = table.concat(seen, "\n")
      assert.matches("SecretToken", all)
      assert.matches("Password", all)
      assert.is_nil(all:find("canary", 1, true))
    end)
  end)
end)

describe("a view", function()
  it("has other options and the same hooks", function()
    with_client(function(client)
      local count = 0
      client:on("request", function()
        count = count + 1
      end)
      local view = assert(client:with { region = "us-west-2", read_timeout = 5, max_attempts = 1 })
      assert.equal("us-west-2", view:region())
      assert.equal(client:endpoint_url(), view:endpoint_url())
      view:list_pipelines()
      assert.equal(1, count)
      local none, err = client:with { profile = "x" }
      assert.is_nil(none)
      assert.equal("profile", err.path)
      assert.error_matches(function()
        client:with { regoin = "x" }
      end, 'unknown option "regoin"')
      client:close()
      local _, closed = view:list_pipelines()
      assert.equal("STATE", closed.status)
    end)
  end)
end)

describe("the doctor", function()
  local written, original

  before_each(function()
    original, written = io.write, {}
    io.write = function(...) -- luacheck: ignore 122
      written[#written + 1] = table.concat { ... }
    end
  end)

  after_each(function()
    io.write = original -- luacheck: ignore 122
  end)

  it("prints what it finds and answers it", function()
    local emulator <close> = assert(codepipeline.emulator {})
    local environ = emulator.environ
    local report = assert(codepipeline.doctor {
      endpoint_url = environ.AWS_ENDPOINT_URL_CODEPIPELINE,
      region = environ.AWS_REGION,
      access_key_id = environ.AWS_ACCESS_KEY_ID,
      secret_access_key = environ.AWS_SECRET_ACCESS_KEY,
    })
    assert.is_true(report.healthy)
    assert.equal("argument", report.region.source)
    assert.equal(report.text, table.concat(written))
    assert.is_nil(report.text:find(environ.AWS_SECRET_ACCESS_KEY, 1, true))
  end)

  it("finds what is wrong", function()
    local options = { region = "eu-west-1", access_key_id = "A", secret_access_key = "s" }
    options.endpoint_url = "http://127.0.0.1:9"
    local report = assert(codepipeline.doctor(options))
    assert.is_false(report.healthy)
    assert.matches("Connection refused", report.problems[1])
    assert.matches("PROBLEM", table.concat(written))
  end)
end)
