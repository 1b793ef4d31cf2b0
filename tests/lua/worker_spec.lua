-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local BUILDER = { category = "Build", provider = "Builder", version = "1" }

--- Runs a pipeline whose Build action is served by handler; returns the action's state and what was logged.
local function served_by(handler, options)
  return helper.with_emulator(function(emulator, client)
    options = options or {}
    helper.prepare(emulator, client)
    local action = helper.action("Make", "Build", "Builder", { "Source" }, options.outputs, options.configuration)
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local logged = {}
    local worker <close> = assert(codepipeline.worker(client, {
      poll_interval = 0.01,
      log = function(level, message)
        logged[#logged + 1] = level .. ": " .. message
      end,
    }))
    worker:job(BUILDER, handler)
    for _ = 1, options.jobs or 1 do
      assert.is_true(assert(worker:step(10)))
    end
    return helper.action_state(client, "p", "Make"), table.concat(logged, "\n"), client
  end)
end

describe("a handler", function()
  it("gets the job's data and its input", function()
    local seen
    local state = served_by(function(job)
      local directory = assert(job:input("Source"):extract())
      local name = io.popen("ls '" .. directory .. "'"):read "l"
      seen = {
        text = helper.read(directory .. "/" .. name),
        pipeline = job.pipeline,
        stage = job.stage,
        action = job.action,
        target = job.configuration.Target,
        account = job.account_id,
        bytes = #assert(job:input():read()),
        printed = tostring(job),
      }
    end, { configuration = { Target = "all" } })
    assert.equal("Succeeded", state.status)
    assert.equal("hello", seen.text)
    assert.equal("p", seen.pipeline)
    assert.equal("Make", seen.stage)
    assert.equal("Make", seen.action)
    assert.equal("all", seen.target)
    assert.equal("123456789012", seen.account)
    assert.is_true(seen.bytes > 0)
    assert.matches("codepipeline.Job", seen.printed)
  end)

  it("returns output variables", function()
    local details
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01 }))
      worker:job(BUILDER, function()
        return { digest = "abc", size = 12 }
      end)
      assert.is_true(worker:step(10))
      details = assert(client:list_action_executions { pipelineName = "p" }).actionExecutionDetails
    end)
    assert.same({ digest = "abc", size = "12" }, details[1].output.outputVariables)
  end)

  it("sends what it packed as the output", function()
    local digest
    local state, logged = served_by(function(job)
      local file = job:work_dir() .. "/out.txt"
      helper.write(file, "made")
      assert(job:output("Binary"):pack(file))
      digest = assert(job:output():digest())
      return job:succeed { summary = "packed", external_execution_id = "x-1" }
    end, { outputs = { "Binary" } })
    assert.equal("", logged)
    assert.equal("Succeeded", state.status)
    assert.equal("packed", state.summary)
    assert.equal("x-1", state.externalExecutionId)
    assert.equal(64, #digest)
  end)

  it("that raises fails the job with its message, and the worker goes on", function()
    local state, logged = served_by(function()
      error "no compiler today"
    end)
    assert.equal("Failed", state.status)
    assert.matches("no compiler today", state.errorDetails.message)
    assert.matches("stack traceback", logged)
  end)

  it("that raises a table or nothing fails the job too", function()
    assert.equal("Failed", served_by(function()
      error({})
    end).status)
    assert.equal("Failed", served_by(function()
      error()
    end).status)
  end)

  it("fails the job in so many words", function()
    local state = served_by(function(job)
      return job:fail("no such target", { type = "ConfigurationError" })
    end)
    assert.equal("Failed", state.status)
    assert.equal("no such target", state.errorDetails.message)
  end)

  it("that returns what makes no sense fails the job and says why", function()
    local state = served_by(function()
      return 5
    end)
    assert.equal("Failed", state.status)
    assert.matches("returned a number", state.errorDetails.message)
  end)

  it("that forgets an output fails the job and names it", function()
    local state = served_by(function() end, { outputs = { "Binary" } })
    assert.equal("Failed", state.status)
    assert.matches("Binary", state.errorDetails.message)
  end)

  it("with illegal output variables fails the job and names them", function()
    local state = served_by(function()
      return { ["not a name!"] = "x" }
    end)
    assert.equal("Failed", state.status)
    assert.matches("not a name!", state.errorDetails.message, 1, true)
  end)

  it("that asks for an artifact the job has not is told which it has", function()
    local state = served_by(function(job)
      job:input "Sauce"
    end)
    assert.matches("Source", state.errorDetails.message)
  end)

  it("goes on later with its state", function()
    local rounds = {}
    local state = served_by(function(job)
      rounds[#rounds + 1] = job.state and job.state.step or 0
      if #rounds < 3 then
        return job:later({ step = #rounds }, { percent_complete = 30 * #rounds })
      end
    end, { jobs = 3 })
    assert.same({ 0, 1, 2 }, rounds)
    assert.equal("Succeeded", state.status)
  end)
end)

describe("a worker", function()
  it("refuses the same action type twice and an unknown category", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client))
      worker:job(BUILDER, print)
      assert.has_error(function()
        worker:job(BUILDER, print)
      end)
      local fine, err = pcall(worker.job, worker, { category = "Build", provider = "X", versoin = "1" }, print)
      assert.is_false(fine)
      assert.matches('unknown option "versoin" (there are category, provider, version, ', err, 1, true)
    end)
  end)

  it("says when nobody has registered its action type", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client))
      worker:job({ category = "Build", provider = "Nobody", version = "1" }, print)
      local done, err = worker:run()
      assert.is_nil(done)
      assert.equal("ActionTypeNotFoundException", err.code)
    end)
  end)

  it("step answers false when there is nothing to do", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01 }))
      worker:job(BUILDER, print)
      assert.is_false(worker:step(0.05))
    end)
  end)

  it("run returns after stop, with the job under way reported", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01 }))
      worker:job(BUILDER, function()
        worker:stop()
      end)
      assert.is_true(worker:run())
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
    end)
  end)

  it("tells after run what became of the jobs, and whether a result is still owed", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local rows = { { times = 3, succeeded = 1, unreported = 0 }, { times = -1, succeeded = 0, unreported = 1 } }
      for _, row in ipairs(rows) do
        assert(emulator:fault { kind = "reset", operation = "PutJobSuccessResult", times = row.times })
        local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
        worker:job(BUILDER, function()
          worker:cancel() -- else it would wait for the result to get through
        end)
        assert.is_true(worker:run())
        local expected = { succeeded = row.succeeded, failed = 0, continued = 0, unreported = row.unreported }
        assert.same(expected, worker:summary())
        assert(client:start_pipeline_execution { name = "p" })
      end
    end)
  end)

  it("fails a job whose time limit cannot be guarded, and goes on", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local methods = debug.getregistry()["codepipeline.core.Job"].__index
      local guard <close> = setmetatable({ methods.guard }, {
        __close = function(kept)
          methods.guard = kept[1]
        end,
      })
      methods.guard = function()
        methods.guard = guard[1]
        return nil, "no thread is to be had"
      end
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
      worker:job({ category = "Build", provider = "Builder", timeout = 60 }, function() end)
      assert.is_true(assert(worker:step(10)))
      local state = helper.action_state(client, "p", "Make")
      assert.equal("Failed", state.status)
      assert.matches("no thread is to be had", state.errorDetails.message)
      assert(client:start_pipeline_execution { name = "p" })
      assert.is_true(assert(worker:step(10)))
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
    end)
  end)

  it("run finishes what runs and returns on SIGTERM", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01 }))
      worker:job(BUILDER, function()
        os.execute "kill -TERM $PPID"
        return { reached = "the end" }
      end)
      assert.is_true(worker:run())
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
    end)
  end)
