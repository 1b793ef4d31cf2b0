-- SPDX-License-Identifier: MIT
--- A custom runtime for Lambda (provided.al2023): runs a handler written in Lua.
--
-- The function's handler is configured as the name of a file without ".lua", in the function's folder. The file answers
-- a function(event_text, options), as those of examples/lambda do; options has remaining (seconds), request_id,
-- function_arn and trace_id. What the function answers becomes the invocation's answer; nil and err, or an error
-- raised, is an error of the invocation.

local core = require "codepipeline.core"
local handlers = require "codepipeline.handlers"

local runtime = {}

--- Loads the handler. Environment: _HANDLER and LAMBDA_TASK_ROOT, as Lambda sets them.
-- @return function, or nil and why not
function runtime.load(folder, name)
  if not name or not name:match "^[%w_%-./]+$" then
    return nil, ("%q does not name a handler"):format(tostring(name))
  end
  local chunk, problem = loadfile(("%s/%s.lua"):format(folder, name))
  if not chunk then
    return nil, problem
  end
  local fine, handler = pcall(chunk)
  if fine and type(handler) == "function" then
    return handler
  end
  return nil, fine and ("%s.lua answers no function"):format(name) or tostring(handler)
end

--- Runs the handler for one invocation and answers it.
-- @param timeout seconds to wait for one; default: without limit, as Lambda has a function wait
-- @return true, or nil and err
function runtime.serve(api, handler, timeout)
  local invocation, err = api:next(timeout)
  if not invocation then
    return nil, err
  end
  local event = invocation.event
  invocation.event = nil
  local fine, answer, problem = pcall(handler, event, invocation)
  if not fine then
    return api:fail("Handler.Error", handlers.words(answer))
  elseif answer == nil and problem ~= nil then
    return api:fail("Handler.Failure", handlers.words(problem))
  end
  local encoded, text = pcall(core.encode, answer == nil and core.null or answer)
  if not encoded or not text then
    return api:fail("Handler.Answer", "the handler's answer is not JSON: " .. tostring(text))
  end
  return api:answer(text)
end

--- Serves until the API is gone, which is how Lambda ends it. Answers the exit status.
function runtime.main()
  local api, err = core.runtime()
  if not api then
    io.stderr:write("codepipeline-lambda: ", tostring(err), "\n")
    return 2
  end
  local handler
  handler, err = runtime.load(os.getenv "LAMBDA_TASK_ROOT" or ".", os.getenv "_HANDLER")
  if not handler then
    api:fail("Runtime.NoSuchHandler", err)
    io.stderr:write("codepipeline-lambda: ", err, "\n")
    return 1
  end
  repeat
    local served
    served, err = runtime.serve(api, handler)
  until not served
  io.stderr:write("codepipeline-lambda: ", tostring(err), "\n")
  return 1
end

return runtime
