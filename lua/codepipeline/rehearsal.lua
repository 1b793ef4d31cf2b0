-- SPDX-License-Identifier: MIT
--- What worker:test() is made of: events for jobs that nobody sent, a clock that is turned by hand, what is told of the
-- answer.

local core = require "codepipeline.core"
local resuming = require "codepipeline.resuming"

local rehearsal = {}

--- The time of handlers in unit tests.
local Clock = {}
Clock.__index = Clock

--- Turns it forward by so many seconds.
function Clock:advance(seconds)
  if type(seconds) ~= "number" or seconds < 0 then
    error("a clock is turned forward, by a number of seconds", 2)
  end
  if self.job then
    self.job:rehearse_time(seconds)
  else
    self.before = self.before + seconds
  end
end

--- How far it was turned, in seconds.
function Clock:elapsed()
  return self.before + (self.job and self.job:rehearsed_time() or 0)
end

--- The clock is that of a job, until what this answers is closed.
function Clock:of(job)
  if self.job then
    error("the clock is that of another job under way", 3)
  end
  self.job = job
  return setmetatable({}, {
    __close = function()
      self.before, self.job = self:elapsed(), nil
    end,
  })
end

--- See codepipeline.manual_clock in init.lua.
function rehearsal.clock()
  return setmetatable({ before = 0 }, Clock)
end

local ID = "00000000-0000-0000-0000-000000000000"

--- The event of a job for a unit test.
function rehearsal.event(options)
  local function artifacts(artifact_names)
    local list = {}
    for i, name in ipairs(artifact_names) do
      list[i] = { name = name, location = { type = "S3", s3Location = { bucketName = "none", objectKey = name } } }
    end
    return list
  end
  local inputs = {}
  for name in pairs(options.inputs or {}) do
    table.insert(inputs, name)
  end
  local data = {
    actionConfiguration = { configuration = options.configuration or {} },
    inputArtifacts = artifacts(inputs),
    outputArtifacts = artifacts(options.outputs or {}),
  }
  if options.state ~= nil then
    data.continuationToken = "cpl1:0:" .. assert(core.encode(options.state))
  end
  return { ["CodePipeline.job"] = { id = ID, data = data } }
end

--- What a unit test is told of the answer, and the state as text.
function rehearsal.told(handle, folder)
  local answer = core.decode(assert(handle:rehearsed_answer()))
  local failure, details = answer.failureDetails, answer.executionDetails or {}
  local token, state = answer.continuationToken, handle:rehearsed_state()
  local told = {
    answer = answer,
    outcome = failure and "failed" or token and "continued" or "succeeded",
    message = failure and failure.message,
    failure_type = failure and failure.type,
    variables = answer.outputVariables or {},
    summary = details.summary,
    external_execution_id = details.externalExecutionId or failure and failure.externalExecutionId,
    percent_complete = details.percentComplete,
    state = state ~= "" and core.decode(state) or nil,
    after = handle:rehearsed_delay(),
    outputs = {},
  }
  local history = resuming.history(told.state)
  if history then
    told.state = history:state()
  end
  for _, name in ipairs(told.outcome == "succeeded" and folder and handle:output_names() or {}) do
    told.outputs[name] = ("%s/%s"):format(folder, name)
    assert(core.extract(handle:rehearsed_output(name), told.outputs[name]))
  end
  return told, state
end

return rehearsal
