# SPDX-License-Identifier: MIT
"""Functions in Lua and in C below AWS's own runtime interface emulator, which its container images are tried with."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from conftest import ROOT
from lambda_packages import package
from test_emulator_functions import checked, next_of, start

__all__ = ["start"]
RIE = ROOT / ".dev" / "rie" / "aws-lambda-rie"
HANDLER = """
local codepipeline = require "codepipeline"
local worker = assert(codepipeline.worker(nil, { log = function() end }))
worker:invoke(function(job)
  local wanted = job.user_parameters
  if wanted == "raise" then
    error("no disk left", 0)
  elseif wanted == "hang" then
    while true do end
  elseif wanted == "later" and not job.state then
    return job:later "begun"
  end
  job:output("Report"):file(arg[0])
  return { said = tostring(job.state), language = "Lua" }
end)
return function(event, options)
  return worker:lambda_handler(event, options)
end
"""


def free_port():
    """It takes a number, and does not tell one that the system picked."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def in_lua(folder):
    (folder / "check.lua").write_text(HANDLER)
    bootstrap = folder / "bootstrap"
    bootstrap.write_text(f"#!/bin/sh\nexec lua5.4 {ROOT}/lua/bin/codepipeline-lambda\n")
    bootstrap.chmod(0o755)
    return folder


@pytest.fixture(params=["Lua", "C"])
def language(request):
    return request.param


@pytest.fixture
def invoke(emulator, tmp_path, language):
    """invoke(event): what the function answers, as text."""
    if not RIE.exists():
        pytest.skip("no aws-lambda-rie; ./dev rie builds it, with Go")
    task = in_lua(tmp_path) if language == "Lua" else package("tests/python/lambda_function.c")
    port = free_port()
    environ = {
        **os.environ,
        "_HANDLER": "check",
        "LAMBDA_TASK_ROOT": str(task),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "5",
        "AWS_LAMBDA_FUNCTION_NAME": "check",
    }
    command = [RIE, "--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    command += ["--runtime-api-address", f"127.0.0.1:{free_port()}", f"{task}/bootstrap", "check"]
    log = open(tmp_path / "rie.log", "wb")
    running = subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT)

    def ask(event):
        url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"
        request = urllib.request.Request(url, json.dumps(event).encode())
        end = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.read().decode()
            except urllib.error.URLError as error:
                assert isinstance(error.reason, ConnectionRefusedError) and time.monotonic() < end, error
                time.sleep(0.05)

    yield ask
    running.kill()
    running.wait()
    log.close()


def event_of(emulator):
    connection, headers, event = next_of(emulator.function("check"))
    connection.request(
        "POST", f"/2018-06-01/runtime/invocation/{headers['Lambda-Runtime-Aws-Request-Id']}/response", "null"
    )
    connection.getresponse().read()
    return event


def test_a_job_is_done(emulator, client, start, invoke, language):
    emulator.function("check")
    run = start()
    assert invoke(event_of(emulator)) == '"succeeded"'
    assert run.wait(timeout=10).status == "Succeeded"
    output = client.list_action_executions(pipelineName="site")["actionExecutionDetails"][0]["output"]
    assert output["outputVariables"] == {"said": "nil", "language": language}


def test_a_handler_that_raises_fails_the_job_and_not_the_function(emulator, client, start, invoke):
    emulator.function("check")
    start(parameters="raise")
    assert invoke(event_of(emulator)) == '"failed"'
    assert "no disk left" in checked(client)["errorDetails"]["message"]


def test_a_continuation_goes_on_in_the_next_invocation(emulator, client, start, invoke):
    emulator.function("check")
    run = start(parameters="later")
    assert invoke(event_of(emulator)) == '"continued"'
    assert checked(client)["status"] == "InProgress"
    emulator.clock.advance(seconds=31)
    assert invoke(event_of(emulator)) == '"succeeded"'
    assert run.wait(timeout=10).status == "Succeeded"


def test_a_job_is_reported_before_lambda_ends_the_function(emulator, client, start, invoke):
    emulator.function("check")
    start(parameters="hang")
    assert invoke(event_of(emulator)) == "Task timed out after 5.00 seconds"
    assert checked(client)["status"] == "Failed"
    assert "time" in checked(client)["errorDetails"]["message"]


def test_an_event_that_is_none_of_codepipelines_is_an_error_of_the_function(emulator, invoke):
    emulator.function("check")
    assert "CodePipeline.job" in json.loads(invoke({"hello": "world"}))["errorMessage"]
