# SPDX-License-Identifier: MIT
"""Invoke actions of the emulator that call Lambda functions: Python's, another process's, and what goes wrong."""

import http.client
import json
import os
import subprocess
import threading
import time

import pytest

import codepipeline
from conftest import ROOT
from test_emulator_scripts import action

BASE = "/2018-06-01/runtime/invocation/"


@pytest.fixture
def start(emulator, client):
    """Makes the pipeline "site": a source by script, and an action that calls the function."""

    def begin(function="check", parameters="quick"):
        source = action(
            "Fetch",
            "Source",
            "CodeCommit",
            configuration={"RepositoryName": "site", "BranchName": "main"},
            outputArtifacts=[{"name": "Source"}],
        )
        check = action(
            "Check",
            "Invoke",
            "Lambda",
            configuration={"FunctionName": function, "UserParameters": parameters},
            inputArtifacts=[{"name": "Source"}],
            outputArtifacts=[{"name": "Report"}],
            namespace="check",
        )
        emulator.script("succeed", provider="CodeCommit")
        pipeline = {
            "name": "site",
            "roleArn": "arn:aws:iam::123456789012:role/pipeline",
            "artifactStore": {"type": "S3", "location": "artifacts-of-site"},
            "stages": [{"name": "Source", "actions": [source]}, {"name": "Check", "actions": [check]}],
        }
        client.create_pipeline(pipeline=pipeline)
        return client.run("site", poll_interval=0.02)

    return begin


def checked(client):
    stage = client.get_pipeline_state(name="site")["stageStates"][1]
    return stage["actionStates"][0]["latestExecution"]


def until_reported(emulator, timeout=10):
    end = time.monotonic() + timeout
    while not emulator.ledger(operation="PutJobSuccessResult", status=200):
        assert time.monotonic() < end, "the function has not reported"
        time.sleep(0.01)


def next_of(address):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", BASE + "next")
    answer = connection.getresponse()
    return connection, answer.headers, json.loads(answer.read())


