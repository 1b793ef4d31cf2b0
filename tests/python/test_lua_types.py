# SPDX-License-Identifier: MIT
"""The Lua annotations as LuaLS understands them, where lua-language-server is there; tests/lua/annotations_spec.lua
compares them with the live objects everywhere."""

import json
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

needs_luals = pytest.mark.skipif(shutil.which("lua-language-server") is None, reason="no lua-language-server")

# each line with a comment has a mistake of that kind, the others have none
WRONG = """\
local codepipeline = require "codepipeline"
local testing = require "codepipeline.testing"
local client = assert(codepipeline.client { region = "eu-west-1" })
client:get_pipelin_state { name = "site" } -- undefined-field
local state = assert(client:get_pipeline_state { name = 3 }) -- assign-type-mismatch
print(state.pipelineNme) -- undefined-field
local run = assert(client:start(3)) -- param-type-mismatch
run:wiat() -- undefined-field
print(run.pipline) -- undefined-field
local worker = assert(codepipeline.worker(client, { journal = 3 })) -- assign-type-mismatch
worker:job({ category = "Bild", provider = "B" }, function(job) -- assign-type-mismatch
  print(job.user_params) -- undefined-field
  return job:fail("x", { type = "Nope" }) -- assign-type-mismatch
end)
worker:job({ provider = "B" }, function() end) -- missing-fields
local emulator = assert(codepipeline.emulator { port = "8080" }) -- assign-type-mismatch
emulator:advance "an hour" -- param-type-mismatch
codepipeline.emulatr() -- undefined-field
codepipeline.failure("Nope", "x") -- param-type-mismatch
print(emulator.environment) -- undefined-field
emulator:script { outcome = "perhaps" } -- assign-type-mismatch
testing.with_emulator(function(its)
  its:fault { operation = "ListPipelines" } -- missing-fields
  return its:client()
end)
local other, err = client:get_pipeline { name = "site" }
if not other then
  print(err.code, err.retryable)
end
for item in client:paginate("list_pipelines") do
  print(item.name, item.nmae) -- undefined-field
end
"""


def luals(folder):
    """What it finds: (file name, line, kind)."""
    settings = {
        "runtime.version": "Lua 5.4",
        "workspace.library": [str(ROOT / "lua")],
        "workspace.checkThirdParty": False,
        "diagnostics.disable": ["redefined-local", "unused-local", "trailing-space", "duplicate-set-field"],
    }
    (folder / ".luarc.json").write_text(json.dumps(settings))
    log = folder.parent / f"{folder.name}-log"
    subprocess.run(
        ["lua-language-server", "--check", folder, "--check_format=json", f"--check_out_path={log}.json",
         "--checklevel=Information", f"--logpath={log}"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300,
    )  # fmt: skip
    found = json.loads((folder.parent / f"{folder.name}-log.json").read_text() or "[]")
    return sorted(
        (uri.rsplit("/", 1)[-1], one["range"]["start"]["line"] + 1, one["code"])
        for uri, list_of_them in (found.items() if found else ())
        for one in list_of_them
    )


@needs_luals
def test_an_editor_marks_what_is_wrong_and_nothing_else(tmp_path):
    folder = tmp_path / "wrong"
    folder.mkdir()
    (folder / "wrong.lua").write_text(WRONG)
    expected = [
        ("wrong.lua", number, line.split("-- ")[1])
        for number, line in enumerate(WRONG.splitlines(), 1)
        if "-- " in line
    ]
    assert luals(folder) == expected


@needs_luals
def test_the_examples_and_the_manual_are_typed(tmp_path):
    folder = tmp_path / "right"
    folder.mkdir()
    for path in ROOT.glob("examples/**/*.lua"):
        shutil.copy(path, folder / "-".join(path.relative_to(ROOT / "examples").parts))
    head = 'local codepipeline = require "codepipeline"; local emulator = assert(codepipeline.emulator()); '
    head += "local client = assert(emulator:client()); "
    for path in ROOT.glob("docs/lua/*.md"):
        lines, inside = [], False
        for line in path.read_text().splitlines():
            if line.startswith("```"):
                inside, line = line == "```lua", ""
            lines.append(line if inside else "")
        (folder / f"manual-{path.stem}.lua").write_text(head + "\n".join(lines))
    assert luals(folder) == []


def test_the_manual_says_how_to_switch_them_on():
    page = (ROOT / "docs/lua/README.md").read_text()
    settings = json.loads(re.search(r"```json\n(.*?)```", page, re.S).group(1))
    assert settings["runtime.version"] == "Lua 5.4" and len(settings["workspace.library"]) == 1
