-- SPDX-License-Identifier: MIT
--- The job worker: handlers by action type, artifacts as objects, one result for each job.
--
--     local worker = assert(codepipeline.worker(client))
--     worker:job({ category = "Build", provider = "MyBuilder", version = "1" }, function(job)
--       local src = assert(job:input("Source"):extract())
--       ...
--       assert(job:output("Binary"):pack(out))
--       return { digest = sha }          -- output variables; nothing is fine too
--     end)
--     worker:run()
--
-- A handler that raises fails its job, with the message; the worker goes on.

local core = require "codepipeline.core"
local check = require "codepipeline.check"
local handlers = require "codepipeline.handlers"
local tasks = require "codepipeline.tasks"

-- Other parts are loaded where they are first needed: most workers never need them, and an idle one is that much
-- smaller. This one is needed from the start in a process that was started for one job, and nil in any other.
local child = os.getenv "CODEPIPELINE_CHILD" == "1" and require "codepipeline.child" or nil

--- A job, as its handler sees it: id, nonce, account_id, category, provider, version, pipeline, pipeline_arn,
-- execution_id, stage, action, action_execution_id, continuation_token, user_parameters (texts or nil), configuration
-- (a table of strings), state (what the job before gave to later(); of a large one that cannot be fetched an error is
-- raised), inputs and outputs (lists of names).
local Job = {}

--- A job that came as a Lambda event, without a worker.
local EventJob = setmetatable({}, { __index = Job })

--- Looks at what the job before left, when that is first asked for: a large state is fetched from the artifact store.
local function load_state(job)
  local text, err = job.core:state()
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

local function new_job(handle)
  local job = handle:texts()
  job.core = handle
  job.configuration = handle:configuration()
  job.inputs = handle:input_names()
  job.outputs = handle:output_names()
  job.state = nil -- see load_state()
  return setmetatable(job, Job)
end

--- The worker's own function for the progress of artifacts, with the job before what it is told.
local function watch(worker, job)
  if worker.progress then
    job:on_progress(function(...)
      worker.progress(job, ...)
    end)
  end
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
    return handle:succeed(outcome.result)
  end,
  fail = function(handle, outcome)
    local message = outcome.message ~= "" and outcome.message or "the handler failed without a message"
    return handle:fail(message, outcome.type, outcome.external_execution_id)
  end,
  later = function(handle, outcome)
    local state, err = core.encode(outcome.state)
    if not state then
      return nil, err
    end
    return handle:later(state, outcome.after, outcome.result)
  end,
}

local results = { PutJobSuccessResult = true, PutThirdPartyJobSuccessResult = true }
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

local Worker = {}
Worker.__index = Worker
handlers.give_hooks(Worker)

local function log_to_stderr(level, message)
  io.stderr:write(("codepipeline: %s: %s\n"):format(level, message))
end

--- What becomes of an error that a function raises which looks on: the worker goes on.
local function complaint_to(log)
  return function(err)
    log("error", "a function that looks on raised, and the call goes on: " .. handlers.words(err))
  end
end

--- A handler with the hooks around it; the same one twice is the same function.
local function bind(worker, handler, router_hooks)
  local key = router_hooks or worker.hooks
  local known = worker.bound[key] or {}
  worker.bound[key] = known
  if not known[handler] then
    local groups = { worker.hooks, router_hooks }
    known[handler] = handlers.bind(handler, groups, outcome_of, failure_of, function(job, trace)
      worker.log("error", ("job %s: the handler failed: %s"):format(job.id, trace))
    end)
  end
  return known[handler]
end

