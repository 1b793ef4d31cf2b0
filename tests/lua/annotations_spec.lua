-- SPDX-License-Identifier: MIT
-- What an editor is told (*.d.lua) is what there is: functions, their parameters, fields and options, both ways.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"
local testing = require "codepipeline.testing"

-- What is public for the sake of these files, or what others are made of; the manual says so.
local INNER = {
  Worker = { "report", "handle", "run_handler", "isolate" },
  Emulator = { "export_text", "restore_text" },
  ManualClock = { "of" },
}

--- The classes of the annotations: fields ({type, optional}), functions (lists of parameters), parent.
local function annotated()
  local classes, names, class = {}, {}, nil
  for _, file in ipairs { "types", "objects", "jobs" } do
    for line in io.lines(("lua/codepipeline/%s.d.lua"):format(file)) do
      local name, parent = line:match "^%-%-%-@class codepipeline%.([%w.]+):? ?c?o?d?e?p?i?p?e?l?i?n?e?%.?(%w*)$"
      if name then
        classes[name] = classes[name] or { fields = {}, functions = {}, parent = parent ~= "" and parent or nil }
        class = classes[name]
      end
      local field, optional, kind = line:match "^%-%-%-@field ([%w_]+)(%??) (%S+)"
      if field then
        class.fields[field] = { kind = kind, optional = optional == "?" }
      end
      local object = line:match "^local (%w+) = {}$"
      if object then
        names[object] = class
      end
      local of, called, parameters = line:match "^function (%w+)[.:]([%w_]+)%((.-)%) end$"
      if of then
        local owner = names[of]
        owner.functions[called] = parameters
      end
    end
  end
  assert(next(classes.Module.functions), "the annotations were not read")
  return classes
end

local classes = annotated()

local function fields_of(name)
  local all, class = {}, classes[name]
  while class do
    for field, what in pairs(class.fields) do
      all[field] = what
    end
    class = class.parent and classes[class.parent]
  end
  return all
end

--- A method without what check.methods() put around it.
local function beneath(fn)
  for i = 1, debug.getinfo(fn, "u").nups do
    local name, inner = debug.getupvalue(fn, i)
    if name == "method" and type(inner) == "function" then
      return inner
    end
  end
  return fn
end

