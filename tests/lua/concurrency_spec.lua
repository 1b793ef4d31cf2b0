-- SPDX-License-Identifier: MIT
-- Several jobs under way in one Lua state: whose turn it is, and what becomes of them when something happens.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"

local BUILDER = { category = "Build", provider = "Builder", version = "1" }
local LUA = arg[-1] or "lua5.4"

local function builder(more)
  for key, value in pairs(BUILDER) do
    more[key] = value
  end
  return more
end

--- A scene of so many pipelines, "a", "b" and so on, with a job each; body(scene).
local function with_jobs(count, body)
  helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local scene = { emulator = emulator, client = client, log = {} }
    for i = 1, count do
      local name = string.char(96 + i)
      local action = helper.action("Make", "Build", "Builder", { "Source" }, {}, { Target = name })
      assert(client:create_pipeline { pipeline = helper.pipeline(name, { action }) })
    end
    function scene.worker(options)
      local all = { poll_interval = 0.01, concurrency = count }
      function all.log(level, message)
        table.insert(scene.log, level .. ": " .. message)
      end
      for key, value in pairs(options or {}) do
        all[key] = value
      end
      return assert(codepipeline.worker(client, all))
    end
    function scene.state(name)
      return helper.action_state(client, name, "Make")
    end
    function scene.count(operation)
      local n = 0
      for _, entry in ipairs(assert(emulator:ledger())) do
        n = n + (entry.operation == operation and 1 or 0)
      end
      return n
    end
    body(scene)
  end)
end

--- Lets others go on with wait until is_so() is true; an error when that never comes.
local function await(is_so, wait)
  local till = core.monotonic() + 20
  while not is_so() do
    assert(core.monotonic() < till, "it never came")
    wait()
  end
end

