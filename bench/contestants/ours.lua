-- SPDX-License-Identifier: MIT
-- ours.lua once | peak | calls OPERATION:COUNT... | work COUNT | idle: our Lua module.

local codepipeline = require "codepipeline"

local params = {
  ListPipelines = {},
  GetPipelineState = { name = "service-00-release" },
  ListActionExecutions = { pipelineName = "service-00-release", maxResults = 100 },
}

local modes = {}

function modes.once()
  local client = assert(codepipeline.client())
  assert(#assert(client:list_pipelines()).pipelines == 10)
  client:close()
end

local function print_memory(of)
  for line in io.lines "/proc/self/status" do
    local kb = line:match("^" .. of .. ":%s+(%d+)")
    if kb then
      print(('{"kb": %s}'):format(kb))
    end
  end
end

-- Before the exit: what libraries tidy up there is not what a program has to live with.
function modes.peak()
  modes.once()
  print_memory "VmHWM"
end

function modes.calls(...)
  local client = assert(codepipeline.client())
  for _, item in ipairs { ... } do
    local operation, count = item:match "(%a+):(%d+)"
    local method = client[operation:gsub("%u", "_%0"):lower():sub(2)]
    for _ = 1, 50 do
      assert(method(client, params[operation]))
    end
    local begin = os.clock()
    for _ = 1, count do
      assert(method(client, params[operation]))
    end
    print(('{"op": "%s", "cpu_us": %.2f}'):format(operation, (os.clock() - begin) / count * 1e6))
  end
end

local function new_worker(concurrency)
  return assert(codepipeline.worker(assert(codepipeline.client()), { poll_interval = 0.1, concurrency = concurrency }))
end

local kind = { category = "Build", provider = "Bench", version = "1" }

function modes.work(count)
  local worker, left = new_worker(8), tonumber(count)
  worker:job(kind, function()
    left = left - 1
    if left == 0 then
      worker:stop()
    end
  end)
  assert(worker:run())
end

-- A worker that polls and finds nothing.
function modes.idle()
  local worker = new_worker()
  worker:job(kind, error)
  for _ = 1, 5 do
    worker:step(0.1)
  end
  print_memory "VmRSS"
  worker:close()
end

modes[arg[1]](table.unpack(arg, 2))
