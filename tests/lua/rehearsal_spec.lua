-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

--- Calls body(worker) with a worker whose client points at a port where nobody is.
local function with_worker(body)
  local nowhere = "http://127.0.0.1:1"
  local client <close> = assert(codepipeline.client {
    region = "us-east-1",
    endpoint_url = nowhere,
    s3_endpoint_url = nowhere,
    max_attempts = 1,
  })
  local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
  return body(worker)
end

describe("worker:test", function()
  it("takes folders and gives folders", function()
    with_worker(function(worker)
      local folder = helper.path()
      assert(os.execute(("mkdir -p '%s/src' '%s/out'"):format(folder, folder)))
      helper.write(folder .. "/src/main.txt", "hello")
      local done = worker:test(function(job)
        local made = assert(job:work_dir()) .. "/copy.txt"
        helper.write(made, helper.read(assert(job:input():extract()) .. "/main.txt") .. job.configuration.Target)
        assert(job:output():pack(made))
        return { a = "b" }
      end, {
        inputs = { Source = folder .. "/src" },
        outputs = { "Binary" },
        configuration = { Target = "!" },
        to = folder .. "/out",
      })
      assert.equal("succeeded", done.outcome)
      assert.same({ a = "b" }, done.variables)
      assert.equal("hello!", helper.read(done.outputs.Binary .. "/copy.txt"))
      os.execute(("rm -r '%s'"):format(folder))
    end)
  end)

  it("steps through continuations", function()
    with_worker(function(worker)
      local first = worker:test(function(job)
        local step = job.state or 0
        return step < 2 and job:later(step + 1, { after = 3600 }) or { steps = step }
      end)
      assert.equal("continued", first.outcome)
      assert.equal(1, first.state)
      local last = first.resume().resume()
      assert.same({ steps = "2" }, last.variables)
      assert.has_error(last.resume, "the job is over: it succeeded")
    end)
  end)

  it("fails what the service would refuse, and tells the type", function()
    with_worker(function(worker)
      local done = worker:test(function()
        return { ["not a name"] = "x" }
      end)
      assert.equal("failed", done.outcome)
      assert.equal("ConfigurationError", done.failure_type)
      assert.matches("not a name", done.message, 1, true)
      done = worker:test(function()
        error(codepipeline.failure("RevisionOutOfSync", "too late"))
      end)
      assert.equal("RevisionOutOfSync", done.failure_type)
      assert.equal("too late", done.message)
      assert.matches(
        "Binary",
        worker:test(function() end, {
          outputs = { "Binary" },
        }).message
      )
    end)
  end)
end)

