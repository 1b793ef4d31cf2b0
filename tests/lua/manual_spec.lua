-- SPDX-License-Identifier: MIT
-- docs/lua: its snippets run, and every method is in it.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"

local PAGES = { "README", "client", "run", "worker", "job", "emulator", "errors" }

local function page(name)
  return helper.read(("docs/lua/%s.md"):format(name))
end

--- The snippets of a page as one chunk, each on the line where it stands.
local function program(text)
  local lines, inside = {}, false
  for line in (text .. "\n"):gmatch "(.-)\n" do
    if line:match "^```" then
      inside = line == "```lua"
      line = ""
    end
    lines[#lines + 1] = inside and line or ""
  end
  return table.concat(lines, "\n")
end

local function prepare(emulator, client)
  helper.prepare(emulator, client)
  local build = helper.action("Make", "Build", "Builder", { "Source" }, { "Binary" }, { Target = "x" })
  local gate = helper.action("Gate", "Approval", "Manual")
  assert(client:create_custom_action_type {
    category = "Test",
    provider = "Builder",
    version = "1",
    inputArtifactDetails = { minimumCount = 1, maximumCount = 1 },
    outputArtifactDetails = { minimumCount = 0, maximumCount = 1 },
  })
  assert(client:create_pipeline { pipeline = helper.pipeline("site", { build, gate }) })
end

describe("the manual", function()
  for _, name in ipairs(PAGES) do
    it("has snippets that run: " .. name, function()
      helper.with_emulator(function(emulator, client)
        prepare(emulator, client)
        local world = { codepipeline = codepipeline, emulator = emulator, client = client, print = function() end }
        local file = ("docs/lua/%s.md"):format(name)
        local shown, path = io.output(), helper.path()
        io.output(path) -- the doctor prints
        local chunk = assert(load(program(page(name)), "@" .. file, "t", setmetatable(world, { __index = _G })))
        local fine, err = pcall(chunk)
        io.close(io.output())
        io.output(shown)
        os.remove(path)
        assert(fine, tostring(err))
      end)
    end)
  end

  it("names every function and method there is", function()
    local text = {}
    for i, name in ipairs(PAGES) do
      text[i] = page(name)
    end
    text = table.concat(text)
    local missing = {}
    local function look(what, methods, leave_out)
      for name, value in pairs(methods) do
        local hidden = name:match "^_" or name:match "_text$" or leave_out and leave_out[name]
        if type(value) == "function" and not hidden and not text:find("[:.]" .. name .. "%f[%W]") then
          missing[#missing + 1] = what .. name
        end
      end
    end
    local operations = {}
    for _, operation in ipairs(codepipeline.operations()) do
      operations[operation.method] = true
    end
    look("codepipeline.", codepipeline)
    look("client:", core.client_methods, operations)
    look("emulator:", core.emulator_methods)
    helper.with_emulator(function(emulator, client)
      prepare(emulator, client)
      local worker <close> = assert(codepipeline.worker(client, { log = function() end }))
      look("worker:", getmetatable(worker).__index)
      local run <close> = assert(client:run "site")
      look("run:", getmetatable(run).__index)
      worker:test(function(job)
        look("job:", getmetatable(job).__index)
        look("input:", getmetatable(job:input()).__index)
        look("output:", getmetatable(job:output()).__index)
      end, { inputs = { In = "README.md" }, outputs = { "Out" } })
    end)
    table.sort(missing)
    assert.same({}, missing)
  end)

  it("says of no function that there is one when there is none", function()
    for _, name in ipairs(PAGES) do
      for called in page(name):gmatch "%*%*codepipeline%.([%w_]+)" do
        assert.is_function(codepipeline[called], called)
      end
      for called in page(name):gmatch "%*%*client:([%w_]+)" do
        assert.is_true(called == "OPERATION" or core.client_methods[called] ~= nil, called)
      end
      for called in page(name):gmatch "%*%*emulator:([%w_]+)" do
        assert.is_function(core.emulator_methods[called], called)
      end
    end
  end)
end)
