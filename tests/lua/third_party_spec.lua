-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local PARTNER = { category = "Test", provider = "Partner" }

--- An emulator with a pipeline whose Make action is a third-party one.
local function with_partner(body)
  return helper.with_emulator(function(emulator, client)
    helper.prepare(emulator, client)
    assert(client:update_action_type {
      actionType = {
        id = { category = "Test", owner = "ThirdParty", provider = "Partner", version = "1" },
        executor = {
          type = "JobWorker",
          configuration = { jobWorkerExecutorConfiguration = { pollingAccounts = { "123456789012" } } },
        },
        inputArtifactDetails = { minimumCount = 0, maximumCount = 5 },
        outputArtifactDetails = { minimumCount = 0, maximumCount = 5 },
      },
    })
    local action = helper.action("Make", "Test", "Partner", { "Source" })
    action.actionTypeId.owner = "ThirdParty"
    assert(client:create_pipeline { pipeline = helper.pipeline("p", { action }) })
    return body(client)
  end)
end

local function partner_worker(client, client_token, log)
  return assert(codepipeline.worker(client, {
    poll_interval = 0.01,
    third_party = true,
    client_token = client_token,
    log = log,
  }))
end

describe("a worker of third-party jobs", function()
  it("asks for the customer's token once, and serves", function()
    with_partner(function(client)
      local asked, states = {}, {}
      local worker <close> = partner_worker(client, function(customer)
        asked[#asked + 1] = customer
        return "emulator-token-" .. customer
      end)
      worker:job(PARTNER, function(job)
        states[#states + 1] = job.state or "new"
        assert(#assert(job:input():read()) > 0)
        if not job.state then
          return job:later("again")
        end
      end)
      assert.is_true(worker:step(10))
      assert.is_true(worker:step(10))
      assert.same({ "new", "again" }, states)
      assert.equal(1, #asked)
      assert.equal("Succeeded", helper.action_state(client, "p", "Make").status)
    end)
  end)

  it("fails a job whose handler returns output variables", function()
    with_partner(function(client)
      local worker <close> = partner_worker(client, function(customer)
        return "emulator-token-" .. customer
      end, function() end)
      worker:job(PARTNER, function()
        return { digest = "abc" }
      end)
      assert.is_true(worker:step(10))
      local details = helper.action_state(client, "p", "Make").errorDetails
      assert.equal("ConfigurationError", details.code)
      assert.matches("no output variables", details.message)
    end)
  end)

  it("leaves a job alone whose token is not to be had", function()
    with_partner(function(client)
      local logged = {}
      local worker <close> = partner_worker(client, function()
        error("no such customer", 0)
      end, function(_, message)
        logged[#logged + 1] = message
      end)
      worker:job(PARTNER, function() end)
      assert.is_false(worker:step(0.3))
      assert.matches("no such customer", table.concat(logged, "\n"))
      assert.equal("InProgress", helper.action_state(client, "p", "Make").status)
    end)
  end)

  it("needs a client_token", function()
    helper.with_emulator(function(_, client)
      assert.has_error(function()
        codepipeline.worker(client, { third_party = true })
      end)
    end)
  end)
end)

describe("a worker of several regions", function()
  it("polls each with a view of its client, or with a client of its own", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local other <close> = assert(codepipeline.emulator { region = "eu-west-1" })
      local away <close> = assert(other:client())
      helper.prepare(other, away)
      local worker <close> = assert(codepipeline.worker(client, { poll_interval = 0.01 }))
      local arns = {}
      for _, one in ipairs { client, away } do
        local action = helper.action("Make", "Build", "Builder", { "Source" })
        assert(one:create_pipeline { pipeline = helper.pipeline("p", { action }) })
        worker:job({ category = "Build", provider = "Builder", client = one }, function(job)
          arns[job.pipeline_arn:match "codepipeline:([^:]+)"] = true
        end)
      end
      assert.is_true(worker:step(10))
      assert.is_true(worker:step(10))
      assert.same({ ["us-east-1"] = true, ["eu-west-1"] = true }, arns)
      local views <close> = assert(codepipeline.worker(client, { regions = { "eu-west-1", "us-east-1" } }))
      views:job({ category = "Build", provider = "Builder" }, function() end)
      assert.has_error(function()
        views:job({ category = "Build", provider = "Builder", client = client }, function() end)
      end)
    end)
  end)
end)
