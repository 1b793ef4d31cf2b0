-- SPDX-License-Identifier: MIT
--- Misuse, told where it happened: in the caller's file and not in one of this package.

local check = {}

local home = debug.getinfo(1, "S").source:gsub("/check%.lua$", "")

--- The level of the innermost function that is not of this package, for error() in who calls this.
local function level()
  local at = 3
  while true do
    local info = debug.getinfo(at, "S")
    if not info then
      return 2
    elseif info.what ~= "C" and info.source:sub(1, #home + 1) ~= home .. "/" and info.source ~= home .. ".lua" then
      return at - 1
    end
    at = at + 1
  end
end

--- Raises the message; returns never.
function check.misuse(message, ...)
  error(message:format(...), level())
end

--- Raises unless the value is of that type.
-- @param what "a handler"
-- @param wanted "function"
function check.type(value, what, wanted)
  if value == nil then
    error(what .. " is missing", level())
  elseif value == package.loaded.codepipeline then
    error("codepipeline's own functions are called with a dot: codepipeline.client{...}", level())
  elseif type(value) ~= wanted then
    error(("%s must be a %s, not a %s"):format(what, wanted, type(value)), level())
  end
end

--- The same, and nil is fine.
function check.optional(value, what, wanted)
  if value ~= nil then
    check.type(value, what, wanted)
  end
end

--- Raises unless options is nil or a table with no other names than these.
-- @param names a list
function check.options(options, names)
  check.optional(options, "options", "table")
  for key in pairs(options or {}) do
    local known = false
    for _, name in ipairs(names) do
      known = known or key == name
    end
    if not known then
      error(("unknown option %q (there are %s)"):format(tostring(key), table.concat(names, ", ")), level())
    end
  end
end

--- Has the methods of a class say so when they are called with a dot in the colon's place.
-- @param what how an object of it is called: "worker"
-- @param is whether a value is one; default: its metatable is the class
function check.methods(class, what, is)
  is = is or function(value)
    return getmetatable(value) == class
  end
  for name, method in pairs(class) do
    if type(method) == "function" and name:sub(1, 2) ~= "__" and debug.getinfo(method, "S").what ~= "C" then
      class[name] = function(self, ...)
        if not is(self) then
          error(("%s() has no %s in front: write %s:%s(), with a colon"):format(name, what, what, name), level())
        end
        return method(self, ...)
      end
    end
  end
end

check.home = home

return check
