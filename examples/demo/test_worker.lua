-- SPDX-License-Identifier: MIT
-- The demo's Test action: starts the program that the Build action made, and speaks to it. The argument names the
-- journal.

local codepipeline = require "codepipeline"

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read "a"
  assert(pipe:close(), "failed: " .. command)
  return text
end

-- Runs program --port 0 in the background until stop() is called; returns its environment for a client, and stop.
local function start(program, directory)
  local log = directory .. "/emulator.log"
  local pid = output_of(quote(program) .. " --port 0 >" .. quote(log) .. " 2>&1 & echo $!"):match "%d+"
  local environ = {}
  for _ = 1, 100 do
    for line in io.lines(log) do
      local name, value = line:match "^export ([%w_]+)=(.*)$"
      if name then
        environ[name] = value:gsub("[\"']", "")
      end
    end
    if environ.AWS_SECRET_ACCESS_KEY then
      break
    end
    os.execute "sleep 0.05"
  end
  return environ, function()
    os.execute("kill " .. pid)
  end
end

local worker = assert(codepipeline.worker(assert(codepipeline.client()), { poll_interval = 0.1, journal = arg[1] }))

worker:job({ category = "Test", provider = "DemoTester", version = "1" }, function(job)
  local directory = assert(job:input("Binary"):extract())
  local program = directory .. "/" .. job.configuration.Program
  local version = output_of(quote(program) .. " --version"):gsub("%s+$", "")
  print(("  [lua worker]    job %s: testing %s"):format(job.id:sub(1, 8), version))
  io.stdout:flush()

  local environ, stop = start(program, directory)
  local client = assert(codepipeline.client {
    endpoint_url = environ.AWS_ENDPOINT_URL_CODEPIPELINE,
    region = environ.AWS_REGION,
    access_key_id = environ.AWS_ACCESS_KEY_ID,
    secret_access_key = environ.AWS_SECRET_ACCESS_KEY,
  })
  local answer, err = client:list_pipelines {}
  stop()
  if not answer then
    return job:fail("the program does not answer: " .. tostring(err))
  end
  return job:succeed { summary = version .. " started, answered and stopped" }
end)

assert(worker:run())