def post(connection, path, body="null"):
    connection.request("POST", BASE + path, body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_workers_handler_takes_the_job_and_the_pipeline_goes_on(emulator, client, start):
    worker = codepipeline.Worker(client)
    seen = []

    @worker.invoke
    def check(job):
        seen.append((job.user_parameters, os.path.isdir(job.input("Source").extract()), job.id))
        job.output("Report").file(__file__)
        return {"verdict": "fine"}

    emulator.function("check", worker.lambda_handler)
    assert start().wait(timeout=20).status == "Succeeded"
    ((parameters, extracted, job_id),) = seen
    assert parameters == "quick" and extracted
    assert emulator.ledger(operation="PutJobSuccessResult", job_id=job_id, status=200)
    details = client.list_action_executions(pipelineName="site")["actionExecutionDetails"]
    assert details[0]["output"]["outputVariables"] == {"verdict": "fine"}


SCANNER = {"category": "Test", "owner": "ThirdParty", "provider": "Scanner", "version": "1"}


@pytest.fixture
def scan(emulator, client):
    """Makes the pipeline "site" with an action whose type has a Lambda executor; the run of it."""
    emulator.create_bucket("source")
    emulator.create_bucket("artifacts")
    arn = "arn:aws:lambda:us-east-1:123456789012:function:scanner"
    lambda_executor = {"lambdaExecutorConfiguration": {"lambdaFunctionArn": arn}}
    client.update_action_type(
        actionType={
            "id": SCANNER,
            "executor": {"type": "Lambda", "configuration": lambda_executor, "jobTimeout": 60},
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
            "properties": [{"name": "Depth", "optional": False, "key": True, "noEcho": False}],
        }
    )
    emulator.script("succeed", provider="CodeCommit")

    def begin():
        fetch = {"RepositoryName": "site", "BranchName": "main"}
        source = action("Fetch", "Source", "CodeCommit", configuration=fetch, outputArtifacts=[{"name": "Source"}])
        check = {"name": "Check", "actionTypeId": SCANNER, "configuration": {"Depth": "3"}}
        client.create_pipeline(
            pipeline={
                "name": "site",
                "roleArn": "arn:aws:iam::123456789012:role/pipeline",
                "artifactStore": {"type": "S3", "location": "artifacts"},
                "stages": [
                    {"name": "Source", "actions": [source]},
                    {"name": "Check", "actions": [{**check, "inputArtifacts": [{"name": "Source"}]}]},
                ],
            }
        )
        return client.run("site", poll_interval=0.02)

    return begin


def test_an_action_type_with_a_lambda_executor_calls_that_function(emulator, client, scan):
    seen = []

    def scanner(event, context):
        data = event["CodePipeline.job"]["data"]
        seen.append((data["actionConfiguration"]["configuration"], data.get("continuationToken")))
        job = {"jobId": event["CodePipeline.job"]["id"]}
        if len(seen) == 1:
            job["continuationToken"] = "half"
        client.put_job_success_result(**job)

    emulator.function("scanner", scanner)
    run = scan()
    until_reported(emulator)
    emulator.clock.advance(seconds=31)  # a continuation calls again half a minute later
    assert run.wait(timeout=10).status == "Succeeded"
    assert seen == [({"Depth": "3"}, None), ({"Depth": "3"}, "half")]
    with pytest.raises(codepipeline.exceptions.ActionTypeNotFoundException):
        client.poll_for_third_party_jobs(actionTypeId=SCANNER)


def test_the_job_of_such_a_type_has_the_time_that_the_type_gives(emulator, client, scan):
    emulator.function("scanner", lambda event, context: None)
    run = scan()
    emulator.clock.advance(seconds=59)
    assert run.status == "InProgress"
    emulator.clock.advance(seconds=2)
    assert run.wait(timeout=10).status == "Failed"
    assert "The AWS Lambda function scanner failed to return a result" in checked(client)["errorDetails"]["message"]


@pytest.mark.parametrize("verdict", ["Succeeded", "Failed"])
def test_a_rule_of_lambda_invoke_calls_the_function_and_holds_as_that_reports(emulator, client, verdict):
    seen = []

    def judge(event, context):
        job = event["CodePipeline.job"]
        seen.append(job["data"])
        if verdict == "Succeeded":
            client.put_job_success_result(jobId=job["id"], executionDetails={"summary": "all quiet"})
        else:
            failure = {"type": "JobFailed", "message": "too loud"}
            client.put_job_failure_result(jobId=job["id"], failureDetails=failure)

    emulator.function("judge", judge)
    emulator.script("succeed", provider="CodeCommit")
    emulator.script("succeed", provider="CodeBuild")
    fetch = {"RepositoryName": "site", "BranchName": "main"}
    source = action("Fetch", "Source", "CodeCommit", configuration=fetch, outputArtifacts=[{"name": "Source"}])
    build = action(
        "Make", "Build", "CodeBuild", configuration={"ProjectName": "p"}, inputArtifacts=[{"name": "Source"}]
    )
    rule = {
        "name": "Ask",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "LambdaInvoke", "version": "1"},
        "configuration": {"FunctionName": "judge", "UserParameters": "loudly"},
        "inputArtifacts": [{"name": "Source"}],
    }
    entry = {"conditions": [{"result": "FAIL", "rules": [rule]}]}
    pipeline = {
        "name": "site",
        "pipelineType": "V2",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts-of-site"},
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [build], "beforeEntry": entry},
        ],
    }
    client.create_pipeline(pipeline=pipeline)
    assert client.run("site", poll_interval=0.02).wait(timeout=20).status == verdict
    assert seen[0]["actionConfiguration"]["configuration"]["UserParameters"] == "loudly"
    assert seen[0]["inputArtifacts"][0]["name"] == "Source" and seen[0]["artifactCredentials"]
    (ruled,) = client.list_rule_executions(pipelineName="site")["ruleExecutionDetails"]
    result = ruled["output"]["executionResult"]
    assert ruled["status"] == verdict
    assert result == (
        {"externalExecutionSummary": "all quiet"}
        if verdict == "Succeeded"
        else {"errorDetails": {"code": "JobFailed", "message": "too loud"}}
    )


