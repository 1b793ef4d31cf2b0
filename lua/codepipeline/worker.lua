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
-- smaller.
local jobs = setmetatable({}, {
  __index = function(_, name)
    return require("codepipeline.job")[name]
  end,
})
-- This one is needed from the start in a process that was started for one job, and nil in any other.
local child = os.getenv "CODEPIPELINE_CHILD" == "1" and require "codepipeline.child" or nil

local results = { PutJobSuccessResult = true, PutThirdPartyJobSuccessResult = true }

--- The worker's own function for the progress of artifacts, with the job before what it is told.
local function watch(worker, job)
  if worker.progress then
    job:on_progress(function(...)
      worker.progress(job, ...)
    end)
  end
end

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
    known[handler] = handlers.bind(handler, groups, jobs, function(job, trace)
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
  local called, sent, err = pcall(jobs.send[outcome.kind], job.core, outcome)
  if not called then
    sent, err = nil, sent
  end
  if sent then
    warn(self, job.id, job.core)
    return jobs.names[outcome.kind]
  end
  if job.core:expired() then
    self.log("error", ("job %s: %s"):format(job.id, tostring(err)))
    return job.core:answered() and jobs.names.fail, err
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
    return self:report(job, jobs.failure_of(err))
  elseif outcome.external_execution_id and type(err) == "table" and err.status == "INVALID" then
    return self:report(job, { kind = "fail", message = ("%s (%s)"):format(outcome.message, tostring(err)) })
  end
  return false, err
end

--- Runs handler and reports what becomes of the job.
function Worker:run_handler(handle, handler)
  local job = jobs.new(handle)
  watch(self, job)
  local fine, value = tasks.alone(complaint_to(self.log), xpcall, handler, handlers.traced, job)
  local outcome
  if fine then
    local decided
    decided, outcome = pcall(jobs.outcome_of, job, value)
    outcome = decided and outcome or jobs.failure_of(outcome)
  else
    self.log("error", ("job %s: the handler failed: %s"):format(job.id, value.trace))
    outcome = jobs.failure_of(value.err)
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
  local job = jobs.new(handle)
  watch(self, job)
  local fine, outcome, err = pcall(tasks.apart, handle, "run", plan)
  if not fine then
    outcome, err = nil, outcome
  end
  if outcome then
    warn(self, job.id, handle)
    return
  end
  self.log("error", ("job %s: the handler's process: %s"):format(job.id, tostring(err)))
  if not handle:answered() and not (type(err) == "table" and (err.status == "STATE" or results[err.operation])) then
    self:report(job, jobs.failure_of(err))
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
  return jobs.names.fail
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
  local outcome = put_off and jobs.names.later
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
--   while it is in job:sleep(), job:wait_cancelled(), client:await() or coroutine.yield(), waits for an artifact or
--   for its result, or has a process),
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
  end, complaint_to(log), self.concurrency > 1)
  made = made + 1
  self.plans, self.timeouts, self.number = {}, {}, made
  self.hooks, self.bound = handlers.new_hooks(), {}
  self.job_options = { work_dir = settings.work_dir, artifact_limit = settings.artifact_limit }
  self.forgetful = not settings.journal and FORGETFUL
  return setmetatable(self, Worker)
end

return worker
