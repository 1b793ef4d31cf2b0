-- SPDX-License-Identifier: MIT
--- AWS CodePipeline: a client, a job worker and an offline emulator.
--
-- What goes wrong in the world (the service refuses, the network breaks) is returned as `nil, err`: err is a table with
-- code, message, path, request_id, http_status, attempts, retryable and a readable tostring(). Misuse raises.
-- Times are in seconds, points in time are seconds since 1970.
--
--     local codepipeline = require "codepipeline"
--     local client = assert(codepipeline.client{ region = "eu-west-1" })
--     local answer, err = client:list_pipelines{ maxResults = 10 }

local core = require "codepipeline.core"
local check = require "codepipeline.check"

-- The other modules, each loaded when it is first used: compiling all of them was a quarter of what a program with one
-- call takes.
local parts = setmetatable({}, {
  __index = function(loaded, name)
    loaded[name] = require("codepipeline." .. name)
    return loaded[name]
  end,
})

core.set_home(check.home)

local codepipeline = {
  _VERSION = core.version,
  null = core.null, -- stands for JSON null in parameters
  operations = core.operations,
  parts = core.parts, -- { emulator = true, journal = true }; false: left out of this build, LEFT_OUT when it is used
}

--- Opens a client. Region and credentials are found where the AWS CLI finds them unless options say otherwise.
-- @param options region, profile, access_key_id, secret_access_key, session_token, endpoint_url, s3_endpoint_url,
--   ca_bundle, user_agent_extra, connect_timeout, read_timeout, total_timeout (seconds), max_attempts, retry_mode,
--   app_id, use_fips_endpoint, use_dualstack_endpoint, ignore_configured_endpoint_urls, proxy, client_cert, client_key;
--   docs/settings.md says more.
--   credentials: a function that answers a table with access_key_id, secret_access_key, session_token and, when they
--   end, expires (seconds since 1970), or nil and why not. mfa_code: a function that is given the serial of a profile's
--   device and answers six digits. anonymous: requests are not signed
-- @return client, or nil and err
function codepipeline.client(options)
  check.optional(options, "options", "table")
  return core.client(options)
end

--- Prints what a client with these options would find, where each thing comes from, and what is wrong.
-- Secrets are masked.
-- @param options as for codepipeline.client
-- @return report (healthy, problems, text, and one member for each finding), or nil and err
function codepipeline.doctor(options)
  local report, err = core.doctor(options)
  if not report then
    return nil, err
  end
  io.write(report.text)
  return report
end

--- Starts the emulator inside this process: CodePipeline and the S3 it needs, on loopback.
-- @param options port (0: any), host, path (SQLite file; default: memory), region, account_id, access_key_id,
--   secret_access_key; events: where its events go, a file that gets a line of JSON each or an http:// or https://
--   address that gets a POST each (emulator:relayed() tells what became of them: delivered, dropped, reason); state:
--   what emulator:export() answered, or that as a table: where it begins, also with the region and account of it; ui:
--   serve a page for people at url .. "/_emulator/"; repeats: "refuse" (default) or "accept", what a worker gets that
--   repeats the result of a job that is over; demo: begin with five pipelines and four weeks of their past
-- @return emulator (members url and environ, methods client, events and close), or nil and err
function codepipeline.emulator(options)
  check.optional(options, "options", "table")
  if options and type(options.state) == "table" then
    local copy = {}
    for name, value in pairs(options) do
      copy[name] = value
    end
    copy.state = assert(core.encode(options.state))
    options = copy
  end
  return core.emulator(options)
end

--- Makes a worker that takes jobs for custom actions; see codepipeline.worker.
-- @param client from codepipeline.client; nil opens one
-- @param options poll_interval (seconds between polls that found nothing), work_dir, artifact_limit (bytes), log
-- @return worker, or nil and err
function codepipeline.worker(client, options)
  local err
  check.optional(client, "the client, which comes before the options,", "userdata")
  if client == nil then
    client, err = core.client()
    if not client then
      return nil, err
    end
  end
  return parts.worker.new(client, options)
end

--- Makes a handler that stops at job:later() and goes on there with the next job, its variables as they were:
--
--     worker:job(type, codepipeline.resuming(function(job)
--       local stack = job:step(create_stack, job.user_parameters)
--       while not ready(stack) do
--         job:later(nil, { after = 30 })
--       end
--       return { stack = stack }
--     end))
--
-- The next job may come to another process, so nothing is kept in this one: the handler runs again from its start, and
-- what job:later() and job:step() answered before comes from the continuation token. What it does between must not
-- depend on time, chance or the world, unless it is in a job:step().
function codepipeline.resuming(body)
  check.type(body, "a handler", "function")
  return parts.resuming.handler(body)
end

