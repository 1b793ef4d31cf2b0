-- SPDX-License-Identifier: MIT
--- A job, as its handler has it, and what becomes of what the handler returns.

local core = require "codepipeline.core"
local check = require "codepipeline.check"
local handlers = require "codepipeline.handlers"
local tasks = require "codepipeline.tasks"

--- A job, as its handler sees it: id, nonce, account_id, category, provider, version, pipeline, pipeline_arn,
-- execution_id, stage, action, action_execution_id, continuation_token, user_parameters (texts or nil), configuration
-- (a table of strings), state (what the job before gave to later(); of a large one that cannot be fetched an error is
-- raised), inputs and outputs (lists of names).
local Job = {}

--- A job that came as a Lambda event, without a worker.
local EventJob = setmetatable({}, { __index = Job })

--- Looks at what the job before left, when that is first asked for: a large state is fetched from the artifact store.
local function load_state(job)
  local text, err = tasks.work(job.core, "state")
  if text == nil then
    error(err, 0)
  end
  local state = text and core.decode(text) or nil
  job.looked = true
  job.history = require("codepipeline.resuming").history(state)
  if job.history then
    job.state = job.history:state()
  elseif state ~= core.null then
    job.state = state
  end
end

--- The __index of a class of jobs.
local function index_of(class)
  return function(job, key)
    if (key == "state" or key == "history") and not rawget(job, "looked") then
      load_state(job)
      return rawget(job, key)
    end
    return class[key]
  end
end

Job.__index = index_of(Job)

function Job.__tostring(job)
  return ("codepipeline.Job %s (%s, %s, %s)"):format(job.id, job.pipeline or "?", job.stage or "?", job.action or "?")
end

local function part(job, class, names, name)
  for _, known in ipairs(names) do
    if name == nil and #names == 1 or name == known then
      return setmetatable({ job = job, name = known }, class)
    end
  end
  local words = ("the job has no %s artifacts"):format(class.kind)
  local there = table.concat(names, ", ")
  if #names > 0 and name ~= nil then
    words = ("the job has no %s artifact %q; it has %s"):format(class.kind, name, there)
  elseif #names > 0 then
    words = ("the job has several %s artifacts, name one: %s"):format(class.kind, there)
  end
  error(handlers.failure("ConfigurationError", words)) -- the pipeline's mistake, as often as the handler's
end

--- The input artifact of that name; without a name, the only one.
function Job:input(name)
  return part(self, require("codepipeline.artifacts").Input, self.inputs, name)
end

--- The output artifact of that name; without a name, the only one.
function Job:output(name)
  return part(self, require("codepipeline.artifacts").Output, self.outputs, name)
end

--- A folder of the job's own, removed with it.
function Job:work_dir()
  return self.core:work_dir()
end

--- Has a function told how far the job's artifacts are, now and then while one comes or goes, and at its end. What it
-- raises stops that.
-- @param watch function(artifact, done, total): bytes; total is nil while it is not known. nil: nobody is told
function Job:on_progress(watch)
  self.core:set_progress(watch)
end

--- Whether the handler should come to an end: the worker was cancelled, or was stopped and its grace is over.
function Job:cancelled()
  return self.core:cancelled()
end

local function check_seconds(seconds)
  check.type(seconds, "how long to wait", "number")
  if not (seconds >= 0 and seconds < 1e9) then
    check.misuse "how long to wait is not a number of seconds"
  end
end

--- Waits until the job is cancelled, for at most so many seconds (default: without limit). The worker's other handlers
-- go on meanwhile. In worker:test() it turns the clock and does not wait.
-- @return whether it is cancelled; nil and err when the wait was interrupted
function Job:wait_cancelled(seconds)
  if seconds ~= nil then
    check_seconds(seconds)
  end
  return tasks.sleep(self.core, seconds ~= 0 and seconds or nil)
end

--- Sleeps for so many seconds, less when the job is cancelled. The worker's other handlers go on meanwhile.
-- @return whether it is cancelled; nil and err when the sleep was interrupted
function Job:sleep(seconds)
  check_seconds(seconds)
  return tasks.sleep(self.core, seconds)
end

--- Seconds until the job is reported failed because its time is up: the handler's timeout, or a Lambda function's
-- remaining time less the margin. nil: there is no limit.
function Job:remaining()
  return self.core:remaining()
end

--- Success with more than output variables; to be returned by the handler.
-- @param result output_variables, summary, external_execution_id, percent_complete, revision, change_identifier,
--   revision_summary
function Job:succeed(result)
  self.outcome = { kind = "succeed", result = result }
  return self.outcome
end

local FAIL_OPTIONS = { "type", "external_execution_id" }

--- Failure without raising; to be returned by the handler.
-- @param options type (a FailureType, default "JobFailed"), external_execution_id
function Job:fail(message, options)
  options = options or {}
  check.options(options, FAIL_OPTIONS)
  if options.type ~= nil then
    handlers.check_type(options.type)
  end
  self.outcome = {
    kind = "fail",
    message = handlers.words(message),
    type = options.type,
    external_execution_id = options.external_execution_id,
  }
  return self.outcome
end

