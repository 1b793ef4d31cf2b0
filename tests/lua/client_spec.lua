-- SPDX-License-Identifier: MIT
local codepipeline = require "codepipeline"
local helper = require "tests.lua.helper"

local KEYS = { region = "eu-west-1", access_key_id = "AKIATEST", secret_access_key = "secret" }

local function keys(more)
  local all = {}
  for key, value in pairs(KEYS) do
    all[key] = value
  end
  for key, value in pairs(more or {}) do
    all[key] = value
  end
  return all
end

describe("a client", function()
  it("has the 44 operations of the service as methods", function()
    local client = assert(codepipeline.client(keys()))
    local operations = codepipeline.operations()
    assert.equal(44, #operations)
    for _, operation in ipairs(operations) do
      assert.is_function(client[operation.method])
    end
    assert.is_nil(client.no_such_operation)
  end)

  it("names the member at fault before anything is sent", function()
    local client = assert(codepipeline.client(keys { endpoint_url = "http://127.0.0.1:9" }))
    local pipeline = helper.pipeline("p", { helper.action("Make", "Build", "Builder", { "Source" }) })
    pipeline.stages[2].actions[1].actionTypeId.version = "1234567890"
    local answer, err = client:create_pipeline { pipeline = pipeline }
    assert.is_nil(answer)
    assert.equal("INVALID", err.status)
    assert.equal("pipeline.stages[1].actions[0].actionTypeId.version", err.path)
    assert.equal("pipeline.stages[1].actions[0].actionTypeId.version: longer than 9", err.message)
  end)

  it("tells a missing member, an unknown one and a wrong type apart", function()
    local client = assert(codepipeline.client(keys()))
    local _, missing = client:get_pipeline {}
    assert.equal("name: missing", missing.message)
    local _, unknown = client:get_pipeline { name = "x", nmae = "y" }
    assert.equal("nmae", unknown.path)
    local _, wrong = client:get_pipeline { name = 5 }
    assert.equal("name", wrong.path)
  end)

  it("raises for what no JSON can hold, with its place", function()
    local client = assert(codepipeline.client(keys()))
    assert.error_matches(function()
      client:create_pipeline { pipeline = { stages = { { name = print } } } }
    end, "pipeline.stages%[0%].name: a function cannot be sent")
    assert.error_matches(function()
      client:create_pipeline { pipeline = { stages = { 1, nil, 3, name = 4 } } }
    end, "pipeline.stages")
    local loop = {}
    loop.loop = loop
    assert.error_matches(function()
      client:create_pipeline(loop)
    end, "64 levels")
  end)

  it("raises for an option that does not exist", function()
    assert.error_matches(function()
      codepipeline.client { regoin = "eu-west-1" }
    end, 'unknown option "regoin"')
  end)

  it("returns nil and an error that can be printed when nobody answers", function()
    local client = assert(codepipeline.client(keys { endpoint_url = "http://127.0.0.1:9", max_attempts = 1 }))
    local answer, err = client:list_pipelines {}
    assert.is_nil(answer)
    assert.equal("NETWORK", err.status)
    assert.same({ 1, 0.0, true, true }, { err.attempts, err.retry_delay, err.retryable, err.exhausted })
    assert.matches("ListPipelines", tostring(err))
  end)

  it("refuses calls once it is closed", function()
    local client = assert(codepipeline.client(keys()))
    client:close()
    client:close()
    local answer, err = client:list_pipelines {}
    assert.is_nil(answer)
    assert.equal("STATE", err.status)
    assert.matches("closed", tostring(client))
  end)

  it("does not show its secrets", function()
    local client = assert(codepipeline.client(keys()))
    assert.is_nil(tostring(client):find("secret", 1, true))
  end)

  it("lets an interrupt through while it waits", function()
    local client = assert(codepipeline.client(keys { endpoint_url = "http://127.0.0.1:9", max_attempts = 10 }))
    local begin = os.time()
    debug.sethook(function()
      if debug.getinfo(2, "S").what == "C" and os.time() > begin then
        debug.sethook()
        error("interrupted!", 0)
      end
    end, "c")
    local fine, err = pcall(client.list_pipelines, client)
    debug.sethook()
    assert.is_false(fine)
    assert.equal("interrupted!", err)
  end)

  it("reads tables of every size, whatever the one before had", function()
    local core = require "codepipeline.core"
    for _, count in ipairs { 0, 1, 5, 600, 3, 0, 255, 256, 2 } do
      local list, map, items, members = {}, {}, {}, {}
      for i = 1, count do
        list[i], map["k" .. i] = i, i
        items[i], members[i] = tostring(i), ('"k%d":%d'):format(i, i)
      end
      local text = '{"list":[%s],"map":{%s},"rows":[[1],[1,2,3],[],{"a":{}}]}'
      local value = core.decode(text:format(table.concat(items, ","), table.concat(members, ",")))
      assert.same({ list = list, map = map, rows = { { 1 }, { 1, 2, 3 }, {}, { a = {} } } }, value)
    end
  end)
end)

describe("a client of the emulator", function()
  it("creates, reads, updates, lists and deletes a pipeline", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local pipeline = helper.pipeline("mine", { helper.action("Make", "Build", "Builder", { "Source" }) })
      local created = assert(client:create_pipeline { pipeline = pipeline })
      assert.equal(1, created.pipeline.version)
      assert.equal(200, created.ResponseMetadata.HTTPStatusCode)
      assert.equal(2, assert(client:update_pipeline { pipeline = pipeline }).pipeline.version)
      assert.equal(1, assert(client:get_pipeline { name = "mine", version = 1 }).pipeline.version)
      local listed = assert(client:list_pipelines()).pipelines
      assert.equal("mine", listed[1].name)
      assert.is_number(listed[1].created)
      assert(client:delete_pipeline { name = "mine" })
      local gone, err = client:get_pipeline { name = "mine" }
      assert.is_nil(gone)
      assert.equal("PipelineNotFoundException", err.code)
      assert.equal("GetPipeline", err.operation)
      assert.equal(400, err.http_status)
      assert.is_string(err.request_id)
    end)
  end)

  it("iterates over all pages", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      for i = 1, 5 do
        local action = helper.action("Make", "Build", "Builder", { "Source" })
        assert(client:create_pipeline { pipeline = helper.pipeline("p" .. i, { action }) })
      end
      local names = {}
      for pipeline in client:paginate("list_pipelines", { maxResults = 2 }) do
        names[#names + 1] = pipeline.name
      end
      assert.equal("p1 p2 p3 p4 p5", table.concat(names, " "))
      assert.error_matches(function()
        client:paginate "get_pipeline"
      end, "has no pages")
    end)
  end)

  it("ends, goes on and shows pages as it is told", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      for i = 1, 5 do
        local action = helper.action("Make", "Build", "Builder", { "Source" })
        assert(client:create_pipeline { pipeline = helper.pipeline("p" .. i, { action }) })
      end
      local function names_of(items)
        local names = {}
        for pipeline in items do
          names[#names + 1] = pipeline.name
        end
        return table.concat(names, " ")
      end
      for size = 1, 6 do
        for count = 1, 5 do
          local some = client:paginate("list_pipelines", nil, { page_size = size, max_items = count })
          assert.equal(("p1 p2 p3 p4 p5"):sub(1, 3 * count - 1), names_of(some))
          assert.is_nil(some())
          local rest = { page_size = size, starting_token = some.resume_token }
          if count == 5 then
            assert.is_nil(some.resume_token)
          else
            local last = client:paginate("ListPipelines", {}, rest)
            assert.equal(("p1 p2 p3 p4 p5"):sub(3 * count + 1), names_of(last))
            assert.is_nil(last.resume_token)
            assert.equal("p" .. count + 1, client:pages("list_pipelines", {}, rest)().pipelines[1].name)
          end
        end
      end
      local seen = client:paginate("list_pipelines", {}, { page_size = 3 })
      assert.equal("p1", seen().name)
      local again = client:paginate("list_pipelines", {}, { starting_token = seen.resume_token })
      assert.equal("p2 p3 p4 p5", names_of(again))
      local sizes, pages = {}, client:pages("list_pipelines", {}, { page_size = 2, max_items = 3 })
      for page in pages do
        assert.is_string(page.ResponseMetadata.RequestId)
        sizes[#sizes + 1] = #page.pipelines
      end
      assert.same({ 2, 1 }, sizes)
      assert.is_string(pages.resume_token)
      assert.error_matches(function()
        client:pages("list_pipelines", {}, { maxItems = 3 })
      end, 'unknown option "maxItems"')
      assert.error_matches(function()
        client:paginate("list_action_types", {}, { page_size = 3 })
      end, "does not let choose the page size")
    end)
  end)

  it("is refused with a wrong secret key", function()
    helper.with_emulator(function(emulator)
      local stranger = assert(emulator:client { secret_access_key = "wrong" })
      local answer, err = stranger:list_pipelines {}
      assert.is_nil(answer)
      assert.equal("InvalidSignatureException", err.code)
    end)
  end)

  it("sends an empty table as an empty list where a list belongs", function()
    helper.with_emulator(function(emulator, client)
      helper.prepare(emulator, client)
      local action = helper.action("Make", "Build", "Builder", { "Source" }, {}, {})
      assert(client:create_pipeline { pipeline = helper.pipeline("empty", { action }), tags = {} })
    end)
  end)

  it("moves files up and down", function()
    helper.with_emulator(function(emulator, client)
      assert(emulator:create_bucket "files")
      local up, down = helper.path(), helper.path()
      helper.write(up, ("x"):rep(100000))
      assert(client:upload_file(up, "files", "a/b c"))
      assert(client:download_file("files", "a/b c", down))
      assert.equal(100000, #helper.read(down))
      local missing, err = client:download_file("files", "nothing", down .. "-2")
      assert.is_nil(missing)
      assert.equal("NoSuchKey", err.code)
      os.remove(up)
      os.remove(down)
    end)
  end)
end)

describe("a library that cannot be loaded", function()
  for _, row in ipairs {
    { "libcurl", { "libcurl.so.4", "libcurl-gnutls.so.4" }, 'client { region = "eu-west-1" }' },
    { "libmicrohttpd", { "libmicrohttpd.so.12" }, "emulator {}" },
    { "expat", { "libexpat.so.1" }, "emulator {}" },
    {
      "expat",
      { "libexpat.so.1" },
      'client { region = "eu-west-1", access_key_id = "A", secret_access_key = "s" }:download_file("b", "k", "x")',
    },
  } do
    it(("is named where it is needed: %s, %s"):format(row[1], row[3]), function()
      local folder = helper.path()
      assert(os.execute(("mkdir '%s'"):format(folder)))
      for _, name in ipairs(row[2]) do
        helper.write(folder .. "/" .. name, "")
      end
      local code = [[local ok, err = require "codepipeline".%s print(ok, err.status, err)]]
      local command = "LD_LIBRARY_PATH='%s' lua5.4 -e '%s'"
      local told <close> = assert(io.popen(command:format(folder, code:format(row[3]))))
      local line = told:read "a"
      assert.truthy(line:find("^nil\tIO\t.*" .. row[1] .. " cannot be loaded: .*" .. row[2][1]), line)
      assert(os.execute(("rm -r '%s'"):format(folder)))
    end)
  end
end)
