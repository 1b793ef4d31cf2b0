-- SPDX-License-Identifier: MIT
--- Handlers in processes of their own (isolation = "process").
--
-- The process of a job is the same program once more, with CODEPIPELINE_CHILD in its environment. In it a worker does
-- not poll: its run() gives the one job to the one handler, and ends the process. What the job needs is asked of the
-- worker's process over two pipes, one JSON line there and one back; the job's methods are those of a core.Job.

local core = require "codepipeline.core"

local child = {}

local FROM, TO = "/dev/fd/3", "/dev/fd/4"

local Remote = {}
Remote.__index = Remote

local Failure = {}
Failure.__index = Failure

function Failure.__tostring(err)
  return err.code and ("%s: %s"):format(err.code, err.message) or err.message
end

local function ask(job, what, members)
  local request = members or {}
  request["do"] = what
  local text, problem = core.encode(request)
  if not text then
    return nil, problem
  end
  assert(job.to:write(text, "\n"))
  local answer = assert(core.decode(assert(job.from:read "l", "the worker is gone")))
  if answer.error then
    return nil, setmetatable(answer.error, Failure)
  end
  return answer.value
end

function Remote:texts()
  local texts = {}
  for key, value in pairs(self.told) do
    if type(value) == "string" then
      texts[key] = value
    end
  end
  return texts
end

function Remote:state()
  return self.told.state or false
end

--- The worker's process has it.
function Remote.warning() end

function Remote:configuration()
  return self.told.configuration
end

function Remote:data()
  return self.told.data
end

function Remote:input_names()
  return self.told.inputs
end

function Remote:output_names()
  return self.told.outputs
end

function Remote:action_type()
  return self.told.action_type
end

function Remote:work_dir()
  return ask(self, "work_dir")
end

function Remote:cancelled()
  return ask(self, "cancelled") == true
end

function Remote.set_progress()
  error("artifacts move in the worker's process: give progress to the worker", 3)
end

function Remote:wait_cancelled(seconds)
  local left = seconds
  repeat -- the worker's process answers after a second at most
    local cancelled, err = ask(self, "wait_cancelled", { timeout = left and math.min(left, 1) or 1 })
    if cancelled ~= false then
      return cancelled, err
    end
    left = left and left - 1
  until left and left <= 0
  return false
end

function Remote:remaining()
  local left = ask(self, "remaining")
  return left ~= core.null and left or nil
end

function Remote:input_path(name)
  return ask(self, "input_path", { name = name })
end

function Remote:input_extract(name, directory)
  return ask(self, "input_extract", { name = name, directory = directory })
end

function Remote:output_pack(name, path)
  return ask(self, "output_pack", { name = name, path = path })
end

function Remote:output_file(name, path)
  return ask(self, "output_file", { name = name, path = path })
end

function Remote:output_write(name, bytes)
  local folder, err = self:work_dir()
  if not folder then
    return nil, err
  end
  local path = folder .. "/written"
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes) and file:flush())
  local done, problem = self:output_file(name, path)
  os.remove(path)
  return done, problem
end

function Remote:output_digest(name)
  return ask(self, "output_digest", { name = name })
end

local function answer(job, what, members)
  local done, err = ask(job, what, members)
  job.done = job.done or done ~= nil
  return done, err
end

function Remote:succeed(result)
  return answer(self, "succeed", { result = result })
end

function Remote:fail(message, type, external_execution_id)
  return answer(self, "fail", { message = message, type = type, external_execution_id = external_execution_id })
end

function Remote:later(state, after, result)
  return answer(self, "later", { state = state, after = after, result = result })
end

function Remote:answered()
  return self.done == true
end

--- Its time limit ends the process.
function Remote.expired()
  return false
end

--- The worker's process removes the folder.
function Remote.close() end
Remote.__close = Remote.close

--- The job of this process.
function child.job()
  local from, to = assert(io.open(FROM, "r")), assert(io.open(TO, "w"))
  to:setvbuf "line"
  local told = assert(core.decode(assert(from:read "l", "the worker is gone"))).job
  return setmetatable({ from = from, to = to, told = told }, Remote)
end

--- In place of a core.Worker: counts action types as that does.
function child.idle_worker()
  local count = -1
  local idle = {}
  function idle.add()
    count = count + 1
    return count
  end
  function idle.stop() end
  idle.cancel, idle.close = idle.stop, idle.stop
  function idle.stopping()
    return true
  end
  function idle.tally()
    return { succeeded = 0, failed = 0, continued = 0, unreported = 0 }
  end
  return idle
end

--- Whether this process, which was started for one job, is there for one of the worker of that number.
function child.is_of(number)
  return os.getenv "CODEPIPELINE_WORKER" == tostring(number)
end

--- The command line of this program; nil when it has none.
local function command_line()
  local arguments = _G.arg
  if type(arguments) ~= "table" or not arguments[-1] then
    return nil
  end
  local first, command = -1, {}
  while arguments[first - 1] do
    first = first - 1
  end
  for i = first, #arguments do
    command[#command + 1] = arguments[i]
  end
  return command
end

--- What core.Job's run() takes, made from the options of an action type, which lose what is only for this.
function child.plan(options, number)
  local command = options.command or command_line()
  if not command then
    error('isolation = "process" needs a command: the program that has the handler', 3)
  end
  command = table.move(command, 1, #command, 1, {}) -- what a process was started with must not change
  local plan = { command = command, timeout = options.timeout, environ = { "CODEPIPELINE_WORKER=" .. number } }
  for _, entry in ipairs(options.environ or {}) do
    table.insert(plan.environ, entry)
  end
  for key, value in pairs(options.limits or {}) do
    plan[key] = value
  end
  return plan
end

return child
