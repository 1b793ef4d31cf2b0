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

  it("say what an operation takes", function()
    local told = assert(codepipeline.describe "start_pipeline_execution")
    local parameters = {}
    for _, parameter in ipairs(told.parameters) do
      parameters[parameter.name] = parameter
    end
    assert.equal("StartPipelineExecution", told.name)
    assert.is_true(parameters.name.required)
    assert.equal(100, parameters.name.max)
    assert.equal("name", parameters.variables.items.members[1].name)
    assert.same({ "pipelineExecutionId" }, { told.answer[1].name })
    assert.is_nil(told.pages)
    local none, err = codepipeline.describe "start_pipeline"
    assert.is_nil(none)
    assert.equal("INVALID", err.status)
    assert.has_error(function()
      codepipeline.describe(1)
    end)
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