--- The parameters of a Lua function as text; nil for one in C.
local function parameters(fn, method)
  fn = beneath(fn)
  local info = debug.getinfo(fn, "Su")
  if info.what == "C" then
    return nil
  end
  local list = {}
  for i = method and 2 or 1, info.nparams do
    list[#list + 1] = debug.getlocal(fn, i)
  end
  if info.isvararg then
    list[#list + 1] = "..."
  end
  return table.concat(list, ", ")
end

local function compare(name, live, method, more)
  local wrong, class = {}, classes[name]
  local hidden = {}
  for _, inner in ipairs(INNER[name] or {}) do
    hidden[inner] = true
  end
  for called, fn in pairs(live) do
    local is_public = type(fn) == "function" and not called:match "^_" and not hidden[called]
    is_public = is_public and not (more and more(called))
    if is_public and not class.functions[called] then
      wrong[#wrong + 1] = ("%s.%s is not annotated"):format(name, called)
    elseif is_public then
      local given, said = parameters(fn, method), class.functions[called]
      -- worker:job() and invoke() have one more, for include()
      if given and given ~= said and given:gsub(", router_hooks$", "") ~= said then
        wrong[#wrong + 1] = ("%s.%s(%s) is annotated as (%s)"):format(name, called, given, said)
      end
    end
  end
  for called in pairs(class.functions) do
    if type(live[called]) ~= "function" then
      wrong[#wrong + 1] = ("%s.%s is annotated, and not there"):format(name, called)
    end
  end
  table.sort(wrong)
  assert.same({}, wrong)
end

local PLAIN = { string = "string", integer = "number", number = "number", boolean = "boolean" }

--- A live object has no field that is not annotated, those that are not optional, and plain ones of their type.
local function compare_fields(name, object, inner)
  local wrong, fields = {}, fields_of(name)
  for field, value in pairs(object) do
    local what = fields[field]
    if not what and type(value) ~= "function" and not (inner or ""):find("%f[%w_]" .. field .. "%f[^%w_]") then
      wrong[#wrong + 1] = ("%s.%s is not annotated"):format(name, tostring(field))
    elseif what and PLAIN[what.kind] and type(value) ~= PLAIN[what.kind] then
      wrong[#wrong + 1] = ("%s.%s is a %s"):format(name, field, type(value))
    end
  end
  for field, what in pairs(fields) do
    if not what.optional and object[field] == nil then
      wrong[#wrong + 1] = ("%s.%s is not optional, and not there"):format(name, field)
    end
  end
  table.sort(wrong)
  assert.same({}, wrong)
end

--- The options that a function names when it is given one that it does not know.
local function options_of(fn, ...)
  local arguments = table.pack(...)
  arguments[arguments.n + 1] = { no_such_option = 1 }
  local fine, err = pcall(fn, table.unpack(arguments, 1, arguments.n + 1))
  assert.is_false(fine)
  local list = {}
  for name in tostring(err):match("%(there are (.-)%)"):gmatch "[%w_]+" do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

local function fields_sorted(name)
  local list = {}
  for field in pairs(fields_of(name)) do
    list[#list + 1] = field
  end
  table.sort(list)
  return list
end

describe("the annotations", function()
  it("have the module's functions and members", function()
    compare("Module", codepipeline)
    compare("Testing", testing)
    compare_fields("Module", codepipeline)
    compare_fields("Operation", codepipeline.operations()[1])
    local told = assert(codepipeline.describe "ListPipelineExecutions")
    compare_fields("DescribedOperation", told)
    compare_fields("DescribedMember", told.parameters[1])
    compare_fields("Complaint", assert(codepipeline.lint "{}")[1])
    compare_fields("Failure", codepipeline.failure("JobFailed", "no", "id"))
  end)

  it("have a client's methods, every operation among them", function()
    local operations = {}
    for _, operation in ipairs(codepipeline.operations()) do
      operations[operation.method] = true
      assert.is_string(classes.Client.functions[operation.method], operation.method)
      classes.Client.functions[operation.method] = nil
    end
    local methods = {}
    for name, method in pairs(core.client_methods) do -- some stand for others, which are loaded when they are used
      methods[name] = require("codepipeline.paging")[name] or require("codepipeline.submit")[name] or method
    end
    compare("Client", methods, true, function(name)
      return operations[name]
    end)
  end)

  it("have the emulator's methods and members, and those of what it tells", function()
    helper.with_emulator(function(emulator, client)
      compare("Emulator", core.emulator_methods, true)
      assert.is_string(emulator.url)
      assert.is_table(emulator.environ)
      assert(client:list_pipelines())
      compare_fields("LedgerEntry", assert(emulator:ledger())[1])
      local feed <close> = assert(emulator:feed())
      compare("Feed", getmetatable(feed).__index, true)
    end)
  end)

  it("have the options that functions take", function()
    helper.with_emulator(function(emulator, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      assert.same(fields_sorted "ClientOptions", options_of(codepipeline.client))
      assert.same(fields_sorted "EmulatorOptions", options_of(codepipeline.emulator))
      assert.same(fields_sorted "WorkerOptions", options_of(codepipeline.worker, client))
      assert.same(fields_sorted "EventOptions", options_of(codepipeline.sample_event))
      assert.same(fields_sorted "StartOptions", options_of(client.start, client, "site"))
      assert.same(fields_sorted "RunOptions", options_of(client.run, client, "site", nil))
      assert.same(fields_sorted "Paging", options_of(client.paginate, client, "list_pipelines", nil))
      assert.same(fields_sorted "TestOptions", options_of(worker.test, worker, print))
      assert.same(fields_sorted "JobType", options_of(worker.job, worker))
      assert.same(fields_sorted "Fault", options_of(emulator.fault, emulator))
      assert.same(fields_sorted "Push", options_of(emulator.git_push, emulator))
      assert.same(fields_sorted "PullRequest", options_of(emulator.pull_request, emulator))
      assert.same({ "region" }, options_of(codepipeline.lint, "{}"))
      assert.same({ "pipelines", "since" }, options_of(client.metrics, client))
    end)
  end)

  it("have workers, jobs and artifacts", function()
    helper.with_emulator(function(_, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      compare("Worker", getmetatable(worker).__index, true)
      local router = codepipeline.router()
      compare("Router", getmetatable(router).__index, true)
      local told = worker:test(function(job)
        compare("Job", getmetatable(job), true)
        compare_fields("Job", job, "core history outcome")
        compare("Input", getmetatable(job:input()).__index, true)
        compare_fields("Input", job:input(), "job")
        compare("Output", getmetatable(job:output()).__index, true)
        local outcome = job:fail("no", { type = "JobFailed" })
        compare_fields("JobOutcome", outcome, "message type")
        return outcome
      end, { inputs = { In = "README.md" }, outputs = { "Out" }, state = { n = 1 } })
      assert.equal("failed", told.outcome)
      assert.equal("no", told.message) -- and not what a check in there raised
      compare_fields("TestResult", told)
      compare("ManualClock", getmetatable(told.clock).__index, true)
      local event = assert(codepipeline.sample_event { user_parameters = "{}" })
      compare_fields("Event", assert(codepipeline.event(event)), "raw_text")
      compare("Event", getmetatable(assert(codepipeline.event(event))).__index, true)
      local mine <close> = assert(client:job(event))
      compare("EventJob", getmetatable(mine), true)
    end)
  end)

  it("have runs and what they tell", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local gate = helper.action("Gate", "Approval", "Manual")
      assert(client:create_pipeline { pipeline = helper.pipeline("site", { gate }) })
      local run <close> = assert(client:run("site", nil, { poll_interval = 0.02 }))
      compare("Run", getmetatable(run).__index, true)
      compare_fields("Run", run, "core")
      for event in run:follow { timeout = 1 } do
        compare_fields("RunEvent", event)
        if event.kind == "approval" then
          break
        end
      end
      local explanation = assert(run:explain())
      compare_fields("Explanation", explanation)
      compare_fields("Finding", explanation.findings[1])
      local approval = assert(client:approvals())[1]
      compare("Approval", getmetatable(approval).__index, true)
      compare_fields("Approval", approval)
      assert(approval:reject "no")
      local outcome = assert(run:wait { timeout = 10 })
      compare("Outcome", getmetatable(outcome).__index, true)
      compare_fields("Outcome", outcome, "explained")
      local metrics = assert(client:metrics())
      compare_fields("Metrics", metrics)
      compare_fields("Tally", metrics.total)
      compare_fields("PipelineMetrics", metrics.pipelines[1])
      compare_fields("StageMetrics", metrics.pipelines[1].stages[1])
      compare_fields("ActionMetrics", metrics.pipelines[1].stages[1].actions[1])
      compare_fields("Durations", metrics.pipelines[1].approvals)
    end)
  end)

  it("have the members of an error", function()
    helper.with_emulator(function(_, client)
      local _, err = client:get_pipeline { name = "nowhere" }
      compare_fields("Error", err)
    end)
  end)
end)
