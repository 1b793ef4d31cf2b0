-- SPDX-License-Identifier: MIT
---@meta
-- The module and its objects for an editor that speaks LuaLS; workers, jobs and testing are in jobs.d.lua, the
-- operations' types in types.d.lua. Nothing here runs. tests/lua/annotations_spec.lua compares both with the live
-- objects. A second result err is nil when all went well; it is not called so here, or an editor would ask for a check
-- after `if not`.

-- ---- the module ------------------------------------------------------------------------------------------------

---AWS CodePipeline: a client, a job worker and an offline emulator.
---What goes wrong in the world is returned as `nil, err`; misuse raises. Times are in seconds.
---@class codepipeline.Module
---@field _VERSION string
---@field null lightuserdata Stands for JSON null in parameters.
---@field parts table<"emulator"|"journal", boolean> False: left out of this build.
local codepipeline = {}

---@class codepipeline.ClientOptions
---@field region? string Default: where the AWS CLI finds it.
---@field profile? string
---@field access_key_id? string
---@field secret_access_key? string
---@field session_token? string
---@field credentials? fun(): codepipeline.Credentials?, string? Asked whenever they are wanted; or nil and why not.
---@field mfa_code? fun(serial: string): string Six digits of the profile's device.
---@field anonymous? boolean Requests are not signed.
---@field endpoint_url? string
---@field s3_endpoint_url? string
---@field use_fips_endpoint? boolean
---@field use_dualstack_endpoint? boolean
---@field ignore_configured_endpoint_urls? boolean Those of the environment and the profile.
---@field ca_bundle? string A file or folder of certificates to trust.
---@field client_cert? string
---@field client_key? string
---@field proxy? string
---@field connect_timeout? number Seconds.
---@field read_timeout? number Seconds.
---@field total_timeout? number Seconds a call may take, attempts and pauses included.
---@field max_attempts? integer
---@field retry_mode? "standard"|"adaptive"|"legacy"|string
---@field app_id? string
---@field user_agent_extra? string

---@class codepipeline.Credentials
---@field access_key_id string
---@field secret_access_key string
---@field session_token? string
---@field expires? number Seconds since 1970; nil: never.

---Opens a client. Region and credentials are found where the AWS CLI finds them, unless options say otherwise.
---@param options? codepipeline.ClientOptions
---@return codepipeline.Client? client
---@return codepipeline.Error err
function codepipeline.client(options) end

---Prints what a client with these options would find, where each thing comes from, and what is wrong.
---@param options? codepipeline.ClientOptions
---@return codepipeline.Report? report
---@return codepipeline.Error err
function codepipeline.doctor(options) end

---@class codepipeline.Report
---@field healthy boolean
---@field problems string[]
---@field text string All of it.
---@field [string] any One member for each finding.

---@class codepipeline.EmulatorOptions
---@field port? integer Default 0: the system picks one.
---@field host? string Default 127.0.0.1.
---@field path? string A SQLite file that keeps the state; default: memory.
---@field region? string Default us-east-1.
---@field account_id? string Twelve digits.
---@field access_key_id? string
---@field secret_access_key? string
---@field events? string A file that gets a line of JSON for each event, or an address that gets a POST.
---@field state? string|table What export() answered: where it begins.
---@field ui? boolean A page for people at url .. "/_emulator/".
---@field repeats? "refuse"|"accept" What a worker gets that repeats the result of a job that is over.
---@field demo? boolean Begin with five pipelines that have a past.

---Starts the emulator inside this process: CodePipeline and the S3 it needs, on loopback.
---@param options? codepipeline.EmulatorOptions
---@return codepipeline.Emulator? emulator
---@return codepipeline.Error err
function codepipeline.emulator(options) end

