-- SPDX-License-Identifier: MIT
---@meta
-- Workers, jobs, events and testing for an editor that speaks LuaLS; see objects.d.lua.

-- ---- worker ----------------------------------------------------------------------------------------------------

---May return nothing (success), a table of output variables, or what job:succeed(), job:fail() or job:later() answers.
---What it raises fails the job, and so does an error returned behind nil.
---@alias codepipeline.Handler fun(job: codepipeline.Job): table<string, string|number>|codepipeline.JobOutcome|nil, any

---@class codepipeline.JobOutcome
---@field kind "succeed"|"fail"|"later"

---@class codepipeline.JobType
---@field category codepipeline.types.ActionCategory
---@field provider string
---@field version? string Default "1".
---@field query_key? string
---@field query_value? string
---@field idempotent? boolean A job whose worker was killed is run again, and not reported failed.
---@field third_party? boolean
---@field client? codepipeline.Client Of another region, to poll with.
---@field timeout? number Seconds, after which the job is reported failed.
---@field isolation? "process"
---@field limits? { memory?: integer, file_size?: integer, cpu?: integer, open_files?: integer }
---@field environ? string[] Names to pass on, or "NAME=value".
---@field command? string[]

---Takes jobs, runs handlers, reports results.
---@class codepipeline.Worker
local Worker = {}

---Serves an action type.
---@param type codepipeline.JobType
---@param handler codepipeline.Handler
---@return codepipeline.Worker
function Worker:job(type, handler) end

---Serves what lambda_handler() is given.
---@param handler codepipeline.Handler
---@return codepipeline.Worker
function Worker:invoke(handler) end

---Takes over the handlers of a router, which keep its hooks.
---@param router codepipeline.Router
---@return codepipeline.Worker
function Worker:include(router) end

---Before the handler; what it answers, if not nil, is the job's answer.
---@param hook codepipeline.Handler
---@return codepipeline.Worker
function Worker:before(hook) end

---The outcome is known, and not sent yet.
---@param hook fun(job: codepipeline.Job, outcome: codepipeline.JobOutcome)
---@return codepipeline.Worker
function Worker:after(hook) end

---The handler, or a hook before it, raised; the first answer that is not nil is the job's.
---@param hook fun(job: codepipeline.Job, err: any): table<string, string|number>|codepipeline.JobOutcome|nil
---@return codepipeline.Worker
function Worker:on_error(hook) end

---Takes jobs until stop(), SIGTERM or Ctrl-C.
---@return true? done
---@return codepipeline.Error err
function Worker:run() end

---Takes at most as many jobs as may be under way: true when there was one, false when not.
---@param seconds? number How long to wait; default 1.
---@return boolean? handled
---@return codepipeline.Error err
function Worker:step(seconds) end

---Asks run() to return once the jobs under way are reported.
function Worker:stop() end

---The same, and tells the job under way that it should end.
function Worker:cancel() end

---What became of the jobs: results accepted, and jobs of which the service has no result.
---@return { succeeded: integer, failed: integer, continued: integer, unreported: integer }
function Worker:summary() end

function Worker:close() end

---Runs the handler for the job in a Lambda event and reports its result.
---@param value string|table|codepipeline.Event
---@param options? { deadline?: number, remaining?: number, margin?: number }
---@return "succeeded"|"failed"|"continued"|"unreported"|nil outcome
---@return codepipeline.Error err
function Worker:lambda_handler(value, options) end

---The time of handlers in unit tests.
---@class codepipeline.ManualClock
local ManualClock = {}

---Turns it forward.
---@param seconds number
function ManualClock:advance(seconds) end

---How far it was turned.
---@return number seconds
function ManualClock:elapsed() end

---@class codepipeline.TestOptions
---@field inputs? table<string, string> Folders or archives by the names of the artifacts.
---@field outputs? string[]
---@field configuration? table<string, string>
---@field state? any What the job before gave to later().
---@field event? string|table In place of the last three.
---@field to? string A folder that the outputs are unpacked to.
---@field clock? codepipeline.ManualClock Time stands still unless it is turned.
---@field timeout? number Seconds that the handler has; default: what it was registered with.
---@field remaining? number Of a Lambda function's time.
---@field margin? number
---@field cancelled_after? number Seconds until the worker is shut down.

