-- SPDX-License-Identifier: MIT
-- The worker that tests/python/host.py starts, and gets into trouble; what fault_worker.py is in Python.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"

local third_party = os.getenv "THIRD_PARTY" ~= nil

local function note(run)
  local file <close> = assert(io.open(os.getenv "RUNS", "a"))
  file:setvbuf("full")
  assert(file:write(core.encode(run) .. "\n"))
end

local function build(job)
  local run = { id = job.id, nonce = job.nonce, artifact = "made by " .. job.id }
  run.variables = { job = not third_party and job.id or nil }
  note(run)
  if os.getenv "HANDLER" == "later" then
    return job:later(("s"):rep(5000))
  elseif os.getenv "HANDLER" == "large" then
    local path = job:work_dir() .. "/large"
    local file <close> = assert(io.open(path, "w"))
    assert(file:seek("set", (65 << 20) - 1))
    assert(file:write "e")
    assert(file:close())
    return assert(job:output("Binary"):file(path)) and nil
  end
  local folder = assert(job:input():extract())
  local file <close> = assert(io.open(folder .. "/main.txt"))
  assert(file:read "a" == "hello")
  assert(job:output("Binary"):write(run.artifact))
  return run.variables
end

local client = assert(codepipeline.client {})
local made, problem = codepipeline.worker(client, {
  poll_interval = 0.02,
  journal = os.getenv "JOURNAL",
  work_dir = os.getenv "WORK",
  grace = 20,
  third_party = third_party,
  client_token = third_party and function(customer)
    return "emulator-token-" .. customer
  end or nil,
})
if not made then -- its journal cannot be opened
  io.stderr:write(tostring(problem), "\n")
  os.exit(1, true)
end
local worker <close> = made
local kind = third_party and { category = "Test", provider = "Partner" } or { category = "Build", provider = "Builder" }
worker:job(kind, build)
local done, err = worker:run()
if not done then -- the service said what does not pass
  io.stderr:write(tostring(err), "\n")
end
os.exit(done and worker:summary().unreported == 0, true)