describe("handlers of one state", function()
  it("need each other, and get on", function()
    for _, wait in ipairs {
      coroutine.yield,
      function(job)
        assert(job:sleep(0.001) == false)
      end,
      function(job)
        assert(job:wait_cancelled(0.001) == false)
      end,
    } do
      with_jobs(2, function(scene)
        local worker <close> = scene.worker()
        local steps = { a = 0, b = 0 }
        worker:job(BUILDER, function(job)
          local mine, other = job.pipeline, job.pipeline == "a" and "b" or "a"
          for i = 1, 3 do
            steps[mine] = i
            await(function()
              return steps[other] >= i
            end, function()
              wait(job)
            end)
          end
        end)
        assert.is_true(assert(worker:step(10)))
        assert.equal("Succeeded", scene.state("a").status)
        assert.equal("Succeeded", scene.state("b").status)
        assert.same({}, scene.log)
      end)
    end
  end)

  it("are as many as the worker is told", function()
    with_jobs(3, function(scene)
      local worker <close> = scene.worker { concurrency = 2 }
      local now, most = 0, 0
      worker:job(BUILDER, function(job)
        now = now + 1
        most = math.max(most, now)
        await(function()
          return most == 2
        end, coroutine.yield)
        for _ = 1, 5 do
          job:sleep(0.001)
        end
        now = now - 1
      end)
      assert.is_true(assert(worker:step(10)))
      assert.is_true(assert(worker:step(10)))
      assert.equal(2, most)
      assert.is_false(worker:step(0.05))
    end)
  end)

  it("await calls side by side", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker()
      local begun, others, seen = 0, nil, {}
      worker:job(BUILDER, function(job)
        begun = begun + 1
        if begun == 2 then
          coroutine.yield() -- the first one goes on before this one does
          others = scene.client:pending()
        end
        await(function()
          return begun == 2
        end, coroutine.yield)
        seen[job.pipeline] = assert(scene.client:await("get_pipeline", { name = job.pipeline })).pipeline.name
        local none, err = scene.client:await("get_pipeline", { name = "nowhere" })
        assert(none == nil and err.code == "PipelineNotFoundException")
      end)
      assert.is_true(assert(worker:step(10)))
      assert.same({ a = "a", b = "b" }, seen)
      assert.equal(1, others)
      assert.same({}, scene.log)
    end)
  end)

  it("do so alone, too, and in unit tests", function()
    local function handler(client)
      return function(job)
        coroutine.yield()
        assert(#assert(client:await("list_pipelines")).pipelines > 0)
        assert(job:sleep(0.001) == false and job:sleep(0) == false)
        return { fine = "yes" }
      end
    end
    with_jobs(1, function(scene)
      local worker <close> = scene.worker()
      worker:job(BUILDER, handler(scene.client))
      assert.is_true(assert(worker:step(10)))
      assert.equal("Succeeded", scene.state("a").status)
      local done = worker:test(handler(scene.client))
      assert.same({ fine = "yes" }, done.variables)
      assert.equal(0.001, done.clock:elapsed())
      worker:invoke(handler(scene.client))
      local event = assert(codepipeline.sample_event())
      assert.equal("unreported", worker:lambda_handler(event)) -- nobody knows that job
    end)
  end)

  it("use coroutines of their own as ever", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker()
      worker:job(BUILDER, function(job)
        local sum = 0
        for i in coroutine.wrap(function()
          for i = 1, 3 do
            coroutine.yield(i)
            job:sleep(0.001)
          end
        end) do
          sum = sum + i
        end
        assert(scene.client:loop(function()
          assert(scene.client:await("list_pipelines"))
          sum = sum + 1
        end))
        return { sum = sum }
      end)
      assert.is_true(assert(worker:step(10)))
      worker:step(0) -- for the second one, if it did not come while the first one's result was sent
      assert.equal("Succeeded", scene.state("a").status)
      assert.equal("Succeeded", scene.state("b").status)
    end)
  end)

  it("do not hurt each other by raising", function()
    with_jobs(3, function(scene)
      local worker <close> = scene.worker()
      local over = 0
      worker:job(BUILDER, function(job)
        if job.pipeline ~= "c" then
          scene.client:submit("list_pipelines", {}, function()
            error "of a callback"
          end)
          coroutine.yield()
          over = over + 1
          error("no " .. job.pipeline, 0)
        end
        await(function()
          return over == 2 and scene.client:pending() == 0
        end, coroutine.yield)
      end)
      assert.is_true(assert(worker:step(10)))
      assert.equal("no a", scene.state("a").errorDetails.message)
      assert.equal("no b", scene.state("b").errorDetails.message)
      assert.equal("Succeeded", scene.state("c").status)
      assert.matches("raised, and the call goes on: [^\n]*of a callback", table.concat(scene.log, "\n"))
    end)
  end)

  it("cannot have their worker take jobs, nor can who looks on meanwhile", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker()
      local said, over = {}, false
      local function use()
        if over then
          return
        end
        table.insert(said, select(2, pcall(worker.step, worker, 0)))
        table.insert(said, select(2, pcall(worker.run, worker)))
      end
      scene.client:on("request", use)
      worker:job(BUILDER, function(job)
        use()
        assert(job:input():path())
        coroutine.yield()
      end)
      assert.is_true(assert(worker:step(10)))
      over = true
      assert.is_true(#said > 8)
      for _, text in ipairs(said) do
        assert.matches("a worker can only be stopped", text)
      end
      assert.equal("Succeeded", scene.state("b").status)
    end)
  end)

  it("go on where they were when they are made by resuming()", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker()
      local open, most = 0, 0
      worker:job(BUILDER, codepipeline.resuming(function(job)
        local name = job:step(function()
          open = open + 1
          await(function()
            most = math.max(most, open)
            return most == 2
          end, function()
            job:sleep(0.001)
          end)
          return assert(scene.client:await("get_pipeline", { name = job.pipeline })).pipeline.name
        end)
        coroutine.yield()
        job:later()
        coroutine.yield()
        return { name = name }
      end))
      local till = core.monotonic() + 20
      while scene.count "PutJobSuccessResult" < 4 and core.monotonic() < till do
        worker:step(0.05)
      end
      for _, name in ipairs { "a", "b" } do
        local details = assert(scene.client:list_action_executions { pipelineName = name }).actionExecutionDetails
        assert.same({ name = name }, details[1].output.outputVariables)
      end
      assert.equal(2, most)
      assert.same({}, scene.log)
    end)
  end)
end)

