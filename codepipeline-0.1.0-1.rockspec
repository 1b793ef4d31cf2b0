rockspec_format = "3.0"
package = "codepipeline"
version = "0.1.0-1"
source = {
  url = "codepipeline-0.1.0.tar.gz", -- the release archive, which is Python's sdist too; see docs/adr/0005-luarocks-make.md
  dir = "codepipeline-0.1.0",
}
description = {
  summary = "AWS CodePipeline: a client, a job worker and an offline emulator, on one C core",
  license = "MIT",
  labels = { "aws", "codepipeline" },
}
dependencies = { "lua >= 5.4, < 5.5" }
external_dependencies = {
  CURL = { header = "curl/curl.h" },
  CRYPTO = { header = "openssl/evp.h" },
  CJSON = { header = "cjson/cJSON.h" },
  ARCHIVE = { header = "archive.h" },
  SQLITE3 = { header = "sqlite3.h" },
  EXPAT = { header = "expat.h" },
  MICROHTTPD = { header = "microhttpd.h" },
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
  },
  install = {
    lua = {
      ["codepipeline"] = "lua/codepipeline/init.lua",
    },
    lib = {
      ["codepipeline.core"] = "build/rock/lua/codepipeline/core.so",
    },
    bin = {
      ["codepipeline-emulator"] = "lua/bin/codepipeline-emulator",
    },
  },
  copy_directories = { "docs" },
}
