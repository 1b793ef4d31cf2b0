-- SPDX-License-Identifier: MIT
--- The event with which CodePipeline invokes a Lambda function.
--
--     local event = assert(codepipeline.event(text))
--     print(event.correlation_id, event.input_artifacts[1].bucket)
--
-- Members: id (of the job; correlation_id is another name for it), account_id, function_name, user_parameters,
-- configuration (a table of strings), input_artifacts and output_artifacts (lists of {name, revision, bucket, key}),
-- credentials {access_key_id, secret_access_key, session_token}, encryption_key (the id of the KMS key for outputs),
-- continuation_token. What the event does not tell is nil.

local core = require "codepipeline.core"
local check = require "codepipeline.check"

local Event = {}
Event.__index = Event
Event.__name = "codepipeline.Event"

function Event:__tostring()
  return ("codepipeline.Event %s for %s"):format(self.id, self.function_name)
end

local Credentials = { __name = "codepipeline.Credentials" }

function Credentials:__tostring()
  return ("codepipeline.Credentials %s (secrets not shown)"):format(self.access_key_id)
end

local function credentials_of(values)
  return values
    and setmetatable({
      access_key_id = values.accessKeyId,
      secret_access_key = values.secretAccessKey,
      session_token = values.sessionToken,
    }, Credentials)
end

local function artifacts_of(list)
  local artifacts = {}
  for i, artifact in ipairs(list or {}) do
    local place = artifact.location and artifact.location.s3Location or {}
    artifacts[i] = {
      name = artifact.name,
      revision = artifact.revision,
      bucket = place.bucketName,
      key = place.objectKey,
    }
  end
  return artifacts
end

local event = {}

--- The JSON text of an event given as text, as a table or as what codepipeline.event() answered.
function event.text(value)
  if getmetatable(value) == Event then
    return value.raw_text
  elseif type(value) == "table" then
    return assert(core.encode(value))
  elseif type(value) ~= "string" then
    check.misuse("an event is text or a table, not a %s", type(value))
  end
  return value
end

--- @param value the event as text or table
-- @return event, or nil and err; err.path names the member at fault
function event.read(value)
  local text = event.text(value)
  local job, err = core.read_event(text)
  if not job then
    return nil, err
  end
  local data = job.data
  local configuration = data.actionConfiguration and data.actionConfiguration.configuration or {}
  return setmetatable({
    raw_text = text, -- carries the credentials: not to be logged
    id = job.id,
    correlation_id = job.id,
    account_id = job.accountId,
    configuration = configuration,
    function_name = configuration.FunctionName,
    user_parameters = configuration.UserParameters,
    input_artifacts = artifacts_of(data.inputArtifacts),
    output_artifacts = artifacts_of(data.outputArtifacts),
    credentials = credentials_of(data.artifactCredentials),
    encryption_key = data.encryptionKey and data.encryptionKey.id,
    continuation_token = data.continuationToken,
  }, Event)
end

local ParameterError = { __name = "codepipeline.Error" }

function ParameterError:__tostring()
  return self.message
end

local function refuse(path, what, needed)
  local hint = #needed > 0 and "; the action needs a JSON object with " .. table.concat(needed, ", ") or ""
  return nil,
    setmetatable({
      status = "INVALID",
      path = path,
      message = ("%s: %s%s"):format(path, what, hint),
      failure_type = "ConfigurationError",
    }, ParameterError)
end

--- User parameters decoded: nil when there are none; nil and err, which makes a failure a ConfigurationError, when they
-- are not JSON, or have no member of a name that is needed.
function event.decode_parameters(text, ...)
  local needed = { ... }
  if text == nil then
    if #needed > 0 then
      return refuse("UserParameters", "missing", needed)
    end
    return nil
  end
  local fine, value = pcall(core.decode, text)
  if not fine then
    return refuse("UserParameters", "not JSON: " .. tostring(value), needed)
  elseif #needed > 0 and type(value) ~= "table" then
    return refuse("UserParameters", "not an object", needed)
  end
  for _, name in ipairs(needed) do
    if value[name] == nil then
      return refuse("UserParameters." .. name, "missing", needed)
    end
  end
  return value
end

function Event:user_parameters_json(...)
  return event.decode_parameters(self.user_parameters, ...)
end

--- @param options see codepipeline.sample_event
function event.sample(options)
  local text, err = core.sample_event(options)
  if not text then
    return nil, err
  end
  return core.decode(text)
end

return event