---@class codepipeline.TestResult
---@field outcome "succeeded"|"failed"|"continued"
---@field variables table<string, string>
---@field outputs table<string, string> Folders by name.
---@field answer table All of it, as the service's operation calls it.
---@field message? string
---@field failure_type? codepipeline.types.FailureType
---@field summary? string
---@field external_execution_id? string
---@field percent_complete? integer
---@field state? any
---@field after? number Seconds that it asked to wait.
---@field clock codepipeline.ManualClock
---@field resume fun(): codepipeline.TestResult Runs the job that follows a continuation.
---@field finish fun(limit?: integer): codepipeline.TestResult Goes on so to the end.

---Runs a handler once, for a unit test; nothing goes to the network.
---@param handler codepipeline.Handler
---@param options? codepipeline.TestOptions
---@return codepipeline.TestResult
function Worker:test(handler, options) end

---@class codepipeline.Router
local Router = {}

---@param type codepipeline.JobType
---@param handler codepipeline.Handler
---@return codepipeline.Router
function Router:job(type, handler) end

---@param handler codepipeline.Handler
---@return codepipeline.Router
function Router:invoke(handler) end

---@param hook codepipeline.Handler
---@return codepipeline.Router
function Router:before(hook) end

---@param hook fun(job: codepipeline.Job, outcome: codepipeline.JobOutcome)
---@return codepipeline.Router
function Router:after(hook) end

---@param hook fun(job: codepipeline.Job, err: any): table<string, string|number>|codepipeline.JobOutcome|nil
---@return codepipeline.Router
function Router:on_error(hook) end

-- ---- job -------------------------------------------------------------------------------------------------------

---A job, as its handler sees it.
---@class codepipeline.Job
---@field id string
---@field nonce? string
---@field account_id? string
---@field category? string
---@field provider? string
---@field version? string
---@field pipeline? string
---@field pipeline_arn? string
---@field execution_id? string
---@field stage? string
---@field action? string
---@field action_execution_id? string
---@field continuation_token? string As the service gave it.
---@field user_parameters? string
---@field state? any What the job before gave to later().
---@field configuration table<string, string>
---@field inputs string[]
---@field outputs string[]
local Job = {}

---The input artifact of that name; without a name, the only one.
---@param name? string
---@return codepipeline.Input
function Job:input(name) end

---The output artifact of that name; without a name, the only one.
---@param name? string
---@return codepipeline.Output
function Job:output(name) end

---A folder of the job's own, removed with it.
---@return string? path
---@return codepipeline.Error err
function Job:work_dir() end

---Whether the handler should come to an end.
---@return boolean
function Job:cancelled() end

---@class codepipeline.JobResult
---@field output_variables? table<string, string>
---@field summary? string
---@field external_execution_id? string
---@field percent_complete? integer
---@field revision? string
---@field change_identifier? string
---@field revision_summary? string

---Has a function told how far the job's artifacts are; what it raises stops that. nil: nobody is told.
---@param watch? fun(artifact: string, done: integer, total?: integer)
function Job:on_progress(watch) end

---Sleeps, less long when the job is cancelled; the worker's other handlers go on.
---@param seconds number
---@return boolean? cancelled
---@return codepipeline.Error err
function Job:sleep(seconds) end

---Waits until the job is cancelled, at most so many seconds; the worker's other handlers go on.
---@param seconds? number
---@return boolean? cancelled
---@return codepipeline.Error err
function Job:wait_cancelled(seconds) end

---Seconds until the job is reported failed because its time is up; nil: there is no limit.
---@return number? seconds
function Job:remaining() end

---Success with more than output variables; to be returned.
---@param result? codepipeline.JobResult
---@return codepipeline.JobOutcome
function Job:succeed(result) end

---Failure without raising; to be returned.
---@param message string
---@param options? { type?: codepipeline.types.FailureType, external_execution_id?: string }
---@return codepipeline.JobOutcome
function Job:fail(message, options) end

---@class codepipeline.LaterOptions: codepipeline.JobResult
---@field after? number Seconds.

---Goes on later; to be returned. The next job of this action has the state.
---@param state? any Any value JSON can hold.
---@param options? codepipeline.LaterOptions
---@return any
function Job:later(state, options) end

---body(...), once; for handlers made by codepipeline.resuming().
---@generic T
---@param body fun(...): T
---@param ... any
---@return T
function Job:step(body, ...) end

---Whether a resuming handler has not got yet to where it stopped before.
---@return boolean
function Job:replaying() end

