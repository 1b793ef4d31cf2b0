-- SPDX-License-Identifier: MIT
-- What a newcomer gets wrong: the message says what, names what there is, and points at the newcomer's own line.
local codepipeline = require "codepipeline"

local client = assert(codepipeline.client {
  region = "eu-west-1",
  endpoint_url = "http://127.0.0.1:9",
  access_key_id = "a",
  secret_access_key = "b",
})
local quiet = { log = function() end }

local WRONG = {
  { "unknown option \"regoin\" (there are region, profile,", function() codepipeline.client { regoin = "x" } end },
  { "region: expected a string, got a number", function() codepipeline.client { region = 3 } end },
  { "options must be a table, not a string", function() codepipeline.client "eu-west-1" end },
  { "unknown option \"prot\" (there are port, host,", function() codepipeline.emulator { prot = 1 } end },
  { "options must be a table, not a number", function() codepipeline.emulator(8080) end },
  { "the client, which comes before the options, must be a userdata, not a table", function()
    codepipeline.worker { journal = "x" }
  end },
  { "unknown option \"jornal\" (there are concurrency, poll_interval, work_dir, artifact_limit, journal,", function()
    codepipeline.worker(client, { jornal = "x" })
  end },
  { "journal: expected a string, got a number", function() codepipeline.worker(client, { journal = 3 }) end },
  { "the pipeline, which is JSON or a table, is missing", function() codepipeline.lint() end },
  { "an event is text or a table, not a number", function() codepipeline.event(3) end },
  { "a handler is missing", function() codepipeline.resuming() end },
  { "the list of runs is missing", function() codepipeline.follow() end },
  { "run 1 of the list must be a table, not a number", function() codepipeline.follow { 3 } end },
  { "the archive's path is missing", function() codepipeline.pack "x" end },
  { "there is no failure type \"Nope\"", function() codepipeline.failure("Nope", "x") end },
  { "the pipeline's name is missing", function() client:start() end },
  { "the pipeline's name must be a string, not a table", function() client:start { name = "site" } end },
  { "unknown option \"varibles\" (there are variables, revisions,", function()
    client:start("site", { varibles = {} })
  end },
  { "variables: expected a table, got a string", function() client:start("site", { variables = "tag=v2" }) end },
  { "parameters must be a table, not a string", function() client:get_pipeline "site" end },
  { "\"get_pipeline\" has no pages", function() client:paginate "get_pipeline" end },
  { "a client has no method \"list_pipeline\"; did you mean \"list_pipelines\"?", function()
    client:list_pipeline()
  end },
  { "a client has no method \"pagniate\"; did you mean \"paginate\"?", function() client:pagniate "x" end },
  { "there is no operation \"ListPipeline\"; did you mean \"ListPipelines\"?", function()
    client:paginate "ListPipeline"
  end },
  { "there is no operation \"list_rules\"", function() client:pages "list_rules" end },
  { "unknown option \"maxItems\" (there are max_items, page_size, starting_token)", function()
    client:paginate("list_pipelines", nil, { maxItems = 1 })
  end },
  { "a call has the stages \"request\" and \"response\", not \"x\"", function() client:on("x", print) end },
  { "what looks on is missing", function() client:on "request" end },
  { "a callback must be a function, not a string", function() client:submit("list_pipelines", {}, "x") end },
  { "unknown option \"sinc\" (there are pipelines, since)", function() client:metrics { sinc = 3 } end },
}

local COLON = "write %s(), with a colon"
local DOTS = {
  { COLON:format "client:start", function() client.start "site" end },
  { COLON:format "client:paginate", function() client.paginate "list_pipelines" end },
  { COLON:format "client:metrics", function() client.metrics() end },
  { COLON:format "router:job", function() codepipeline.router().job({}, print) end },
  { "called with a dot: codepipeline.client{...}", function() codepipeline:client { region = "x" } end },
  { "called with a dot: codepipeline.client{...}", function() codepipeline:worker(client) end },
}

local WORKER_WRONG = {
  { COLON:format "worker:run", function(worker) worker.run() end },
  { COLON:format "worker:job", function(worker) worker.job({ category = "Build", provider = "X" }, print) end },
  { "an action type must be a table, not a string", function(worker) worker:job("Build", print) end },
  { "a handler must be a function, not a string", function(worker)
    worker:job({ category = "Build", provider = "X" }, "build")
  end },
  { "unknown option \"provder\" (there are category, provider,", function(worker)
    worker:job({ category = "Build", provder = "x" }, print)
  end },
  { "provider: missing", function(worker) worker:job({ category = "Build" }, print) end },
  { "a hook must be a function, not a string", function(worker) worker:before "x" end },
  { "include() takes what codepipeline.router() made", function(worker) worker:include {} end },
  { "a handler is missing", function(worker) worker:test() end },
  { "unknown option \"input\" (there are inputs, outputs,", function(worker) worker:test(print, { input = {} }) end },
  { "the worker is closed", function(worker)
    worker:close()
    worker:step(0)
  end },
}

local function check(wanted, wrong, ...)
  local fine, err = pcall(wrong, ...)
  assert.is_false(fine, wanted)
  assert.matches(wanted, err, 1, true)
  assert.matches("^[^\n]*misuse_spec%.lua:%d+: ", err) -- the newcomer's file, and none of this package's
end

describe("misuse", function()
  for _, case in ipairs(table.move(DOTS, 1, #DOTS, #WRONG + 1, WRONG)) do
    it("is told where it happened: " .. case[1], function()
      check(case[1], case[2])
    end)
  end

  it("of workers is told, too", function()
    for _, case in ipairs(WORKER_WRONG) do
      local worker <close> = assert(codepipeline.worker(client, quiet))
      check(case[1], case[2], worker)
    end
  end)

  it("of an emulator and of a run is told, too", function()
    local emulator = assert(codepipeline.emulator { demo = true })
    local run = assert(assert(emulator:client()):run "library")
    for _, name in ipairs { "wait", "follow", "explain", "close" } do
      check(COLON:format("run:" .. name), function()
        print(run[name]())
      end)
    end
    check(COLON:format "emulator:client", function()
      print(emulator.client())
    end)
    emulator:close()
    check("the emulator is closed", function()
      print(emulator.url)
    end)
    check("the emulator is closed", function()
      emulator:client()
    end)
  end)

  it("of a client that is closed is an error, for it may be closed by another", function()
    local view <close> = assert(client:with { read_timeout = 1 })
    view:close()
    local answer, err = view:list_pipelines()
    assert.is_nil(answer)
    assert.equal("the client is closed (ListPipelines)", tostring(err))
  end)
end)
