-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"

local CASES = core.decode(helper.read "tests/vectors/events/cases.json")
local BUILDER = { category = "Build", owner = "Custom", provider = "Builder", version = "1" }

local function silent() end

describe("an event", function()
  for _, case in ipairs(CASES.refused) do
    it(("is refused with the path of the fault: %s"):format(case.name), function()
      local event, err = codepipeline.event(case.text or core.encode(case.event))
      assert.is_nil(event)
      assert.equal("INVALID", err.status)
      assert.equal("ConfigurationError", err.failure_type)
      assert.equal(case.path, err.path or "")
      assert.is_truthy(err.message:find(case.message, 1, true))
    end)
  end

  for _, case in ipairs(CASES.accepted) do
    it(("is read whatever it lacks: %s"):format(case.name), function()
      for _, form in ipairs { core.encode(case.event), case.event } do
        local event = assert(codepipeline.event(form))
        assert.equal(case.id, event.id)
        assert.equal(case.id, event.correlation_id)
        for _, name in ipairs { "account_id", "function_name", "user_parameters", "continuation_token" } do
          assert.equal(case[name], event[name])
        end
        assert.equal(case.encryption_key, event.encryption_key)
        assert.same(case.inputs, event.input_artifacts)
        assert.same(case.outputs, event.output_artifacts)
        assert.equal(case.access_key_id, event.credentials and event.credentials.access_key_id)
      end
    end)
  end

  it("does not show its secrets", function()
    local event = assert(codepipeline.event(CASES.accepted[3].event))
    assert.equal("canary-secret", event.credentials.secret_access_key)
    assert.is_nil(tostring(event):find "canary")
    assert.is_nil(tostring(event.credentials):find "canary")
  end)

  it("has its user parameters decoded when asked", function()
    local function parameters(text)
      local event = assert(codepipeline.event(codepipeline.sample_event { user_parameters = text }))
      return event:user_parameters_json()
    end
    assert.same({ stack = "s" }, parameters '{"stack":"s"}')
    assert.is_nil(parameters(nil))
    local value, err = parameters "some-input-such-as-a-URL"
    assert.is_nil(value)
    assert.equal("ConfigurationError", err.failure_type)
    assert.matches("not JSON", tostring(err))
  end)

  it("is text or a table", function()
    assert.error_matches(function()
      codepipeline.event(5)
    end, "not a number")
  end)
end)

describe("a sample event", function()
  it("has what was asked for", function()
    local sample = assert(codepipeline.sample_event { account_id = "210987654321", encryption_key = "arn", id = "j" })
    local event = assert(codepipeline.event(sample))
    assert.equal("210987654321", event.account_id)
    assert.equal("arn", event.encryption_key)
    assert.equal("j", event.id)
    assert.equal("example-bucket", event.input_artifacts[1].bucket)
    assert.is_nil(event.continuation_token)
    assert.error_matches(function()
      codepipeline.sample_event { colour = "red" }
    end, "colour")
  end)

  it("is what the command prints", function()
    local command = ("lua5.4 lua/bin/codepipeline-event --user-parameters '%s'"):format '{"a":1}'
    local pipe = assert(io.popen(command))
    local text = pipe:read "a"
    assert.is_true(pipe:close())
    assert.same(assert(codepipeline.sample_event { user_parameters = '{"a":1}' }), core.decode(text))
  end)
end)

--- Runs body with take, which turns the next job of the pipeline's action into an event, and with the client.
local function with_events(outputs, body)
  helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local action = helper.action("Make", "Build", "Builder", { "Source" }, outputs)
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    local function take()
      local job
      repeat
        job = assert(client:poll_for_jobs { actionTypeId = BUILDER }).jobs[1]
      until job
      assert(client:acknowledge_job { jobId = job.id, nonce = job.nonce })
      job.data.actionTypeId, job.data.pipelineContext = nil, nil
      return { ["CodePipeline.job"] = { id = job.id, accountId = job.accountId, data = job.data } }
    end
    body(take, client)
  end)
end

local function worker_for(client, handler)
  return assert(codepipeline.worker(client, { log = silent })):invoke(handler)
end

local function state_of(client)
  return helper.action_state(client, "p", "Make")
end

