-- SPDX-License-Identifier: MIT
--- Runs: executions of pipelines to wait for, to follow, to explain and to act upon.
--
--     local run = assert(client:start("site", { variables = { tag = "v2" } }))
--     for event in run:follow() do
--       print(event)
--     end
--     if not assert(run:wait()).succeeded then
--       print(run:explain())
--     end
--
-- A run polls while somebody waits; the runs of one client share their answers and the pace at which the service is
-- asked.

local core = require "codepipeline.core"
local check = require "codepipeline.check"

--- How a run ended: status (Succeeded, Failed, Stopped, Superseded or Cancelled), succeeded (a boolean), run.
local Outcome = {}
Outcome.__index = Outcome

--- @return explanation, asked for when first wanted, or nil and err
function Outcome:explanation()
  local err
  if not self.explained then
    self.explained, err = self.run:explain()
  end
  return self.explained, err
end

check.methods(Outcome, "outcome")

function Outcome:__tostring()
  return self.status
end

--- Something that moved: kind, time, stage, action, status, message, code, url, external_execution_id, by, percent,
-- run; what does not apply is nil. kind is "run" (a new status that is no end), "stage" (entered: InProgress, or
-- ended), "action" (started or ended), "progress", "approval" (an action waits for a decision), "transition" (it waits
-- in front of a stage whose transition is disabled) or "end".
local Event = {}
Event.__index = Event

