-- SPDX-License-Identifier: MIT
--- What worker:test() is made of: events for jobs that nobody sent, a clock that is turned by hand, what is told of the
-- answer.

local check = require "codepipeline.check"
local core = require "codepipeline.core"
local event = require "codepipeline.event"
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
local function event_for(options)
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
local function told_by(handle, folder)
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

--- The seconds that a handler was registered with.
local function timeout_of(worker, handler)
  for index, known in pairs(worker.handlers) do
    if known == handler then
      local plan = worker.plans[index]
      return plan and plan.timeout or worker.timeouts[index]
    end
  end
end

--- The shorter of the times that a handler has in a unit test; nil: there is no limit.
local function limit_of(worker, handler, options)
  local limit = options.timeout or timeout_of(worker, handler)
  local remaining = options.remaining and math.max(options.remaining - (options.margin or 3), 0.001)
  return limit and remaining and math.min(limit, remaining) or limit or remaining
end

--- Options for the next job of the same unit test.
local function options_for(options, given, clock)
  local more = { event = given, clock = clock }
  for _, name in ipairs { "inputs", "to", "timeout", "remaining", "margin", "cancelled_after" } do
    more[name] = options[name]
  end
  return more
end

local TEST_OPTIONS = {
  "inputs", "outputs", "configuration", "state", "event", "to", "clock", "timeout", "remaining", "margin",
  "cancelled_after",
}

--- Runs a handler once, with the worker's hooks, for a unit test: nothing goes to the network.
-- @param bind, within what the worker makes of a handler: with its hooks; with a time limit
-- @param options inputs (folders or archives by the names of the artifacts), outputs (a list of names), configuration,
--   state, or an event in place of the last three; to (a folder that the outputs, which are archives then, are
--   unpacked to); clock (a codepipeline.manual_clock(): time stands still unless it is turned; job:wait_cancelled()
--   turns it), timeout (seconds that the handler has, default: what it was registered with), remaining and margin (of a
--   Lambda function's time), cancelled_after (seconds until the worker is shut down and the job cancelled)
-- @return what became of it: outcome ("succeeded", "failed" or "continued"), variables, message, failure_type, summary,
--   external_execution_id, percent_complete, state, after (seconds that it asked to wait), clock, outputs (folders by
--   name), answer (all of it, as the service's operation calls it), resume(), which turns the clock and runs the job
--   that follows a continuation, and finish(limit), which goes on so to the end
function rehearsal.test(worker, bind, within, handler, options)
  check.type(handler, "a handler", "function")
  check.options(options, TEST_OPTIONS)
  options = options or {}
  check.optional(options.outputs, "outputs", "table")
  local given = options.event and core.decode(event.text(options.event)) or event_for(options)
  local bound, clock = bind(worker, handler), options.clock or rehearsal.clock()
  local limit = limit_of(worker, bound, options)
  local handle <close> = assert(core.job_from_event(worker.client, event.text(given), worker.job_options))
  handle:rehearse(limit, options.cancelled_after)
  for name, path in pairs(options.inputs or {}) do
    assert(handle:rehearse_input(name, path))
  end
  local _ <close> = clock:of(handle)
  worker:run_handler(handle, limit and within(handle, limit, bound) or bound)
  local told, state = told_by(handle, options.to)
  told.clock = clock
  told.resume = function()
    if told.outcome ~= "continued" then
      error("the job is over: it " .. told.outcome, 2)
    end
    clock:advance(told.after)
    given["CodePipeline.job"].data.continuationToken = "cpl1:0:" .. state -- a large one too, here
    return worker:test(handler, options_for(options, given, clock))
  end
  told.finish = function(most)
    local last = told
    for _ = 1, most or 100 do
      if last.outcome ~= "continued" then
        return last
      end
      last = last.resume()
    end
    error("the handler has not come to an end in so many jobs", 2)
  end
  return told
end

return rehearsal