describe("a handler that goes on", function()
  it("goes on where it stopped, with its variables", function()
    with_worker(function(worker)
      local calls = {}
      local function start(name)
        calls[#calls + 1] = name
        return { stack = name }
      end
      local handler = codepipeline.resuming(function(job)
        calls[#calls + 1] = "begun"
        local stack, looked = job:step(start, "site"), 0
        while looked < 2 do
          local state = job:later({ looked = looked }, { after = 60, percent_complete = 10 + looked })
          assert.same({ { looked = looked }, "site" }, { state, stack.stack })
          looked = looked + 1
        end
        job:step(start, "clean-up")
        return { looked = looked }
      end)
      local first = worker:test(handler)
      assert.same({ "continued", { looked = 0 }, 10 }, { first.outcome, first.state, first.percent_complete })
      local second = first.resume()
      assert.same({ "continued", { looked = 1 }, 11 }, { second.outcome, second.state, second.percent_complete })
      assert.same({ looked = "2" }, second.resume().variables)
      assert.same({ "begun", "site", "begun", "begun", "clean-up" }, calls)
    end)
  end)

  it("knows that it runs again, lets go of what it holds, and is told what its last stop was given", function()
    with_worker(function(worker)
      local seen = {}
      local handler = codepipeline.resuming(function(job)
        local _ <close> = setmetatable({}, {
          __close = function()
            seen[#seen + 1] = "let go"
          end,
        })
        seen[#seen + 1] = tostring(job:replaying()) .. " " .. tostring(job.state)
        assert.is_nil(job:later())
        seen[#seen + 1] = tostring(job:replaying()) .. " " .. tostring(job.state)
        job:later "two"
      end)
      assert.equal("succeeded", worker:test(handler).finish().outcome)
      assert.same({ "false nil", "let go", "true nil", "false nil", "let go" }, table.move(seen, 1, 5, 1, {}))
    end)
  end)

  it("has what a step raised raised again", function()
    with_worker(function(worker)
      local tries = 0
      local handler = codepipeline.resuming(function(job)
        while true do
          local fine, value = pcall(job.step, job, function()
            tries = tries + 1
            return tries > 1 and tries or error("not yet", 0)
          end)
          if fine then
            return { tries = value }
          end
          assert.equal("not yet", value)
          job:later()
        end
      end)
      assert.same({ tries = "2" }, worker:test(handler).finish().variables)
    end)
  end)

  it("fails when it goes another way, and says how", function()
    with_worker(function(worker)
      local turns = 0
      local function astray(second)
        turns = 0
        local done = worker:test(codepipeline.resuming(function(job)
          turns = turns + 1
          if turns == 1 then
            job:later()
          else
            second(job)
          end
        end))
        return done.resume()
      end
      for _, second in ipairs {
        function(job)
          job:step(function() end)
        end,
        function() end,
      } do
        local done = astray(second)
        assert.equal("failed", done.outcome)
        assert.matches("the handler went another way than before", done.message, 1, true)
      end
    end)
  end)

  it("says what cannot be kept, and where it may not stop", function()
    with_worker(function(worker)
      local done = worker:test(codepipeline.resuming(function(job)
        job:later { print }
      end))
      assert.equal("failed", done.outcome)
      done = worker:test(codepipeline.resuming(function(job)
        coroutine.wrap(function()
          job:later()
        end)()
      end))
      assert.matches("in the handler's own coroutine", done.message, 1, true)
    end)
  end)

  it("is a handler like any when it never stops", function()
    with_worker(function(worker)
      local done = worker:test(codepipeline.resuming(function(job)
        return job:succeed { output_variables = { n = tostring(job:step(math.max, 1, 2)) } }
      end))
      assert.same({ n = "2" }, done.variables)
    end)
  end)
end)

describe("a clock in a unit test", function()
  it("passes what a handler asked to wait at once", function()
    with_worker(function(worker)
      local first = worker:test(function(job)
        local n = job.state or 0
        return n < 2 and job:later(n + 1, { after = 1800 }) or nil
      end)
      assert.equal(1800, first.after)
      assert.equal(3600, first.finish().clock:elapsed())
    end)
  end)

  it("fails a handler past its time, and interrupts it", function()
    with_worker(function(worker)
      local clock, reached = codepipeline.manual_clock(), false
      local function build(job)
        assert.equal(60, job:remaining())
        clock:advance(60)
        assert.is_true(job:cancelled())
        for _ = 1, 1e6 do -- its code is interrupted now and then
        end
        reached = true
      end
      local late = worker:test(build, { clock = clock, timeout = 60 })
      assert.equal("failed", late.outcome)
      assert.equal("the time limit is nearly up, and the handler has not finished", late.message)
      assert.is_false(reached)
    end)
  end)

  it("counts the time a handler was registered with, and a Lambda function's", function()
    with_worker(function(worker)
      local function waits(job)
        job:wait_cancelled(60)
        return { left = tostring(job:remaining()) }
      end
      worker:job({ category = "Build", provider = "B", timeout = 30 }, waits)
      assert.equal("failed", worker:test(waits).outcome)
      assert.equal("30.0", worker:test(waits, { timeout = 90 }).variables.left)
      assert.equal("837.0", worker:test(waits, { timeout = 1000, remaining = 900 }).variables.left)
      local function check(job)
        return { left = tostring(job:remaining()) }
      end
      assert.equal("nil", worker:test(check).variables.left)
    end)
  end)

  it("is turned by waiting, until the worker is shut down", function()
    with_worker(function(worker)
      local told = {}
      local done = worker:test(function(job)
        told = { job:wait_cancelled(45), job:wait_cancelled(45), job:cancelled() }
      end, { cancelled_after = 60 })
      assert.same({ false, true, true }, told)
      assert.equal(60, done.clock:elapsed())
      local forever = worker:test(function(job)
        assert(job:wait_cancelled())
      end)
      assert.truthy(forever.message:find("waits for ever", 1, true))
    end)
  end)

  it("goes forward alone", function()
    assert.error_matches(function()
      codepipeline.manual_clock():advance(-1)
    end, "turned forward")
  end)
end)

describe("what a pipeline leaves out", function()
  it("is a ConfigurationError that says what there is", function()
    with_worker(function(worker)
      local function told(options, ask)
        local done = worker:test(ask, options)
        return done.failure_type .. ": " .. done.message
      end
      local function source(job)
        return job:input "Sauce"
      end
      local function any(job)
        return job:output()
      end
      assert.equal("ConfigurationError: the job has no input artifacts", told({}, source))
      local inputs = { inputs = { Source = "Makefile" } }
      assert.equal('ConfigurationError: the job has no input artifact "Sauce"; it has Source', told(inputs, source))
      local several = "ConfigurationError: the job has several output artifacts, name one: One, Two"
      assert.equal(several, told({ outputs = { "One", "Two" } }, any))
    end)
  end)

  it("is named, of the user parameters", function()
    with_worker(function(worker)
      local function deploy(job)
        local wanted, err = job:user_parameters_json("stack", "file")
        return { stack = (wanted or error(err)).stack } -- busted's assert would make a text of err
      end
      local function told(parameters)
        local done = worker:test(deploy, { configuration = { UserParameters = parameters } })
        return done.variables.stack or done.failure_type .. ": " .. done.message
      end
      local hint = "; the action needs a JSON object with stack, file"
      assert.equal("ConfigurationError: UserParameters: missing" .. hint, told(nil))
      assert.equal("ConfigurationError: UserParameters: not an object" .. hint, told "7")
      assert.equal("ConfigurationError: UserParameters.file: missing" .. hint, told '{"stack":"s"}')
      assert.matches("^ConfigurationError: UserParameters: not JSON: ", told "s")
      assert.equal("s", told '{"stack":"s","file":"f"}')
    end)
  end)
end)

describe("what a new user gets wrong", function()
  it("is told to the handler", function()
    with_worker(function(worker)
      for message, handler in pairs {
        ["the handler returned a number; expected nothing, a table"] = function()
          return 1
        end,
        ["it broke"] = function()
          return nil, "it broke"
        end,
        ['there is no failure type "Nope"'] = function(job)
          return job:fail("x", { type = "Nope" })
        end,
        ['unknown option "typ" (there are type, external_execution_id)'] = function(job)
          return job:fail("x", { typ = "JobFailed" })
        end,
        ["no (failureDetails.externalExecutionId: longer than 1500)"] = function(job)
          return job:fail("no", { external_execution_id = ("x"):rep(1501) })
        end,
        ["the handler failed without a message"] = function(job)
          return job:fail(nil)
        end,
        ["executionDetails.percentComplete: larger than 100"] = function(job)
          return job:succeed { percent_complete = 200 }
        end,
        ["options must be a table, not a number"] = function(job)
          return job:later(1, 30)
        end,
        ["nothing is left"] = codepipeline.resuming(function()
          return nil, codepipeline.failure("SystemUnavailable", "nothing is left")
        end),
      } do
        local done = worker:test(handler)
        assert.equal("failed", done.outcome, message)
        assert.truthy(done.message:find(message, 1, true), done.message)
      end
    end)
  end)

  it("has words, whatever was raised", function()
    local silent = setmetatable({}, { __name = "thing" })
    local speaking = setmetatable({ message = "no" }, {
      __tostring = function()
        return "speaks"
      end,
    })
    with_worker(function(worker)
      for _, case in ipairs {
        { { message = "no key", code = 7 }, "no key" },
        { { "listed" }, "listed" },
        { { code = 7, where = "there", deep = {} }, "code = 7, where = there" },
        { {}, "a table was raised that says nothing: give it a message, or __tostring" },
        { silent, "a table was raised that says nothing: give it a message, or __tostring" },
        { speaking, "speaks" },
        { print, "a function was raised, which says nothing" },
        { 12, "12" },
      } do
        assert.equal(case[2], worker:test(function() error(case[1], 0) end).message)
        assert.equal(case[2], worker:test(function(job) return job:fail(case[1]) end).message)
        if type(case[1]) ~= "number" then
          assert.equal(case[2], worker:test(function() return nil, case[1] end).message)
        end
      end
      assert.equal("the handler failed without a message", worker:test(function() error() end).message)
    end)
  end)

  it("says which variable will not do", function()
    with_worker(function(worker)
      for message, value in pairs {
        ["the handler returned a list; output variables have names: { digest = sha }"] = { "abc" },
        ['the output variable "sha" is a table; it must be a string or a number'] = { sha = {} },
        ['the output variable "sha" is a boolean; it must be a string or a number'] = { sha = true },
      } do
        assert.equal(message, worker:test(function() return value end).message)
      end
    end)
  end)

  it("is a colon that was forgotten, too", function()
    with_worker(function(worker)
      for wanted, wrong in pairs {
        ["job:input"] = function(job) job.input "Source" end,
        ["job:succeed"] = function(job) job.succeed {} end,
        ["input:extract"] = function(job) job:input("Source").extract() end,
      } do
        local done = worker:test(wrong, { inputs = { Source = "tests/lua" } })
        assert.matches(("rehearsal_spec.lua:%%d+: .*write %s%%(%%), with a colon"):format(wanted), done.message)
      end
    end)
  end)

  it("may be an error with a failure type that there is not", function()
    with_worker(function(worker)
      local done = worker:test(function()
        error { failure_type = "Nope" }
      end)
      assert.equal("JobFailed", done.failure_type)
    end)
  end)

  it("is told to who registers or tests it", function()
    with_worker(function(worker)
      local type = { category = "Build", provider = "B" }
      for message, wrong in pairs {
        ["a handler is missing"] = function()
          worker:test()
        end,
        ["a handler must be a function, not a string"] = function()
          worker:job(type, "build")
        end,
        ["a hook must be a function, not a number"] = function()
          worker:after(1)
        end,
        ["timeout is a number of seconds above 0"] = function()
          worker:job({ category = "Build", provider = "B", timeout = 0 }, print)
        end,
        ['unknown option "input"'] = function()
          worker:test(print, { input = {} })
        end,
        ["outputs must be a table, not a string"] = function()
          worker:test(print, { outputs = "Binary" })
        end,
      } do
        local fine, err = pcall(wrong)
        assert.is_false(fine)
        assert.truthy(tostring(err):find(message, 1, true), tostring(err))
      end
    end)
  end)
end)
