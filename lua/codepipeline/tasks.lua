-- SPDX-License-Identifier: MIT
--- The handlers that a worker has under way, each in a coroutine of its own.
--
-- All of them have a turn, in their order, again and again. One that yields may say first until when it can wait for
-- its next turn, in its task's due; by itself that is at once. Between the turns the worker asks for jobs and the calls
-- under way are moved. docs/adr/0040 says why.

local core = require "codepipeline.core"
local check = require "codepipeline.check"
local submit = require "codepipeline.submit"

local tasks = {}

local SLICE = 0.05 -- the longest time between two turns: how soon a cancelled job or a time limit is noticed

local Tasks = {}
Tasks.__index = Tasks

--- @param worker a core.Worker
-- @param take function(seconds): the handle of a job, false when none came; or nil and err, when none will
-- @param body function(handle): all that is to be done about a job, in its coroutine
-- @param complain is told what is raised by those who look on at calls under way, or are called back
-- @param several whether more than one may be under way
function tasks.new(worker, take, body, complain, several)
  local self = { worker = worker, take = take, body = body, complain = complain, several = several, list = {} }
  return setmetatable(self, Tasks)
end

--- A coroutine that the one which runs now goes on with, as a part of the same handler.
-- @return what closes it, to be closed when it is not needed any more
function tasks.enter(thread)
  local outer = coroutine.running()
  local task = submit.driven[outer]
  submit.driven[thread] = task
  if task then
    task.innermost = thread
  end
  return setmetatable({}, {
    __close = function()
      coroutine.close(thread)
      if task then
        task.innermost = outer
      end
    end,
  })
end

--- Lets the other handlers go on, until about then; not at all when this is no handler that a worker has under way.
-- @param due as core.monotonic()
-- @return whether it did
local function pause(due)
  local task = submit.driven[coroutine.running()]
  if not task or not task.handle then
    return false
  end
  task.due = due
  coroutine.yield()
  return true
end

local function await(handle)
  while not handle:over() do
    assert(pause(math.huge), "only a worker waits for what is done apart")
  end
end

--- handle[what](handle, ...), done on a thread of the core while other handlers go on. What is raised meanwhile, by a
-- time limit or who hears of progress, calls it off.
function tasks.apart(handle, what, ...)
  local begun, err = handle:begin(what, ...)
  if not begun then
    return nil, err
  end
  local fine, raised = pcall(await, handle)
  if fine then
    return handle:finish()
  end
  handle:finish(true)
  error(raised, 0)
end

--- handle[what](handle, ...), apart where others could go on meanwhile.
function tasks.work(handle, what, ...)
  local task = submit.driven[coroutine.running()]
  if not (task and task.several and task.handle == handle and coroutine.isyieldable()) then
    return handle[what](handle, ...)
  end
  local result, err = tasks.apart(handle, what, ...)
  if result == nil and err.status == "CREDENTIALS" then
    return handle[what](handle, ...) -- a function that gives them is asked on this thread alone
  end
  return result, err
end

--- Waits until the job is cancelled, for at most so many seconds (nil: without limit).
-- @return whether it is cancelled; nil and err when the wait was interrupted
function tasks.sleep(handle, seconds)
  local due = seconds and core.monotonic() + seconds or math.huge
  local paused
  repeat
    paused = pause(due)
  until not paused or handle:cancelled() or core.monotonic() >= due
  if paused or seconds == 0 then
    return handle:cancelled()
  end
  return handle:wait_cancelled(seconds)
end

-- The handler's time is over while it waits: its time limit, a hook, is to be looked at when it goes on.
local function hurry(thread)
  local limit = debug.gethook(thread)
  if limit then
    debug.sethook(thread, limit, "", 1)
  end
end

-- Gives every task a turn. What one raises is no failure of its handler, and raised here.
-- @return how many seconds all of them can wait for the next one; nil: there are none
function Tasks:go_on()
  local list, due, i = self.list, math.huge, 1
  while list[i] do
    local task, fine, raised = list[i], true, nil
    if coroutine.status(task.thread) == "suspended" then
      if task.handle:expired() then
        hurry(task.innermost)
      end
      task.due = 0
      fine, raised = coroutine.resume(task.thread)
    end
    if coroutine.status(task.thread) == "dead" then
      table.remove(list, i)
      coroutine.close(task.thread)
    else
      due, i = math.min(due, task.due), i + 1
    end
    if not fine then
      error(raised, 0)
    end
  end
  return list[1] and math.max(0, math.min(due - core.monotonic(), SLICE))
end

function Tasks:begin(handle)
  local thread = coroutine.create(function()
    self.body(handle)
  end)
  local task = { thread = thread, innermost = thread, handle = handle, several = self.several }
  submit.driven[thread] = task
  table.insert(self.list, task)
end

-- Passes the time until the next turn, and takes a job if there is one.
function Tasks:pass(open, wait, seconds)
  local moving = wait and submit.under_way()
  local handle, err = false, nil
  if open then
    handle, err = self.take(moving and 0 or wait or seconds)
  elseif wait and not moving then
    self.worker:rest(wait)
  end
  if moving then
    submit.move(handle and 0 or wait, self.complain)
  end
  return handle, err
end

--- Raises an error where a handler, or a function that looks on, wants what only the program may have.
function Tasks:check_idle()
  if self.serving then
    check.misuse "a worker can only be stopped by its handlers, and by functions that look on while it asks"
  end
end

--- Takes jobs and has their handlers go on, until none is under way.
-- @param wanted how many jobs to take at most; math.huge: also while none is under way, until the worker is stopped
-- @param seconds to wait for one while none is under way
-- @return whether there were any; or nil and err: no more could be taken, and those under way have ended
function Tasks:serve(wanted, seconds)
  self:check_idle()
  self.serving = true
  local _ <close> = setmetatable({}, {
    __close = function()
      self.serving = false
    end,
  })
  local endless, wait = wanted == math.huge, self:go_on()
  local any, err = wait ~= nil, nil
  repeat
    local open = wanted > 0 and not err and not (wait and self.worker:stopping())
    local handle, problem = self:pass(open, wait, seconds)
    err = err or problem
    if handle then
      any, wanted = true, wanted - 1
      self:begin(handle)
    end
    wait = self:go_on()
  until not wait and (not endless or err or self.worker:stopping())
  if err then
    return nil, err
  end
  return any
end

--- Ends what is under way: those jobs are reported failed by the next worker that has their journal.
function Tasks:close()
  for _, task in ipairs(self.list) do
    if coroutine.status(task.thread) == "suspended" then
      coroutine.close(task.thread)
    end
  end
end

--- body(...), with which nothing else is under way; it may wait and yield as in a worker.
function tasks.alone(complain, body, ...)
  if submit.driven[coroutine.running()] then
    return body(...) -- it is in a worker
  end
  local thread, task = coroutine.create(body), {}
  local _ <close> = tasks.enter(thread)
  submit.driven[thread] = task
  local results = table.pack(coroutine.resume(thread, ...))
  while coroutine.status(thread) == "suspended" do
    submit.move(task.due and SLICE or 0, complain)
    task.due = nil
    results = table.pack(coroutine.resume(thread))
  end
  if not results[1] then
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

return tasks
