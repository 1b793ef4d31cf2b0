-- SPDX-License-Identifier: MIT
-- Handlers in processes of their own; they are those of isolated.lua.
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

--- Runs jobs of a pipeline with a handler of isolated.lua; the action's state and the client.
local function run(name, options, jobs)
  return helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local outputs = name == "build" and { "Binary" } or {}
    local action = helper.action("Make", "Build", "Builder", { "Source" }, outputs, { Target = "all" })
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
    local wanted = { category = "Build", provider = "Builder", isolation = "process" }
    wanted.command = { arg[-1] or "lua5.4", "tests/lua/isolated.lua", name }
    for key, value in pairs(options or {}) do
      wanted[key] = value
    end
    worker:job(wanted, function()
      error "this handler is for the other process"
    end)
    for _ = 1, jobs or 1 do
      assert.is_true(assert(worker:step(10)))
    end
    local details = assert(client:list_action_executions { pipelineName = "p" }).actionExecutionDetails
    return helper.action_state(client, "p", "Make"), details[1].output
  end)
end

describe("a handler in a process of its own", function()
  if (os.getenv "LD_PRELOAD" or ""):find "libasan" then
    pending "the other process has a clean environment, without the sanitizer's runtime that ours needs"
    return
  end

  it("has its hooks around it", function()
    local state = run("hooked", nil, 2)
    assert.equal("Succeeded", state.status)
    assert.equal("worker, router, router succeed, worker succeed", state.summary)
    local _, output = run "instead"
    assert.same({ instead = "Make" }, output.outputVariables)
    assert.equal("the hook is broken", run("broken").errorDetails.message)
  end)

  it("knows its time", function()
    local _, output = run("times", { timeout = 60 })
    assert.equal("true", output.outputVariables.fine)
  end)

  it("does what one in the worker's process does", function()
    local state, output = run "build"
    assert.equal("Succeeded", state.status)
    assert.same({ text = "hello", target = "all", digest = "ea089069" }, output.outputVariables)
    assert.equal("Binary", output.outputArtifacts[1].name)
  end)

  it("continues with its state", function()
    local state = run("again", nil, 2)
    assert.equal("n is 1", state.summary)
  end)

  it("fails its job with what went wrong", function()
    for name, words in pairs {
      raises = "boom",
      refused = "not this",
      missing = "no input artifact",
      dies = "ended with status 9",
    } do
      local state = run(name)
      assert.equal("Failed", state.status)
      assert.matches(words, state.errorDetails.message)
    end
  end)

  it("is killed at its timeout, or at a limit", function()
    assert.matches("time limit of 0.3 seconds", run("loops", { timeout = 0.3 }).errorDetails.message)
    assert.matches("1 seconds of processor time", run("loops", { limits = { cpu = 1 } }).errorDetails.message)
  end)

  it("has options that are checked", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client, {}))
      for _, options in ipairs {
        { isolation = "cage" },
        { limits = { cpu = 1 } },
        { command = { "lua" } },
      } do
        options.category, options.provider = "Build", "Builder"
        assert.has_error(function()
          worker:job(options, function() end)
        end)
      end
    end)
  end)
end)

describe("a handler with a timeout", function()
  it("is interrupted, and its job was reported failed", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
      local cancelled
      worker:job({ category = "Build", provider = "Builder", timeout = 0.2 }, function(job)
        pcall(function()
          while true do
          end
        end)
        cancelled = job:cancelled()
      end)
      assert.is_true(worker:step(10))
      assert.is_true(cancelled)
      assert.matches("time limit", helper.action_state(client, "p", "Make").errorDetails.message)
    end)
  end)
end)
