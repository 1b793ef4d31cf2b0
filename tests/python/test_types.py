# SPDX-License-Identifier: MIT
"""What type checkers and help() are told is what there is."""

import inspect
import os
import subprocess
import sys

import pytest

import codepipeline
from codepipeline import _core

SCRIPT = """
import codepipeline
from codepipeline import exceptions

client = codepipeline.Client("eu-west-1", read_timeout=3)
reveal_type(client.get_pipeline(name="site")["metadata"]["created"])
for summary in client.paginate("list_pipelines", maxResults=5):
    reveal_type(summary["version"])
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
REVEALED = ["datetime.datetime", "int", "str", "codepipeline._client.Client", "str | None"]
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


def test_the_stub_of_the_extension_module_tells_the_truth(mypy):
    assert "Success" in mypy("mypy.stubtest", "codepipeline._core", "--mypy-config-file", "mypy.ini")


@pytest.mark.parametrize("owner", [_core, _core.Client, _core.Worker, _core.Job, _core.Emulator])
def test_every_function_of_the_core_has_a_signature_and_a_text(owner):
    for name, function in vars(owner).items():
        if not name.startswith("_") and callable(function) and not isinstance(function, type):
            assert inspect.signature(function) is not None
            assert inspect.getdoc(function), name
