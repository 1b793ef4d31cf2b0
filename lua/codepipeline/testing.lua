-- SPDX-License-Identifier: MIT
--- For tests of those who use this package: an emulator for each test. With busted:
--
--     local testing = require "codepipeline.testing"
--
--     describe("my worker", function()
--       local world = testing.world(before_each, after_each)
--       it("finds no pipelines", function()
--         assert.same({}, assert(world.client:list_pipelines()).pipelines)
--       end)
--     end)

local codepipeline = require "codepipeline"

local testing = {}

local shown = { "operation", "status", "code", "fault", "job_id" }

--- The last requests the emulator got, one a line.
-- @param count how many; default 20
function testing.ledger_end(emulator, count)
  local entries, lines = assert(emulator:ledger()), {}
  for i = math.max(1, #entries - (count or 20) + 1), #entries do
    local words = { ("%d "):format(entries[i].seq) }
    for _, name in ipairs(shown) do
      if entries[i][name] ~= nil then
        words[#words + 1] = name .. "=" .. tostring(entries[i][name])
      end
    end
    lines[#lines + 1] = table.concat(words, " ")
  end
  return table.concat(lines, "\n")
end

local function with_requests(message, emulator)
  local last = testing.ledger_end(emulator)
  if type(message) ~= "string" or last == "" then
    return message
  end
  return message .. "\nthe emulator's last requests:\n" .. last
end

--- Runs body(emulator, client) with an emulator of its own, and closes both, whatever happens. An error with a text
-- gets the emulator's last requests behind it.
-- @param options as for codepipeline.emulator; may be left out
-- @return what body returns
function testing.with_emulator(options, body)
  if body == nil then
    options, body = nil, options
  end
  local emulator <close> = assert(codepipeline.emulator(options or {}))
  local client <close> = assert(emulator:client())
  local results = table.pack(xpcall(body, function(message)
    return with_requests(message, emulator)
  end, emulator, client))
  if not results[1] then
    error(results[2], 0)
  end
  return table.unpack(results, 2, results.n)
end

--- An emulator for each test of a block.
-- @param before_each, after_each the test framework's functions of these names
-- @param options as for codepipeline.emulator
-- @return a table that has emulator and client while a test runs
function testing.world(before_each, after_each, options)
  local world = {}
  before_each(function()
    world.emulator = assert(codepipeline.emulator(options or {}))
    world.client = assert(world.emulator:client())
  end)
  after_each(function()
    world.client:close()
    world.emulator:close()
    world.client, world.emulator = nil, nil
  end)
  return world
end

return testing --[[@as codepipeline.Testing]]