--- Goes on later; to be returned by the handler. The next job of this action has state again. In a handler made by
-- codepipeline.resuming() it answers the state, in that next job.
-- @param state any value JSON can hold, at most 1 MiB as JSON; more than 1900 bytes are kept in the artifact store,
--   where an output artifact of the job will lie
-- @param options after (seconds), and the members of a result (summary, percent_complete, ...)
function Job:later(state, options)
  check.optional(options, "options", "table")
  local result = {}
  for key, value in pairs(options or {}) do
    result[key] = value
  end
  local after = result.after
  result.after = nil
  self.outcome = { kind = "later", state = state == nil and core.null or state, after = after, result = result }
  local history = rawget(self, "history")
  if history and history.thread then
    return history:later(self.outcome)
  end
  return self.outcome
end

--- body(...), once: for handlers made by codepipeline.resuming(), which run again from their start with each new job.
-- What it answered, one value that JSON can hold, is in the continuation token, and comes from there then.
function Job:step(body, ...)
  local history = rawget(self, "history")
  if history and history.thread then
    return history:step(body, ...)
  end
  return body(...)
end

--- Of a handler made by codepipeline.resuming(): whether it has not got yet to where it stopped in the job before.
function Job:replaying()
  local history = rawget(self, "history")
  return history ~= nil and history:replaying()
end

--- The user parameters decoded: nil when there are none; nil and err, which makes a failure a ConfigurationError, when
-- they are not JSON, or have no member of a name that is needed.
function Job:user_parameters_json(...)
  return require("codepipeline.event").decode_parameters(self.user_parameters, ...)
end

check.methods(Job, "job", function(value)
  local class = getmetatable(value)
  return class == Job or class == EventJob
end)

--- The job of a handle: a core.Job, or what child.lua has in its place.
local function new_job(handle)
  local job = handle:texts()
  job.core = handle
  job.configuration = handle:configuration()
  job.inputs = handle:input_names()
  job.outputs = handle:output_names()
  job.state = nil -- see load_state()
  return setmetatable(job, Job)
end

--- An error of the core says which FailureType fits; anything else is the handler's own.
local function failure_of(err)
  local known = type(err) == "table" and handlers.is_type(err.failure_type) and err.failure_type
  local id = known and err.external_execution_id or nil
  return { kind = "fail", message = handlers.words(err), type = known or nil, external_execution_id = id }
end

--- A table that a handler returned.
local function variables_of(value)
  local variables = {}
  for key, variable in pairs(value) do
    local kind = type(variable)
    if type(key) ~= "string" then
      return { kind = "fail", message = "the handler returned a list; output variables have names: { digest = sha }" }
    elseif kind ~= "string" and kind ~= "number" then
      local words = "the output variable %q is a %s; it must be a string or a number"
      return { kind = "fail", message = words:format(key, kind) }
    end
    variables[key] = tostring(variable)
  end
  return { kind = "succeed", result = next(variables) and { output_variables = variables } or nil }
end

--- What a handler's return values mean; nil and err is a failure, as everywhere in Lua.
local function outcome_of(job, value, err)
  if value == nil and err ~= nil then
    return failure_of(err)
  elseif value == nil then
    return job.outcome or { kind = "succeed" }
  elseif value == job.outcome then
    return value
  elseif type(value) == "table" then
    return variables_of(value)
  end
  return {
    kind = "fail",
    message = ("the handler returned a %s; expected nothing, a table of output variables, or job:succeed, "
      .. "job:fail or job:later"):format(type(value)),
  }
end

local send = {
  succeed = function(handle, outcome)
    return tasks.work(handle, "succeed", outcome.result)
  end,
  fail = function(handle, outcome)
    local message = outcome.message ~= "" and outcome.message or "the handler failed without a message"
    return tasks.work(handle, "fail", message, outcome.type, outcome.external_execution_id)
  end,
  later = function(handle, outcome)
    local state, err = core.encode(outcome.state)
    if not state then
      return nil, err
    end
    return tasks.work(handle, "later", state, outcome.after, outcome.result)
  end,
}

local names = { succeed = "succeeded", fail = "failed", later = "continued" }

EventJob.__index = index_of(EventJob)
EventJob.__tostring = Job.__tostring

--- Unless the job is answered by then, it is reported failed after so many seconds, whatever this program is doing.
function EventJob:guard(seconds)
  return self.core:guard(seconds)
end

--- Sends the job's outcome.
-- @param value, problem what a handler would have returned
-- @return "succeeded", "failed" or "continued"; or nil and err
function EventJob:report(value, problem)
  local outcome = outcome_of(self, value, problem)
  local sent, err = send[outcome.kind](self.core, outcome)
  if not sent then
    return nil, err
  end
  return names[outcome.kind]
end

--- Removes the job's folder. Says nothing to the service.
function EventJob:close()
  self.core:close()
end
EventJob.__close = EventJob.close
check.methods(EventJob, "job")

--- See core.client_methods.job in init.lua.
local function job_from_event(client, value, options)
  local handle, err = core.job_from_event(client, require("codepipeline.event").text(value), options)
  if not handle then
    return nil, err
  end
  return setmetatable(new_job(handle), EventJob)
end

return {
  new = new_job,
  from_event = job_from_event,
  failure_of = failure_of,
  outcome_of = outcome_of,
  send = send,
  names = names,
}
