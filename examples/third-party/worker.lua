-- SPDX-License-Identifier: MIT
--- What worker.py beside it is, in Lua. TOKENS names a file that answers a table, return { ["CLIENT ID"] = "TOKEN" };
-- JOURNAL names the file that remembers jobs and results over a crash.
local codepipeline = require "codepipeline"

local client = assert(codepipeline.client())
local worker <close> = assert(codepipeline.worker(client, {
  third_party = true,
  journal = os.getenv "JOURNAL",
  --- The customer's token; nil: their jobs stay with the service, and we are asked again in a minute.
  client_token = function(customer)
    return dofile(os.getenv "TOKENS")[customer]
  end,
}))

--- The text files in a folder, sorted.
local function pages_in(folder)
  local pages = {}
  local found <close> = assert(io.popen(("cd '%s' && find . -name '*.txt' | sort"):format(folder)))
  for path in found:lines() do
    pages[#pages + 1] = path:sub(3)
  end
  return pages
end

local function words_in(path)
  local file <close> = assert(io.open(path))
  local _, words = file:read("a"):gsub("%S+", "")
  return words
end

--- Counts the words of the language that the action is configured for, page by page: a job for each.
worker:job({ category = "Test", provider = "Spellchecker" }, function(job)
  local folder = assert(job:input():extract())
  local pages, done, words = pages_in(folder), job.state or {}, {}
  if #done < #pages then
    local page = pages[#done + 1]
    table.insert(done, { page = page, words = words_in(folder .. "/" .. page) })
  end
  if #done < #pages then
    return job:later(done, { percent_complete = 100 * #done // #pages })
  end
  local sum = 0
  for i, page in ipairs(done) do
    sum = sum + page.words
    words[i] = ("%s %d"):format(page.page, page.words)
  end
  assert(job:output("Report"):write(job.configuration.Language .. "\n" .. table.concat(words, "\n") .. "\n"))
  return job:succeed { external_execution_id = job.id, summary = ("%d words"):format(sum) }
end)

assert(worker:run())
