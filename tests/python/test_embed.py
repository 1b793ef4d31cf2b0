# SPDX-License-Identifier: MIT
"""examples/embed: a C program with a Lua worker inside, whose script is changed while it runs."""

import os
import shutil
import signal
import subprocess
import time

import pytest

from conftest import ROOT, SANITIZED
from test_worker import World, action

EXAMPLE = ROOT / "examples" / "embed"


def compiled(source, program):
    """The program, linked with Lua and nothing of ours: that is loaded by require."""
    if not (ROOT / "build/lua/codepipeline/core.so").exists():
        pytest.skip("the Lua module is not built")
    if SANITIZED:
        pytest.skip("the program is not built with the sanitizer")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "lua5.4"], stdout=subprocess.PIPE, text=True, check=True
    )
    warnings = ["-std=c11", "-D_GNU_SOURCE", "-pthread", "-Wall", "-Wextra", "-Werror"]
    subprocess.run(["cc", *warnings, source, "-o", program, *flags.stdout.split()], check=True)
    return program


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    return compiled(EXAMPLE / "host.c", tmp_path_factory.mktemp("embed") / "host")


class Embedded:
    def __init__(self, host, folder):
        self.script = folder / "worker.lua"
        self.log = folder / "log"
        shutil.copy(EXAMPLE / "worker.lua", self.script)
        environ = {**os.environ, "JOURNAL": str(folder / "jobs.db")}
        with self.log.open("w") as log:
            self.process = subprocess.Popen([host, self.script], env=environ, stderr=log)

    def change(self, old, new):
        self.script.write_text(self.script.read_text().replace(old, new))
        self.process.send_signal(signal.SIGHUP)

    def wait_for(self, text):
        end = time.monotonic() + 20
        while text not in self.log.read_text():
            assert time.monotonic() < end and self.process.poll() is None, self.log.read_text()
            time.sleep(0.02)


@pytest.fixture
def embedded(host, emulator, client, tmp_path):
    world = World(emulator, client, tmp_path)
    count = {"minimumCount": 0, "maximumCount": 5}
    client.create_custom_action_type(
        category="Build", provider="Embedded", version="1", inputArtifactDetails=count, outputArtifactDetails=count
    )
    running = Embedded(host, tmp_path)
    running.world = world
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait()


def version_that_ran(embedded, client, name):
    step = action("Make", provider="Embedded")
    embedded.world.start({**step, "namespace": "made"}, name=name)
    details = []
    end = time.monotonic() + 20
    while not details:
        assert time.monotonic() < end, embedded.log.read_text()
        time.sleep(0.02)
        told = client.list_action_executions(pipelineName=name)["actionExecutionDetails"]
        details = [item for item in told if item["actionName"] == "Make" and item["status"] != "InProgress"]
    assert details[0]["status"] == "Succeeded", details
    return details[0]["output"]["outputVariables"]["version"]


def test_a_script_is_changed_while_the_program_runs(embedded, client):
    assert version_that_ran(embedded, client, "one") == "1"
    embedded.change('VERSION = "1"', 'VERSION = "2"')
    embedded.wait_for("loaded again")
    assert version_that_ran(embedded, client, "two") == "2"
    embedded.process.send_signal(signal.SIGTERM)
    assert embedded.process.wait(20) == 0


def test_a_script_that_does_not_load_changes_nothing(embedded, client):
    assert version_that_ran(embedded, client, "one") == "1"
    embedded.change("return worker", "return worker +")
    embedded.wait_for("unexpected symbol")
    assert version_that_ran(embedded, client, "two") == "1"
    embedded.change("return worker +", 'error "not today"')  # it compiles, and opens the journal before it fails
    embedded.wait_for("worker.lua:13: not today")
    assert version_that_ran(embedded, client, "three") == "1"
    embedded.change('error "not today"', "return 3")
    embedded.wait_for("the script answers no worker")
    assert version_that_ran(embedded, client, "four") == "1"
    embedded.script.unlink()
    embedded.process.send_signal(signal.SIGHUP)
    embedded.wait_for("No such file")
    assert version_that_ran(embedded, client, "five") == "1"


def test_a_script_that_does_not_load_at_first_is_told(host, tmp_path):
    for text, why in (("return", "answers no worker"), ("return 3", "answers no worker"), ("x +", "syntax error")):
        (tmp_path / "wrong.lua").write_text(text)
        done = subprocess.run([host, tmp_path / "wrong.lua"], stderr=subprocess.PIPE, text=True, timeout=20)
        assert done.returncode == 1 and why in done.stderr, text


STATE = """
local codepipeline = require "codepipeline"
for round = 1, 20 do
  local client <close> = assert(codepipeline.client {})
  for call = 1, 5 do
    assert(#assert(client:list_action_types { actionOwnerFilter = "AWS" }).actionTypes > 0)
  end
  local none, err = client:get_pipeline { name = "nowhere" }
  assert(none == nil and err.code == "PipelineNotFoundException")
end
"""


def test_three_states_on_three_threads(emulator, tmp_path):
    program = compiled(ROOT / "tests/lua/three_states.c", tmp_path / "three")
    (tmp_path / "state.lua").write_text(STATE)
    subprocess.run([program, tmp_path / "state.lua"], check=True, timeout=60)