---@class codepipeline.WorkerOptions
---@field concurrency? integer How many jobs may be under way; default 1. Others go on while one waits for an artifact.
---@field poll_interval? number Seconds between polls that found nothing; default 1.
---@field work_dir? string Where jobs get their folders.
---@field artifact_limit? integer Bytes an artifact may unpack to; default 8 GiB.
---@field journal? string A file that remembers jobs taken and results owed; default: memory.
---@field grace? number Seconds from stop() until job:cancelled(); default: no limit.
---@field log? fun(level: "error"|"warning", message: string) Default: standard error.
---@field regions? string[] Polls these too.
---@field third_party? boolean The action types are of owner ThirdParty.
---@field client_token? fun(client_id: string): string? The client token of a customer; for third-party jobs.
---@field progress? fun(job: codepipeline.Job, artifact: string, done: integer, total: integer?) As artifacts move.

---Makes a worker. Without a client it opens one.
---@param client? codepipeline.Client
---@param options? codepipeline.WorkerOptions
---@return codepipeline.Worker? worker
---@return codepipeline.Error err
function codepipeline.worker(client, options) end

---Makes a handler that stops at job:later() and goes on there with the next job.
---@param body codepipeline.Handler
---@return codepipeline.Handler
function codepipeline.resuming(body) end

---The time of handlers in unit tests, for worker:test(): it stands still unless it is turned.
---@return codepipeline.ManualClock
function codepipeline.manual_clock() end

---Handlers collected in one file, for a worker that another one makes: worker:include(router).
---@return codepipeline.Router
function codepipeline.router() end

---What a handler raises to fail its job: error(codepipeline.failure("PermissionError", "no key")).
---@param type codepipeline.types.FailureType
---@param message string
---@param external_execution_id? string
---@return codepipeline.Failure
function codepipeline.failure(type, message, external_execution_id) end

---@class codepipeline.Failure
---@field failure_type codepipeline.types.FailureType
---@field message string
---@field external_execution_id? string

---Reads the event with which CodePipeline invokes a Lambda function.
---@param value string|table
---@return codepipeline.Event? event
---@return codepipeline.Error err
function codepipeline.event(value) end

---@class codepipeline.EventOptions
---@field id? string
---@field account_id? string
---@field function_name? string
---@field user_parameters? string
---@field input_bucket? string
---@field input_key? string
---@field output_bucket? string
---@field output_key? string
---@field continuation_token? string
---@field encryption_key? string The ARN of a KMS key.

---An event for tests, as a table.
---@param options? codepipeline.EventOptions
---@return table? event
---@return codepipeline.Error err
function codepipeline.sample_event(options) end

---Follows many runs in one loop, until all have ended; event.run tells which it was.
---@param runs codepipeline.Run[]
---@param options? { timeout?: number }
---@return fun(): codepipeline.RunEvent?
function codepipeline.follow(runs, options) end

---@class codepipeline.Complaint
---@field path string
---@field code string
---@field message string
---@field line integer
---@field column integer

---What the service would refuse a pipeline for, without asking it; empty when all is well.
---@param pipeline string|table What create_pipeline takes, or the pipeline alone.
---@param options? { region?: string }
---@return codepipeline.Complaint[]? complaints
---@return codepipeline.Error err
function codepipeline.lint(pipeline, options) end

---Packs a folder's contents, or one file, into a new archive.
---@param path string
---@param archive string
---@return true? done
---@return codepipeline.Error err
function codepipeline.pack(path, archive) end

---Unpacks a zip, tar or tar.gz; a refused archive leaves the directory as it was.
---@param archive string
---@param directory string
---@param limit? integer Bytes it may unpack to; default 8 GiB.
---@return true? done
---@return codepipeline.Error err
function codepipeline.extract(archive, directory, limit) end

---The 44 operations.
---@return codepipeline.Operation[]
function codepipeline.operations() end

---What an operation takes and answers; nothing is sent.
---@param operation string "list_pipelines" or "ListPipelines".
---@return codepipeline.DescribedOperation? operation
---@return codepipeline.Error err
function codepipeline.describe(operation) end

-- ---- client ----------------------------------------------------------------------------------------------------

---@class codepipeline.Client
local Client = {}

