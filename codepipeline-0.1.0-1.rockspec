rockspec_format = "3.0"
package = "codepipeline"
version = "0.1.0-1"
source = {
  -- the release archive beside this file, which is Python's sdist too: docs/adr/0005-luarocks-make.md
  url = "codepipeline-0.1.0.tar.gz",
  dir = "codepipeline-0.1.0",
}
description = {
  summary = "AWS CodePipeline: a client, a job worker and an offline emulator, on one C core",
  license = "MIT",
  labels = { "aws", "codepipeline" },
}
dependencies = { "lua >= 5.4, < 5.5" }
-- Those that every build has. SQLite and libmicrohttpd come with parts that can be left out, for a small target:
-- luarocks make CPL_EMULATOR=0 CPL_JOURNAL=0; the Makefile asks for what is wanted.
external_dependencies = {
  CURL = { library = "curl" },
  CRYPTO = { library = "crypto" },
  CJSON = { library = "cjson" },
  ARCHIVE = { library = "archive" },
  EXPAT = { library = "expat" },
}
build = {
  type = "make",
  build_target = "rock",
  install_pass = false,
  build_variables = {
    CC = "$(CC)",
    CFLAGS = "$(CFLAGS)",
    LIBFLAG = "$(LIBFLAG)",
    LUA_INCDIR = "$(LUA_INCDIR)",
    CPL_EMULATOR = "$(CPL_EMULATOR)",
    CPL_JOURNAL = "$(CPL_JOURNAL)",
  },
  install = {
    lua = {
      ["codepipeline"] = "lua/codepipeline/init.lua",
      ["codepipeline.event"] = "lua/codepipeline/event.lua",
      ["codepipeline.run"] = "lua/codepipeline/run.lua",
      ["codepipeline.check"] = "lua/codepipeline/check.lua",
      ["codepipeline.artifacts"] = "lua/codepipeline/artifacts.lua",
      ["codepipeline.child"] = "lua/codepipeline/child.lua",
      ["codepipeline.handlers"] = "lua/codepipeline/handlers.lua",
      ["codepipeline.rehearsal"] = "lua/codepipeline/rehearsal.lua",
      ["codepipeline.resuming"] = "lua/codepipeline/resuming.lua",
      ["codepipeline.runtime"] = "lua/codepipeline/runtime.lua",
      ["codepipeline.submit"] = "lua/codepipeline/submit.lua",
      ["codepipeline.tasks"] = "lua/codepipeline/tasks.lua",
      ["codepipeline.testing"] = "lua/codepipeline/testing.lua",
      ["codepipeline.jobs"] = "lua/codepipeline/jobs.d.lua",
      ["codepipeline.objects"] = "lua/codepipeline/objects.d.lua",
      ["codepipeline.types"] = "lua/codepipeline/types.d.lua",
      ["codepipeline.paging"] = "lua/codepipeline/paging.lua",
      ["codepipeline.job"] = "lua/codepipeline/job.lua",
      ["codepipeline.worker"] = "lua/codepipeline/worker.lua",
    },
    lib = {
      ["codepipeline.core"] = "build/rock/lua/codepipeline/core.so",
    },
    bin = {
      ["codepipeline-emulator"] = "lua/bin/codepipeline-emulator",
      ["codepipeline-event"] = "lua/bin/codepipeline-event",
      ["codepipeline-lambda"] = "lua/bin/codepipeline-lambda",
    },
  },
  copy_directories = { "docs" },
}
