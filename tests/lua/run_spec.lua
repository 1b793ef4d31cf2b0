-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local QUICK = { poll_interval = 0.01 }

local function gate()
  return helper.action("Sign", "Approval", "Manual", {}, {}, {
    CustomData = "look twice",
    ExternalEntityLink = "https://review.example/1",
  })
end

local function build()
  return helper.action("Make", "Build", "Builder", { "Source" })
end

--- Runs body(run, client) with the run that making the pipeline "site" of this action starts.
local function with_run(action, body, options)
  helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    local pipeline = helper.pipeline("site", { action })
    for key, value in pairs(options or {}) do
      pipeline[key] = value
    end
    assert(client:create_pipeline { pipeline = pipeline })
    local run <close> = assert(client:run("site", nil, { poll_interval = 0.01, unclaimed_after = 0.001 }))
    body(run, client)
  end)
end

local function work(client, failure)
  local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01, log = function() end }))
  worker:job({ category = "Build", provider = "Builder", version = "1" }, function()
    if failure then
      error(failure, 0)
    end
  end)
  assert.is_true(assert(worker:step(10)))
end

local function told(run, timeout)
  local lines = {}
  for event in run:follow { timeout = timeout } do
    lines[#lines + 1] = ("%s %s"):format(event.kind, event)
  end
  return lines
end

describe("a run", function()
  it("is told step by step to a program with a loop of its own, which never waits", function()
    with_run(build(), function(run, client)
      local kinds, due, event = {}
      repeat
        event, due = run:step()
        kinds[#kinds + 1] = event and event.kind or nil
      until not event
      assert.same({ "run", "stage", "action", "action", "stage", "stage", "action" }, kinds)
      assert.is_true(event == false and due > 0)
      work(client)
      kinds = {}
      repeat
        event, due = run:step()
        kinds[#kinds + 1] = event and event.kind or nil
      until event == false and due == 0
      assert.same({ "action", "stage", "end" }, kinds)
    end)
  end)

  it("is told from start to success, each thing once and in order", function()
    with_run(build(), function(run, client)
      local lines = told(run, 1)
      lines[4] = lines[4]:gsub(": Amazon.*", "")
      assert.same({
        "run site: InProgress",
        "stage Source: InProgress",
        "action Source/Fetch: InProgress",
        "action Source/Fetch: Succeeded",
        "stage Source: Succeeded",
        "stage Make: InProgress",
        "action Make/Make: InProgress",
      }, lines)
      work(client)
      assert.same({ "action Make/Make: Succeeded", "stage Make: Succeeded", "end site: Succeeded" }, told(run))
      local outcome = assert(run:wait())
      assert.is_true(outcome.succeeded)
      assert.equal("Succeeded", tostring(outcome))
      assert.equal("Succeeded", run:status())
      assert.same({}, assert(outcome:explanation()).findings)
      assert.equal("site", run.pipeline)
      assert.matches(run.id, tostring(run), 1, true)
    end)
  end)

  it("is started with variables, once for one token", function()
    with_run(gate(), function(_, client)
      local options = { variables = { tag = "v2" }, client_request_token = "once", poll_interval = 0.01 }
      local first, second = assert(client:start("site", options)), assert(client:start("site", options))
      assert.equal(first.id, second.id)
      local answer = assert(client:get_pipeline_execution { pipelineName = "site", pipelineExecutionId = first.id })
      assert.same({ { name = "tag", resolvedValue = "v2" } }, answer.pipelineExecution.variables)
    end, { pipelineType = "V2", variables = { { name = "tag", defaultValue = "v1" } } })
  end)

  it("that failed is explained and retried", function()
    with_run(build(), function(run, client)
      work(client, "it broke")
      local outcome = assert(run:wait { timeout = 10 })
      assert.equal("Failed", outcome.status)
      assert.is_false(outcome.succeeded)
      local explanation = assert(outcome:explanation())
      local finding = explanation.findings[1]
      assert.equal("failed_action", finding.kind)
      assert.equal("Make", finding.action)
      assert.equal("JobFailed", finding.code)
      assert.matches("it broke", explanation.summary, 1, true)
      assert.matches("check: ", tostring(explanation), 1, true)
      local done, err = run:retry "Nowhere"
      assert.is_nil(done)
      assert.equal("StageNotFoundException", err.code)
      assert(run:retry "Make")
      work(client)
      assert.is_true(assert(run:wait { timeout = 10 }).succeeded)
    end)
  end)

  it("goes back to the one that was good, or to the one that is named", function()
    with_run(build(), function(first, client)
      work(client)
      assert(assert(first:wait()).succeeded)
      local none, err = first:rollback "Make"
      assert.is_nil(none)
      assert.equal("STATE", err.status)
      local bad = assert(client:start("site", QUICK))
      work(client, "it is broken")
      assert.equal("Failed", assert(bad:wait()).status)
      for _, target in ipairs { false, first, first.id } do
        local back = assert(bad:rollback("Make", target or nil))
        work(client)
        assert(assert(back:wait()).succeeded)
        local made = assert(client:get_pipeline_execution { pipelineName = "site", pipelineExecutionId = back.id })
        assert.equal(first.id, made.pipelineExecution.rollbackMetadata.rollbackTargetPipelineExecutionId)
      end
    end, { pipelineType = "V2" })
  end)

  it("that was stopped says why", function()
    with_run(gate(), function(run)
      assert(run:stop("wrong branch", { abandon = true }))
      local outcome = assert(run:wait { timeout = 10 })
      assert.equal("Stopped", outcome.status)
      assert.matches("wrong branch", outcome:explanation().summary, 1, true)
    end)
  end)

  it("that was superseded names the newer one", function()
    with_run(build(), function(_, client)
      local second, third = assert(client:start("site", QUICK)), assert(client:start("site", QUICK))
      local outcome = assert(second:wait { timeout = 10 })
      assert.equal("Superseded", outcome.status)
      assert.equal(third.id, outcome:explanation().findings[1].execution_id)
    end)
  end)

  it("tells a disabled transition, with its reason", function()
    with_run(build(), function(run, client)
      work(client)
      assert(run:wait { timeout = 10 })
      assert(client:disable_stage_transition {
        pipelineName = "site",
        stageName = "Make",
        transitionType = "Inbound",
        reason = "freeze",
      })
      local held = assert(client:start("site", QUICK))
      local lines = told(held, 1)
      assert.equal("transition Make: transition disabled: freeze", lines[#lines])
      assert.equal("disabled_transition", held:explain().findings[1].kind)
    end)
  end)

  it("says what it waited for when the time is over", function()
    with_run(gate(), function(run)
      local outcome, err = run:wait { timeout = 0.05 }
      assert.is_nil(outcome)
      assert.equal("TIMEOUT", err.status)
      assert.matches('it waits for the approval "Sign" of stage "Sign": look twice', err.message, 1, true)
    end)
  end)

  it("refuses what is not there, and misuse", function()
    with_run(gate(), function(run, client)
      local none, err = client:start "nothing"
      assert.is_nil(none)
      assert.equal("PipelineNotFoundException", err.code)
      none, err = client:run("site", "12345678-1234-1234-1234-123456789012")
      assert.is_nil(none)
      assert.equal("PipelineExecutionNotFoundException", err.code)
      none, err = run:approve("Nowhere", "Sign")
      assert.is_nil(none)
      assert.equal("stage", err.path)
      assert.error_matches(function()
        client:start("site", { variable = {} })
      end, 'unknown option "variable"')
      assert.error_matches(function()
        client:start("site", { variables = "tag" })
      end, "variables: expected a table")
      assert.error_matches(function()
        run:wait { timeout = -1 }
      end, "not a duration")
      run:close()
      assert.error_matches(function()
        run:status()
      end, "the run is closed")
    end)
  end)

  it("lets an interrupt through while it waits", function()
    with_run(gate(), function(run)
      local begin = os.time()
      debug.sethook(function()
        if debug.getinfo(2, "S").what == "C" and os.time() > begin then
          debug.sethook()
          error("interrupted!", 0)
        end
      end, "c")
      local fine, err = pcall(run.wait, run)
      debug.sethook()
      assert.is_false(fine)
      assert.equal("interrupted!", err)
    end)
  end)
end)

describe("an approval", function()
  it("is listed and given", function()
    with_run(gate(), function(run, client)
      local list = assert(client:approvals())
      assert.equal(1, #list)
      local approval = list[1]
      assert.equal("site", approval.pipeline)
      assert.equal("Sign", approval.action)
      assert.equal(run.id, approval.execution_id)
      assert.equal("look twice", approval.message)
      assert.equal("https://review.example/1", approval.url)
      assert(approval:approve "fine")
      assert.is_true(assert(run:wait { timeout = 10 }).succeeded)
      assert.same({}, assert(client:approvals "site"))
      local done, err = run:reject("Sign", "Sign")
      assert.is_nil(done)
      assert.equal("STATE", err.status)
    end)
  end)

  it("that is rejected fails the run", function()
    with_run(gate(), function(run)
      assert(run:reject("Sign", "Sign", "not like this"))
      local outcome = assert(run:wait { timeout = 10 })
      assert.equal("Failed", outcome.status)
      assert.matches("was rejected: not like this", outcome:explanation().summary, 1, true)
    end)
  end)

  it("of a newer run is never given", function()
    with_run(gate(), function(older, client)
      local newer = assert(client:start("site", QUICK))
      local done, err = older:approve("Sign", "Sign")
      assert.is_nil(done)
      assert.equal("STATE", err.status)
      assert.matches(newer.id, err.message, 1, true)
      assert.equal("InProgress", newer:status())
      assert(newer:approve("Sign", "Sign"))
      assert.is_true(assert(newer:wait { timeout = 10 }).succeeded)
    end, { pipelineType = "V2", executionMode = "PARALLEL" })
  end)
end)
