-- SPDX-License-Identifier: MIT
--- AWS CodePipeline: a client, a job worker and an offline emulator.
--
-- What goes wrong in the world (the service refuses, the network breaks) is returned as `nil, err`: err is a table with
-- code, message, path, request_id, http_status, attempts, retryable and a readable tostring(). Misuse raises.
-- Times are in seconds, points in time are seconds since 1970.
--
--     local codepipeline = require "codepipeline"
--     local client = assert(codepipeline.client{ region = "eu-west-1" })
--     local answer, err = client:list_pipelines{ maxResults = 10 }

local core = require "codepipeline.core"
local worker = require "codepipeline.worker"

local codepipeline = {
  _VERSION = core.version,
  null = core.null, -- stands for JSON null in parameters
  operations = core.operations,
}

--- Opens a client. Region and credentials are found where the AWS CLI finds them unless options say otherwise.
-- @param options region, profile, access_key_id, secret_access_key, session_token, endpoint_url, s3_endpoint_url,
--   ca_bundle, user_agent_extra, connect_timeout, read_timeout, total_timeout (seconds), max_attempts
-- @return client, or nil and err
function codepipeline.client(options)
  return core.client(options)
end

--- Starts the emulator inside this process: CodePipeline and the S3 it needs, on loopback.
-- @param options port (0: any), host, path (SQLite file; default: memory), region, account_id, access_key_id,
--   secret_access_key
-- @return emulator (members url and environ, methods client and close), or nil and err
function codepipeline.emulator(options)
  return core.emulator(options)
end

--- Makes a worker that takes jobs for custom actions; see codepipeline.worker.
-- @param client from codepipeline.client; nil opens one
-- @param options poll_interval (seconds between polls that found nothing), work_dir, artifact_limit (bytes), log
-- @return worker, or nil and err
function codepipeline.worker(client, options)
  local err
  if client == nil then
    client, err = core.client()
    if not client then
      return nil, err
    end
  end
  return worker.new(client, options)
end

--- Zips a folder's contents, or one file, into a new archive.
-- @return true, or nil and err
function codepipeline.pack(path, archive)
  return core.pack(path, archive)
end

--- Unpacks a zip, tar or tar.gz into directory; a refused archive (damaged, unsafe names) leaves it as it was.
-- @param limit bytes it may unpack to (default 8 GiB)
-- @return true, or nil and err
function codepipeline.extract(archive, directory, limit)
  return core.extract(archive, directory, limit)
end

local paging = {} -- by operation name and by method name
for _, operation in ipairs(core.operations()) do
  paging[operation.name], paging[operation.method] = operation, operation
end

local function copy(params)
  local result = {}
  for key, value in pairs(params or {}) do
    result[key] = value
  end
  return result
end

--- Iterates the items of all pages: for pipeline in client:paginate("list_pipelines") do ... end
-- A page that cannot be had raises err, because an iterator has no other way to tell.
-- @param operation "ListPipelines" or "list_pipelines"; one that has pages
-- @param params of the operation
function core.client_methods:paginate(operation, params)
  local info = paging[operation]
  if not (info and info.output_token) then
    error(("%q has no pages"):format(tostring(operation)), 2)
  end
  params = copy(params)
  local items, position, last = {}, 0, false
  return function()
    while position >= #items and not last do
      local page, err = self:call(info.name, params)
      if not page then
        error(err, 0)
      end
      items, position = page[info.result_key] or {}, 0
      params[info.input_token] = page[info.output_token]
      last = page[info.output_token] == nil
    end
    position = position + 1
    return items[position]
  end
end

--- A client of this emulator, with its owner's credentials.
-- @param options as for codepipeline.client; they win
function core.emulator_methods:client(options)
  local environ = self.environ
  local all = {
    endpoint_url = environ.AWS_ENDPOINT_URL_CODEPIPELINE,
    s3_endpoint_url = environ.AWS_ENDPOINT_URL_S3,
    region = environ.AWS_REGION,
    access_key_id = environ.AWS_ACCESS_KEY_ID,
    secret_access_key = environ.AWS_SECRET_ACCESS_KEY,
  }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  return core.client(all)
end

return codepipeline
