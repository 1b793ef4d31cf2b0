-- SPDX-License-Identifier: MIT
-- Creates or updates a CloudFormation stack with a template of the input artifact, and waits for it by continuation.
-- UserParameters: {"stack": NAME, "artifact": NAME of the input artifact, "file": the template's path in it}
local codepipeline = require "codepipeline"

local worker = assert(codepipeline.worker())

local function quote(text)
  return "'" .. text:gsub("'", [['\'']]) .. "'"
end

--- What the aws command prints; nil and its words when it fails.
local function aws(...)
  local words = { "aws", "cloudformation", ... }
  for i, word in ipairs(words) do
    words[i] = quote(word)
  end
  local command = assert(io.popen(table.concat(words, " ") .. " --output text 2>&1"))
  local text = command:read("a"):gsub("%s+$", "")
  if command:close() then
    return text
  end
  return nil, text
end

local function status_of(stack)
  return aws("describe-stacks", "--stack-name", stack, "--query", "Stacks[0].StackStatus")
end

worker:invoke(function(job)
  local wanted = assert(job:user_parameters_json("stack", "artifact", "file"))
  local stack = wanted.stack
  if job.state == nil then
    local folder = assert(job:input(wanted.artifact):extract())
    local there <close> = io.open(folder .. "/" .. wanted.file)
    if not there then
      return job:fail("the artifact has no file " .. wanted.file, { type = "ConfigurationError" })
    end
    local verb = status_of(stack) and "update-stack" or "create-stack"
    local template = ("file://%s/%s"):format(folder, wanted.file)
    local begun, err = aws(verb, "--stack-name", stack, "--template-body", template, "--capabilities", "CAPABILITY_IAM")
    if begun then
      return job:later("begun", { after = 30, summary = stack .. ": begun" })
    elseif tostring(err):find("No updates are to be performed", 1, true) then
      return job:succeed { summary = stack .. " was up to date" }
    end
    return job:fail(tostring(err))
  end
  local status, err = status_of(stack)
  if status == "CREATE_COMPLETE" or status == "UPDATE_COMPLETE" then
    return { stack = stack }
  elseif status and status:find "_IN_PROGRESS$" and not status:find "ROLLBACK" then
    return job:later("begun", { after = 30, summary = stack .. ": " .. status })
  end
  return job:fail(("%s ended as %s"):format(stack, status or err))
end)

return function(event, options)
  return worker:lambda_handler(event, options)
end