def test_such_an_action_whose_function_nobody_knows_fails(emulator, client, scan):
    assert scan().wait(timeout=10).status == "Failed"
    assert checked(client)["errorDetails"]["code"] == "NotEmulated"


def test_the_event_is_lambdas_and_so_is_the_context(emulator, client, start):
    told = threading.Event()
    seen = []

    def handler(event, context):
        seen.append((event, context))
        told.set()

    emulator.function("check", handler)
    run = start("arn:aws:lambda:us-east-1:123456789012:function:check:live")
    assert told.wait(10)
    ((event, context),) = seen
    assert list(event) == ["CodePipeline.job"] and sorted(event["CodePipeline.job"]) == ["accountId", "data", "id"]
    data = event["CodePipeline.job"]["data"]
    assert sorted(data) == ["actionConfiguration", "artifactCredentials", "inputArtifacts", "outputArtifacts"]
    assert data["actionConfiguration"]["configuration"]["UserParameters"] == "quick"
    assert codepipeline.Event(event).correlation_id == event["CodePipeline.job"]["id"]
    assert context.function_name == "check" and context.invoked_function_arn.endswith(":function:check")
    assert 0 < context.get_remaining_time_in_millis() <= 900_000
    # nobody reported: the action waits, for twenty minutes
    emulator.clock.advance(minutes=19)
    assert checked(client)["status"] == "InProgress"
    emulator.clock.advance(minutes=2)
    assert checked(client)["status"] == "Failed"
    assert "The AWS Lambda function check failed to return a result." in checked(client)["errorDetails"]["message"]
    assert run.wait(timeout=10).status == "Failed"
    with pytest.raises(codepipeline.ClientError, match="TimedOut"):
        client.put_job_success_result(jobId=event["CodePipeline.job"]["id"])


def test_a_continuation_calls_the_function_again_after_a_while(emulator, client, start):
    worker = codepipeline.Worker(client)

    @worker.invoke
    def check(job):
        if job.state is None:
            return job.later("begun")
        job.output("Report").file(__file__)
        return {"state": job.state}

    emulator.function("check", worker.lambda_handler)
    run = start()
    until_reported(emulator)
    assert checked(client)["status"] == "InProgress"
    emulator.clock.advance(seconds=31)
    assert run.wait(timeout=20).status == "Succeeded"


def test_a_generator_goes_on_with_the_next_invocation(emulator, client, start):
    worker = codepipeline.Worker(client)
    made = []

    @worker.invoke
    def check(job):
        first = job.step(lambda: made.append(job.id) or job.id)
        yield job.later()
        job.output("Report").file(__file__)
        return {"first": first, "again": str(first != job.id)}

    emulator.function("check", worker.lambda_handler)
    run = start()
    until_reported(emulator)
    emulator.clock.advance(seconds=31)
    assert run.wait(timeout=20).status == "Succeeded"
    details = client.list_action_executions(pipelineName="site")["actionExecutionDetails"]
    assert details[0]["output"]["outputVariables"] == {"first": made[0], "again": "True"} and len(made) == 1


def test_a_function_that_raises_is_called_three_times_and_its_job_waits(emulator, client, start, capfd):
    calls = []
    called = threading.Semaphore(0)

    def handler(event, context):
        calls.append(event["CodePipeline.job"]["id"])
        called.release()
        raise RuntimeError("no disk left")

    emulator.function("check", handler)
    start()
    assert called.acquire(timeout=10)
    for minutes in (1.1, 2.1):
        assert not called.acquire(timeout=0.1)
        emulator.clock.advance(minutes=minutes)
        assert called.acquire(timeout=10)
    emulator.clock.advance(minutes=5)
    assert not called.acquire(timeout=0.2)
    assert len(set(calls)) == 1 and checked(client)["status"] == "InProgress"
    assert "RuntimeError: no disk left" in capfd.readouterr().err


