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
local check = require "codepipeline.check"
local core = require "codepipeline.core"

local testing = {
  ANY = core.null, -- in what a stubber expects: any value
}

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

local Stubber = {}
Stubber.__index = Stubber

--- Answers of one's own in the service's place, first in, first out: nothing is sent, no credentials are needed, and no
-- error is tried again. Answers are checked against the model when they are added.
-- @param client whose region and functions that look on the stubber's has
-- @return a table with client, a view that is answered by it; or nil and err
function testing.stubber(client)
  local stub, view = core.stub(client)
  if not stub then
    return nil, view
  end
  return setmetatable({ client = view, core = stub }, Stubber)
end

local function added(fine, err)
  if not fine then
    check.misuse("%s", err)
  end
end

--- The answer to one call of a method.
-- @param expected what it must be called with, in which testing.ANY stands for any value; nil: anything. Another call
--   returns nil and an err whose status is "UNEXPECTED"
function Stubber:add_response(method, response, expected)
  added(self.core:add(method, 0, response, expected))
end

local ERROR_OPTIONS = { "message", "http_status", "members" }

--- The error that one call of a method ends with.
-- @param options message, http_status (400), members: what the error has besides
function Stubber:add_error(method, code, options, expected)
  check.options(options, ERROR_OPTIONS)
  options = options or {}
  local answer = { __type = code, message = options.message }
  for name, value in pairs(options.members or {}) do
    answer[name] = value
  end
  added(self.core:add(method, options.http_status or 400, answer, expected))
end

--- How many answers nobody asked for yet.
function Stubber:pending()
  return self.core:pending()
end

check.methods(Stubber, "stubber")

return testing --[[@as codepipeline.Testing]]
