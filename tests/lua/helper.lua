-- SPDX-License-Identifier: MIT
-- What the Lua specs share.
local codepipeline = require "codepipeline"

local helper = {}

local made = 0

--- A path nobody else uses; not made.
function helper.path()
  made = made + 1
  return ("%s-%d"):format(os.tmpname(), made)
end

function helper.write(path, bytes)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(bytes))
end

function helper.read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

--- Runs body(emulator, client) and closes both, whatever happens.
function helper.with_emulator(body)
  local emulator <close> = assert(codepipeline.emulator {})
  local client <close> = assert(emulator:client())
  return body(emulator, client)
end

function helper.action(name, category, provider, inputs, outputs, configuration)
  local function names(list)
    local artifacts = {}
    for i, artifact in ipairs(list or {}) do
      artifacts[i] = { name = artifact }
    end
    return artifacts
  end
  return {
    name = name,
    actionTypeId = {
      category = category,
      owner = (provider == "S3" or provider == "Manual") and "AWS" or "Custom",
      provider = provider,
      version = "1",
    },
    configuration = configuration,
    inputArtifacts = names(inputs),
    outputArtifacts = names(outputs),
  }
end

--- A pipeline of an S3 source and the given stages of one action each.
function helper.pipeline(name, actions)
  local stages = {
    {
      name = "Source",
      actions = {
        helper.action("Fetch", "Source", "S3", {}, { "Source" }, {
          S3Bucket = "source",
          S3ObjectKey = "app.zip",
          PollForSourceChanges = "false",
        }),
      },
    },
  }
  for _, action in ipairs(actions) do
    stages[#stages + 1] = { name = action.name, actions = { action } }
  end
  return {
    name = name,
    roleArn = "arn:aws:iam::123456789012:role/pipeline",
    artifactStore = { type = "S3", location = "artifacts" },
    stages = stages,
  }
end

--- Buckets, a zipped source revision with main.txt, and a Build action type "Builder".
function helper.prepare(emulator, client)
  assert(emulator:create_bucket "source")
  assert(emulator:create_bucket "artifacts")
  local folder, zip = helper.path(), helper.path()
  assert(os.execute(("mkdir '%s'"):format(folder)))
  helper.write(folder .. "/main.txt", "hello")
  assert(codepipeline.pack(folder, zip))
  assert(client:upload_file(zip, "source", "app.zip"))
  os.remove(folder .. "/main.txt")
  os.remove(folder)
  os.remove(zip)
  assert(client:create_custom_action_type {
    category = "Build",
    provider = "Builder",
    version = "1",
    configurationProperties = {
      { name = "Target", required = false, key = true, secret = false },
      { name = "UserParameters", required = false, key = false, secret = false },
    },
    inputArtifactDetails = { minimumCount = 1, maximumCount = 1 },
    outputArtifactDetails = { minimumCount = 0, maximumCount = 1 },
  })
end

function helper.action_state(client, pipeline, stage)
  for _, state in ipairs(assert(client:get_pipeline_state { name = pipeline }).stageStates) do
    if state.stageName == stage then
      return state.actionStates[1].latestExecution
    end
  end
end

return helper