describe("a worker as a Lambda function", function()
  it("reports success, with outputs and output variables", function()
    with_events({ "Binary" }, function(take, client)
      local worker <close> = worker_for(client, function(job)
        assert(job:input("Source"):extract())
        assert(job:output():write "binary")
        assert.is_nil(job.pipeline)
        return { digest = assert(job:output():digest()) }
      end)
      assert.equal("succeeded", worker:lambda_handler(core.encode(take()), { deadline = os.time() + 60 }))
      assert.equal("Succeeded", state_of(client).status)
    end)
  end)

  it("reports what a handler raises, and returns", function()
    with_events(nil, function(take, client)
      local worker <close> = worker_for(client, function()
        error "no such stack"
      end)
      assert.equal("failed", worker:lambda_handler(take()))
      assert.matches("no such stack", state_of(client).errorDetails.message)
    end)
  end)

  it("takes the state of a continuation along", function()
    with_events(nil, function(take, client)
      local seen = {}
      local worker <close> = worker_for(client, function(job)
        seen[#seen + 1] = job.state or "none"
        return job.state == nil and job:later({ n = 1 }) or nil
      end)
      assert.equal("continued", worker:lambda_handler(take(), { remaining = 60 }))
      assert.equal("succeeded", worker:lambda_handler(take(), { remaining = 60 }))
      assert.same({ "none", { n = 1 } }, seen)
    end)
  end)

  it("puts a continuation off that comes before its time", function()
    with_events(nil, function(take, client)
      local calls = 0
      local worker <close> = worker_for(client, function(job)
        calls = calls + 1
        return job:later(nil, { after = 3600 })
      end)
      assert.equal("continued", worker:lambda_handler(take()))
      assert.equal("continued", worker:lambda_handler(take()))
      assert.equal(1, calls)
    end)
  end)

  it("reports a handler that takes too long before the time is up", function()
    with_events(nil, function(take, client)
      local worker <close> = worker_for(client, function()
        repeat
          local status = state_of(client).status
        until status ~= "InProgress"
      end)
      assert.equal("failed", worker:lambda_handler(take(), { remaining = 60.05, margin = 60 }))
      assert.matches("nearly up", state_of(client).errorDetails.message)
    end)
  end)

  it("fails the job of a malformed event, and answers an error when there is none", function()
    with_events(nil, function(take, client)
      local worker <close> = worker_for(client, function() end)
      local event = take()
      event["CodePipeline.job"].data.inputArtifacts = "none"
      local seen = {}
      client:on("response", function(call)
        seen[call.operation] = true
      end)
      assert.equal("failed", worker:lambda_handler(event))
      local details = state_of(client).errorDetails
      assert.equal("ConfigurationError", details.code)
      assert.matches("^the event is malformed: CodePipeline%.job%.data%.inputArtifacts: ", details.message)
      assert.is_true(seen.PutJobFailureResult)
      local outcome, err = worker:lambda_handler(event) -- its job is over now
      assert.is_nil(outcome)
      assert.equal("InvalidJobStateException", err.code)
      outcome, err = worker:lambda_handler {}
      assert.is_nil(outcome)
      assert.equal("CodePipeline.job", err.path)
    end)
  end)

  it("serves with the handler it polls for when that is the only one", function()
    with_events(nil, function(take, client)
      local worker <close> = assert(codepipeline.worker(client, { log = silent }))
      assert.error_matches(function()
        worker:lambda_handler {}
      end, "no handler")
      worker:job({ category = "Build", provider = "Builder" }, function() end)
      assert.equal("succeeded", worker:lambda_handler(take()))
      worker:job({ category = "Build", provider = "Other" }, function() end)
      assert.error_matches(function()
        worker:lambda_handler {}
      end, "several handlers")
    end)
  end)
end)

describe("a job of an event", function()
  it("is answered by hand", function()
    with_events(nil, function(take, client)
      do
        local job <close> = assert(client:job(assert(codepipeline.event(take()))))
        assert.is_true(job:guard(60))
        assert.equal("continued", assert(job:report(job:later { n = 1 })))
        local again, err = job:report()
        assert.is_nil(again)
        assert.equal("STATE", err.status)
      end
      local job <close> = assert(client:job(take()))
      assert.same({ n = 1 }, job.state)
      assert.equal("succeeded", job:report())
      assert.equal("Succeeded", state_of(client).status)
    end)
  end)

  it("is not made of an event that is malformed", function()
    helper.with_emulator(function(_, client)
      local job, err = client:job '{"CodePipeline.job":{"id":"j"}}'
      assert.is_nil(job)
      assert.equal("CodePipeline.job.data", err.path)
    end)
  end)
end)
