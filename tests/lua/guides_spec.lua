-- SPDX-License-Identifier: MIT
-- The Lua in README.md and in the guides of docs/ runs; docs/lua has a spec of its own.
local codepipeline = require "codepipeline"
local core = require "codepipeline.core"
local helper = require "tests.lua.helper"

local PAGES = {
  "README.md",
  "docs/calling.md",
  "docs/credentials.md",
  "docs/emulator.md",
  "docs/getting-started.md",
  "docs/lambda.md",
  "docs/migrating-from-boto3.md",
  "docs/migrating-from-javascript.md",
  "docs/worker.md",
}

--- Each snippet as a chunk that stands on the page's own lines.
local function snippets(path)
  local list, lines, number = {}, nil, 0
  for line in io.lines(path) do
    number = number + 1
    if lines and line:match "^```" then
      list[#list + 1] = table.concat(lines, "\n")
      lines = nil
    elseif lines then
      lines[#lines + 1] = line
    elseif line == "```lua" then
      lines = {}
      for i = 1, number do
        lines[i] = ""
      end
    end
  end
  return list
end

local function new_folder()
  local folder = helper.path()
  assert(os.execute(("mkdir '%s'"):format(folder)))
  return folder
end

--- What the page has in folders of its own, and what nobody does here: invoke the function.
local function adapted(text)
  local application = new_folder()
  helper.write(application .. "/app", "hello")
  text = text:gsub('"tests/app"', ("%q"):format(application))
  text = text:gsub('"out', ("%q"):format(new_folder()):sub(1, -2))
  text = text:gsub("assert%(emulator:serve", "print(emulator:serve")
  return (text:gsub("end, 5%)%)", "end, 0.05))"))
end

--- What the pages take for granted: a pipeline "site", an account where client{} leads to the emulator.
local function given(emulator, client)
  local site = helper.pipeline("site", { helper.action("Gate", "Approval", "Manual") })
  local statuses = 0
  local world = { site = site, client = client, names = { "site" }, tokens = {}, emulator = emulator }
  world.print = function() end
  world.codepipeline = setmetatable({
    client = function()
      return emulator:client()
    end,
    worker = function(own, options)
      local settings = { log = function() end }
      for name, value in pairs(options or {}) do
        settings[name] = name == "journal" and helper.path() or value
      end
      local worker = assert(codepipeline.worker(own or client, settings))
      worker.run = function() end
      return worker
    end,
  }, { __index = codepipeline })
  world.read = function()
    return "secret"
  end
  world.create_stack = function()
    return "s"
  end
  world.status_of = function()
    statuses = statuses + 1
    return statuses % 2 == 1 and "IN_PROGRESS" or "DONE"
  end
  world.build = function(job)
    assert(job:output():pack(assert(job:input():extract())))
  end
  world.event_text = assert(core.encode(assert(codepipeline.sample_event())))
  world.deadline = os.time() + 60
  world.require = function(name)
    return name == "codepipeline" and world.codepipeline or require(name)
  end
  return world
end

describe("the guides", function()
  for _, path in ipairs(PAGES) do
    it("have Lua that runs: " .. path, function()
      local list = snippets(path)
      assert.is_true(#list > 0)
      helper.with_emulator(function(emulator, client)
        helper.prepare(emulator, client)
        local world = given(emulator, client)
        if path ~= "docs/emulator.md" then
          assert(client:create_pipeline { pipeline = world.site })
        end
        for _, text in ipairs(list) do
          world.worker = world.codepipeline.worker(client)
          local chunk = assert(load(adapted(text), "@" .. path, "t", setmetatable(world, { __index = _G })))
          if not text:find "describe%(" then -- that one is for busted, which is at work here already
            chunk()
          end
          emulator:clear()
        end
      end)
    end)
  end
end)