---Calls an operation by its name, "list_pipelines" or "ListPipelines".
---@param operation string
---@param params? table
---@return table? answer
---@return codepipeline.Error err
function Client:call(operation, params) end

---Iterates over the pages, each as the service answered it, apart from what options cut off.
---@param operation string
---@param params? table
---@param options? codepipeline.Paging
---@return codepipeline.Pages|fun(): table?
function Client:pages(operation, params, options) end

---Begins an operation; callback(answer) or callback(nil, err) is called by poll(), drain() or loop().
---@param operation string
---@param params? table
---@param callback? fun(answer: table?, err: codepipeline.Error?)
---@return integer? id
---@return codepipeline.Error err
function Client:submit(operation, params, callback) end

---Gives a call up; false when it had ended already.
---@param id integer
---@return boolean
function Client:cancel(id) end

---How many calls are under way.
---@return integer
function Client:pending() end

---Moves the calls and calls the callbacks of those that ended; how many did.
---@param seconds? number
---@return integer? count
---@return codepipeline.Error err
function Client:poll(seconds) end

---The same until nothing is under way.
---@return integer? count
---@return codepipeline.Error err
function Client:drain() end

---In a function of loop(), or in a handler of a worker: the answer; the others go on meanwhile.
---@param operation string
---@param params? table
---@return table? answer
---@return codepipeline.Error err
function Client:await(operation, params) end

---Runs functions side by side, as coroutines, until all have returned.
---@param ... fun()
---@return boolean? ok
---@return codepipeline.Error err
function Client:loop(...) end

---A view: a client with other options that shares connections and the rest.
---@param options codepipeline.ClientOptions
---@return codepipeline.Client? view
---@return codepipeline.Error err
function Client:with(options) end

---@class codepipeline.CallEvent
---@field stage "request"|"response"
---@field operation string
---@field url string
---@field attempt integer
---@field text string JSON, with secrets masked.
---@field headers table<string, string>
---@field status? string Of a response, as the rest.
---@field http_status? integer
---@field duration? number Seconds.
---@field request_id? string
---@field code? string
---@field message? string

---Has fn(event) called before each attempt of each call ("request"), or after it ("response").
---@param stage "request"|"response"
---@param fn fun(event: codepipeline.CallEvent)
---@return fun(event: codepipeline.CallEvent) fn
function Client:on(stage, fn) end

---The one function that looks on; see on().
---@return fun(event: codepipeline.CallEvent)?
function Client:observer() end

---@param fn? fun(event: codepipeline.CallEvent)
function Client:set_observer(fn) end

---Where calls go.
---@return string
function Client:region() end

---The partition of that region, as in ARNs: "aws", "aws-cn", ...
---@return string
function Client:partition() end

---@return string
function Client:endpoint_url() end

---Refuses new calls and closes the connections.
function Client:close() end

---@class codepipeline.TransferOptions
---@field progress? fun(done: integer, total: integer?) Bytes; total is nil until it is known. An error stops it.

---@param path string
---@param bucket string
---@param key string
---@param options? codepipeline.TransferOptions
---@return true? done
---@return codepipeline.Error err
function Client:upload_file(path, bucket, key, options) end

---@param bucket string
---@param key string
---@param path string
---@param options? codepipeline.TransferOptions
---@return true? done
---@return codepipeline.Error err
function Client:download_file(bucket, key, path, options) end

---@class codepipeline.RunOptions
---@field poll_interval? number Seconds; default 5.
---@field unclaimed_after? number Seconds without a sign of a worker until a job is called unclaimed; default 60.

---@class codepipeline.StartOptions: codepipeline.RunOptions
---@field variables? table<string, string>
---@field revisions? table By action: { Source = { COMMIT_ID = "1b2c" } }; or the service's own list.
---@field client_request_token? string

---Starts an execution of a pipeline.
---@param pipeline string
---@param options? codepipeline.StartOptions
---@return codepipeline.Run? run
---@return codepipeline.Error err
function Client:start(pipeline, options) end