---The user parameters decoded.
---@param ... string Names of members that must be there.
---@return any value
---@return codepipeline.Error err
function Job:user_parameters_json(...) end

---@class codepipeline.Input
---@field name string
local Input = {}

---The downloaded archive.
---@return string? path
---@return codepipeline.Error err
function Input:path() end

---Unpacks it, by default into a folder of the job's own.
---@param directory? string
---@return string? directory
---@return codepipeline.Error err
function Input:extract(directory) end

---The archive's bytes.
---@return string? bytes
---@return codepipeline.Error err
function Input:read() end

---Sent when the handler has returned.
---@class codepipeline.Output
---@field name string
local Output = {}

---Packs a folder's contents, or one file.
---@param path string
---@return true? done
---@return codepipeline.Error err
function Output:pack(path) end

---@param bytes string
---@return true? done
---@return codepipeline.Error err
function Output:write(bytes) end

---Takes a file's bytes as they are.
---@param path string
---@return true? done
---@return codepipeline.Error err
function Output:file(path) end

---SHA-256, in hexadecimal.
---@return string? digest
---@return codepipeline.Error err
function Output:digest() end

---A job that came as a Lambda event, without a worker.
---@class codepipeline.EventJob: codepipeline.Job
local EventJob = {}

---Unless the job is answered by then, it is reported failed.
---@param seconds number
---@return true? done
---@return codepipeline.Error err
function EventJob:guard(seconds) end

---Sends what a handler would have returned.
---@param value? table<string, string|number>|codepipeline.JobOutcome
---@param problem? any What it returned behind nil.
---@return "succeeded"|"failed"|"continued"|nil outcome
---@return codepipeline.Error err
function EventJob:report(value, problem) end

---Removes the job's folder.
function EventJob:close() end

---@class codepipeline.EventArtifact
---@field name string
---@field revision? string
---@field bucket? string
---@field key? string

---The event with which CodePipeline invokes a Lambda function.
---@class codepipeline.Event
---@field id string
---@field correlation_id string The same.
---@field account_id string
---@field function_name? string
---@field user_parameters? string
---@field configuration table<string, string>
---@field input_artifacts codepipeline.EventArtifact[]
---@field output_artifacts codepipeline.EventArtifact[]
---@field credentials? codepipeline.Credentials
---@field encryption_key? string
---@field continuation_token? string
local Event = {}

---@param ... string Names of members that must be there.
---@return any value
---@return codepipeline.Error err
function Event:user_parameters_json(...) end

-- ---- codepipeline.testing ---------------------------------------------------------------------------------------

---For tests of those who use this package.
---@class codepipeline.Testing
---@field ANY lightuserdata In what a stubber expects: any value.
local testing = {}

---Runs body(emulator, client) with an emulator of its own, and closes both.
---@overload fun(body: fun(emulator: codepipeline.Emulator, client: codepipeline.Client): ...): ...
---@param options codepipeline.EmulatorOptions
---@param body fun(emulator: codepipeline.Emulator, client: codepipeline.Client): ...
---@return any ...
function testing.with_emulator(options, body) end

---An emulator for each test of a block.
---@param before_each fun(f: fun())
---@param after_each fun(f: fun())
---@param options? codepipeline.EmulatorOptions
---@return { emulator: codepipeline.Emulator, client: codepipeline.Client }
function testing.world(before_each, after_each, options) end

---The last requests the emulator got, one a line.
---@param emulator codepipeline.Emulator
---@param count? integer Default 20.
---@return string
function testing.ledger_end(emulator, count) end

---Answers of one's own in the service's place, first in, first out: nothing is sent, no error is tried again.
---@param client codepipeline.Client
---@return codepipeline.Stubber? stubber
---@return codepipeline.Error err
function testing.stubber(client) end

---@class codepipeline.Stubber
---@field client codepipeline.Client A view that is answered by it.
local Stubber = {}

---The answer to one call of a method.
---@param method string
---@param response table
---@param expected? table What it must be called with; nil: anything.
function Stubber:add_response(method, response, expected) end

---@class codepipeline.StubErrorOptions
---@field message? string
---@field http_status? integer Default 400.
---@field members? table What the error has besides.

---The error that one call of a method ends with.
---@param method string
---@param code string
---@param options? codepipeline.StubErrorOptions
---@param expected? table
function Stubber:add_error(method, code, options, expected) end

---How many answers nobody asked for yet.
---@return integer
function Stubber:pending() end