end)

describe("a journal", function()
  it("lets the next worker report what a killed one ran", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local path = os.tmpname()
      os.remove(path)
      do
        local first <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, journal = path }))
        first:job(BUILDER, print)
        local handle = assert(first.core:next(10)) -- handed out, and never answered
        local other, err = codepipeline.worker(client, { journal = path })
        assert.is_nil(other)
        assert.equal("STATE", err.status)
        helper.write(path .. ".copy", helper.read(path))
        helper.write(path .. ".copy-wal", helper.read(path .. "-wal"))
        handle:close()
      end
      do
        local second <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, journal = path .. ".copy" }))
        second:job(BUILDER, print)
        assert.is_false(second:step(0.1))
      end
      local state = helper.action_state(client, "p", "Make")
      assert.equal("Failed", state.status)
      assert.equal("the worker stopped while the job ran", state.errorDetails.message)
      for _, name in ipairs { "", ".copy" } do
        os.remove(path .. name)
      end
    end)
  end)

  it("that cannot be used is set aside, and run says so", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local path, logged = os.tmpname(), {}
      helper.write(path, "not a journal")
      local worker <close> = assert(codepipeline.worker(client, {
        journal = path,
        log = function(_, message)
          logged[#logged + 1] = message
        end,
      }))
      worker:job(BUILDER, print)
      worker:stop()
      assert.is_true(worker:run())
      local aside = logged[1]:match 'it is now "([^"]+)"'
      assert.equal("not a journal", helper.read(aside))
      assert.equal(1, #logged)
      os.remove(aside)
      os.remove(path)
    end)
  end)
end)

describe("a job", function()
  it("hears of its cancellation from the second signal", function()
    local heard = {}
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
      worker:job(BUILDER, function(job)
        for i = 1, 3 do
          heard[i] = job:cancelled()
          if i < 3 then
            os.execute "kill -TERM $PPID"
          end
        end
      end)
      assert.is_true(worker:run())
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
    end)
    assert.same({ false, false, true }, heard)
  end)
end)

--- How many calls of an operation the service accepted.
local function accepted(emulator, operation)
  local count = 0
  for _, entry in ipairs(assert(emulator:ledger())) do
    count = count + (entry.operation == operation and entry.status == 200 and 1 or 0)
  end
  return count
end

describe("a run that ends with an error", function()
  it("gives back what it kept", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
      worker:job(BUILDER, function(job)
        return job:later({ n = 1 }, { after = 600 })
      end)
      assert.is_true(worker:step(10))
      while accepted(emulator, "AcknowledgeJob") < 2 do
        assert.is_false(worker:step(0.05))
      end
      assert(emulator:fault { kind = "access-denied", operation = "PollForJobs" })
      local done, err = worker:run()
      assert.is_nil(done)
      assert.equal("AccessDeniedException", err.code)
      assert.equal(2, accepted(emulator, "PutJobSuccessResult"))
      assert.same({ succeeded = 0, failed = 0, continued = 2, unreported = 0 }, worker:summary())
    end)
  end)
end)

describe("memory", function()
  it("comes back under a collector that never rests", function()
    local pause, step = collectgarbage("incremental", 0, 1000, 0), 0
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      for _ = 1, 50 do
        assert(client:list_action_types {})
        client:get_pipeline { name = "none" }
        step = step + 1
      end
    end)
    collectgarbage(pause)
    collectgarbage "incremental"
    assert.equal(50, step)
  end)
end)