---An execution that was started already.
---@param pipeline string
---@param id? string Default: the latest one.
---@param options? codepipeline.RunOptions
---@return codepipeline.Run? run
---@return codepipeline.Error err
function Client:run(pipeline, id, options) end

---The approvals that wait.
---@param pipeline? string Default: all of them.
---@return codepipeline.Approval[]? approvals
---@return codepipeline.Error err
function Client:approvals(pipeline) end

---@class codepipeline.Durations
---@field count integer
---@field total number Seconds, as the rest.
---@field mean number
---@field median number
---@field p90 number
---@field max number

---@class codepipeline.Tally
---@field executions integer
---@field succeeded integer
---@field failed integer
---@field stopped integer
---@field superseded integer
---@field cancelled integer
---@field in_progress integer
---@field rollbacks integer
---@field deployments integer
---@field deployments_per_day number
---@field failure_rate? number 0 to 1.
---@field lead_time? codepipeline.Durations
---@field duration? codepipeline.Durations
---@field time_to_restore? codepipeline.Durations
---@field approvals? codepipeline.Durations

---@class codepipeline.ActionMetrics
---@field action string
---@field category string
---@field provider string
---@field executions integer
---@field failed integer
---@field time? codepipeline.Durations

---@class codepipeline.StageMetrics
---@field stage string
---@field time? codepipeline.Durations
---@field actions codepipeline.ActionMetrics[]

---@class codepipeline.PipelineMetrics: codepipeline.Tally
---@field pipeline string
---@field broken_since? number
---@field stages codepipeline.StageMetrics[]

---@class codepipeline.Metrics
---@field since number
---@field until number
---@field calls integer How many requests it took.
---@field total codepipeline.Tally
---@field pipelines codepipeline.PipelineMetrics[]

---Deployment frequency, lead time, failure rate and time to restore.
---@param options? { pipelines?: string[], since?: number }
---@return codepipeline.Metrics? report
---@return codepipeline.Error err
function Client:metrics(options) end

---The job in a Lambda event, for programs that do without a worker.
---@param value string|table|codepipeline.Event
---@param options? { work_dir?: string, artifact_limit?: integer }
---@return codepipeline.EventJob? job
---@return codepipeline.Error err
function Client:job(value, options) end

-- ---- runs ------------------------------------------------------------------------------------------------------

---An execution of a pipeline: to be waited for, followed, explained and acted upon.
---@class codepipeline.Run
---@field pipeline string
---@field id string
local Run = {}

---@return codepipeline.types.PipelineExecutionStatus? status
---@return codepipeline.Error err
function Run:status() end

---@class codepipeline.Outcome
---@field status "Succeeded"|"Failed"|"Stopped"|"Superseded"|"Cancelled"
---@field succeeded boolean
---@field run codepipeline.Run
local Outcome = {}

---Asked for when first wanted.
---@return codepipeline.Explanation? explanation
---@return codepipeline.Error err
function Outcome:explanation() end

---Waits for the end, whatever it is; err.status is "TIMEOUT" after options.timeout seconds.
---@param options? { timeout?: number }
---@return codepipeline.Outcome? outcome
---@return codepipeline.Error err
function Run:wait(options) end

---Something that moved. What does not apply is nil.
---@class codepipeline.RunEvent
---@field kind "run"|"stage"|"action"|"progress"|"approval"|"transition"|"end"
---@field time? number
---@field run codepipeline.Run
---@field status? string
---@field stage? string
---@field action? string
---@field message? string
---@field code? string
---@field url? string
---@field external_execution_id? string
---@field by? string
---@field percent? integer

---Iterates over what happens, and what happened before, until the end.
---@param options? { timeout?: number } It also ends when nothing happened for so long.
---@return fun(): codepipeline.RunEvent?
function Run:follow(options) end

---The same without waiting: an event; or false and in how many seconds to come back, 0 when it has ended.
---@return codepipeline.RunEvent|false|nil event
---@return number|codepipeline.Error|nil due
function Run:step() end

