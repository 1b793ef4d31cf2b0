# SPDX-License-Identifier: MIT
"""What type checkers and help() are told is what there is."""

import inspect
import json
import os
import subprocess
import sys

import pytest

import codepipeline
from codepipeline import _core
from conftest import ROOT

SCRIPT = """
import codepipeline
from codepipeline import exceptions

client = codepipeline.Client("eu-west-1", read_timeout=3)
reveal_type(client.get_pipeline(name="site")["metadata"]["created"])
for summary in client.paginate("list_pipelines", maxResults=5):
    reveal_type(summary["version"])
with codepipeline.testing.Stubber(client) as stubber:
    reveal_type(stubber)
    stubber.add_response("get_pipeline", {}, {"name": codepipeline.testing.ANY})
worker = codepipeline.Worker(client, concurrency=2)

@worker.job(category="Build", provider="B")
def build(job: codepipeline.Job) -> codepipeline.Result:
    reveal_type(job.input("Source").extract())
    return codepipeline.Result({"digest": job.output().digest()}, summary="made")

try:
    with codepipeline.Emulator(path="x.db") as emulator:
        reveal_type(emulator.client())
except exceptions.PipelineNotFoundException as error:
    reveal_type(error.request_id)

client.get_pipeline(nam="site")
client.paginate("get_pipeline")
codepipeline.Client(colour="red")
codepipeline.nonsense
"""
REVEALED = [
    "datetime.datetime",
    "int",
    "codepipeline._stub.Stubber",
    "str",
    "codepipeline._client.Client",
    "str | None",
]
ERRORS = ["call-arg", "call-overload", "call-arg", "attr-defined"]


@pytest.fixture(scope="module")
def mypy(tmp_path_factory):
    """mypy(module, argument...): what it prints; it looks at the package that is imported here."""
    pytest.importorskip("mypy")
    folder = tmp_path_factory.mktemp("mypy")
    top = os.path.dirname(os.path.dirname(codepipeline.__file__))

    def run(module, *arguments):
        (folder / "mypy.ini").write_text(f"[mypy]\ncache_dir = {folder}/cache\n")
        (folder / "script.py").write_text(SCRIPT)
        environ = {**os.environ, "MYPYPATH": top, "PYTHONPATH": top}
        command = [sys.executable, "-m", module, *arguments]
        return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=300).stdout

    return run


def test_a_script_is_checked_by_the_types_of_the_model(mypy):
    lines = mypy("mypy", "--strict", "script.py").splitlines()
    assert [line.split('"')[1] for line in lines if "Revealed type" in line] == REVEALED
    assert [line.split("[")[-1].rstrip("]") for line in lines if ": error: " in line] == ERRORS


# What stubtest need not find at run time, as regular expressions.
ALLOWED = r"""
codepipeline\._(operations|service_errors|typing)  # modules for type checkers alone
codepipeline\._(?!(async|client|core)\.)\w+\.[A-Z]\w*  # names for types, in modules that are their own stubs
codepipeline\._async\.(Item|Async(Items|Pages)\.__init__)  # a type variable; nobody makes the others
codepipeline\._async\.AsyncRun\.\w+  # hand their arguments on to Run's
codepipeline\._worker\.Summary  # a number with attributes
codepipeline\.cli\.output\.Line
"""


def test_the_stubs_tell_the_truth(mypy, tmp_path):
    (tmp_path / "allowed").write_text(ALLOWED)
    options = ["--mypy-config-file", "mypy.ini", "--ignore-missing-stub", "--ignore-unused-allowlist"]
    said = mypy("mypy.stubtest", "codepipeline", *options, "--allowlist", str(tmp_path / "allowed"))
    assert "Success" in said, said


def test_pyright_takes_a_script_for_what_mypy_does(tmp_path):
    pyright = ROOT / ".dev/node/node_modules/pyright/index.js"
    if not pyright.exists():
        pytest.skip("no pyright; ./dev test installs it")
    (tmp_path / "script.py").write_text(SCRIPT)
    top = os.path.dirname(os.path.dirname(codepipeline.__file__))
    rules = {"extraPaths": [top], "reportTypedDictNotRequiredAccess": False, "reportMissingModuleSource": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(rules))
    command = ["node", str(pyright), "--outputjson", "--pythonpath", sys.executable]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    said = json.loads(done.stdout)["generalDiagnostics"]
    revealed = [one["message"].split('"')[-2] for one in said if one["severity"] == "information"]
    assert revealed == ["datetime", "int", "Stubber", "str", "Client", "str | None"]
    lines = SCRIPT.splitlines()
    wrong = {lines[one["range"]["start"]["line"]] for one in said if one["severity"] == "error"}
    assert wrong == set(lines[lines.index('client.get_pipeline(nam="site")') :])


@pytest.mark.parametrize("owner", [_core, _core.Client, _core.Worker, _core.Job, _core.Emulator, _core.Stub])
def test_every_function_of_the_core_has_a_signature_and_a_text(owner):
    for name, function in vars(owner).items():
        if not name.startswith("_") and callable(function) and not isinstance(function, type):
            assert inspect.signature(function) is not None
            assert inspect.getdoc(function), name
