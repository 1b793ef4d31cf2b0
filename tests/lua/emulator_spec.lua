-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

describe("the emulator", function()
  it("tells its address and the environment that points at it", function()
    local emulator <close> = assert(codepipeline.emulator {})
    assert.matches("^http://127%.0%.0%.1:%d+$", emulator.url)
    assert.equal(emulator.url, emulator.environ.AWS_ENDPOINT_URL_CODEPIPELINE)
    assert.is_string(emulator.environ.AWS_ENDPOINT_URL_S3)
    assert.is_string(emulator.environ.AWS_ACCESS_KEY_ID)
    assert.is_string(emulator.environ.AWS_SECRET_ACCESS_KEY)
    assert.is_string(emulator.environ.AWS_REGION)
  end)

  it("can be closed twice, and says so afterwards", function()
    local emulator = assert(codepipeline.emulator {})
    emulator:close()
    emulator:close()
    assert.error_matches(function()
      return emulator.url
    end, "closed")
  end)

  it("says when its port is in use", function()
    local first <close> = assert(codepipeline.emulator {})
    local port = tonumber(first.url:match ":(%d+)$")
    local second, err = codepipeline.emulator { port = port }
    assert.is_nil(second)
    assert.equal("IO", err.status)
    assert.matches(tostring(port), err.message)
  end)

  it("takes a policy for what is repeated, and no other word", function()
    local none, err = codepipeline.emulator { repeats = "maybe" }
    assert.is_nil(none)
    assert.equal("repeats", err.path)
    local emulator <close> = assert(codepipeline.emulator { repeats = "accept" })
    local client <close> = assert(emulator:client())
    helper.prepare(emulator, client)
    assert(client:create_pipeline {
      pipeline = helper.pipeline("p", { helper.action("Make", "Build", "Builder", { "Source" }) }),
    })
    local id = { category = "Build", owner = "Custom", provider = "Builder", version = "1" }
    local job = assert(client:poll_for_jobs { actionTypeId = id }).jobs[1]
    assert(client:acknowledge_job { jobId = job.id, nonce = job.nonce })
    for _ = 1, 2 do
      assert(client:put_job_success_result { jobId = job.id, executionDetails = { summary = "s" } })
    end
    local _, other = client:put_job_success_result { jobId = job.id }
    assert.equal("InvalidJobStateException", other.code)
    assert.equal("Succeeded", assert(client:acknowledge_job { jobId = job.id, nonce = job.nonce }).status)
  end)

  it("changes that policy while it runs", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local make = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("p", { make }) })
      local id = { category = "Build", owner = "Custom", provider = "Builder", version = "1" }
      local job = assert(client:poll_for_jobs { actionTypeId = id }).jobs[1]
      assert(client:acknowledge_job { jobId = job.id, nonce = job.nonce })
      assert(client:put_job_success_result { jobId = job.id })
      assert.equal("refuse", emulator:repeats())
      local none, err = client:put_job_success_result { jobId = job.id }
      assert.is_nil(none)
      assert.equal("InvalidJobStateException", err.code)
      assert(emulator:set_repeats "accept")
      assert.equal("accept", emulator:repeats())
      assert(client:put_job_success_result { jobId = job.id })
      none, err = emulator:set_repeats "maybe"
      assert.is_nil(none)
      assert.equal("repeats", err.path)
      assert.equal("accept", emulator:repeats())
    end)
  end)

  it("is told of pushes and pull requests, and tells what they start", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local app = helper.action("App", "Source", "CodeStarSourceConnection", {}, { "Source" }, {
        ConnectionArn = "arn:c",
        FullRepositoryId = "acme/site",
        BranchName = "main",
      })
      app.actionTypeId.owner = "AWS"
      local site = helper.pipeline("site", { helper.action("Make", "Build", "Builder", { "Source" }) })
      site.stages[1].actions[1] = app
      site.pipelineType = "V2"
      site.triggers = {
        {
          providerType = "CodeStarSourceConnection",
          gitConfiguration = {
            sourceActionName = "App",
            push = { { filePaths = { includes = { "src/**" } } } },
            pullRequest = { { branches = { includes = { "main" } } } },
          },
        },
      }
      assert(client:create_pipeline { pipeline = site })
      local verdict = assert(emulator:git_push {
        repository = "acme/site",
        branch = "main",
        commit = "4f2a9c",
        message = "mend the door",
        files = { ["src/main.txt"] = "one" },
      })[1]
      assert.equal("its filter push[0] fits", verdict.reason)
      local run = assert(client:get_pipeline_execution {
        pipelineName = "site",
        pipelineExecutionId = verdict.pipelineExecutionId,
      }).pipelineExecution
      assert.equal("4f2a9c", run.artifactRevisions[1].revisionId)
      assert.equal("WebhookV2", run.trigger.triggerType)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      local text
      worker:job({ category = "Build", provider = "Builder" }, function(job)
        text = helper.read(assert(job:input("Source"):extract()) .. "/src/main.txt")
      end)
      assert.is_true(assert(worker:step(10)))
      assert.equal("one", text)
      verdict = assert(emulator:git_push { repository = "acme/site", branch = "main", files = { "README.md" } })[1]
      assert.is_nil(verdict.pipelineExecutionId)
      assert.equal("no filter fits: push[0] by its filePaths", verdict.reason)
      verdict = assert(emulator:pull_request {
        repository = "acme/site",
        event = "OPEN",
        source = "door",
        target = "main",
      })[1]
      assert.is_string(verdict.pipelineExecutionId)
      assert.same({}, assert(emulator:git_push { repository = "acme/other", tag = "v1" }))
    end)
  end)

  it("names what makes no sense in a push and in a pull request", function()
    helper.with_emulator(function(emulator)
      local none, err = emulator:git_push { repository = "acme/site", branch = "a", files = { "../b" } }
      assert.is_nil(none)
      assert.equal("files[0]", err.path)
      none, err = emulator:pull_request { repository = "acme/site", source = "a", target = "b" }
      assert.is_nil(none)
      assert.equal("event", err.path)
      assert.error_matches(function()
        emulator:git_push { repository = "acme/site", event = "OPEN" }
      end, "event")
    end)
  end)

  it("goes on where it stopped when it has a file", function()
    local path = helper.path()
    do
      local emulator <close> = assert(codepipeline.emulator { path = path })
      local client <close> = assert(emulator:client())
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("kept", { action }) })
    end
    local emulator <close> = assert(codepipeline.emulator { path = path })
    local client <close> = assert(emulator:client())
    assert.equal("kept", assert(client:list_pipelines {}).pipelines[1].name)
    os.remove(path)
    os.remove(path .. "-wal")
    os.remove(path .. "-shm")
  end)

  it("has a clock that can be frozen", function()
    helper.with_emulator(function(emulator)
      emulator:freeze()
      local stands = emulator:now()
      assert.is_true(emulator:frozen())
      assert(emulator:advance(3600))
      assert.equal(3600, math.floor(emulator:now() - stands + 0.5))
      emulator:resume()
      assert.is_false(emulator:frozen())
      repeat
        local moved = emulator:now() > stands + 3600
      until moved
    end)
  end)

  local function shorts(events)
    local all = {}
    for event in events do
      local detail = event.detail
      all[#all + 1] = detail.state .. " " .. (detail.action or detail.stage or "pipeline")
    end
    return table.concat(all, ", ")
  end

  it("ends actions that it cannot run as a script says", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local build = helper.action("Make", "Build", "CodeBuild", { "Source" }, { "Binary" }, { ProjectName = "site" })
      build.actionTypeId.owner = "AWS"
      assert(emulator:script { outcome = "succeed", after = 60, summary = "build 17", times = 1 })
      assert(client:create_pipeline { pipeline = helper.pipeline("site", { build }) })
      assert.equal("InProgress", helper.action_state(client, "site", "Make").status)
      assert(emulator:advance(61))
      assert.equal("Succeeded", helper.action_state(client, "site", "Make").status)
      assert.equal("emulated: build 17", helper.action_state(client, "site", "Make").summary)
      local done, err = emulator:script { outcome = "succeed", output_variables = { digest = 1 } }
      assert.is_nil(done)
      assert.equal("output_variables.digest", err.path)
    end)
  end)

  it("calls a function that is served here, and tells when nobody calls", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      worker:invoke(function(job)
        if not job.state then
          return job:later "begun"
        end
        return { state = job.state }
      end)
      local function serve()
        return emulator:serve("check", function(event, options)
          return worker:lambda_handler(event, options)
        end)
      end
      assert.is_false(serve())
      local check = helper.action("Check", "Invoke", "Lambda", {}, {}, { FunctionName = "check" })
      check.actionTypeId.owner = "AWS"
      assert(client:create_pipeline { pipeline = helper.pipeline("site", { check }) })
      assert.is_true(serve())
      assert.equal("InProgress", helper.action_state(client, "site", "Check").status)
      assert.is_false(serve())
      assert(emulator:advance(31))
      assert.is_true(serve())
      assert.equal("Succeeded", helper.action_state(client, "site", "Check").status)
      local done, err = emulator:serve("no name", function() end)
      assert.is_nil(done)
      assert.equal("name", err.path)
    end)
  end)

  it("serves a page when it is asked to", function()
    for _, ui in ipairs { true, false } do
      local emulator <close> = assert(codepipeline.emulator { ui = ui })
      local command = ("env -u LD_PRELOAD curl -s -o /dev/null -w '%%{http_code}' %s/_emulator/"):format(emulator.url)
      local told <close> = assert(io.popen(command))
      assert.equal(ui and "200" or "404", told:read "a")
    end
  end)

  it("tells what happens as events", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local events = emulator:events()
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("told", { action }) })
      local source = "STARTED pipeline, STARTED Source, STARTED Fetch, SUCCEEDED Fetch, SUCCEEDED Source"
      assert.equal(source .. ", STARTED Make, STARTED Make", shorts(events))
      local id = assert(client:list_pipeline_executions { pipelineName = "told" }).pipelineExecutionSummaries[1]
      assert(client:stop_pipeline_execution {
        pipelineName = "told",
        pipelineExecutionId = id.pipelineExecutionId,
        abandon = true,
      })
      assert.equal("STOPPING pipeline, STOPPING Make, ABANDONED Make, STOPPED Make, STOPPED pipeline", shorts(events))
      local first = emulator:events { timeout = 1 }()
      assert.equal("CodePipeline Pipeline Execution State Change", first["detail-type"])
      assert.equal("arn:aws:codepipeline:us-east-1:123456789012:told", first.resources[1])
      assert.equal(1, first.detail["pipeline-execution-attempt"])
      emulator:close()
      assert.equal("", shorts(events))
    end)
  end)

  -- The paths of wanted that got has not, or has as something else.
  local function differs(wanted, got, path)
    if type(wanted) ~= type(got) then
      return path
    elseif type(wanted) == "table" then
      for key, value in pairs(wanted) do
        local at = differs(value, got[key], path .. "." .. key)
        if at then
          return at
        end
      end
    end
  end

  it("tells events that have all that the service's examples have", function()
    local folder = (os.getenv "SUITES" or "../shared/suites") .. "/payloads/eventbridge-events/"
    local name = folder .. "userguide.detect-state-changes-cloudwatch-events.%d.json"
    local file = io.open(name:format(0))
    if not file then
      pending("no third-party examples in " .. folder)
      return
    end
    file:close()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" }, { "Made" })
      assert(client:create_pipeline { pipeline = helper.pipeline("told", { action }) })
      local function job()
        local offered = assert(client:poll_for_jobs { actionTypeId = action.actionTypeId }).jobs[1]
        assert(client:acknowledge_job { jobId = offered.id, nonce = offered.nonce })
        return offered.id
      end
      assert(client:put_job_success_result { jobId = job() })
      assert(client:start_pipeline_execution { name = "told" })
      assert(client:put_job_failure_result { jobId = job(), failureDetails = { type = "JobFailed", message = "no" } })
      local told = {}
      for event in emulator:events() do
        local kind = event["detail-type"] .. event.detail.state
        told[kind] = told[kind] or {}
        table.insert(told[kind], event)
      end
      for _, number in ipairs { 0, 3, 5, 13 } do
        local wanted = assert(require("codepipeline.core").decode(helper.read(name:format(number))))
        -- who ran it has no page to link to here, and said nothing but that it failed
        local result = wanted.detail["execution-result"]
        if result then
          result["external-execution-url"], result["external-execution-id"] = nil, nil
        end
        local missing = "no such event"
        for _, event in ipairs(told[wanted["detail-type"] .. wanted.detail.state] or {}) do
          missing = missing and differs(wanted, event, "")
        end
        assert.is_nil(missing, number)
      end
    end)
  end)

  it("gives its state away and goes on from it", function()
    local text, decoded, job, nonce
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" })
      assert(client:create_pipeline { pipeline = helper.pipeline("kept", { action }) })
      local offered = assert(client:poll_for_jobs { actionTypeId = action.actionTypeId }).jobs[1]
      job, nonce = offered.id, offered.nonce
      text = assert(emulator:export())
      decoded = assert(emulator:export { decoded = true })
      assert.is_nil(assert(emulator:export { objects = false, decoded = true }).objects)
      local bad, err = emulator:restore '{"format":1}'
      assert.is_nil(bad)
      assert.equal("format", err.path)
    end)
    for _, state in ipairs { text, decoded } do
      local emulator <close> = assert(codepipeline.emulator { state = state })
      local client <close> = assert(emulator:client())
      for _ = 1, 2 do
        assert(client:acknowledge_job { jobId = job, nonce = nonce })
        assert(client:put_job_success_result { jobId = job })
        assert.equal("Succeeded", helper.action_state(client, "kept", "Make").status)
        assert(emulator:restore(state))
      end
    end
  end)

  it("begins with a demo's pipelines and their past", function()
    local emulator <close> = assert(codepipeline.emulator { demo = true })
    local client <close> = assert(emulator:client())
    local names = {}
    for _, one in ipairs(assert(client:list_pipelines()).pipelines) do
      names[#names + 1] = one.name
    end
    assert.same({ "assets", "docs", "library", "payments", "site" }, names)
    assert.equal(1, #assert(client:approvals "site"))
    local bad, err = codepipeline.emulator { demo = true, state = "{}" }
    assert.is_nil(bad)
    assert.equal("demo", err.path)
  end)

  it("writes its events into a file", function()
    local path = helper.path()
    local emulator = assert(codepipeline.emulator { events = path })
    local client <close> = assert(emulator:client())
    local action = helper.action("Sign", "Approval", "Manual")
    assert(client:create_pipeline { pipeline = helper.pipeline("failing", { action }) })
    emulator:close()
    local _, lines = helper.read(path):gsub("\n", "\n")
    assert.equal(6, lines)
    assert.same({ delivered = 6, dropped = 0 }, emulator:relayed())
    os.remove(path)
    local none, err = codepipeline.emulator { events = "/no/such/folder/file" }
    assert.is_nil(none)
    assert.equal("events", err.path)
    assert.error_matches(function()
      assert(codepipeline.emulator {}):events { timeout = -1 }()
    end, "duration")
  end)

  it("keeps two instances apart", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      helper.with_emulator(function(_, other)
        assert.equal(0, #assert(other:list_pipelines {}).pipelines)
      end)
    end)
  end)
end)

describe("what tests turn", function()
  local emulator, client

  before_each(function()
    emulator = assert(codepipeline.emulator())
    client = assert(emulator:client { max_attempts = 1 })
  end)

  after_each(function()
    emulator:close()
  end)

  it("is the clock, forward only", function()
    local before = emulator:now()
    assert(emulator:advance(3600))
    assert.is_true(emulator:now() - before >= 3600)
    assert(client:list_pipelines()) -- signed by the machine's clock
    local none, err = emulator:advance(-1)
    assert.is_nil(none)
    assert.matches("turned back", err.message)
  end)

  it("is what goes wrong, and the ledger tells of it", function()
    assert(emulator:fault { kind = "lost-answer", operation = "ListPipelines" })
    local none, err = client:list_pipelines()
    assert.is_nil(none)
    assert.equal("NETWORK", err.status)
    assert(client:list_pipelines())
    local ledger = assert(emulator:ledger())
    assert.equal("lost-answer", ledger[1].fault)
    assert.equal(200, ledger[1].status)
    assert.is_nil(ledger[2].fault)
    emulator:clear()
    assert.same({}, emulator:ledger())
  end)

  it("is an answer that stalls, which the read timeout ends", function()
    local hasty <close> = assert(emulator:client { max_attempts = 1, read_timeout = 0.2 })
    assert(emulator:fault { kind = "stall", operation = "ListPipelines", bytes = 4 })
    local none, err = hasty:list_pipelines()
    assert.is_nil(none)
    assert.is_true(err.status == "NETWORK" or err.status == "TIMEOUT")
    assert(hasty:list_pipelines())
    assert(emulator:fault { kind = "trickle", operation = "ListPipelines", bytes = 200 })
    assert.same({}, assert(client:list_pipelines()).pipelines)
  end)

  it("names what makes no sense", function()
    local none, err = emulator:fault { kind = "earthquake" }
    assert.is_nil(none)
    assert.equal("kind", err.path)
    assert.error_matches(function()
      emulator:fault { sort = "500" }
    end, "sort")
  end)
end)