---@alias codepipeline.FindingKind
---| "failed_action"
---| "approval"
---| "unclaimed_job"
---| "running_action"
---| "disabled_transition"
---| "queued"
---| "superseded"
---| "stopped"
---| "cancelled"
---| "failed"

---@class codepipeline.Finding
---@field kind codepipeline.FindingKind
---@field text string
---@field check? string[] What to look at.
---@field stage? string
---@field action? string
---@field owner? string
---@field category? string
---@field provider? string
---@field code? string
---@field message? string
---@field external_execution_id? string
---@field url? string
---@field by? string
---@field since? number
---@field execution_id? string

---@class codepipeline.Explanation
---@field pipeline string
---@field execution_id string
---@field status string
---@field summary string
---@field text string
---@field findings codepipeline.Finding[]

---Why is it stuck, or how did it end.
---@return codepipeline.Explanation? explanation
---@return codepipeline.Error err
function Run:explain() end

---@param reason? string
---@param options? { abandon?: boolean } At once, instead of after the actions under way.
---@return true? done
---@return codepipeline.Error err
function Run:stop(reason, options) end

---Runs the failed actions of a stage again, or all of them.
---@param stage string
---@param options? { all_actions?: boolean }
---@return true? done
---@return codepipeline.Error err
function Run:retry(stage, options) end

---Runs a stage again as an earlier execution ran it.
---@param stage string
---@param target? string|codepipeline.Run default: the newest other one of the present version that succeeded there
---@return codepipeline.Run? run
---@return codepipeline.Error err
function Run:rollback(stage, target) end

---@param stage string
---@param action string
---@param summary? string
---@return true? done
---@return codepipeline.Error err
function Run:approve(stage, action, summary) end

---@param stage string
---@param action string
---@param summary? string
---@return true? done
---@return codepipeline.Error err
function Run:reject(stage, action, summary) end

---Forgets it; the execution goes on.
function Run:close() end

---An approval that waits.
---@class codepipeline.Approval
---@field client codepipeline.Client
---@field pipeline string
---@field stage string
---@field action string
---@field execution_id string
---@field since? number
---@field message? string
---@field url? string
local Approval = {}

---The execution that waits for it.
---@return codepipeline.Run? run
---@return codepipeline.Error err
function Approval:run() end

---@param summary? string
---@return true? done
---@return codepipeline.Error err
function Approval:approve(summary) end

---@param summary? string
---@return true? done
---@return codepipeline.Error err
function Approval:reject(summary) end

-- ---- emulator --------------------------------------------------------------------------------------------------

---CodePipeline and the S3 it needs, on loopback.
---@class codepipeline.Emulator
---@field url string
---@field environ table<string, string> What points an AWS SDK at it.
local Emulator = {}

---A client of it, with its owner's credentials.
---@param options? codepipeline.ClientOptions
---@return codepipeline.Client? client
---@return codepipeline.Error err
function Emulator:client(options) end

---@param name string
---@return true? done
---@return codepipeline.Error err
function Emulator:create_bucket(name) end

---@return number seconds Since 1970, by its clock.
function Emulator:now() end

---@param seconds number
---@return true? done
---@return codepipeline.Error err
function Emulator:advance(seconds) end

function Emulator:freeze() end

function Emulator:resume() end

---@return boolean
function Emulator:frozen() end

---@class codepipeline.Fault
---@field kind string "500", "reset", "throttling", "stall", ...
---@field operation? string
---@field job_id? string
---@field times? integer
---@field after? integer
---@field probability? number
---@field seed? integer
---@field bytes? integer

---Makes trouble for requests to come.
---@param options codepipeline.Fault
---@return true? done
---@return codepipeline.Error err
function Emulator:fault(options) end

