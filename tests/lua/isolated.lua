-- SPDX-License-Identifier: MIT
-- The program of isolation_spec.lua: it is run for one job by the worker there, whose number it takes.
local codepipeline = require "codepipeline"

local client = assert(codepipeline.client { region = "us-east-1" })
local workers = {}
for i = 1, tonumber(os.getenv "CODEPIPELINE_WORKER") do
  workers[i] = assert(codepipeline.worker(client, { journal = "/no/such/folder/jobs.db" })) -- idle: opens nothing
end

local handlers = {}

function handlers.build(job)
  local folder = assert(job:input("Source"):extract())
  local file <close> = assert(io.open(folder .. "/main.txt"))
  assert(job:output("Binary"):write "made")
  local digest = assert(job:output():digest())
  assert(not job:cancelled() and job:work_dir())
  return { text = file:read "a", target = job.configuration.Target, digest = digest:sub(1, 8) }
end

function handlers.again(job)
  return not job.state and job:later({ n = 1 }) or job:succeed { summary = "n is " .. job.state.n }
end

function handlers.times(job)
  assert(job:wait_cancelled(0.01) == false)
  local left = job:remaining()
  return { fine = tostring(left > 0 and left <= 60) }
end

function handlers.raises()
  error("boom", 0)
end

function handlers.refused()
  return { ["not this"] = "x" }
end

function handlers.missing(job)
  local path, err = job.core:input_path "None"
  assert(not path and err.status == "INVALID")
  error(err)
end

function handlers.loops()
  while true do
  end
end

--- Waits until as many as it is told have come to the same folder.
function handlers.meets(job)
  local folder, wanted = os.getenv "MEET", tonumber(os.getenv "MEET_COUNT")
  assert(job:input():path())
  assert(io.open(("%s/%s"):format(folder, job.id), "w")):close()
  for _ = 1, 1000 do
    local count = 0
    for _ in assert(io.popen(("ls '%s'"):format(folder))):lines() do
      count = count + 1
    end
    if count == wanted then
      return
    end
    assert(job:sleep(0.02) == false)
  end
  error "nobody came"
end

function handlers.hangs(job)
  if job.pipeline == "b" then
    job:input():path()
  end
  job:sleep(60)
end

function handlers.dies()
  os.exit(9)
end

function handlers.hooked(job)
  if job.state == nil then
    error("not yet", 0)
  end
  return job:succeed()
end

function handlers.instead()
  error "not called"
end

function handlers.broken() end

local worker = workers[#workers]
if arg[1] == "hooked" then
  local told = {}
  local router = codepipeline.router()
  worker:before(function()
    told[1] = "worker"
  end)
  router:before(function()
    told[2] = "router"
  end)
  router:after(function(_, outcome)
    told[3] = "router " .. outcome.kind
  end)
  worker:after(function(_, outcome)
    told[4] = "worker " .. outcome.kind
    outcome.result = { summary = table.concat(told, ", ") }
  end)
  router:on_error(function(job, err)
    return job:later(err)
  end)
  router:job({ category = "Build", provider = "Builder", isolation = "process" }, handlers.hooked)
  worker:include(router)
elseif arg[1] == "instead" then
  worker:before(function(job)
    return { instead = job.action }
  end)
elseif arg[1] == "broken" then
  worker:after(function()
    error("the hook is broken", 0)
  end)
end
if arg[1] ~= "hooked" then
  worker:job({ category = "Build", provider = "Builder", isolation = "process" }, handlers[arg[1]])
end
worker:run()
error "run() does not come back in a process of a job"
