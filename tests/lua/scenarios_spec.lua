-- SPDX-License-Identifier: MIT
-- Runs tests/scenarios/worker/*.json; their README says what the members mean.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"

local function check_job(step, job)
  if step.input then
    local directory = assert(job:input("Source"):extract())
    assert.equal(step.input, helper.read(directory .. "/main.txt"))
  end
  if step.configuration then
    assert.same(step.configuration, job.configuration)
  end
  assert.same(step.state, job.state)
end

local function make_outputs(step, job)
  for name, text in pairs(step.pack or {}) do
    local path = job:work_dir() .. "/out.txt"
    helper.write(path, text)
    assert(job:output(name):pack(path))
  end
  for name, bytes in pairs(step.write or {}) do
    assert(job:output(name):write(bytes))
  end
end

local function finish(step, job)
  if step.raise then
    error(step.raise, 0)
  elseif step.fail then
    local options = { type = step.fail.type, external_execution_id = step.fail.external_execution_id }
    return job:fail(step.fail.message, options)
  elseif step.later then
    local options = {}
    for key, value in pairs(step.later) do
      options[key] = key ~= "state" and value or nil
    end
    return job:later(step.later.state, options)
  end
  return job:succeed(step.succeed)
end

local function check_expectations(expect, client)
  local state = helper.action_state(client, "p", "Make")
  local details = assert(client:list_action_executions { pipelineName = "p" }).actionExecutionDetails[1]
  assert.equal(expect.status, state.status)
  for _, member in ipairs { "summary", "externalExecutionId", "percentComplete" } do
    if expect[member] then
      assert.equal(expect[member], state[member])
    end
  end
  if expect.outputVariables then
    assert.same(expect.outputVariables, details.output.outputVariables)
  end
  if expect.errorCode then
    assert.equal(expect.errorCode, state.errorDetails.code)
  end
  if expect.errorContains then
    assert.truthy(state.errorDetails.message:find(expect.errorContains, 1, true), state.errorDetails.message)
  end
end

local function run(scenario)
  helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local outputs, configuration = scenario.outputs, scenario.configuration
    local action = helper.action("Make", "Build", "Builder", { "Source" }, outputs, configuration)
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
    local round, broken = 0, nil
    worker:job({ category = "Build", provider = "Builder" }, function(job)
      round = round + 1
      local step = scenario.handler[round]
      local fine, err = pcall(function()
        check_job(step, job)
        make_outputs(step, job)
      end)
      broken = broken or (not fine and err) or nil
      return finish(step, job)
    end)
    for _ = 1, #scenario.handler do
      assert.is_true(assert(worker:step(10)))
    end
    assert.is_nil(broken)
    check_expectations(scenario.expect, client)
  end)
end

describe("scenario:", function()
  local list <close> = assert(io.popen "ls tests/scenarios/worker/*.json")
  for path in list:lines() do
    local scenario = core.decode(helper.read(path))
    it(scenario.name, function()
      run(scenario)
    end)
  end
end)