describe("what takes its time with a job", function()
  --- Serves jobs until so many have a result.
  local function serve(scene, worker, count)
    await(function()
      return scene.count "PutJobSuccessResult" + scene.count "PutJobFailureResult" >= count
    end, function()
      worker:step(0.05)
    end)
  end

  it("lets the others go on, and looks the same to all", function()
    with_jobs(4, function(scene)
      assert(scene.emulator:fault { kind = "trickle", operation = "GetObject", bytes = 40, times = 4 })
      local now, most, told = 0, 0, {}
      local worker <close> = scene.worker {
        progress = function(job, artifact, done, total)
          assert(job:cancelled() == false and not pcall(job.work_dir, job))
          told[job.pipeline] = artifact == "Source" and done == total
        end,
      }
      worker:job(BUILDER, function(job)
        now = now + 1
        most = math.max(most, now)
        local folder = assert(job:input():extract())
        now = now - 1
        return { text = helper.read(folder .. "/main.txt"), again = assert(job:input():path()) ~= folder and 1 or 0 }
      end)
      serve(scene, worker, 4)
      assert.equal(4, most)
      assert.same({ a = true, b = true, c = true, d = true }, told)
      assert.equal(4, scene.count "PutJobSuccessResult")
      assert.same({}, scene.log)
    end)
  end)

  it("fails for one alone", function()
    with_jobs(3, function(scene)
      assert(scene.emulator:fault { kind = "access-denied", operation = "GetObject", times = 1 })
      local worker <close> = scene.worker()
      local failed, fine
      worker:job(BUILDER, function(job)
        local path, err = job:input():path()
        if not path then
          failed = job.pipeline
          return nil, err
        end
        fine = #assert(job:input():read())
        local ok, words = pcall(job.input(job).extract, job:input(), 42)
        assert(not ok and words:find "a directory must be a string", words)
      end)
      serve(scene, worker, 3)
      assert.is_true(fine > 0)
      assert.equal(2, scene.count "PutJobSuccessResult")
      assert.matches('the input artifact "Source": ', scene.state(failed).errorDetails.message, 1, true)
    end)
  end)

  it("ends with the handler's time, and others do not wait for that", function()
    with_jobs(2, function(scene)
      assert(scene.emulator:fault { kind = "stall", operation = "GetObject", times = 1 })
      local worker <close> = scene.worker()
      local fine, raised
      worker:job(builder { timeout = 1 }, function(job)
        local done, err = pcall(job.input(job).path, job:input())
        if done then
          fine = job.pipeline
        else
          raised = err
          assert(fine, "the other one waits")
          error(err, 0)
        end
      end)
      serve(scene, worker, 2)
      await(function()
        return raised
      end, function()
        worker:step(0.05)
      end)
      assert.equal("the handler took longer than its time limit of 1 seconds", raised)
      assert.equal("Succeeded", scene.state(fine).status)
      assert.matches("time limit", scene.state(fine == "a" and "b" or "a").errorDetails.message)
    end)
  end)

  it("comes to its end when the worker is stopped", function()
    with_jobs(3, function(scene)
      assert(scene.emulator:fault { kind = "trickle", operation = "GetObject", bytes = 100, times = 3 })
      local begun = 0
      local worker <close> = scene.worker {
        progress = function(job)
          if begun == 3 then
            begun = 4
            job.worker:stop()
          end
        end,
      }
      worker:job(BUILDER, function(job)
        begun, job.worker = begun + 1, worker
        assert(job:input():path())
      end)
      assert.is_true(assert(worker:run()))
      assert.equal(4, begun)
      assert.equal(3, scene.count "PutJobSuccessResult")
      assert.same({ succeeded = 3, failed = 0, continued = 0, unreported = 0 }, worker:summary())
    end)
  end)

  it("is called off by a function that hears of progress, and when the worker is closed", function()
    with_jobs(2, function(scene)
      assert(scene.emulator:fault { kind = "stall", operation = "GetObject", bytes = 40, times = 2 })
      local journal = helper.path()
      local worker <close> = scene.worker {
        journal = journal,
        log = function()
          error("the log is full", 0)
        end,
      }
      worker:job(BUILDER, function(job)
        if job.pipeline == "b" then
          job:on_progress(function()
            error "enough"
          end)
        end
        assert(job:input():path())
      end)
      assert.error_matches(function()
        worker:step(20)
      end, "the log is full")
      worker:close()
      local heir <close> = scene.worker { journal = journal }
      heir:job(BUILDER, error)
      assert.is_false(heir:step(0.1))
      for _, name in ipairs { "a", "b" } do
        assert.matches("gave the job up", scene.state(name).errorDetails.message)
      end
      os.remove(journal)
    end)
  end)
end)

