-- SPDX-License-Identifier: MIT
--- What stands between a worker and a handler: routers, hooks, failures with a type.
--
--     local router = codepipeline.router()
--     router:before(function(job) print("begun", job.id) end)
--     router:job({ category = "Build", provider = "MyBuilder" }, function(job) ... end)
--     worker:include(router)
--
-- The hooks of a worker and of a router, each a function:
--
--   before(job)         before the handler; the worker's first, then the router's. What it answers, if not nil, is the
--                       job's answer, and the handler is not called.
--   after(job, outcome) the outcome is known, also that of a failure, and not sent yet; the router's first.
--                       outcome.kind is "succeed", "fail" or "later". What it raises fails the job.
--   on_error(job, err)  the handler, or a hook before it, raised; the router's first. The first answer that is not nil
--                       is the job's, in place of the failure.

local check = require "codepipeline.check"

local handlers = {}

local HOOKS = { "before", "after", "on_error" }

--- Gives a class the methods before, after and on_error, which also work for handlers registered earlier.
function handlers.give_hooks(class)
  for _, name in ipairs(HOOKS) do
    class[name] = function(self, hook)
      check.type(hook, "a hook", "function")
      table.insert(self.hooks[name], hook)
      return self
    end
  end
end

function handlers.new_hooks()
  return { before = {}, after = {}, on_error = {} }
end

local Router = {}
Router.__index = Router
handlers.give_hooks(Router)

--- Arguments as for worker:job(), which looks at them when the router is included.
function Router:job(type, handler)
  check.type(type, "an action type", "table")
  check.type(handler, "a handler", "function")
  table.insert(self.routes, { type = type, handler = handler })
  return self
end

--- As worker:invoke().
function Router:invoke(handler)
  check.type(handler, "a handler", "function")
  table.insert(self.routes, { handler = handler })
  return self
end

check.methods(Router, "router")

function handlers.router()
  return setmetatable({ routes = {}, hooks = handlers.new_hooks() }, Router)
end

function handlers.is_router(value)
  return getmetatable(value) == Router
end

--- The fields of a table that people can read, as one text; nil: there are none.
local function fields(value)
  local told = {}
  for key, field in pairs(value) do
    local kind = type(field)
    if type(key) == "string" and (kind == "string" or kind == "number" or kind == "boolean") then
      told[#told + 1] = ("%s = %s"):format(key, field)
    end
  end
  table.sort(told)
  return told[1] and table.concat(told, ", ")
end

--- What a raised value says to people: a table without __tostring too, as far as it has anything to read.
function handlers.words(err)
  local meta = debug.getmetatable(err)
  if err == nil then
    return ""
  elseif type(err) == "string" or type(err) == "number" or type(meta) == "table" and meta.__tostring then
    return tostring(err)
  elseif type(err) ~= "table" then
    return ("a %s was raised, which says nothing"):format(type(err))
  end
  local message = err.message or err[1]
  if type(message) == "string" or type(message) == "number" then
    return tostring(message)
  end
  return fields(err) or "a table was raised that says nothing: give it a message, or __tostring"
end

--- For xpcall: what was raised, and where.
function handlers.traced(err)
  return { err = err, trace = debug.traceback(handlers.words(err), 2) }
end

--- The first answer of these hooks that is not nil.
local function first(groups, name, from, to, step, ...)
  for i = from, to, step do
    for _, hook in ipairs(groups[i][name]) do
      local value = hook(...)
      if value ~= nil then
        return value
      end
    end
  end
end

--- The handler with the hooks around it, as a function that answers an outcome.
-- @param groups hooks, the outermost first
-- @param jobs has outcome_of() and failure_of(), what the worker makes of a value and of an error
-- @param warn function(job, message)
function handlers.bind(handler, groups, jobs, warn)
  local function attempt(job)
    local value, err = first(groups, "before", 1, #groups, 1, job), nil
    if value == nil then
      value, err = handler(job)
    end
    return jobs.outcome_of(job, value, err)
  end
  return function(job)
    local fine, outcome = xpcall(attempt, handlers.traced, job)
    if not fine then
      local raised = outcome
      local value = first(groups, "on_error", #groups, 1, -1, job, raised.err)
      warn(job, raised.trace)
      outcome = value == nil and jobs.failure_of(raised.err) or jobs.outcome_of(job, value)
    end
    for i = #groups, 1, -1 do
      for _, hook in ipairs(groups[i].after) do
        hook(job, outcome)
      end
    end
    job.outcome = outcome
    return outcome
  end
end

local TYPES = {}
for _, name in ipairs {
  "JobFailed",
  "ConfigurationError",
  "PermissionError",
  "RevisionOutOfSync",
  "RevisionUnavailable",
  "SystemUnavailable",
} do
  TYPES[name] = true
end

--- Whether there is such a failure type.
function handlers.is_type(type)
  return TYPES[type] == true
end

--- A failure type, or an error.
function handlers.check_type(type)
  if not TYPES[type] then
    check.misuse("there is no failure type %q", tostring(type))
  end
end

local Failure = { __name = "codepipeline.Failure" }
Failure.__index = Failure

function Failure:__tostring()
  return self.message
end

--- See codepipeline.failure in init.lua.
function handlers.failure(type, message, external_execution_id)
  handlers.check_type(type)
  return setmetatable({
    failure_type = type,
    message = tostring(message),
    external_execution_id = external_execution_id,
  }, Failure)
end

return handlers
