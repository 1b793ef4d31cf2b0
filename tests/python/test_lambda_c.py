# SPDX-License-Identifier: MIT
"""Lambda functions in C: the package, and the loop, against a runtime API of the test's own."""

import json
import os
import shutil
import subprocess

import pytest

from lambda_packages import package
from test_lambda import Lambda
from test_lambda_runtime import Api


@pytest.fixture
def run():
    """run(source, event...): what the function posted to the runtime API, and what it said when that was gone."""
    api = Api()

    def serve(source, *events):
        folder = package(source)
        return api.run(folder, "function", *events, command=[f"{folder}/bootstrap"])

    yield serve
    api.server.shutdown()
    api.server.server_close()


FUNCTION = "tests/python/lambda_function.c"


@pytest.fixture
def world(emulator, client, tmp_path):
    return Lambda(emulator, client, tmp_path)


def test_the_example_looks_for_files(run, world):
    example = "examples/lambda/require_files.c"
    posted, done = run(example, world.begin(UserParameters="main.txt ."))
    assert posted == [("invocation/id-0/response", "succeeded")] and "410" in done.stderr
    assert world.output()["outputVariables"] == {"files": "2"}


@pytest.mark.parametrize(
    ("parameters", "code", "message"),
    [
        ({"UserParameters": "main.txt lost.txt"}, "JobFailed", 'the artifact has no file "lost.txt"'),
        ({}, "ConfigurationError", "UserParameters name the files to look for"),
    ],
)
def test_the_example_fails_a_job_and_says_why(run, world, parameters, code, message):
    posted, _ = run("examples/lambda/require_files.c", world.begin(**parameters))
    assert posted == [("invocation/id-0/response", "failed")]
    error = world.state()["errorDetails"]
    assert error["code"] == code and message in error["message"]


def test_the_package_needs_nothing_of_the_machine(run):
    folder = package(FUNCTION)
    loader = next(name for name in os.listdir(f"{folder}/lib") if name.startswith("ld-"))
    command = [f"lib/{loader}", "--inhibit-cache", "--library-path", "lib", "--list", "./function"]
    listed = subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [line.split(" => ")[1] for line in listed.splitlines() if " => " in line]
    assert found and all(path.startswith(("lib/", "/lib64/ld-", "/lib/ld-")) for path in found), listed
    assert os.path.getsize(f"{folder}.zip") < 50_000_000  # what Lambda takes
    if os.geteuid() == 0:  # there is no other library in there
        command = [shutil.which("chroot"), folder, f"/lib/{loader}", "--library-path", "/lib", "/function"]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, env={})
        assert done.returncode == 1 and "AWS_LAMBDA_RUNTIME_API" in done.stderr


def test_events_that_need_no_handler_are_answered_on_the_way(run, world):
    broken = world.begin()
    broken["CodePipeline.job"]["data"]["inputArtifacts"] = 7
    early = {"CodePipeline.job": {**broken["CodePipeline.job"], "data": {"continuationToken": "cpl1:99999999999:1"}}}
    posted, _ = run(FUNCTION, {"hello": "world"}, "text", broken)
    assert [path.split("/")[-1] for path, _ in posted] == ["error", "error", "response"]
    assert posted[0][1]["errorType"] == "CodePipeline.Event" and "CodePipeline.job" in posted[0][1]["errorMessage"]
    assert posted[2][1] == "failed"
    error = world.state()["errorDetails"]
    assert error["code"] == "ConfigurationError"
    assert error["message"].startswith("the event is malformed: CodePipeline.job.data.inputArtifacts: ")
    posted, _ = run(FUNCTION, early)  # of a job that is over
    assert posted[0][0].endswith("/error") and posted[0][1]["errorType"] == "CodePipeline.Unreported"


def test_a_continuation_before_its_time_is_put_off(run, world):
    event = world.begin()
    event["CodePipeline.job"]["data"]["continuationToken"] = "cpl1:99999999999:1"
    assert run(FUNCTION, event)[0] == [("invocation/id-0/response", "continued")]
    assert world.state()["status"] == "InProgress"


def test_a_handler_without_an_answer_fails_its_job(run, world):
    assert run(FUNCTION, world.begin(UserParameters="forget"))[0] == [("invocation/id-0/response", "failed")]
    assert world.state()["errorDetails"]["message"] == "the handler gave no answer"


def test_a_job_somebody_else_has_answered_is_no_error(run, world, client):
    event = world.begin()
    client.put_job_success_result(jobId=event["CodePipeline.job"]["id"])
    assert run(FUNCTION, event)[0] == [("invocation/id-0/response", "unreported")]


def test_a_result_that_does_not_get_through_is_an_error_of_the_invocation(run, world, emulator):
    event = world.begin()
    emulator.fault("access-denied", "PutJobSuccessResult", times=None)
    emulator.fault("access-denied", "PutJobFailureResult", times=None)
    event["CodePipeline.job"]["data"]["actionConfiguration"]["configuration"]["UserParameters"] = "raise"
    posted, _ = run(FUNCTION, event)
    assert posted[0][1]["errorType"] == "CodePipeline.Unreported"


def test_it_serves_one_after_the_other(run, world):
    events = [world.begin(UserParameters="later")]
    events.append(json.loads(json.dumps(events[0])))
    posted, _ = run(FUNCTION, *events)
    assert [body for _, body in posted] == ["continued", "unreported"]


def test_without_a_region_it_says_so_as_an_error_of_the_start(run, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    posted, done = run(FUNCTION)
    assert [path for path, _ in posted] == ["init/error"] and "region" in posted[0][1]["errorMessage"]
    assert done.returncode == 1
