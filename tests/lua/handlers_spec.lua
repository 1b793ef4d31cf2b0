-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local BUILDER = { category = "Build", provider = "Builder" }

--- Runs rounds jobs of a pipeline with the worker that set_up(worker, router) fills; the action's state and the log.
local function served(set_up, rounds)
  return helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local action = helper.action("Make", "Build", "Builder", { "Source" })
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local logged = {}
    local worker <close> = assert(codepipeline.worker(client, {
      poll_interval = 0.01,
      log = function(_, message)
        table.insert(logged, message)
      end,
    }))
    local router = codepipeline.router()
    set_up(worker, router)
    worker:include(router)
    for _ = 1, rounds or 1 do
      assert.is_true(assert(worker:step(10)))
    end
    return helper.action_state(client, "p", "Make"), table.concat(logged, "\n")
  end)
end

describe("a router", function()
  it("brings its handlers and its hooks", function()
    local told = {}
    local function tell(word)
      return function(_, outcome)
        table.insert(told, word .. (outcome and " " .. outcome.kind or ""))
      end
    end
    local state = served(function(worker, router)
      router:job(BUILDER, tell "handler")
      worker:before(tell "before worker"):after(tell "after worker")
      router:before(tell "before router"):after(tell "after router")
    end)
    assert.equal("Succeeded", state.status)
    assert.same({
      "before worker",
      "before router",
      "handler",
      "after router succeed",
      "after worker succeed",
    }, told)
  end)

  it("keeps its hooks to its own handlers", function()
    local told = 0
    local state = served(function(worker, router)
      router:before(function()
        told = told + 1
      end)
      worker:job(BUILDER, function() end)
    end)
    assert.equal("Succeeded", state.status)
    assert.equal(0, told)
  end)

  it("refuses what is no handler and no hook", function()
    local router = codepipeline.router()
    assert.has_error(function()
      router:job(BUILDER)
    end, "a handler is missing")
    assert.has_error(function()
      router:before()
    end, "a hook is missing")
  end)
end)

describe("hooks", function()
  it("before may answer in the handler's place", function()
    local state = served(function(worker)
      worker:before(function(job)
        return job:fail "closed on Sundays"
      end)
      worker:job(BUILDER, error)
    end)
    assert.equal("closed on Sundays", state.errorDetails.message)
  end)

  it("on_error may answer in the failure's place", function()
    local told = {}
    local state, logged = served(function(worker)
      worker:on_error(function(job, err)
        table.insert(told, err)
        return not job.state and job:later "again" or nil
      end)
      worker:after(function(_, outcome)
        table.insert(told, outcome.kind)
      end)
      worker:job(BUILDER, function()
        error("flaky", 0)
      end)
    end, 2)
    assert.same({ "flaky", "later", "flaky", "fail" }, told)
    assert.equal("flaky", state.errorDetails.message)
    assert.matches("stack traceback", logged)
  end)

  it("that raise fail the job", function()
    local state = served(function(worker)
      worker:after(function()
        error("the hook is broken", 0)
      end)
      worker:job(BUILDER, function() end)
    end)
    assert.equal("Failed", state.status)
    assert.equal("the hook is broken", state.errorDetails.message)
  end)
end)

describe("a failure", function()
  it("is raised with its type", function()
    local state = served(function(worker)
      worker:job(BUILDER, function()
        error(codepipeline.failure("RevisionUnavailable", "no such commit", "x-1"))
      end)
    end)
    assert.equal("RevisionUnavailable", state.errorDetails.code)
    assert.equal("no such commit", state.errorDetails.message)
    assert.equal("x-1", state.externalExecutionId)
  end)

  it("has one of the service's types", function()
    assert.has_error(function()
      codepipeline.failure("Broken", "x")
    end, 'there is no failure type "Broken"')
  end)
end)

describe("a state too large for a continuation token", function()
  local large = {}
  for i = 1, 50 do
    large[i] = ("x"):rep(1000)
  end

  --- Runs rounds jobs of an action with an output artifact; its state, the log and what lies in the artifact's place.
  local function kept(handler, rounds)
    return helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" }, { "Binary" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local logged, place = {}, nil
      local worker <close> = assert(codepipeline.worker(client, {
        poll_interval = 0.01,
        log = function(_, message)
          table.insert(logged, message)
        end,
      }))
      worker:before(function(job)
        place = job.core:data().data.outputArtifacts[1].location.s3Location
      end)
      worker:job(BUILDER, handler)
      for _ = 1, rounds do
        assert.is_true(assert(worker:step(10)))
      end
      local path = helper.path()
      assert(client:download_file(place.bucketName, place.objectKey, path))
      local bytes = helper.read(path)
      os.remove(path)
      return helper.action_state(client, "p", "Make"), table.concat(logged, "\n"), bytes
    end)
  end

  it("takes a handler that goes on from job to job", function()
    local done = 0
    local state, _, bytes = kept(
      codepipeline.resuming(function(job)
        local pages = job:step(function()
          done = done + 1
          return large
        end)
        assert.equal("half", job:later "half")
        assert(job:output():write(table.concat(pages)))
      end),
      2
    )
    assert.equal("Succeeded", state.status)
    assert.equal(1, done)
    assert.equal(50000, #bytes)
  end)

  it("leaves nothing after a failure", function()
    local state, _, bytes = kept(function(job)
      if not job.state then
        return job:later(large)
      end
      assert.same(large, job.state)
      error("enough", 0)
    end, 2)
    assert.equal("enough", state.errorDetails.message)
    assert.equal("", bytes)
  end)

  it("is in a unit test what it is in earnest", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      local function handler(job)
        return job.state and { count = #job.state } or job:later(large)
      end
      local half = worker:test(handler, { outputs = { "Binary" } })
      assert.same(large, half.state)
      assert.truthy(half.answer.continuationToken:find "^cpl2:")
      assert.truthy(worker:test(handler).message:find("the job has no output artifact", 1, true))
    end)
  end)
end)