--- The time of handlers in unit tests, for worker:test(): it stands still unless clock:advance(seconds) turns it, or
-- job:wait_cancelled() does. clock:elapsed() tells how far it was turned.
function codepipeline.manual_clock()
  return parts.rehearsal.clock()
end

--- Handlers collected in one file, for a worker that another one makes: worker:include(router); see
-- codepipeline.handlers. Has the worker's methods job, invoke, before, after and on_error.
function codepipeline.router()
  return parts.handlers.router()
end

--- What a handler raises to fail its job: error(codepipeline.failure("PermissionError", "no key")).
-- @param type "JobFailed", "ConfigurationError", "PermissionError", "RevisionOutOfSync", "RevisionUnavailable" or
--   "SystemUnavailable"
function codepipeline.failure(type, message, external_execution_id)
  return parts.handlers.failure(type, message, external_execution_id)
end

--- Reads the event with which CodePipeline invokes a Lambda function; see codepipeline.event for its members.
-- @param value text or table
-- @return event, or nil and err; err.path names the member at fault
function codepipeline.event(value)
  return parts.event.read(value)
end

--- An event for tests, as a table.
-- @param options id, account_id, function_name, input_bucket, input_key, output_bucket, output_key (each with an
--   example's value), user_parameters, continuation_token, encryption_key (a KMS key's ARN; these three are left out)
-- @return table, or nil and err
function codepipeline.sample_event(options)
  return parts.event.sample(options)
end

--- Follows many runs in one loop: for event in codepipeline.follow(runs) do print(event.run.pipeline, event) end
-- @param options timeout (seconds without an event, after which it ends)
function codepipeline.follow(runs, options)
  return parts.run.follow(runs, options)
end

--- What the service would refuse a pipeline for, without asking it; action types that are not of AWS are taken on
-- trust.
-- @param pipeline JSON text, or a table: what create_pipeline takes, or the pipeline alone
-- @param options region: where it is to be
-- @return list of {path, code, message, line, column}, empty when all is well, or nil and err
function codepipeline.lint(pipeline, options)
  local text, err = pipeline, nil
  check.options(options, { "region" })
  if type(pipeline) == "table" then
    text, err = core.encode(pipeline)
  else
    check.type(pipeline, "the pipeline, which is JSON or a table,", "string")
  end
  if not text then
    return nil, err
  end
  return core.lint(text, options and options.region)
end

--- What the model knows of an operation, by either name; nothing is sent.
-- @return table: name, method, doc, parameters, answer, errors, pages; docs/lua/README.md tells what is in them.
--   Or nil and err
function codepipeline.describe(operation)
  check.type(operation, "the operation's name", "string")
  return core.describe(operation)
end

--- Zips a folder's contents, or one file, into a new archive.
-- @return true, or nil and err
function codepipeline.pack(path, archive)
  check.type(path, "the path", "string")
  check.type(archive, "the archive's path", "string")
  return core.pack(path, archive)
end

--- Unpacks a zip, tar or tar.gz into directory; a refused archive (damaged, unsafe names) leaves it as it was.
-- @param limit bytes it may unpack to (default 8 GiB)
-- @return true, or nil and err
function codepipeline.extract(archive, directory, limit)
  check.type(archive, "the archive's path", "string")
  check.type(directory, "the directory", "string")
  return core.extract(archive, directory, limit)
end

local stages = { request = true, response = true }

--- Calls fn(event) before each attempt of each call (stage "request") or after it ("response"): of all operations
-- that are asked for with this client, by runs, approvals, metrics, workers and their jobs too. What fn raises stops
-- the call and comes out of it; a worker and its jobs go on, and log it. Views made with client:with{} later on have it
-- too.
-- @param fn takes an event: stage, operation, url, attempt, text (JSON with secrets as "***"), headers; of a response
--   also status, http_status, duration (seconds), request_id, code, message
-- @return fn
function core.client_methods:on(stage, fn)
  if not stages[stage] then
    check.misuse('a call has the stages "request" and "response", not %q', tostring(stage))
  end
  check.type(fn, "what looks on", "function")
  local before = self:observer()
  self:set_observer(function(event)
    if before then
      before(event)
    end
    if event.stage == stage then
      fn(event)
    end
  end)
  return fn
end

-- The client's methods that other modules have.
for module, names in pairs {
  paging = { "paginate", "pages" },
  submit = { "submit", "cancel", "pending", "poll", "drain", "await", "loop" },
} do
  for _, name in ipairs(names) do
    core.client_methods[name] = function(...)
      return parts[module][name](...)
    end
  end
end

