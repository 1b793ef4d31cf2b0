-- SPDX-License-Identifier: MIT
--- Handlers that stop at job:later() and go on there with the next job: see codepipeline.resuming in init.lua.
--
-- The next job may come to another process, so no coroutine is kept. The token carries what happened: what each
-- job:later() was given and each job:step() answered. The next job runs the handler again from its start, and all that
-- is in that history is answered from it, until the handler gets to where it stopped; docs/adr/0021 says why.

local core = require "codepipeline.core"
local handlers = require "codepipeline.handlers"
local tasks = require "codepipeline.tasks"

local resuming = {}

local KEY = "codepipeline.history" -- the only member of such a state

local History = {}
History.__index = History

local function is_history(state)
  return type(state) == "table" and type(state[KEY]) == "table" and next(state, next(state)) == nil
end

local function value_of(entry)
  local value = entry[2]
  if value == core.null then
    return nil
  end
  return value
end

--- What a job's handler did in the jobs before.
-- @param state decoded, of any job
-- @return the history, or nil when it is no state of such a handler
function resuming.history(state)
  return is_history(state) and setmetatable({ entries = state[KEY], at = 0 }, History) or nil
end

--- What the last job:later() was given.
function History:state()
  for i = #self.entries, 1, -1 do
    if self.entries[i][1] == "later" then
      return value_of(self.entries[i])
    end
  end
end

function History:replaying()
  return self.thread ~= nil and self.at < #self.entries
end

local function astray(how)
  error(
    ("the handler went another way than before: %s. What a handler does between its calls of job:later() must not "
      .. "depend on time, chance or the world, unless it is in a job:step()"):format(how),
    0
  )
end

--- The next thing that happened, which must have come of this call.
function History:again(called)
  local entry = self.entries[self.at + 1]
  local kind = entry[1] == "raised" and "step" or entry[1]
  if kind ~= called then
    astray(("job:%s() comes next, and it called job:%s()"):format(kind, called))
  end
  self.at = self.at + 1
  return entry
end

--- Keeps the value as it will come back from a token.
function History:add(kind, value)
  local text, err = core.encode(value == nil and core.null or value)
  if not text then
    error(("what job:%s() is to keep is not JSON: %s"):format(kind, tostring(err)), 0)
  end
  local entry = { kind, core.decode(text) }
  self.at = self.at + 1
  self.entries[self.at] = entry
  return entry
end

--- job:later() of such a handler: stops here, unless this is where it stopped before.
function History:later(outcome)
  if coroutine.running() ~= self.thread then
    error("job:later() of a handler that goes on must be called in the handler's own coroutine", 3)
  end
  return coroutine.yield(self, outcome)
end

--- job:step() of such a handler.
function History:step(body, ...)
  if not self:replaying() then
    local fine, value = pcall(body, ...)
    if not fine then
      self:add("raised", { message = handlers.words(value):sub(1, 200) })
      error(value, 0)
    end
    return value_of(self:add("step", value))
  end
  local entry = self:again "step"
  if entry[1] == "raised" then
    error(entry[2].message, 0)
  end
  return value_of(entry)
end

--- Runs the handler's coroutine to its end, or to the first job:later() that did not happen before. What else it yields
-- is for whoever runs this one: it lets other handlers go on.
local function drive(history, thread, job)
  local fine, asked, outcome = coroutine.resume(thread, job)
  while fine and coroutine.status(thread) == "suspended" do
    if asked ~= history then
      fine, asked, outcome = coroutine.resume(thread, coroutine.yield(asked, outcome))
    elseif history:replaying() then
      fine, asked, outcome = coroutine.resume(thread, value_of(history:again "later"))
    else
      history:add("later", outcome.state)
      outcome.state = { [KEY] = history.entries }
      return outcome
    end
  end
  if not fine then
    error(type(asked) == "string" and debug.traceback(thread, asked) or asked, 0)
  elseif history:replaying() then
    astray "it ended before it got to where it was"
  end
  if job.outcome and job.outcome.kind == "later" and asked ~= job.outcome then
    job.outcome = nil -- of a job:later() that is long past
  end
  return asked, outcome -- nil and err, perhaps
end

--- The handler as one that goes on.
function resuming.handler(body)
  return function(job)
    local thread = coroutine.create(body)
    local history = job.history or setmetatable({ entries = {}, at = 0 }, History)
    job.history, history.thread = history, thread
    debug.sethook(thread, debug.gethook()) -- a time limit holds for it too
    local _ <close> = tasks.enter(thread)
    local fine, value, err = pcall(drive, history, thread, job)
    history.thread = nil
    if not fine then
      error(value, 0)
    end
    return value, err
  end
end

return resuming