---@class codepipeline.Script
---@field outcome "succeed"|"fail"|"wait"
---@field pipeline? string
---@field stage? string
---@field action? string
---@field rule? string Of a stage condition, in place of an action.
---@field provider? string
---@field after? number Seconds.
---@field summary? string
---@field external_execution_id? string
---@field output_variables? table<string, string>
---@field artifacts? table
---@field revision? string
---@field revision_summary? string
---@field code? string
---@field message? string
---@field times? integer

---Says what becomes of actions that do not run here, such as CodeBuild's.
---@param options codepipeline.Script
---@return true? done
---@return codepipeline.Error err
function Emulator:script(options) end

---@class codepipeline.GitChange
---@field repository string "owner/name", the source actions' FullRepositoryId.
---@field commit? string
---@field message? string
---@field files? string[]|table<string, string> What changed; with texts also the source's artifact.
---@field archive? string A file that is it.
---@field provider? string "GitHub", "Bitbucket", "GitLab", ...

---@class codepipeline.Push: codepipeline.GitChange
---@field branch? string
---@field tag? string In place of a branch.

---@class codepipeline.PullRequest: codepipeline.GitChange
---@field event "OPEN"|"UPDATED"|"CLOSED"
---@field source string The branch that it comes from.
---@field target string The branch that it goes to.

---Says what a Git provider would, a push, and answers what each source action of the repository made of it.
---@param options codepipeline.Push
---@return { pipelineName: string, actionName: string, pipelineExecutionId?: string, reason: string }[]? verdicts
---@return codepipeline.Error err
function Emulator:git_push(options) end

---The same of a pull request.
---@param options codepipeline.PullRequest
---@return { pipelineName: string, actionName: string, pipelineExecutionId?: string, reason: string }[]? verdicts
---@return codepipeline.Error err
function Emulator:pull_request(options) end

---Changes what a worker gets that repeats the result of a job that is over.
---@param policy "refuse"|"accept"
---@return true? done
---@return codepipeline.Error err
function Emulator:set_repeats(policy) end

---@return "refuse"|"accept"
function Emulator:repeats() end

---@class codepipeline.LedgerEntry
---@field seq integer
---@field time number
---@field status integer
---@field operation? string
---@field code? string
---@field fault? string
---@field job_id? string
---@field nonce? string
---@field continuation_token? string
---@field jobs? { id: string, nonce?: string }[]

---What was asked of it.
---@return codepipeline.LedgerEntry[]? entries
---@return codepipeline.Error err
function Emulator:ledger() end

---Forgets faults, scripts and ledger.
function Emulator:clear() end

---@class codepipeline.Invocation
---@field remaining number Seconds.
---@field request_id string
---@field function_arn string
---@field trace_id? string

---Runs a Lambda function for the next invocation that an Invoke action made of it; false when there was none.
---@param name string
---@param handler fun(event_text: string, options: codepipeline.Invocation): any, any
---@param timeout? number Seconds; default 0.05.
---@return boolean? served
---@return codepipeline.Error err
function Emulator:serve(name, handler, timeout) end

---The address at which another process can serve a function.
---@param name string
---@return string? address
---@return codepipeline.Error err
function Emulator:runtime_api(name) end

---Iterates over the events that the service would send to EventBridge, oldest first.
---@param options? { timeout?: number|"none" }
---@return fun(): table?
function Emulator:events(options) end

---@class codepipeline.Feed
local Feed = {}

---@param seconds? number
---@return table|false|nil event
---@return codepipeline.Error err
function Feed:next(seconds) end

function Feed:close() end

---What events() reads from.
---@return codepipeline.Feed? feed
---@return codepipeline.Error err
function Emulator:feed() end

---What became of the events for `events = ...`.
---@return { delivered: integer, dropped: integer, reason?: string }
function Emulator:relayed() end

---The whole state as JSON text; what is secret in it is in it.
---@param options? { objects?: boolean, decoded?: boolean }
---@return string|table|nil state
---@return codepipeline.Error err
function Emulator:export(options) end

---Replaces the state by an exported one.
---@param state string|table
---@return true? done
---@return codepipeline.Error err
function Emulator:restore(state) end

function Emulator:close() end
