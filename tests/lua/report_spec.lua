-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"

describe("reports", function()
  local emulator, client

  setup(function()
    emulator = assert(codepipeline.emulator())
    client = assert(emulator:client())
  end)

  teardown(function()
    emulator:close()
  end)

  it("say what the service would refuse a pipeline for", function()
    local complaints = assert(codepipeline.lint('{"name": "site",\n"stages": 1, "roleArn": "arn:aws:iam::1:role/x"}'))
    assert.is_true(#complaints >= 1)
    local found
    for _, complaint in ipairs(complaints) do
      found = complaint.path == "stages" and complaint or found
    end
    assert.equal(2, found.line)
    assert.equal("ValidationException", found.code)
    assert.equal(1, #assert(codepipeline.lint({ name = "site" }, { region = "eu-west-1" })) - 1)
  end)

  it("measure the past of all pipelines", function()
    local report = assert(client:metrics())
    assert.equal(0, report.total.executions)
    assert.equal(1, report.calls)
    assert.same({}, report.pipelines)
  end)

  it("tell what they were not given", function()
    local report, err = client:metrics({ pipelines = { "nobody" } })
    assert.is_nil(report)
    assert.equal("PipelineNotFoundException", err.code)
    report, err = client:metrics({ since = 1e11 })
    assert.is_nil(report)
    assert.equal("since", err.path)
    assert.has_error(function()
      client:metrics({ sinse = 1 })
    end)
  end)
end)
