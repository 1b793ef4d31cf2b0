# SPDX-License-Identifier: MIT
"""The same handlers as a Lambda function: events made of the emulator's jobs, results read from its pipelines."""

import json
import logging
import threading
import time

import pytest

import codepipeline
from servers import answering
from test_worker import World, action

SECRETS = ("secretAccessKey", "sessionToken")


class Context:
    """What Lambda gives a function beside the event."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    def get_remaining_time_in_millis(self):
        return int((self._end - time.monotonic()) * 1000)


class Lambda(World):
    """The world in which a Build action stands for Lambda's Invoke: its jobs come as events."""

    def event(self):
        type = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}
        jobs = []
        end = time.monotonic() + 10
        while not jobs and time.monotonic() < end:
            jobs = self.client.poll_for_jobs(actionTypeId=type)["jobs"]
        self.client.acknowledge_job(jobId=jobs[0]["id"], nonce=jobs[0]["nonce"])
        data = {key: value for key, value in jobs[0]["data"].items() if key not in ("actionTypeId", "pipelineContext")}
        return {"CodePipeline.job": {"id": jobs[0]["id"], "accountId": jobs[0]["accountId"], "data": data}}

    def begin(self, **options):
        self.start(action("Make", Target="x", **options))
        return self.event()


@pytest.fixture
def world(emulator, client, tmp_path):
    return Lambda(emulator, client, tmp_path)


def invoke(world, handler, event, context=None, **options):
    worker = world.worker(**options)
    worker.invoke(handler)
    return worker.lambda_handler(event, context)


# ---- the result ----


def test_success_with_artifacts_and_output_variables(world):
    event = world.begin(outputs=["Binary"], UserParameters='{"a": 1}')
    seen = {}

    def handler(job):
        seen.update(job=job, parameters=job.user_parameters_json(), files=job.input("Source").extract())
        job.output("Binary").write(b"binary")
        return {"digest": job.output().digest()}

    assert invoke(world, handler, event, Context(60)) == "succeeded"
    assert world.state()["status"] == "Succeeded"
    assert seen["parameters"] == {"a": 1}
    job = seen["job"]
    assert job.id == event["CodePipeline.job"]["id"] and job.account_id == "123456789012"
    assert job.nonce is job.pipeline is job.provider is None
    output = world.output()
    assert len(output["outputVariables"]["digest"]) == 64
    assert [artifact["name"] for artifact in output["outputArtifacts"]] == ["Binary"]


def test_an_exception_is_a_failure_and_is_not_raised(world):
    def handler(job):
        raise codepipeline.ConfigurationError("no such stack")

    assert invoke(world, handler, world.begin()) == "failed"
    details = world.state()["errorDetails"]
    assert "no such stack" in details["message"] and details["code"] == "ConfigurationError"


def test_user_parameters_that_are_not_json_are_a_configuration_error(world):
    assert invoke(world, lambda job: job.user_parameters_json(), world.begin(UserParameters="oops")) == "failed"
    assert world.state()["errorDetails"]["code"] == "ConfigurationError"


def test_missing_user_parameters_are_none(world):
    seen = []
    assert invoke(world, lambda job: seen.append((job.user_parameters, job.user_parameters_json())), world.begin())
    assert seen == [(None, None)]


def test_a_continuation_brings_its_state_back(world):
    seen = []

    def handler(job):
        seen.append(job.state)
        if job.state is None:
            return job.later({"stack": "s"}, percent_complete=10)
        return None

    assert invoke(world, handler, world.begin(), Context(60)) == "continued"
    assert world.state()["status"] == "InProgress"
    assert invoke(world, handler, world.event(), Context(60)) == "succeeded"
    assert seen == [None, {"stack": "s"}]
    assert world.state()["status"] == "Succeeded"


def test_a_continuation_that_comes_early_is_put_off(world):
    calls = []

    def handler(job):
        calls.append(job.state)
        return job.later("wait", after=3600)

    assert invoke(world, handler, world.begin()) == "continued"
    assert invoke(world, handler, world.event()) == "continued"
    assert calls == [None]


def test_an_output_that_was_not_made_fails_the_job(world):
    assert invoke(world, lambda job: None, world.begin(outputs=["Binary"])) == "failed"
    assert "Binary" in world.state()["errorDetails"]["message"]


def test_the_event_may_be_text(world):
    assert invoke(world, lambda job: None, json.dumps(world.begin())) == "succeeded"


def test_a_second_invocation_with_the_same_event_changes_nothing(world):
    event = world.begin()
    assert invoke(world, lambda job: None, event) == "succeeded"
    assert invoke(world, lambda job: job.fail("late"), event) == "unreported"
    assert world.state()["status"] == "Succeeded"


# ---- its time ----


def test_a_handler_that_takes_too_long_is_reported_before_the_time_is_up(world):
    release = threading.Event()
    event = world.begin()
    answers = []

    def handler(job):
        release.wait(10)  # the failure arrives while this thread waits

    worker = world.worker(margin=60)
    worker.invoke(handler)
    thread = threading.Thread(target=lambda: answers.append(worker.lambda_handler(event, Context(60.2))))
    thread.start()
    end = time.monotonic() + 10
    while world.state()["status"] != "Failed" and time.monotonic() < end:
        time.sleep(0.01)
    assert "nearly up" in world.state()["errorDetails"]["message"]
    assert thread.is_alive()
    release.set()
    thread.join(10)
    assert answers == ["failed"]
    assert world.state()["status"] == "Failed"


