-- SPDX-License-Identifier: MIT
-- What host.c runs: a worker that says which version of this script took the job. Its journal outlives a reload.
local codepipeline = require "codepipeline"

local VERSION = "1"

local worker = assert(codepipeline.worker(assert(codepipeline.client {}), { journal = os.getenv "JOURNAL" }))

worker:job({ category = "Build", provider = "Embedded", version = "1" }, function(job)
  return { version = VERSION, pipeline = job.pipeline }
end)

return worker
