-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

--- Calls body(worker) with a worker whose client points at a port where nobody is.
local function with_worker(body)
  local nowhere = "http://127.0.0.1:1"
  local client <close> = assert(codepipeline.client {
    region = "us-east-1",
    endpoint_url = nowhere,
    s3_endpoint_url = nowhere,
    max_attempts = 1,
  })
  local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
  return body(worker)
end

describe("worker:test", function()
  it("takes folders and gives folders", function()
    with_worker(function(worker)
      local folder = helper.path()
      assert(os.execute(("mkdir -p '%s/src' '%s/out'"):format(folder, folder)))
      helper.write(folder .. "/src/main.txt", "hello")
      local done = worker:test(function(job)
        local made = assert(job:work_dir()) .. "/copy.txt"
        helper.write(made, helper.read(assert(job:input():extract()) .. "/main.txt") .. job.configuration.Target)
        assert(job:output():pack(made))
        return { a = "b" }
      end, {
        inputs = { Source = folder .. "/src" },
        outputs = { "Binary" },
        configuration = { Target = "!" },
        to = folder .. "/out",
      })
      assert.equal("succeeded", done.outcome)
      assert.same({ a = "b" }, done.variables)
      assert.equal("hello!", helper.read(done.outputs.Binary .. "/copy.txt"))
      os.execute(("rm -r '%s'"):format(folder))
    end)
  end)

  it("steps through continuations", function()
    with_worker(function(worker)
      local first = worker:test(function(job)
        local step = job.state or 0
        return step < 2 and job:later(step + 1, { after = 3600 }) or { steps = step }
      end)
      assert.equal("continued", first.outcome)
      assert.equal(1, first.state)
      local last = first.resume().resume()
      assert.same({ steps = "2" }, last.variables)
      assert.has_error(last.resume, "the job is over: it succeeded")
    end)
  end)

  it("fails what the service would refuse, and tells the type", function()
    with_worker(function(worker)
      local done = worker:test(function()
        return { ["not a name"] = "x" }
      end)
      assert.equal("failed", done.outcome)
      assert.equal("ConfigurationError", done.failure_type)
      assert.matches("not a name", done.message, 1, true)
      done = worker:test(function()
        error(codepipeline.failure("RevisionOutOfSync", "too late"))
      end)
      assert.equal("RevisionOutOfSync", done.failure_type)
      assert.equal("too late", done.message)
      assert.matches(
        "Binary",
        worker:test(function() end, {
          outputs = { "Binary" },
        }).message
      )
    end)
  end)
end)
