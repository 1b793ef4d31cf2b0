-- SPDX-License-Identifier: MIT
-- client:on() and what runs, approvals, metrics, workers and their jobs ask for themselves.
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local BUILDER = { category = "Build", provider = "Builder", version = "1" }

local function watched(client)
  local seen = { operations = {}, count = 0, texts = {} }
  client:on("response", function(event)
    seen.operations[event.operation] = (seen.operations[event.operation] or 0) + 1
    seen.count = seen.count + 1
    seen.texts[#seen.texts + 1] = event.text
  end)
  client:on("request", function(event)
    seen.texts[#seen.texts + 1] = event.text
    for name, value in pairs(event.headers) do
      seen.texts[#seen.texts + 1] = name .. "=" .. value
    end
  end)
  return seen
end

--- body(client, worker, logged) with a pipeline of one action, which waits for a job or an approval.
local function with_pipeline(action, body)
  helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local logged = {}
    local worker <close> = assert(codepipeline.worker(client, {
      poll_interval = 0.01,
      log = function(level, message)
        logged[#logged + 1] = level .. ": " .. message
      end,
    }))
    body(client, worker, logged)
  end)
end

local function build(configuration)
  return helper.action("Make", "Build", "Builder", { "Source" }, {}, configuration)
end

local function gate()
  return helper.action("Sign", "Approval", "Manual", {}, {}, { CustomData = "look twice" })
end

local function open_run(client)
  return assert(client:run("p", nil, { poll_interval = 0.01 }))
end

describe("a function that looks on", function()
  it("sees what runs, approvals and metrics ask", function()
    with_pipeline(gate(), function(client)
      local run <close> = open_run(client)
      local seen = watched(client)
      for event in run:follow() do
        if event.kind == "approval" then
          assert.equal(1, #assert(client:approvals()))
          assert(run:approve("Sign", "Sign"))
        end
      end
      for _, name in ipairs { "GetPipelineState", "ListActionExecutions", "PutApprovalResult" } do
        assert.is_true(seen.operations[name] and seen.operations[name] > 0, name)
      end
      local count = seen.count
      assert.equal("Succeeded", assert(run:explain()).status)
      assert.is_true(seen.count > count)
      assert(client:metrics())
      assert.is_true(seen.operations.ListPipelineExecutions > 0)
      local again <close> = assert(client:start("p", { poll_interval = 0.01 }))
      assert.equal(1, seen.operations.StartPipelineExecution)
      count = seen.count
      for _ in codepipeline.follow({ again }, { timeout = 0.05 }) do -- luacheck: ignore 542
      end
      assert.is_true(seen.count > count)
    end)
  end)

  it("stops what a run was asked for by raising", function()
    with_pipeline(gate(), function(client)
      local run <close> = open_run(client)
      client:on("request", function()
        error("not now", 0)
      end)
      for _, ask in ipairs {
        function()
          run:wait()
        end,
        function()
          run:explain()
        end,
        function()
          client:start "p"
        end,
        function()
          client:approvals()
        end,
        function()
          client:metrics()
        end,
      } do
        assert.error_matches(ask, "^not now$")
      end
    end)
  end)

  it("cannot use or close the run that asks", function()
    with_pipeline(gate(), function(client)
      local run <close> = open_run(client)
      local said = {}
      client:on("request", function()
        for _, name in ipairs { "status", "explain", "close" } do
          said[#said + 1] = select(2, pcall(run[name], run))
        end
        local _, in_use = pcall(codepipeline.follow { run })
        said[#said + 1] = in_use
      end)
      assert(run:explain())
      assert.equal(0, #said % 4)
      assert.is_true(#said >= 4)
      for i, text in ipairs(said) do
        assert.matches(i % 4 == 0 and "in use" or "cannot be used by a function that looks on", text)
      end
      assert(run:explain())
    end)
  end)

  it("sees what a worker and its jobs ask, and no secret", function()
    with_pipeline(build { Target = "canary-target" }, function(client, worker)
      local seen, keys = watched(client), nil
      worker:job(BUILDER, function(job)
        assert(job:input():path())
        keys = job.core:data().data.artifactCredentials
      end)
      assert.is_true(assert(worker:step(10)))
      assert.equal(1, seen.operations.AcknowledgeJob)
      assert.equal(1, seen.operations.PutJobSuccessResult)
      assert.is_true(seen.operations.PollForJobs >= 1)
      local all = table.concat(seen.texts, "\n")
      assert.is_nil(all:find("canary", 1, true))
      for _, name in ipairs { "accessKeyId", "secretAccessKey", "sessionToken" } do
        assert.is_true(#keys[name] > 4)
        assert.is_nil(all:find(keys[name], 1, true), name)
      end
      assert.is_not_nil(all:find('"Target":"***"', 1, true))
      assert.is_not_nil(all:find("authorization=***", 1, true))
    end)
  end)

  it("ends no job by raising: the worker logs it", function()
    with_pipeline(build(), function(client, worker, logged)
      client:on("request", function(event)
        error("no " .. event.operation, 0)
      end)
      worker:job(BUILDER, function() end)
      assert.is_true(assert(worker:step(10)))
      local text = table.concat(logged, "\n")
      for _, name in ipairs { "PollForJobs", "AcknowledgeJob", "PutJobSuccessResult" } do
        assert.matches("error: a function that looks on raised, and the call goes on: no " .. name, text)
      end
    end)
  end)

  it("can stop the worker that asks, and nothing else", function()
    with_pipeline(build(), function(client, worker, logged)
      client:on("request", function(event)
        if event.operation == "PollForJobs" then
          worker:stop()
          worker:close()
        end
      end)
      worker:job(BUILDER, function() end)
      assert.is_true(worker:run())
      assert.matches("a worker can only be stopped by a function that looks on", table.concat(logged, "\n"))
    end)
  end)

  it("sees what a guard reported when its job's program asks again", function()
    with_pipeline(build(), function(client, worker)
      local seen, early = watched(client), nil
      worker:job({ category = "Build", provider = "Builder", version = "1", timeout = 0.05 }, function()
        local till, failed = os.time() + 10
        repeat -- a job that does not hear the interruption
          local fine, state = pcall(helper.action_state, client, "p", "Make")
          failed = fine and state.status == "Failed"
        until failed or os.time() > till
        early = seen.operations.PutJobFailureResult or 0
      end)
      assert.is_true(assert(worker:step(10)))
      assert.equal(0, early)
      assert.equal(1, seen.operations.PutJobFailureResult)
    end)
  end)
end)
