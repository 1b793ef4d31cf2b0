# SPDX-License-Identifier: MIT
"""What others test with: the pytest fixtures, the unittest mix-in, the emulator's environment."""

import os
import subprocess
import sys
import unittest

import pytest

import codepipeline

TESTS = """
import os
import pytest
import codepipeline

def test_the_environment_points_there(codepipeline_emulator):
    assert codepipeline.Client().list_pipelines()["pipelines"] == []
    assert codepipeline_emulator.ledger(operation="ListPipelines", status=200)

@pytest.mark.codepipeline_emulator(region="eu-west-1", account_id="210987654321")
def test_with_arguments(codepipeline_client):
    assert codepipeline_client.region == os.environ["AWS_REGION"] == "eu-west-1"
    assert "AWS_PROFILE" not in os.environ

def test_that_fails(codepipeline_client):
    with pytest.raises(codepipeline.ClientError):
        codepipeline_client.get_pipeline(name="nowhere")
    assert False

def test_afterwards():
    assert os.environ["AWS_PROFILE"] == "outer" and "AWS_ENDPOINT_URL" not in os.environ
"""


def run(folder, *arguments):
    environ = {**os.environ, "AWS_PROFILE": "outer"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, timeout=120)


def test_the_fixtures_give_each_test_an_emulator_and_tell_of_it_when_it_fails(tmp_path):
    (tmp_path / "test_theirs.py").write_text(TESTS)
    done = run(
        tmp_path, "-m", "pytest", "-p", "codepipeline_pytest", "-p", "no:cacheprovider", "--strict-markers", "-q"
    )
    assert "3 passed, 1 failed" in done.stdout or "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "the emulator's last requests" in done.stdout
    assert "1  operation=GetPipeline status=400 code=PipelineNotFoundException" in done.stdout


def test_the_plugin_alone_loads_nothing_of_ours(tmp_path):
    done = run(tmp_path, "-c", "import codepipeline_pytest, sys; sys.exit('codepipeline' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_a_package_that_is_installed_has_the_plugin(root):
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"codepipeline": "codepipeline_pytest"}


class Theirs(codepipeline.testing.EmulatorTestCase):
    emulator_options = {"region": "eu-west-1"}
    __test__ = False

    def test_right(self):
        self.assertEqual(codepipeline.Client().list_pipelines()["pipelines"], [])
        self.assertEqual(self.client.region, "eu-west-1")

    def test_wrong(self):
        with self.assertRaises(codepipeline.ClientError):
            self.client.get_pipeline(name="nowhere")
        self.assertEqual(1, 2)


def test_the_mixin_gives_each_test_an_emulator(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "outer")
    result = unittest.TestResult()
    case = Theirs("test_right")
    case.run(result)
    assert result.wasSuccessful() and result.testsRun == 1
    assert case.emulator.closed and case.client.closed
    assert os.environ["AWS_PROFILE"] == "outer" and "AWS_ENDPOINT_URL" not in os.environ


def test_a_test_of_the_mixin_that_fails_tells_of_the_last_requests():
    result = unittest.TestResult()
    Theirs("test_wrong").run(result)
    ((_, text),) = result.failures
    assert "1 != 2" in text
    assert "1  operation=GetPipeline status=400 code=PipelineNotFoundException" in text


def test_the_environment_is_restored_when_the_block_fails(emulator, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "outer")
    with pytest.raises(KeyError), codepipeline.testing.environment(emulator):
        assert "AWS_PROFILE" not in os.environ
        os.environ["AWS_SOMETHING"] = "left behind"
        raise KeyError
    assert os.environ["AWS_PROFILE"] == "outer" and "AWS_SOMETHING" not in os.environ