describe("a time limit", function()
  it("ends handlers that wait for something, and no others", function()
    with_jobs(4, function(scene)
      assert(scene.emulator:fault { kind = "stall", operation = "ListPipelines", times = 10 })
      local worker <close> = scene.worker()
      local told, closed, over = {}, {}, 0
      local waits = {
        a = coroutine.yield,
        b = function(job)
          job:sleep(60)
        end,
        c = function()
          scene.client:await "list_pipelines"
        end,
      }
      worker:job(builder { timeout = 0.2 }, codepipeline.resuming(function(job)
        local _ <close> = setmetatable({}, {
          __close = function()
            closed[job.pipeline] = true
          end,
        })
        local wait = waits[job.pipeline]
        if wait then
          local _, err = pcall(function()
            while true do
              wait(job)
            end
          end)
          told[job.pipeline], over = err, over + 1
          error(err, 0)
        end
      end))
      assert.is_true(assert(worker:step(10)))
      local words = "the handler took longer than its time limit of 0.2 seconds"
      assert.same({ a = words, b = words, c = words }, told)
      assert.same({ a = true, b = true, c = true, d = true }, closed)
      for _, name in ipairs { "a", "b", "c" } do
        assert.matches("time limit", scene.state(name).errorDetails.message)
      end
      assert.equal("Succeeded", scene.state("d").status)
      assert.equal(3, scene.count "PutJobFailureResult")
    end)
  end)
end)

describe("a worker with several jobs under way", function()
  it("finishes all of them when it is stopped, and takes no other", function()
    with_jobs(4, function(scene)
      local worker <close> = scene.worker { concurrency = 3 }
      local begun = 0
      worker:job(BUILDER, function(job)
        begun = begun + 1
        await(function()
          return begun == 3
        end, coroutine.yield)
        worker:stop()
        assert(job:sleep(0.01) == false)
        assert(scene.client:await "list_pipelines")
      end)
      assert.is_true(assert(worker:run()))
      assert.equal(3, begun)
      assert.equal(3, scene.count "PutJobSuccessResult")
      assert.equal(3, scene.count "AcknowledgeJob")
    end)
  end)

  it("tells all of them when it is cancelled, or its grace is over", function()
    for _, how in ipairs { "cancel", "stop" } do
      with_jobs(3, function(scene)
        local worker <close> = scene.worker { grace = 0.05 }
        local begun, told = 0, {}
        worker:job(BUILDER, function(job)
          begun = begun + 1
          await(function()
            return begun == 3
          end, coroutine.yield)
          if job.pipeline == "a" then
            worker[how](worker)
          end
          told[job.pipeline] = job:sleep(20) and job:wait_cancelled() and job:cancelled()
        end)
        assert.is_true(assert(worker:run()))
        assert.same({ a = true, b = true, c = true }, told)
        assert.equal(3, scene.count "PutJobSuccessResult")
      end)
    end
  end)

  it("finishes them when it can take no more", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker { concurrency = 3 }
      local begun, gone = 0, false
      worker:job(BUILDER, function(job)
        begun = begun + 1
        await(function()
          return begun == 2
        end, coroutine.yield)
        if job.pipeline == "a" then
          assert(scene.client:delete_custom_action_type(BUILDER))
          gone = true
        end
        local polls = scene.count "PollForJobs"
        await(function()
          return gone and scene.count "PollForJobs" > polls
        end, coroutine.yield)
        job:sleep(0.1)
      end)
      local done, err = worker:run()
      assert.is_nil(done)
      assert.matches("does not exist", tostring(err))
      assert.equal(2, scene.count "PutJobSuccessResult")
    end)
  end)

  it("leaves those that wait to its journal when it is closed", function()
    with_jobs(3, function(scene)
      local journal, closed = helper.path(), {}
      local worker <close> = scene.worker {
        journal = journal,
        log = function()
          error("the log is full", 0)
        end,
      }
      worker:job(BUILDER, function(job)
        local _ <close> = setmetatable({}, {
          __close = function()
            closed[job.pipeline] = true
          end,
        })
        if job.pipeline == "c" then
          error "no"
        end
        job:sleep(100)
      end)
      assert.error_matches(function()
        worker:step(10)
      end, "the log is full")
      assert.same({ c = true }, closed)
      worker:close()
      assert.same({ a = true, b = true, c = true }, closed)
      local heir <close> = scene.worker { journal = journal }
      heir:job(BUILDER, error)
      assert.is_false(heir:step(0.1))
      for _, name in ipairs { "a", "b", "c" } do
        assert.matches("gave the job up", scene.state(name).errorDetails.message)
      end
      assert.equal(3, scene.count "PutJobFailureResult")
      os.remove(journal)
    end)
  end)

  it("has each reported failed once by the next when it was killed", function()
    with_jobs(3, function(scene)
      local journal, begun = helper.path(), helper.path()
      local environ = ("JOURNAL='%s' BEGUN='%s'"):format(journal, begun)
      for name, value in pairs(scene.emulator.environ) do
        environ = ("%s %s='%s'"):format(environ, name, value)
      end
      local program = assert(io.popen(environ .. " " .. LUA .. " tests/lua/suspended.lua & echo $!"))
      local pid = assert(math.tointeger(program:read "n"))
      await(function()
        local file <close> = io.open(begun)
        return file and #file:read "a" == 3
      end, function()
        os.execute "sleep 0.02"
      end)
      assert(os.execute(("kill -9 %d"):format(pid)))
      program:close()
      for start = 1, 2 do
        local opened, worker
        await(function()
          opened, worker = pcall(scene.worker, { journal = journal })
          return opened -- it is in use until the other is really gone
        end, function()
          os.execute "sleep 0.02"
        end)
        local _ <close> = worker
        worker:job(BUILDER, error)
        await(function()
          return scene.count "PutJobFailureResult" >= 3
        end, function()
          worker:step(0.05)
        end)
        assert.is_false(worker:step(0.05), start)
      end
      for _, name in ipairs { "a", "b", "c" } do
        assert.equal("Failed", scene.state(name).status)
      end
      assert.equal(3, scene.count "PutJobFailureResult")
      assert.equal(0, scene.count "PutJobSuccessResult")
      os.remove(journal)
      os.remove(begun)
    end)
  end)

  it("is told a number of them that makes sense", function()
    helper.with_emulator(function(_, client)
      for _, wrong in ipairs { 0, -1, 2.5, 0 / 0, 1e10, "8", true } do
        assert.error_matches(function()
          codepipeline.worker(client, { concurrency = wrong })
        end, "concurrency: expected")
      end
      codepipeline.worker(client, { concurrency = 8.0 }):close()
    end)
  end)

  it("is told how long to wait in a number, too", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      for _, wrong in ipairs { -1, 0 / 0, math.huge, "1" } do
        assert.matches("how long to wait", worker:test(function(job)
          job:sleep(wrong)
        end).message)
      end
      assert.matches("how long to wait is missing", worker:test(function(job)
        job:sleep()
      end).message)
    end)
  end)
