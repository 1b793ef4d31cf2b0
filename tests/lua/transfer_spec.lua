-- SPDX-License-Identifier: MIT
-- Artifacts on their way, and what a worker is given that it cannot work with; tests/python/test_transfer.py and
-- test_bad_input.py have the same for Python.
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local BUILDER = { category = "Build", provider = "Builder", version = "1" }
local LARGE = 18 << 20 -- comes in two parts

--- Makes the pipeline name, whose Build action is called Make.
local function start(client, name, options)
  local action = helper.action("Make", "Build", "Builder", { "Source" }, options.outputs, options.configuration)
  assert(client:create_pipeline { pipeline = helper.pipeline(name, { action }) })
end

local function quiet(client, options)
  local all = { poll_interval = 0.01, log = function() end }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return assert(codepipeline.worker(client, all))
end

describe("progress", function()
  local path

  before_each(function()
    path = helper.path()
    helper.write(path, ("0123456789abcdef"):rep(LARGE // 16))
  end)

  after_each(function()
    os.remove(path)
  end)

  it("is told of a client's files", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local last, count = nil, 0
      local options = {
        progress = function(...)
          last, count = table.pack(...), count + 1
        end,
      }
      assert(client:upload_file(path, "source", "copy", options))
      assert.same({ LARGE, LARGE, n = 2 }, last)
      count = 0
      assert(client:download_file("source", "copy", path .. "-back", options))
      assert.same({ LARGE, LARGE, n = 2 }, last)
      assert.is_true(count >= 2)
      assert.equal(helper.read(path), helper.read(path .. "-back"))
      os.remove(path .. "-back")
      assert.error_matches(function()
        client:download_file("source", "copy", path, {
          progress = function()
            error "enough"
          end,
        })
      end, "enough")
      assert.error_matches(function()
        client:download_file("source", "copy", path, { progres = print })
      end, 'unknown option "progres"')
      assert.error_matches(function()
        client:download_file("source", "copy", path, { progress = 3 })
      end, "function expected")
    end)
  end)

  it("is told of a job's artifacts, to the worker's function or the handler's", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      assert(client:upload_file(path, "source", "app.zip"))
      local told, own = {}, {}
      local worker <close> = quiet(client, {
        progress = function(job, name, done, total)
          told[#told + 1] = ("%s %s %d %s"):format(job.action, name, done, tostring(total))
        end,
      })
      local instead
      worker:job(BUILDER, function(job)
        if instead then
          job:on_progress(instead)
        end
        assert(job:output():file(assert(job:input():path())))
      end)
      start(client, "one", { outputs = { "Binary" } })
      assert.is_true(assert(worker:step(10)))
      assert.equal(("Make Binary %d %d"):format(LARGE, LARGE), told[#told])
      assert.is_true(table.concat(told, "\n"):find(("Make Source %d %d"):format(LARGE, LARGE), 1, true) ~= nil)
      local before = #told
      instead = function(name, done)
        own[#own + 1] = name .. done
      end
      start(client, "two", { outputs = { "Binary" } })
      assert.is_true(assert(worker:step(10)))
      assert.equal("Binary" .. LARGE, own[#own])
      assert.equal(before, #told)
      instead = function()
        error "this is more than I want"
      end
      start(client, "three", { outputs = { "Binary" } })
      assert.is_true(assert(worker:step(10)))
      assert.matches("more than I want", helper.action_state(client, "three", "Make").errorDetails.message)
    end)
  end)
end)

describe("S3 away", function()
  it("is outlasted by a job for longer than a client tries", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local worker <close> = quiet(client)
      worker:job(BUILDER, function(job)
        emulator:fault { kind = "503", operation = "GetObject", times = 4 }
        assert(job:output():file(assert(job:input():path())))
        emulator:fault { kind = "html", operation = "PutObject", times = 4 }
      end)
      start(client, "p", { outputs = { "Binary" } })
      assert.is_true(assert(worker:step(30)))
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
      emulator:fault { kind = "503", operation = "GetObject", times = 4 }
      local path = helper.path()
      local done, err = client:download_file("source", "app.zip", path)
      assert.is_nil(done)
      assert.equal(503, err.http_status)
    end)
  end)
end)

describe("a job's credentials", function()
  it("are renewed in the middle", function()
    for _, operation in ipairs { "GetObject", "PutObject" } do
      helper.with_emulator(function(emulator, client)
        helper.prepare(emulator, client)
        local worker <close> = quiet(client)
        worker:job(BUILDER, function(job)
          if operation == "GetObject" then
            emulator:fault { kind = "expired-token", operation = operation }
          end
          assert(job:output():file(assert(job:input():path())))
          if operation == "PutObject" then
            emulator:fault { kind = "expired-token", operation = operation }
          end
        end)
        start(client, "p", { outputs = { "Binary" } })
        assert.is_true(assert(worker:step(10)))
        assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
      end)
    end
  end)
end)

--- The assert of a program; luassert's makes a text of an error.
local function must(value, err)
  if not value then
    error(err, 0)
  end
  return value
end

local function fetch(job)
  must(job:input():path())
end

local function unpack(job)
  must(job:input():extract())
end

local function variables(values)
  return function(job)
    return job:succeed { output_variables = values }
  end
end

-- what goes wrong, and the handler; the FailureType; parts of the message
local ROWS = {
  ["the artifact is gone"] = {
    { fault = { kind = "not-found", operation = "GetObject" } },
    fetch,
    "ConfigurationError",
    { 'the input artifact "Source"', "s3://artifacts/", "lifecycle rule", "release the change again" },
  },
  ["the bucket says no"] = {
    { fault = { kind = "access-denied", operation = "GetObject" } },
    unpack,
    "PermissionError",
    { 'the input artifact "Source"', "s3://artifacts/", "policies of the bucket and of its key" },
  },
  ["the bucket says no to the output"] = {
    { fault = { kind = "access-denied", operation = "PutObject" }, outputs = { "Binary" } },
    function(job)
      assert(job:output():write "made")
    end,
    "PermissionError",
    { 'the output artifact "Binary"', "s3://artifacts/", "policies of the bucket and of its key" },
  },
  ["the artifact is no archive"] = {
    { source = ("this is a text, and no archive\n"):rep(100) },
    unpack,
    "ConfigurationError",
    { 'the input artifact "Source"', "neither a zip, a tar nor a tar.gz", "as a file it can be had" },
  },
  ["the user parameters are not JSON"] = {
    { configuration = { UserParameters = "{level: 3}" } },
    function(job)
      return must(job:user_parameters_json())
    end,
    "ConfigurationError",
    { "UserParameters", "JSON" },
  },
  ["an output variable has an illegal name"] = {
    {},
    variables { ["na me"] = "x" },
    "ConfigurationError",
    { 'the output variable "na me"', "A-Z a-z 0-9 @ - _" },
  },
  ["an output variable is no text"] = {
    {},
    variables { size = { 3 } },
    "ConfigurationError",
    { '"size" is not a string' },
  },
  ["there is too much in the output variables"] = {
    {},
    variables { big = ("x"):rep(122880) },
    "ConfigurationError",
    { "over the limit of 122880 bytes", '"big"' },
  },
  ["an output was forgotten"] = {
    { outputs = { "Binary" } },
    function() end,
    "ConfigurationError",
    { 'the output artifact "Binary"', "neither packed nor written" },
  },
}

describe("bad input", function()
  for name, row in pairs(ROWS) do
    it("fails the job, and the worker goes on: " .. name, function()
      local wrong, handler, kind, words = table.unpack(row)
      helper.with_emulator(function(emulator, client)
        helper.prepare(emulator, client)
        if wrong.source then
          local path = helper.path()
          helper.write(path, wrong.source)
          assert(client:upload_file(path, "source", "app.zip"))
          os.remove(path)
        end
        start(client, "bad", wrong)
        local worker <close> = quiet(client)
        worker:job(BUILDER, function(job)
          return handler(job)
        end)
        if wrong.fault then
          emulator:fault(wrong.fault)
        end
        assert.is_true(assert(worker:step(10)))
        local details = helper.action_state(client, "bad", "Make").errorDetails
        assert.equal(kind, details.code)
        for _, word in ipairs(words) do
          assert(details.message:find(word, 1, true), ("%q is not in %q"):format(word, details.message))
        end
        handler = function()
          return { fine = "yes" }
        end
        start(client, "good", {})
        assert.is_true(assert(worker:step(10)))
        assert.equal("Succeeded", helper.action_state(client, "good", "Make").status)
      end)
    end)
  end

  it("has an error with the path of an output variable", function()
    helper.with_emulator(function(_, client)
      local job <close> = assert(client:job(codepipeline.sample_event {}))
      for variable, path in pairs { ["na me"] = 'outputVariables["na me"]', size = "outputVariables.size" } do
        job:succeed { output_variables = { [variable] = variable == "size" and 3 or "x" } }
        local name, err = job:report()
        assert.is_nil(name)
        assert.equal(path, err.path)
      end
    end)
  end)

  it("of an action type that does not exist leaves the others alone", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local logged = {}
      local worker <close> = quiet(client, {
        log = function(_, message)
          logged[#logged + 1] = message
        end,
      })
      worker:job({ category = "Build", provider = "Typo" }, print)
      worker:job(BUILDER, function() end)
      start(client, "p", {})
      assert.is_true(assert(worker:step(10)))
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
      assert.is_false(worker:step(0.2)) -- what a poll that brought nothing has to say
      assert.matches("the action type Build/Typo/1 does not exist in us%-east%-1; create it", table.concat(logged))
    end)
  end)
end)
