-- SPDX-License-Identifier: MIT
-- Checks that a page answers, and has a text. UserParameters: {"url": ..., "text": ...}, or the URL alone.
local codepipeline = require "codepipeline"

local worker = assert(codepipeline.worker())

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

worker:invoke(function(job)
  local alone = job.user_parameters or ""
  local wanted = alone:find "^http" and { url = alone } or assert(job:user_parameters_json "url")
  local curl <close> = assert(io.popen(("curl -sSf --max-time 20 -- %s 2>&1"):format(quote(wanted.url))))
  local body = curl:read "a"
  if not curl:close() then
    return job:fail(("%s: %s"):format(wanted.url, body))
  elseif wanted.text and not body:find(wanted.text, 1, true) then
    return job:fail(("%s does not say %q"):format(wanted.url, wanted.text))
  end
  return { bytes = #body }
end)

return function(event, options)
  return worker:lambda_handler(event, options)
end
