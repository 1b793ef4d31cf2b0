-- SPDX-License-Identifier: MIT
--- Many calls under way at once in Lua's one thread: callbacks and coroutines.
--
--     client:submit("get_pipeline_state", { name = "site" }, function(state, err) ... end)
--     client:drain()
--
-- Nothing moves but while the program is in poll(), drain() or loop().

local core = require "codepipeline.core"
local check = require "codepipeline.check"

local submit = {}

-- What each client has under way: its queue, and by the id of a call who wants to know. A client that is collected
-- takes it along.
local states = setmetatable({}, { __mode = "k" })
-- The same states, with their queues; those of collected clients are gone from here before the queues are closed.
local queues = setmetatable({}, { __mode = "kv" })

--- Coroutines that have turns, and their tasks; see tasks.lua. Others go on as soon as the answer is there that they
-- await.
submit.driven = setmetatable({}, { __mode = "k" })

local function state_of(client)
  local state = states[client]
  if not state then
    local queue, err = core.queue(client)
    if not queue then
      return nil, err
    end
    state = { queue = queue, callbacks = {}, count = 0 }
    states[client], queues[state] = state, queue
  end
  return state
end

--- Begins an operation.
-- @param operation "list_pipelines" or "ListPipelines"
-- @param callback is called as callback(answer) or callback(nil, err) from poll(), drain() or loop(); optional
-- @return a number for cancel(), or nil and err: what is wrong with the parameters is told here, and nothing is sent
function submit:submit(operation, params, callback)
  check.type(operation, "the operation's name", "string")
  check.optional(callback, "a callback", "function")
  local state, err = state_of(self)
  if not state then
    return nil, err
  end
  local id
  id, err = state.queue:submit(operation, params)
  if not id then
    return nil, err
  end
  state.callbacks[id] = callback or false
  state.count = state.count + 1
  return id
end

--- Gives a call up; its callback gets an error of status "CANCELLED". Whether the service has heard of it, nobody
-- knows.
-- @return false when it had ended already
function submit:cancel(id)
  local state = states[self]
  return state ~= nil and state.queue:cancel(id)
end

--- How many calls are under way.
function submit:pending()
  local state = states[self]
  return state and state.count or 0
end

-- Hands out one call that ends within so many seconds: true, false when none did, or nil and err. complain, if there is
-- one, is told what is raised by those who look on or are called back.
local function step(state, seconds, complain)
  local id, answer, err = state.queue:next(seconds, complain)
  if not id then
    if answer then -- nil, err: the queue itself failed
      return nil, answer
    end
    return false
  end
  local callback = state.callbacks[id]
  state.callbacks[id] = nil
  state.count = state.count - 1
  if callback and not complain then
    callback(answer, err)
  elseif callback then
    local fine, raised = pcall(callback, answer, err)
    if not fine then
      complain(raised)
    end
  end
  return true
end

--- Whether any client has calls under way.
function submit.under_way()
  for state in pairs(queues) do
    if state.count > 0 then
      return true
    end
  end
  return false
end

--- Moves the calls of all clients, for so many seconds at most, and calls back.
function submit.move(seconds, complain)
  local busy = {}
  for state in pairs(queues) do
    busy[#busy + 1] = state.count > 0 and state or nil
  end
  for _, state in ipairs(busy) do
    local ended, err = step(state, seconds / #busy, complain)
    while ended and state.count > 0 do
      ended, err = step(state, 0, complain)
    end
    if ended == nil then
      error(err, 0)
    end
  end
end

--- Moves the calls, waits up to so many seconds (default 0) for one that ends, and calls the callbacks of all that
-- have. What a callback raises comes out of here; the others are called by the next poll().
-- @return how many ended, or nil and err
function submit:poll(seconds)
  local state = states[self]
  local count = 0
  while state and state.count > 0 do
    local ended, err = step(state, count == 0 and seconds or 0)
    if ended == nil then
      return nil, err
    elseif not ended then
      break
    end
    count = count + 1
  end
  return count
end

--- poll() until nothing is under way, also nothing that callbacks have begun.
-- @return how many ended, or nil and err
function submit:drain()
  local state = states[self]
  local count = 0
  while state and state.count > 0 do
    local ended, err = step(state, 60)
    if ended == nil then
      return nil, err
    end
    count = count + (ended and 1 or 0)
  end
  return count
end

--- In a function that loop() runs, or in a worker's handler: begins an operation and lets the others go on until its
-- answer is there.
-- @return answer, or nil and err
function submit:await(operation, params)
  local thread, main = coroutine.running()
  if main then
    error("await() is for a coroutine: a function of loop(), or a worker's handler", 2)
  end
  local answered, answer, err
  local id, refused = self:submit(operation, params, function(...)
    answer, err = ...
    answered = true
    if not submit.driven[thread] and coroutine.status(thread) == "suspended" then
      submit.resume(thread)
    end
  end)
  if not id then
    return nil, refused
  end
  local task = submit.driven[thread]
  while not answered do
    if task then
      task.due = math.huge
    end
    coroutine.yield()
  end
  return answer, err
end

-- Goes on with a coroutine; what it raises is raised here, with where it was raised.
function submit.resume(thread)
  local ok, raised = coroutine.resume(thread)
  if not ok then
    error(type(raised) == "string" and debug.traceback(thread, raised) or raised, 0)
  end
end

--- Runs functions side by side, each as a coroutine in which await() lets the others go on, until all have returned.
-- @return true, or nil and err
function submit:loop(...)
  local threads = {}
  for i = 1, select("#", ...) do
    threads[i] = coroutine.create((select(i, ...)))
  end
  for _, thread in ipairs(threads) do
    submit.resume(thread)
  end
  local count, err = self:drain()
  if not count then
    return nil, err
  end
  for _, thread in ipairs(threads) do
    if coroutine.status(thread) ~= "dead" then
      error("a function of loop() waits for something that is not await()", 2)
    end
  end
  return true
end

return submit