def test_a_handler_that_ends_in_time_is_not(world):
    assert invoke(world, lambda job: None, world.begin(), Context(0.5 + 3), margin=3) == "succeeded"
    time.sleep(0.6)
    assert world.state()["status"] == "Succeeded"


# ---- what goes wrong around it ----


def test_a_malformed_event_fails_its_job(world):
    event = world.begin()
    event["CodePipeline.job"]["data"]["inputArtifacts"] = "none"
    seen = []
    world.client.on("response", lambda event: seen.append(event.operation))
    assert invoke(world, lambda job: None, event) == "failed"
    details = world.state()["errorDetails"]
    assert details["code"] == "ConfigurationError"
    assert details["message"].startswith("the event is malformed: CodePipeline.job.data.inputArtifacts: ")
    assert "PutJobFailureResult" in seen
    with pytest.raises(codepipeline.ClientError) as raised:  # its job is over now
        invoke(world, lambda job: None, event)
    assert raised.value.code == "InvalidJobStateException"


def test_an_event_without_an_id_is_raised(world):
    for event in ({}, {"CodePipeline.job": {"data": {}}}, {"Records": []}):
        with pytest.raises(codepipeline.ParamValidationError, match="CodePipeline.job"):
            invoke(world, lambda job: None, event)


def test_a_result_that_does_not_arrive_is_raised_so_that_lambda_tries_again():
    with answering() as (answers, client):
        answers.error("AccessDeniedException", "no PutJobSuccessResult for you", 403)
        worker = codepipeline.Worker(client)
        worker.invoke(lambda job: None)
        event = codepipeline.sample_event(id="11111111-abcd-1111-abcd-111111abcdef")
        event["CodePipeline.job"]["data"]["outputArtifacts"] = []
        with pytest.raises(codepipeline.ClientError, match="no PutJobSuccessResult for you"):
            worker.lambda_handler(event)
        assert len(answers.requests) == 1  # who may not say so is not asked again, nor may say anything else


def test_a_worker_knows_which_handler_is_for_lambda(world):
    event = world.begin()
    worker = world.worker()
    with pytest.raises(codepipeline.StateError, match="no handlers"):
        worker.lambda_handler(event)
    calls = []
    build = worker.job(category="Build", provider="Builder")(lambda job: calls.append("build"))
    worker.job(category="Build", provider="Other")(lambda job: calls.append("other"))
    with pytest.raises(codepipeline.StateError, match="2 handlers"):
        worker.lambda_handler(event)
    assert worker.invoke(build) is build
    with pytest.raises(ValueError):
        worker.invoke(build)
    assert worker.lambda_handler(event) == "succeeded" and calls == ["build"]


def test_one_handler_serves_as_poller_and_as_lambda(world):
    calls = []
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        calls.append(job.pipeline)

    world.start(action("Make", Target="x"))
    assert worker.run_once(timeout=10) == "succeeded"
    world.client.start_pipeline_execution(name="p")
    assert worker.lambda_handler(world.event()) == "succeeded"
    assert calls == ["p", None]


def test_logs_never_carry_the_event(world, caplog):
    caplog.set_level(logging.DEBUG)
    event = world.begin(UserParameters="canary")
    secrets = [event["CodePipeline.job"]["data"]["artifactCredentials"][name] for name in SECRETS]

    def handler(job):
        raise RuntimeError(f"broken: {job} {job.data}")

    assert invoke(world, handler, event) == "failed"
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in world.state()["errorDetails"]["message"]


# ---- without a worker ----


def test_a_job_of_an_event_is_answered_when_its_block_ends(world):
    with world.client.job(world.begin(outputs=["Binary"])) as job:
        job.output().write(b"x")
        job.succeed(summary="made")
    state = world.state()
    assert (state["status"], state["summary"]) == ("Succeeded", "made")
    with pytest.raises(codepipeline.StateError):
        job.work_dir  # noqa: B018


def test_a_block_that_raises_fails_the_job_and_the_exception_goes_on(world):
    with pytest.raises(ZeroDivisionError):
        with world.client.job(codepipeline.Event(world.begin())) as job:
            job.guard(60)
            1 / 0  # noqa: B018
    assert "ZeroDivisionError" in world.state()["errorDetails"]["message"]


def test_a_block_whose_result_is_refused_fails_the_job_and_raises(world):
    with pytest.raises(codepipeline.ParamValidationError, match="Binary"):
        with world.client.job(world.begin(outputs=["Binary"])):
            pass
    assert world.state()["status"] == "Failed"


def test_a_job_can_be_reported_by_hand(world):
    job = world.client.job(world.begin())
    assert job.report(job.later({"n": 1})) == "continued"
    job.close()
    with world.client.job(world.event()) as job:
        assert job.state == {"n": 1}
    assert world.state()["status"] == "Succeeded"
