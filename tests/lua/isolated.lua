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

function handlers.dies()
  os.exit(9)
end

local worker = workers[#workers]
worker:job({ category = "Build", provider = "Builder", isolation = "process" }, handlers[arg[1]])
worker:run()
error "run() does not come back in a process of a job"
