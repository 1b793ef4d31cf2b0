# SPDX-License-Identifier: MIT
"""Runs: started, waited for, followed, explained, approved, stopped and retried, against the emulator."""

import datetime
import signal
import threading
import time
import zipfile

import pytest

import codepipeline
from servers import answering
from test_interrupt import interrupted

QUICK = {"poll_interval": 0.01}
GATE = {
    "name": "Gate",
    "actions": [
        {
            "name": "Sign",
            "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
            "configuration": {"CustomData": "look twice", "ExternalEntityLink": "https://review.example/1"},
        }
    ],
}
BUILD = {
    "name": "Build",
    "actions": [
        {
            "name": "Make",
            "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Maker", "version": "1"},
            "inputArtifacts": [{"name": "Source"}],
        }
    ],
}
SOURCE = {
    "name": "Source",
    "actions": [
        {
            "name": "Fetch",
            "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
            "configuration": {"S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
            "outputArtifacts": [{"name": "Source"}],
        }
    ],
}


@pytest.fixture
def world(emulator, client, tmp_path):
    """world(GATE): makes the pipeline "site" with these stages after its source, which starts it; answers that run."""
    for bucket in ("source", "artifacts"):
        emulator.create_bucket(bucket)
    with zipfile.ZipFile(tmp_path / "app.zip", "w") as archive:
        archive.writestr("main.txt", "hello")
    client.upload_file(tmp_path / "app.zip", "source", "app.zip")
    count = {"minimumCount": 0, "maximumCount": 5}
    client.create_custom_action_type(
        category="Build", provider="Maker", version="1", inputArtifactDetails=count, outputArtifactDetails=count
    )

    def make(*stages, **more):
        client.create_pipeline(
            pipeline={
                "name": "site",
                "roleArn": "arn:aws:iam::123456789012:role/pipeline",
                "artifactStore": {"type": "S3", "location": "artifacts"},
                "pipelineType": "V2",
                "stages": [SOURCE, *stages],
                **more,
            }
        )
        return client.run("site", unclaimed_after=0.001, **QUICK)

    return make


def work(client, fail=None):
    worker = codepipeline.Worker(client, poll_interval=0.02)

    @worker.job(category="Build", provider="Maker", version="1")
    def make(job):
        if fail:
            raise RuntimeError(fail)
        return {"done": "yes"}

    assert worker.run_once()


def told(run, timeout=1):
    return [(event.kind, event.stage, event.action, event.status) for event in run.follow(timeout)]


def test_a_run_succeeds(world, client):
    run = world(BUILD)
    assert told(run) == [
        ("run", None, None, "InProgress"),
        ("stage", "Source", None, "InProgress"),
        ("action", "Source", "Fetch", "InProgress"),
        ("action", "Source", "Fetch", "Succeeded"),
        ("stage", "Source", None, "Succeeded"),
        ("stage", "Build", None, "InProgress"),
        ("action", "Build", "Make", "InProgress"),
    ]
    work(client)
    assert told(run, None) == [
        ("action", "Build", "Make", "Succeeded"),
        ("stage", "Build", None, "Succeeded"),
        ("end", None, None, "Succeeded"),
    ]
    outcome = run.wait()
    assert outcome and outcome.status == run.status == str(outcome) == "Succeeded"
    assert outcome.explanation.findings == []
    assert run.pipeline == "site" and run.id in repr(run)


def test_events_have_times_and_can_be_printed(world):
    events = list(world(GATE).follow(1))
    assert all(isinstance(event.time, datetime.datetime) and event.time.tzinfo for event in events[1:])
    assert [event.time for event in events[1:]] == sorted(event.time for event in events[1:])
    assert str(events[1]) == "Source: InProgress"
    assert str(events[-1]) == "Gate/Sign: waits for approval: look twice"
    assert events[-1].url == "https://review.example/1"
    assert "approval" in repr(events[-1])


def test_variables_reach_the_execution(world, client):
    world(GATE, variables=[{"name": "tag", "defaultValue": "v1"}])
    run = client.start("site", variables={"tag": "v2"}, client_request_token="once", **QUICK)
    same = client.start("site", variables={"tag": "v2"}, client_request_token="once", **QUICK)
    assert run.id == same.id
    execution = client.get_pipeline_execution(pipelineName="site", pipelineExecutionId=run.id)["pipelineExecution"]
    assert execution["variables"] == [{"name": "tag", "resolvedValue": "v2"}]


def test_revisions_are_written_either_way():
    with answering() as (answers, client):
        answers.say({"pipelineExecutionId": "12345678-1234-1234-1234-123456789012"})
        client.start("site", revisions={"Fetch": {"COMMIT_ID": "1b2c"}})
        friendly = answers.sent["sourceRevisions"]
        client.start("site", revisions=friendly)
        assert friendly == [{"actionName": "Fetch", "revisionType": "COMMIT_ID", "revisionValue": "1b2c"}]
        assert answers.sent["sourceRevisions"] == friendly
        with pytest.raises(codepipeline.ParamValidationError, match="revisions"):
            client.start("site", revisions={"Fetch": "1b2c"})


def test_a_failure_is_explained_and_retried(world, client):
    run = world(BUILD)
    work(client, fail="it broke")
    outcome = run.wait(10)
    assert not outcome and outcome.status == "Failed"
    finding = outcome.explanation.findings[0]
    assert (finding.kind, finding.stage, finding.action) == ("failed_action", "Build", "Make")
    assert finding.code == "JobFailed" and "it broke" in finding.message
    assert "it broke" in outcome.explanation.summary and "check: " in str(outcome.explanation)
    assert finding.since.tzinfo and finding.url is None
    with pytest.raises(client.exceptions.StageNotFoundException):
        run.retry("Nowhere")
    run.retry("Build")
    work(client)
    assert run.wait(10)


def test_a_rollback_finds_the_execution_that_was_good(world, client):
    first = world(BUILD)
    told(first)
    work(client)
    assert first.wait()
    with pytest.raises(codepipeline.StateError, match='no earlier execution of version 1 of pipeline "site" succeeded'):
        first.rollback("Build")
    bad = client.start("site", **QUICK)
    told(bad)
    work(client, "it is broken")
    assert not bad.wait()
    back = bad.rollback("Build")
    told(back, 0.2)
    work(client)
    assert back.wait()
    made = client.get_pipeline_execution(pipelineName="site", pipelineExecutionId=back.id)["pipelineExecution"]
    assert made["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == first.id
    with pytest.raises(codepipeline.ParamValidationError, match='stage: pipeline "site" has no stage "Nowhere"'):
        bad.rollback("Nowhere")
    named = bad.rollback("Build", first)
    assert named.status == "InProgress" and named.id not in (back.id, first.id)
    named.stop(abandon=True)
    client.update_pipeline(pipeline=client.get_pipeline(name="site")["pipeline"])
    with pytest.raises(codepipeline.StateError, match="no earlier execution of version 2"):
        bad.rollback("Build")


def test_a_stopped_run(world):
    run = world(GATE)
    run.stop("wrong branch", abandon=True)
    outcome = run.wait(10)
    assert outcome.status == "Stopped" and not outcome
    assert "wrong branch" in outcome.explanation.summary


def test_a_superseded_run(world, client):
    world(BUILD)
    second, third = client.start("site", **QUICK), client.start("site", **QUICK)
    outcome = second.wait(10)
    assert outcome.status == "Superseded"
    assert outcome.explanation.findings[0].execution_id == third.id
    assert told(second)[-1] == ("end", None, None, "Superseded")


def test_a_disabled_transition(world, client):
    run = world(BUILD)
    work(client)
    assert run.wait(10)
    client.disable_stage_transition(
        pipelineName="site", stageName="Build", transitionType="Inbound", reason="freeze until Monday"
    )
    run = client.start("site", **QUICK)
    event = list(run.follow(1))[-1]
    assert (event.kind, event.stage, event.message) == ("transition", "Build", "freeze until Monday")
    assert event.by and str(event) == "Build: transition disabled: freeze until Monday"
    assert run.explain().findings[0].kind == "disabled_transition"


def test_a_job_that_nobody_takes(world):
    run = world(BUILD)
    time.sleep(1.1)  # the service's clock is known to the second
    finding = run.explain().findings[0]
    assert finding.kind == "unclaimed_job" and finding.provider == "Maker"
    assert "nothing shows that a worker" in str(finding) and len(finding.check) == 2


def test_a_timeout_says_what_it_waits_for(world):
    run = world(GATE)
    with pytest.raises(TimeoutError, match='it waits for the approval "Sign" of stage "Gate": look twice'):
        run.wait(timeout=0.05)


def test_approvals_are_listed_and_given(world, client):
    run = world(GATE)
    [approval] = client.approvals()
    assert (approval.pipeline, approval.stage, approval.action) == ("site", "Gate", "Sign")
    assert (approval.execution_id, approval.message) == (run.id, "look twice")
    assert approval.since.tzinfo and "token" not in repr(approval)
    approval.approve("fine")
    assert run.wait(10)
    assert client.approvals("site") == []
    with pytest.raises(codepipeline.StateError, match="was answered already"):
        run.reject("Gate", "Sign")


def test_a_rejection_fails_the_run(world):
    run = world(GATE)
    run.reject("Gate", "Sign", "not like this")
    outcome = run.wait(10)
    assert outcome.status == "Failed"
    assert "was rejected: not like this" in outcome.explanation.summary


def test_a_newer_runs_token_is_refused(world, client):
    older = world(GATE, executionMode="PARALLEL")
    newer = client.start("site", **QUICK)
    with pytest.raises(codepipeline.StateError, match=f"{newer.id}.*nothing was decided"):
        older.approve("Gate", "Sign")
    assert newer.status == "InProgress"
    newer.approve("Gate", "Sign")
    assert newer.wait(10)


def test_what_is_no_list_of_runs_cannot_be_followed(world):
    run = world(GATE)
    with pytest.raises(TypeError, match="a single one has a method follow"):
        next(codepipeline.follow(run))
    with pytest.raises(TypeError, match=r"a list of runs, not of \['site'\]"):
        next(codepipeline.follow(["site"]))


def test_what_is_not_there(world, client):
    run = world(GATE)
    for arguments, path in ((("Nowhere", "Sign"), "stage"), (("Gate", "Seal"), "action")):
        with pytest.raises(codepipeline.ParamValidationError) as caught:
            run.approve(*arguments)
        assert caught.value.path == path
    with pytest.raises(client.exceptions.PipelineNotFoundException):
        client.start("nothing")
    with pytest.raises(client.exceptions.PipelineExecutionNotFoundException):
        client.run("site", "12345678-1234-1234-1234-123456789012")
    with pytest.raises(TypeError):
        type(run._core)()
    with pytest.raises(ValueError):
        run.wait(-1)


def test_threads_that_wait_share_their_polls():
    ids = [f"{n:08}-1234-1234-1234-123456789012" for n in range(20)]
    with answering() as (answers, client):
        answers.say(
            {
                "pipelineExecution": {"status": "InProgress"},
                "pipelineExecutionSummaries": [{"pipelineExecutionId": id, "status": "InProgress"} for id in ids],
            }
        )
        runs = [client.run("site", id, poll_interval=0.5) for id in ids]
        before, begin = len(answers.requests), time.monotonic()
        threads = [threading.Thread(target=run.wait) for run in runs]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        asked, passed = len(answers.requests) - before, time.monotonic() - begin
        answers.say({"pipelineExecutionSummaries": [{"pipelineExecutionId": id, "status": "Failed"} for id in ids]})
        for thread in threads:
            thread.join(10)
        assert {run.status for run in runs} == {"Failed"}
        assert 1 <= asked <= 2 + passed / 0.04  # an answer serves all twenty for half a delay, 50 ms


def test_throttling_is_waited_out():
    with answering() as (answers, client):
        answers.say({"pipelineExecution": {"status": "InProgress"}})
        run = client.run("site", "12345678-1234-1234-1234-123456789012", **QUICK)
        answers.error("ThrottlingException")
        with pytest.raises(TimeoutError):
            run.wait(0.1)
        answers.say({"pipelineExecution": {"status": "Succeeded"}})
        assert run.wait(10)


def test_a_run_is_for_one_thread_at_a_time(world, client):
    run = world(GATE)
    thread = threading.Thread(target=run.wait)
    thread.start()
    time.sleep(0.05)
    with pytest.raises(codepipeline.StateError, match="another thread"):
        run.explain()
    for approval in client.approvals(run.pipeline):
        approval.approve()
    thread.join(10)
    assert not thread.is_alive() and run.status == "Succeeded"


@pytest.mark.parametrize("call", ["run.wait()", "list(run.follow())"])
def test_ctrl_c_ends_a_wait(world, call):
    world(GATE)
    code = f"""
run = codepipeline.Client().run("site", poll_interval=30)
ready()
try:
    {call}
except KeyboardInterrupt:
    print(time.monotonic())
"""
    status, output, moment = interrupted(code, "http://127.0.0.1:1", signal.SIGINT)
    assert status == 0
    assert float(output) - moment < 0.5
