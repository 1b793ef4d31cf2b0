-- SPDX-License-Identifier: MIT
--- Page after page: the methods paginate and pages of a client.

local core = require "codepipeline.core"
local check = require "codepipeline.check"

local methods = {}

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

local function paged(operation)
  local info = paging[operation]
  if not info then
    local names = {}
    for name, other in pairs(paging) do
      names[#names + 1] = other.output_token and name or nil
    end
    local meant = core.nearest(tostring(operation), names)
    meant = meant and ("; did you mean %q?"):format(meant) or ""
    check.misuse("there is no operation %q%s", tostring(operation), meant)
  end
  if not info.output_token then
    check.misuse("%q has no pages", tostring(operation))
  end
  return info
end

-- A token to resume from: the service's own, and how many items of its page were seen. boto3 understands it too.
local function encode(token, skipped)
  return ("%s___%d"):format(token or "None", skipped)
end

local function decode(text)
  local token, skipped = text:match "^(.*)___(%d+)$"
  if not token then
    return text, 0
  end
  return token ~= "None" and token or nil, math.tointeger(skipped)
end

local function check_options(info, options)
  check.options(options, { "max_items", "page_size", "starting_token" })
  if options.page_size and not info.limit_key then
    error(("%q does not let choose the page size"):format(info.name), 3)
  end
end

-- A function that answers page after page, its token and the number of items skipped at its start; nil after the last.
local function walk(client, info, params, options)
  local token, skip = params[info.input_token], 0
  if options.starting_token then
    token, skip = decode(options.starting_token)
  end
  if options.page_size then
    params[info.limit_key] = options.page_size
  end
  local left, ended, sent = options.max_items, false, nil
  return function()
    if ended then
      return nil
    end
    if sent and token == sent then
      error("the service repeated a page token", 0)
    end
    params[info.input_token], sent = token, token
    local page, err = client:call(info.name, params)
    if not page then
      error(err, 0)
    end
    local items = page[info.result_key] or {}
    local count = math.max(#items - skip, 0)
    local kept = left and math.min(left, count) or count
    local beyond = math.max(skip - #items, 0) -- the pages were larger when the token was made
    local resume = page[info.output_token] and encode(page[info.output_token], beyond)
    if kept < count then
      resume = encode(token, skip + kept)
    end
    if kept < #items then
      page[info.result_key] = table.move(items, skip + 1, skip + kept, 1, {})
    end
    local skipped = skip
    left = left and left - kept
    ended = not page[info.output_token] or left == 0
    token, skip = page[info.output_token], beyond
    return page, resume, sent, skipped
  end
end

local iterator = {
  __call = function(self)
    return self.advance(self)
  end,
}

--- Iterates the items of all pages: for pipeline in client:paginate("list_pipelines") do ... end
-- A page that cannot be had raises err, because an iterator has no other way to tell.
-- @param operation "ListPipelines" or "list_pipelines"; one that has pages
-- @param params of the operation
-- @param options max_items (ends the iteration), page_size (what the service is asked for at once), starting_token
-- @return iterator; its resume_token is where a later one goes on after the items seen so far, as starting_token
function methods.paginate(client, operation, params, options)
  local info = paged(operation)
  options = options or {}
  check_options(info, options)
  local next_page = walk(client, info, copy(params), options)
  local items, position, resume, token, skipped = {}, 0, nil, nil, 0
  return setmetatable({
    resume_token = options.starting_token,
    advance = function(this)
      while items and position == #items do
        local page
        page, resume, token, skipped = next_page()
        items, position = page and (page[info.result_key] or {}), 0
        if page then
          this.resume_token = resume
        end
      end
      if not items then
        return nil
      end
      position = position + 1
      if position == #items then
        this.resume_token = resume
      else
        this.resume_token = encode(token, skipped + position)
      end
      return items[position]
    end,
  }, iterator)
end

--- Iterates the pages, each as the service answered it, apart from what options cut off. The rest is as for paginate.
function methods.pages(client, operation, params, options)
  local info = paged(operation)
  options = options or {}
  check_options(info, options)
  local next_page = walk(client, info, copy(params), options)
  return setmetatable({
    resume_token = options.starting_token,
    advance = function(this)
      local page, resume = next_page()
      if page then
        this.resume_token = resume
      end
      return page
    end,
  }, iterator)
end

return methods