def test_a_function_nobody_knows_fails_the_action(emulator, client, start):
    run = start("nobody")
    assert run.wait(timeout=10).status == "Failed"
    assert "provider Lambda" in checked(client)["errorDetails"]["message"]


def test_a_function_that_is_not_there_may_be_scripted(emulator, client, start):
    emulator.script("succeed", provider="Lambda")
    assert start("nobody").wait(timeout=10).status == "Succeeded"


def test_nobody_polls_for_the_job_of_a_function(emulator, client, start):
    emulator.function("check")
    start()
    kind = {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"}
    with pytest.raises(codepipeline.exceptions.ActionTypeNotFoundException):
        client.poll_for_jobs(actionTypeId=kind)


def test_another_process_serves_it_by_the_runtime_api(emulator, client, start, tmp_path):
    (tmp_path / "check.lua").write_text(
        "local codepipeline = require 'codepipeline'\n"
        "local worker = assert(codepipeline.worker())\n"
        "worker:invoke(function(job) job:output('Report'):file(arg[0]) return { language = 'Lua' } end)\n"
        "return function(event, options) return worker:lambda_handler(event, options) end\n"
    )
    environ = {
        **os.environ,
        "AWS_LAMBDA_RUNTIME_API": emulator.function("check"),
        "_HANDLER": "check",
        "LAMBDA_TASK_ROOT": str(tmp_path),
    }
    runtime = subprocess.Popen(["lua5.4", str(ROOT / "lua/bin/codepipeline-lambda")], env=environ)
    try:
        assert start().wait(timeout=20).status == "Succeeded"
    finally:
        runtime.kill()
        runtime.wait()


def test_an_invocation_is_not_given_to_somebody_who_has_gone(emulator, client, start):
    address = emulator.function("check")
    gone = http.client.HTTPConnection(address)
    gone.request("GET", BASE + "next")
    gone.close()
    start()
    connection, headers, event = next_of(address)
    assert event["CodePipeline.job"]
    assert post(connection, headers["Lambda-Runtime-Aws-Request-Id"] + "/response") == (202, {"status": "OK"})


def test_an_invocation_whose_runner_is_not_heard_of_is_made_again(emulator, client, start):
    address = emulator.function("check")
    start()
    first, headers, event = next_of(address)
    emulator.clock.advance(minutes=15)
    emulator.clock.advance(minutes=1)
    second, again, same = next_of(address)
    assert same == event
    assert again["Lambda-Runtime-Aws-Request-Id"] == headers["Lambda-Runtime-Aws-Request-Id"]


def test_the_runtime_api_refuses_what_makes_no_sense(emulator, client, start):
    address = emulator.function("check")
    start()
    connection, headers, _event = next_of(address)
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    assert post(connection, "nobody/response")[0] == 400
    assert post(connection, f"{request_id}/nothing")[0] == 400
    assert post(connection, f"{request_id}/response")[0] == 202
    assert post(connection, f"{request_id}/response")[0] == 400
    connection.request("GET", "/elsewhere")
    assert connection.getresponse().status == 404


@pytest.mark.parametrize("name", ["", "with space", "x" * 65, "arn:aws:lambda:us-east-1:1:function:f"])
def test_a_name_that_no_function_has_is_refused(emulator, name):
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        emulator.function(name)
    assert caught.value.path == "name"


def test_the_address_of_a_function_stays(emulator):
    assert emulator.function("check") == emulator.function("check") != emulator.function("other")


def test_closing_ends_those_who_wait():
    emulator = codepipeline.Emulator()
    emulator.function("check", lambda event, context: None)
    (function,) = emulator._functions
    emulator.close()
    assert not function._thread.is_alive()