end)

describe("handlers in processes of their own", function()
  if (os.getenv "LD_PRELOAD" or ""):find "libasan" then
    pending "the other process has a clean environment, without the sanitizer's runtime that ours needs"
    return
  end

  --- Adds the handler of isolated.lua that meets another.
  local function isolate(worker, more)
    more.category, more.provider, more.isolation = "Build", "Builder", "process"
    more.command = { LUA, "tests/lua/isolated.lua", more.handler }
    more.handler = nil
    worker:job(more, error)
  end

  it("run side by side", function()
    with_jobs(3, function(scene)
      local folder, told = helper.path(), {}
      assert(os.execute(("mkdir '%s'"):format(folder)))
      local worker <close> = scene.worker {
        progress = function(job, artifact, done, total)
          assert(not pcall(job.input, job) or not pcall(job.input(job).path, job:input()))
          told[job.pipeline] = artifact == "Source" and done == total
        end,
      }
      isolate(worker, { handler = "meets", environ = { "MEET=" .. folder, "MEET_COUNT=3" } })
      assert.is_true(assert(worker:step(10)))
      for _, name in ipairs { "a", "b", "c" } do
        assert.equal("Succeeded", scene.state(name).status)
      end
      assert.same({ a = true, b = true, c = true }, told)
      assert.same({}, scene.log)
      os.execute(("rm -r '%s'"):format(folder))
    end)
  end)

  it("end for themselves", function()
    with_jobs(2, function(scene)
      local worker <close> = scene.worker {
        progress = function(job)
          error("not of " .. job.pipeline, 0)
        end,
      }
      isolate(worker, { handler = "hangs", timeout = 0.5 })
      assert.is_true(assert(worker:step(10)))
      assert.matches("time limit", scene.state("a").errorDetails.message)
      assert.equal("not of b", scene.state("b").errorDetails.message)
    end)
  end)

  it("are killed when their worker is closed", function()
    with_jobs(2, function(scene)
      local journal = helper.path()
      local worker <close> = scene.worker {
        journal = journal,
        progress = error,
        log = function()
          error("the log is full", 0)
        end,
      }
      isolate(worker, { handler = "hangs" })
      assert.error_matches(function()
        worker:step(10)
      end, "the log is full")
      worker:close()
      local heir <close> = scene.worker { journal = journal }
      heir:job(BUILDER, error)
      assert.is_false(heir:step(0.1))
      for _, name in ipairs { "a", "b" } do
        assert.matches("gave the job up", scene.state(name).errorDetails.message)
      end
      os.remove(journal)
    end)
  end)
end)
