-- SPDX-License-Identifier: MIT
-- The worker that concurrency_spec.lua kills: each of its handlers notes that it has begun, and waits.
local codepipeline = require "codepipeline"

local worker = assert(codepipeline.worker(nil, {
  concurrency = 3,
  poll_interval = 0.01,
  journal = os.getenv "JOURNAL",
}))
worker:job({ category = "Build", provider = "Builder", version = "1" }, function(job)
  local file <close> = assert(io.open(os.getenv "BEGUN", "a"))
  assert(file:write "."):flush()
  job:sleep(60)
end)
worker:run()