function Event:__tostring()
  local what = self.status
  if self.kind == "approval" then
    what = "waits for approval"
  elseif self.kind == "transition" then
    what = "transition disabled"
  end
  local where = self.stage and self.action and self.stage .. "/" .. self.action or self.stage or self.run.pipeline
  local texts = { where, what }
  texts[#texts + 1] = self.code
  texts[#texts + 1] = self.message
  return table.concat(texts, ": ")
end

local Explanation = {}
Explanation.__index = Explanation

function Explanation:__tostring()
  return self.text
end

local Run = {}
Run.__index = Run

local function new_run(handle, err)
  if not handle then
    return nil, err
  end
  local pipeline, id = handle:names()
  return setmetatable({ core = handle, pipeline = pipeline, id = id }, Run)
end

--- InProgress, Stopping, or how it ended. Asks the service, but not more often than once a poll interval.
-- @return status, or nil and err
function Run:status()
  return self.core:status()
end

--- Waits for the end, whatever it is. Polls that fail for a reason that passes are repeated.
-- @param options timeout (seconds); after it err.status is "TIMEOUT", and the message says what it still waits for
-- @return outcome, or nil and err
function Run:wait(options)
  check.options(options, { "timeout" })
  local status, err = self.core:wait(options and options.timeout)
  if not status then
    return nil, err
  end
  return setmetatable({ run = self, status = status, succeeded = status == "Succeeded" }, Outcome)
end

--- Iterates over what happens, and what happened before, each once and in order, until the end. What goes wrong raises
-- err, because an iterator has no other way to tell.
-- @param options timeout: the iteration also ends when nothing happened for so many seconds; another one goes on there
function Run:follow(options)
  check.options(options, { "timeout" })
  local timeout = options and options.timeout
  return function()
    local event, err = self.core:next(timeout)
    if event == nil then
      error(err, 0)
    elseif not event then
      return nil
    end
    event.run = self
    return setmetatable(event, Event)
  end
end

--- For a program with a loop of its own: what happened, without waiting; asks the service once if it is time to.
-- @return event; or false and in how many seconds to come back, 0 when it has ended; or nil and err
function Run:step()
  local event, due = self.core:step()
  if not event then
    return event, due
  end
  event.run = self
  return setmetatable(event, Event)
end

--- Why is it stuck, or how did it end.
-- @return explanation (pipeline, execution_id, status, summary, text, findings; tostring() is all of it), or nil and
--   err. A finding has kind ("failed_action", "approval", "unclaimed_job", "running_action", "disabled_transition",
--   "queued", "superseded", "stopped", "cancelled", "failed"), text, check (a list: what to look at), and where they
--   apply stage, action, owner, category, provider, code, message, external_execution_id, url, by, since, execution_id
function Run:explain()
  local explanation, err = self.core:explain()
  if not explanation then
    return nil, err
  end
  return setmetatable(explanation, Explanation)
end

--- Stops it once the actions under way have ended, or at once.
-- @param options abandon (boolean)
-- @return true, or nil and err
function Run:stop(reason, options)
  check.options(options, { "abandon" })
  return self.core:stop(reason, options and options.abandon)
end

--- Runs the failed actions of a stage again, or all of them. This run goes on, and so do its events.
-- @param options all_actions (boolean)
-- @return true, or nil and err
function Run:retry(stage, options)
  check.type(stage, "the stage's name", "string")
  check.options(options, { "all_actions" })
  return self.core:retry(stage, options and options.all_actions)
end

--- Runs a stage again as an earlier execution ran it.
-- @param target its id, or a run; default: the newest other one of the pipeline's present version that succeeded in the
--   stage, for the service goes back to no other version
-- @return the run this starts, or nil and err
function Run:rollback(stage, target)
  return new_run(self.core:rollback(stage, type(target) == "table" and target.id or target))
end

--- Approves an action of this very execution; err.status is "STATE" when a newer one waits there by now, or none.
-- @return true, or nil and err
function Run:approve(stage, action, summary)
  return self.core:decide(stage, action, true, summary)
end

--- Rejects it; see approve.
function Run:reject(stage, action, summary)
  return self.core:decide(stage, action, false, summary)
end

--- Forgets it; the execution goes on.
function Run:close()
  self.core:close()
end
Run.__close = Run.close
check.methods(Run, "run")

function Run:__tostring()
  return ("codepipeline.Run (%s, %s)"):format(self.pipeline, self.id)
end

--- An approval that waits: pipeline, stage, action, execution_id, since, message, url.
local Approval = {}
Approval.__index = Approval

--- The execution that waits for it.
-- @return run, or nil and err
function Approval:run()
  return new_run(core.run_open(self.client, self.pipeline, self.execution_id))
end

local function decide(approval, approved, summary)
  local run, err = approval:run()
  if not run then
    return nil, err
  end
  return run.core:decide(approval.stage, approval.action, approved, summary)
end

--- @return true, or nil and err
function Approval:approve(summary)
  return decide(self, true, summary)
end

--- @return true, or nil and err
function Approval:reject(summary)
  return decide(self, false, summary)
end

check.methods(Approval, "approval")

local run = {}

--- Starts an execution.
-- @param options variables (a table of strings), revisions ({action = {COMMIT_ID = "1b2c"}}, or the service's own
--   list), client_request_token, poll_interval (seconds; default 5: a fifth of it while something moves, slowing down
--   to twice it), unclaimed_after (seconds without a sign of a worker until a job is called unclaimed; default 60)
-- @return run, or nil and err
function run.start(client, pipeline, options)
  check.type(pipeline, "the pipeline's name", "string")
  return new_run(core.run_start(client, pipeline, options))
end

--- Finds an execution that was started already.
-- @param id the latest one when nil
-- @param options poll_interval, unclaimed_after
-- @return run, or nil and err
function run.open(client, pipeline, id, options)
  check.type(pipeline, "the pipeline's name", "string")
  check.optional(id, "the execution's id", "string")
  return new_run(core.run_open(client, pipeline, id, options))
end

--- Follows many runs at once: an iterator over what happens in any of them, until all have ended; event.run tells which
-- it was. What goes wrong raises err.
-- @param options timeout: the iteration also ends when nothing happened for so many seconds
function run.follow(runs, options)
  local handles = {}
  check.type(runs, "the list of runs", "table")
  check.options(options, { "timeout" })
  for i, one in ipairs(runs) do
    check.type(one, ("run %d of the list"):format(i), "table")
    handles[i] = one.core
  end
  return function()
    local index, event = core.runs_next(handles, options and options.timeout)
    if index == nil then
      error(event, 0)
    elseif not index then
      return nil
    end
    event.run = runs[index]
    return setmetatable(event, Event)
  end
end

--- The approvals that wait.
-- @param pipeline of this one alone; of all when nil
-- @return list, or nil and err
function run.approvals(client, pipeline)
  check.optional(pipeline, "the pipeline's name", "string")
  local list, err = core.run_approvals(client, pipeline)
  if not list then
    return nil, err
  end
  for _, approval in ipairs(list) do
    approval.client = client
    setmetatable(approval, Approval)
  end
  return list
end

return run
