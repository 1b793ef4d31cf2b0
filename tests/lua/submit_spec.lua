-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"

describe("calls under way together", function()
  local emulator, client

  before_each(function()
    emulator = assert(codepipeline.emulator())
    client = assert(emulator:client())
  end)

  after_each(function()
    emulator:close()
  end)

  it("call back with their answers", function()
    local count = 0
    for _ = 1, 200 do
      assert(client:submit("list_action_types", nil, function(answer, err)
        assert.is_nil(err)
        assert.is_true(#answer.actionTypes > 0)
        assert.equal(200, answer.ResponseMetadata.HTTPStatusCode)
        count = count + 1
      end))
    end
    assert.equal(200, client:pending())
    assert.equal(200, client:drain())
    assert.equal(200, count)
    assert.equal(0, client:pending())
  end)

  it("tell what is wrong with the parameters at once", function()
    local id, err = client:submit("get_pipeline", {})
    assert.is_nil(id)
    assert.equal("name", err.path)
    assert.equal(0, client:pending())
    assert.error_matches(function()
      client:submit("get_pipeline", "site")
    end, "parameters must be a table, not a string")
  end)

  it("call back with the error that the service or the network made", function()
    local errors = {}
    assert(client:submit("get_pipeline", { name = "nowhere" }, function(_, err)
      errors[1] = err
    end))
    local dead = assert(client:with { endpoint_url = "http://127.0.0.1:9", max_attempts = 1 })
    assert(dead:submit("list_pipelines", {}, function(_, err)
      errors[2] = err
    end))
    client:drain()
    dead:drain()
    assert.equal("PipelineNotFoundException", errors[1].code)
    assert.is_string(errors[1].request_id)
    assert.equal("NETWORK", errors[2].status)
  end)

  it("are given up when they are cancelled", function()
    local seen
    local id = assert(client:submit("list_pipelines", {}, function(_, err)
      seen = err
    end))
    assert.is_true(client:cancel(id))
    client:drain()
    assert.equal("CANCELLED", seen.status)
    assert.is_false(client:cancel(id))
  end)

  it("leave the others alone when a callback raises", function()
    local count = 0
    for number = 1, 3 do
      assert(client:submit("list_pipelines", {}, function()
        count = count + 1
        if number == 2 then
          error "two"
        end
      end))
    end
    assert.error_matches(function()
      client:drain()
      client:drain()
    end, "two")
    client:drain()
    assert.equal(3, count)
  end)

  it("may begin others in a callback", function()
    local names = {}
    assert(client:submit("list_pipelines", {}, function()
      names[#names + 1] = "first"
      assert(client:submit("list_webhooks", {}, function()
        names[#names + 1] = "second"
      end))
    end))
    assert.equal(2, client:drain())
    assert.same({ "first", "second" }, names)
  end)

  it("are told to those who look on, and what these raise comes out and loses no call", function()
    local operations, raised = {}, false
    client:on("request", function(event)
      operations[#operations + 1] = event.operation
      if event.operation == "ListWebhooks" and not raised then
        raised = true
        error "no webhooks today"
      end
    end)
    local ends = 0
    for _, name in ipairs { "list_pipelines", "list_webhooks" } do
      assert(client:submit(name, {}, function()
        ends = ends + 1
      end))
    end
    local told
    for _ = 1, 3 do
      local ok, err = pcall(client.drain, client)
      told = told or not ok and err
    end
    assert.matches("no webhooks today", told)
    assert.equal(2, ends)
  end)

  it("are refused by a client that is closed, and finish when they were submitted before", function()
    local answer
    assert(client:submit("list_pipelines", {}, function(value)
      answer = value
    end))
    client:close()
    local id, err = client:submit("list_pipelines", {})
    assert.is_nil(id)
    assert.equal("STATE", err.status)
    client:drain()
    assert.same({}, answer.pipelines)
  end)

  it("are awaited side by side in coroutines", function()
    local order = {}
    assert(client:loop(function()
      order[#order + 1] = "a"
      assert(client:await("list_pipelines"))
      order[#order + 1] = "A"
    end, function()
      order[#order + 1] = "b"
      local none, err = client:await("get_pipeline", { name = "nowhere" })
      assert.is_nil(none)
      assert.equal("PipelineNotFoundException", err.code)
      order[#order + 1] = "B"
    end))
    assert.equal("a", order[1])
    assert.equal("b", order[2])
    assert.equal(4, #order)
    assert.error_matches(function()
      client:loop(function()
        client:await "list_pipelines"
        error "inside"
      end)
    end, "inside")
    assert.error_matches(function()
      client:await "list_pipelines"
    end, "loop%(%)")
  end)

  it("die with a client that nobody keeps", function()
    local weak = setmetatable({ emulator:client() }, { __mode = "v" })
    assert(weak[1]:submit("list_pipelines", {}, function() end))
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)