-- A method that is not there is nil, as everywhere in Lua, unless it is a misspelt one.
setmetatable(core.client_methods, {
  __index = function(methods, name)
    local names = {}
    for method in pairs(methods) do
      names[#names + 1] = method
    end
    for _, operation in ipairs(core.operations()) do
      names[#names + 1] = operation.method
    end
    local meant = core.nearest(name, names)
    if meant then
      check.misuse("a client has no method %q; did you mean %q?", name, meant)
    end
  end,
})

--- The job in a Lambda event, for programs that do without a worker; to be answered with report() and closed.
-- @param value an event: text, a table, or what codepipeline.event() answered
-- @param options work_dir, artifact_limit
-- @return job, or nil and err
function core.client_methods:job(value, options)
  return parts.job.from_event(self, value, options)
end

--- A client of this emulator, with its owner's credentials.
-- @param options as for codepipeline.client; they win
function core.emulator_methods:client(options)
  local environ = self.environ
  local all = {
    endpoint_url = environ.AWS_ENDPOINT_URL_CODEPIPELINE,
    s3_endpoint_url = environ.AWS_ENDPOINT_URL_S3,
    region = environ.AWS_REGION,
    access_key_id = environ.AWS_ACCESS_KEY_ID,
    secret_access_key = environ.AWS_SECRET_ACCESS_KEY,
  }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return core.client(all)
end

--- Runs a Lambda function for the next invocation that an Invoke action made of it.
-- @param name the function's; actions may name it once this, or emulator:runtime_api(name), was called
-- @param handler function(event_text, options), as a file for the custom runtime answers: options has remaining
--   (seconds), request_id, function_arn and trace_id
-- @param timeout seconds to wait for an invocation; default 0.05
-- @return true; or false when there was none; or nil and err
function core.emulator_methods:serve(name, handler, timeout)
  check.type(handler, "a handler", "function")
  local address, err = self:runtime_api(name)
  if not address then
    return nil, err
  end
  local api <close> = assert(core.runtime(address))
  local served
  served, err = parts.runtime.serve(api, handler, timeout or 0.05)
  if not served and err.status == "TIMEOUT" then
    return false
  end
  return served, err
end

--- Iterates over the events that the service would send to EventBridge, as tables, oldest first: the state changes of
-- executions, stages and actions. Each call begins with the oldest of the newest 10,000. What goes wrong raises err.
-- @param options timeout (seconds; default 0, those that are there now): the iteration ends when none came for so long;
--   the function it uses can be called again, and goes on there. "none": it ends when the emulator is closed
function core.emulator_methods:events(options)
  check.options(options, { "timeout" })
  local timeout = options and options.timeout or 0
  local feed = assert(self:feed())
  return function()
    local event, err = feed:next(timeout ~= "none" and timeout or nil)
    if event == nil then
      error(err, 0)
    end
    return event or nil
  end
end

--- The whole state as JSON text: pipelines, executions, jobs, action types, webhooks, tags, transitions, S3's buckets
-- and objects, and the clock; what is secret in it is in it.
-- @param options objects = false: without S3's objects; decoded = true: as a table
-- @return text, or nil and err
function core.emulator_methods:export(options)
  check.options(options, { "objects", "decoded" })
  local text, err = self:export_text(not options or options.objects ~= false)
  if text and options and options.decoded then
    return core.decode(text)
  end
  return text, err
end

--- Replaces the state by an exported one of the same region and account; the clock goes on from where it stood then.
-- @param state text, or a table made of it
-- @return true, or nil and err, which names what is wrong in a damaged one; then nothing has changed
function core.emulator_methods:restore(state)
  return self:restore_text(type(state) == "table" and assert(core.encode(state)) or state)
end

--- Starts an execution of a pipeline: client:start("site", { variables = { tag = "v2" } }); see codepipeline.run.
-- @return run, or nil and err
function core.client_methods:start(pipeline, options)
  return parts.run.start(self, pipeline, options)
end

--- An execution that was started already, the latest one when id is nil; see codepipeline.run.
-- @return run, or nil and err
function core.client_methods:run(pipeline, id, options)
  return parts.run.open(self, pipeline, id, options)
end

--- How often pipelines deliver, how long that takes, how often it fails and how soon it works again.
-- @param options pipelines (a list of names; default: all), since (what began before does not count; default: 30 days
--   ago)
-- @return report: since, until, calls (how many it took), total and pipelines, a list; docs/cli.md names their members.
--   Or nil and err
function core.client_methods:metrics(options)
  return core.run_metrics(self, options)
end

--- The approvals that wait, in all pipelines or in one; see codepipeline.run.
-- @return list, or nil and err
function core.client_methods:approvals(pipeline)
  return parts.run.approvals(self, pipeline)
end

for name, methods in pairs { Client = core.client_methods, Emulator = core.emulator_methods } do
  check.methods(methods, name:lower(), function(value)
    return type(value) == "userdata" and getmetatable(value).__name == "codepipeline." .. name
  end)
end

return codepipeline --[[@as codepipeline.Module]]