local TYPE_OPTIONS = { "category", "provider", "version", "query_key", "query_value", "idempotent", "third_party" }
local HERE = { "client", "isolation", "limits", "environ", "command", "timeout" } -- of these the core does not know
table.move(HERE, 1, #HERE, #TYPE_OPTIONS + 1, TYPE_OPTIONS)

--- Serves an action type.
-- @param type category, provider, version (default "1"), query_key and query_value (optional), idempotent (a job whose
--   worker was killed while it ran is run again by the next one with the same journal, and not reported failed), client
--   (of another region, to poll with instead of the worker's own and its regions), timeout (after so many seconds the
--   job is reported failed, and an error is raised in the handler's Lua code when it runs again), isolation ("process":
--   each job runs in a process of its own, which is this program once more, and is killed at the timeout), and for that
--   limits ({ memory =, file_size = (bytes), cpu = (seconds), open_files = }), environ (a list of more environment
--   variables: names to pass on, or "NAME=value") and command (a list, when this program's own does not do)
-- @param handler function(job); see the top of this file for what it may return
-- @param router_hooks given by include()
function Worker:job(type, handler, router_hooks)
  check.type(type, "an action type", "table")
  check.options(type, TYPE_OPTIONS)
  check.type(handler, "a handler", "function")
  if type.timeout ~= nil and not (tonumber(type.timeout) and tonumber(type.timeout) > 0) then
    check.misuse "timeout is a number of seconds above 0"
  end
  handler = bind(self, handler, router_hooks)
  local wanted = { third_party = self.third_party }
  for key, value in pairs(type) do
    wanted[key] = value
  end
  wanted.version = wanted.version or "1"
  local clients = wanted.client and { wanted.client } or self.clients
  local isolated = wanted.isolation == "process" and not child
  local plan = isolated and require("codepipeline.child").plan(wanted, self.number)
  if wanted.isolation ~= nil and wanted.isolation ~= "process" then
    check.misuse 'isolation is "process" or nothing'
  elseif not wanted.isolation and (wanted.limits or wanted.environ or wanted.command) then
    check.misuse 'limits, environ and command are for isolation = "process"'
  end
  local timeout = not plan and wanted.timeout or nil
  for _, name in ipairs(HERE) do
    wanted[name] = nil
  end
  for _, client in ipairs(clients) do
    local index, err = self.core:add(wanted, client)
    if not index then
      check.misuse("%s", tostring(err))
    end
    self.handlers[index] = handler
    self.plans[index] = plan or nil
    self.timeouts[index] = timeout
  end
  return self
end

--- Serves what lambda_handler() is given. A handler given with job() does when it is the only one.
function Worker:invoke(handler, router_hooks)
  check.type(handler, "a handler", "function")
  self.invoked = bind(self, handler, router_hooks)
  return self
end

--- Takes over the handlers of a codepipeline.router(), which keep its hooks.
function Worker:include(router)
  if not handlers.is_router(router) then
    check.misuse "include() takes what codepipeline.router() made"
  end
  for _, route in ipairs(router.routes) do
    if route.type then
      self:job(route.type, route.handler, router.hooks)
    else
      self:invoke(route.handler, router.hooks)
    end
  end
  return self
end

--- Tells what could not be cleaned up.
local function warn(worker, id, handle)
  local warning = handle:warning()
  if warning then
    worker.log("warning", ("job %s: %s"):format(id, warning))
  end
end

--- Sends the outcome; what cannot be sent that way (an output missing, an upload refused) fails the job instead.
-- @return "succeeded", "failed" or "continued"; or false and what kept the result from a service that waits for it
function Worker:report(job, outcome)
  local called, sent, err = pcall(send[outcome.kind], job.core, outcome)
  if not called then
    sent, err = nil, sent
  end
  if sent then
    warn(self, job.id, job.core)
    return names[outcome.kind]
  end
  if job.core:expired() then
    self.log("error", ("job %s: %s"):format(job.id, tostring(err)))
    return job.core:answered() and names.fail, err
  end
  if outcome.kind ~= "fail" and type(err) == "table" and err.retryable and results[err.operation] then
    self.log("warning", ("job %s: the result is kept and sent again: %s"):format(job.id, tostring(err)))
    return false, err
  end
  if job.core:answered() or type(err) == "table" and err.status == "STATE" then
    self.log("warning", ("job %s: %s"):format(job.id, tostring(err)))
    return false
  end
  self.log("error", ("job %s: %s"):format(job.id, tostring(err)))
  if outcome.kind ~= "fail" then
    return self:report(job, failure_of(err))
  elseif outcome.external_execution_id and type(err) == "table" and err.status == "INVALID" then
    return self:report(job, { kind = "fail", message = ("%s (%s)"):format(outcome.message, tostring(err)) })
  end
  return false, err
end

--- Runs handler and reports what becomes of the job.
function Worker:run_handler(handle, handler)
  local job = new_job(handle)
  watch(self, job)
  local fine, value = tasks.alone(complaint_to(self.log), xpcall, handler, handlers.traced, job)
  local outcome
  if fine then
    local decided
    decided, outcome = pcall(outcome_of, job, value)
    outcome = decided and outcome or failure_of(outcome)
  else
    self.log("error", ("job %s: the handler failed: %s"):format(job.id, value.trace))
    outcome = failure_of(value.err)
  end
  return self:report(job, outcome)
end

function Worker:handle(handle, handler)
  local _ <close> = handle
  return self:run_handler(handle, handler)
end

--- Tells the core the client token it asks for, if it does.
local function tell_token(worker)
  local customer = worker.core:token_wanted()
  if not customer then
    return false
  end
  local fine, token = pcall(worker.client_token or function() end, customer)
  local told, err
  if fine then
    fine, told, err = pcall(worker.core.give_token, worker.core, customer, token)
    fine, token = fine and told, fine and err or told
  end
  if not fine then
    worker.log("error", ("no client token of the customer %s: %s"):format(customer, handlers.words(token)))
    worker.core:give_token(customer)
  end
  return true
end

--- Runs a job's handler in a process of its own, while other handlers go on. A function for the progress of artifacts
-- that raises ends it.
function Worker:isolate(handle, plan)
  local _ <close> = handle
  local job = new_job(handle)
  watch(self, job)
  local outcome, err = handle:run_begin(plan)
  if outcome then
    local fine, raised = pcall(tasks.await_process, handle)
    outcome, err = handle:run_end(not fine)
    if not fine then
      outcome, err = nil, raised
    end
  end
  if outcome then
    warn(self, job.id, handle)
    return
  end
  self.log("error", ("job %s: the handler's process: %s"):format(job.id, tostring(err)))
  if not handle:answered() and not (type(err) == "table" and (err.status == "STATE" or results[err.operation])) then
    self:report(job, failure_of(err))
  end
end

--- A handler that has only so many seconds, which the job's guard counts. Its Lua code is interrupted; a call into C is
-- not.
local function within(handle, seconds, handler)
  return function(job)
    debug.sethook(function()
      if handle:expired() then
        debug.sethook()
        error(("the handler took longer than its time limit of %g seconds"):format(seconds), 0)
      end
    end, "", 10000)
    local results_of = table.pack(pcall(handler, job))
    debug.sethook()
    if not results_of[1] then
      error(results_of[2], 0)
    end
    return table.unpack(results_of, 2, results_of.n)
  end
end

--- Gives a job to its handler.
local function dispatch(worker, handle)
  local index = handle:action_type()
  local handler, plan, timeout = worker.handlers[index], worker.plans[index], worker.timeouts[index]
  if plan then
    return worker:isolate(handle, plan)
  end
  if timeout then
    local guarded, err = handle:guard(timeout)
    handler = guarded and within(handle, timeout, handler) or function()
      error(err, 0) -- the job's end, and not the worker's
    end
  end
  return worker:handle(handle, handler)
end

--- Waits for a job up to so many seconds.
-- @return its handle, or false when none came; nil and err for what does not pass by itself
local function take(worker, seconds)
  local handle, err = worker.core:next(seconds)
  if handle then
    worker.trouble = nil
  elseif handle == false and tell_token(worker) then
    return take(worker, seconds)
  elseif handle == false and err and tostring(err) ~= worker.trouble then
    worker.trouble = tostring(err)
    worker.log("warning", "polling: " .. worker.trouble)
  end
  return handle, handle == nil and err or nil
end

--- What was not begun goes back, and what is owed is sent once more.
local function say_farewell(worker)
  repeat
    worker.core:farewell()
  until not tell_token(worker)
end

--- Takes at most as many jobs as may run at once: waits for one up to seconds (default 1), runs the handlers, and
-- reports. While they wait for something more jobs are taken.
-- @return true when a job was handled, false when none came; nil and err for what does not pass by itself
function Worker:step(seconds)
  if child then
    return self:run() and false
  end
  return self.tasks:serve(self.concurrency, seconds or 1)
end

--- The handler for Lambda's events, or nil and why there is none.
local function handler_for_lambda(worker)
  local _, only = next(worker.handlers)
  local one = only
  for _, handler in pairs(worker.handlers) do
    one = handler == only and one or nil
  end
  if worker.invoked or one then
    return worker.invoked or one
  end
  return nil, only and "the worker has several handlers; tell with invoke() which one is for Lambda"
    or "the worker has no handler"
end

--- Fails the job of a malformed event, as far as its id is known.
local function refuse(worker, text, err)
  local id, failure = core.refuse_event(worker.client, text, tostring(err), complaint_to(worker.log))
  if not id then
    return nil, failure or err
  end
  worker.log("error", ("job %s: the event is malformed: %s"):format(id, tostring(err)))
  return names.fail
end

--- Runs the handler for the job in a Lambda event and reports its result. Errors of the handler are failures of the
-- job; a malformed event fails its job too. A continuation that comes before its time is put off.
-- @param value an event: text, a table, or what codepipeline.event() answered
-- @param options deadline (seconds since 1970) or remaining (seconds): when the function's time is up; margin (default
--   3): so many seconds before that the job is reported failed, even while the handler hangs
-- @return "succeeded", "failed", "continued" or "unreported" (somebody else has answered the job); nil and err when the
--   service could not be told: Lambda should invoke the function once more
function Worker:lambda_handler(value, options)
  local handler, problem = handler_for_lambda(self)
  if not handler then
    error(problem, 2)
  end
  options = options or {}
  local text = require("codepipeline.event").text(value)
  local handle, err = core.job_from_event(self.client, text, self.job_options, complaint_to(self.log))
  if not handle then
    return refuse(self, text, err)
  end
  local remaining = options.remaining
  if options.deadline then
    remaining = options.deadline - os.time() - 1 -- os.time() has no fractions
  end
  if remaining then
    assert(handle:guard(remaining - (options.margin or 3)))
  end
  local put_off
  put_off, err = handle:put_off()
  if put_off == nil then
    return nil, err
  end
  local outcome = put_off and names.later
  if not put_off then
    outcome, err = self:handle(handle, handler)
  end
  if outcome or not err then
    return outcome or "unreported"
  end
  return nil, err
end

--- See test() in rehearsal.lua.
function Worker:test(handler, options)
  return require("codepipeline.rehearsal").test(self, bind, within, handler, options)
end

--- Takes jobs until stop(), SIGTERM or Ctrl-C: what runs is finished and reported, then run() returns true. A second
-- signal cancels the jobs under way, see job:cancelled(); a third does what it does without a worker. What an earlier
-- worker left open in the journal comes first.
-- @return true, or nil and err for what does not pass by itself (credentials, an unknown action type); what was not
--   begun is given back in both cases
function Worker:run()
  if child and child.is_of(self.number) then
    local job = child.job()
    self:handle(job, self.handlers[job:action_type()])
    os.exit(0, true)
  elseif child then
    return true
  end
  self.tasks:check_idle()
  local warning = self.core:warning() or self.forgetful
  if warning then
    self.log("warning", warning)
  end
  local mine = self.core:watch_signals(true)
  local fine, done, err = pcall(self.tasks.serve, self.tasks, math.huge, 1)
  local parted, raised = pcall(say_farewell, self)
  if mine then
    self.core:watch_signals(false)
  end
  if not (fine and parted) then
    error(fine and raised or done, 0)
  end
  if done == nil then
    return nil, err
  end
  return true
end

--- Asks run() to return once the jobs under way are reported.
function Worker:stop()
  self.core:stop()
end

--- stop(), and tells the jobs under way that they should end.
function Worker:cancel()
  self.core:cancel()
end

--- What became of the jobs: how many results the service accepted (succeeded, failed, continued), and of how many jobs
-- it has none (unreported). After run() that is 0 if all is well; what the journal has of them the next start sends.
-- Jobs that somebody else has by now count nowhere.
function Worker:summary()
  return self.core:tally()
end

--- Ends handlers that wait for something: their jobs are reported failed, by the next worker with the same journal.
function Worker:close()
  self.tasks:close()
  self.core:close()
end
Worker.__close = Worker.close
check.methods(Worker, "worker")

local worker = {}

local OPTIONS = { "concurrency", "poll_interval", "work_dir", "artifact_limit", "journal", "grace" }
local OWN = { "log", "regions", "third_party", "client_token", "progress" } -- the core knows nothing of these
table.move(OWN, 1, #OWN, #OPTIONS + 1, OPTIONS)

local made = 0 -- workers in this program, by whose numbers a child finds its own

local FORGETFUL = "no journal is named: what runs or is owed is forgotten if this process is killed"

--- @param options concurrency (how many jobs may be under way; default 1: a handler is a coroutine, and others go on
--   while it is in job:sleep(), job:wait_cancelled(), client:await() or coroutine.yield(), or has a process),
--   poll_interval, work_dir, artifact_limit, log (function(level, message); default: stderr), journal (a file that
--   remembers the jobs taken and the results owed, for the next start after a crash; default: memory only), grace
--   (seconds from stop() or the first signal until job:cancelled(); default: no limit), regions (a list: polls these
--   too, with views of the client), third_party (the action types are of owner ThirdParty, whose jobs come from
--   customers' pipelines), client_token (for these: function(client_id), answers the client token that the customer
--   was given when they connected their pipeline, or nil), progress (function(job, artifact, done, total), called
--   while artifacts come and go; see job:on_progress())
function worker.new(client, options)
  check.options(options, OPTIONS)
  local settings = {}
  for key, value in pairs(options or {}) do
    settings[key] = value
  end
  local log = settings.log or log_to_stderr
  if settings.third_party and not settings.client_token then
    check.misuse "third-party jobs need a client_token: a function that answers a customer's client token"
  end
  local self = { clients = { client }, third_party = settings.third_party, client_token = settings.client_token }
  for _, region in ipairs(settings.regions or {}) do
    if region ~= client:region() then
      local view, problem = client:with { region = region }
      if not view then
        return nil, problem
      end
      table.insert(self.clients, view)
    end
  end
  self.progress = not child and settings.progress or nil
  for _, own in ipairs(OWN) do
    settings[own] = nil
  end
  local handle, err
  if child then
    handle = child.idle_worker()
  else
    handle, err = core.worker(client, settings, complaint_to(log))
  end
  if not handle then
    return nil, err
  end
  self.core, self.client, self.handlers, self.log = handle, client, {}, log
  self.concurrency = options and options.concurrency or 1
  self.tasks = tasks.new(handle, function(seconds)
    return take(self, seconds)
  end, function(job)
    dispatch(self, job)
  end, complaint_to(log))
  made = made + 1
  self.plans, self.timeouts, self.number = {}, {}, made
  self.hooks, self.bound = handlers.new_hooks(), {}
  self.job_options = { work_dir = settings.work_dir, artifact_limit = settings.artifact_limit }
  self.forgetful = not settings.journal and FORGETFUL
  return setmetatable(self, Worker)
end

--- See core.client_methods.job in init.lua.
function worker.job_from_event(client, value, options)
  local handle, err = core.job_from_event(client, require("codepipeline.event").text(value), options)
  if not handle then
    return nil, err
  end
  return setmetatable(new_job(handle), EventJob)
end

return worker
