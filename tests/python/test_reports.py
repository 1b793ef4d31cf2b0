# SPDX-License-Identifier: MIT
"""Pipelines checked without a service, and their past in numbers."""

import datetime
import json

import pytest

import codepipeline
import test_run
from servers import answering
from test_run import BUILD, GATE, work

world = test_run.world

DAY = 86400
NOW = datetime.datetime.now(datetime.timezone.utc).timestamp()


def execution(number, status, start, took, revision=None, **more):
    sources = [{"actionName": "Fetch", "revisionId": revision}] if revision else []
    return {
        "pipelineExecutionId": f"{number:08}-0000-4000-8000-000000000000",
        "status": status,
        "startTime": NOW - start,
        "lastUpdateTime": NOW - start + took,
        "sourceRevisions": sources,
        **more,
    }


def action(number, stage, name, category, start, took, status="Succeeded"):
    return {
        "pipelineExecutionId": f"{number:08}-0000-4000-8000-000000000000",
        "actionExecutionId": f"{stage}-{name}-{number}",
        "stageName": stage,
        "actionName": name,
        "startTime": NOW - start,
        "lastUpdateTime": NOW - start + took,
        "status": status,
        "input": {"actionTypeId": {"category": category, "owner": "AWS", "provider": "P", "version": "1"}},
    }


# newest first: b is delivered twice, a after a failure; the oldest began before what is asked for
PAST = [
    execution(6, "InProgress", 100, 50),
    execution(5, "Succeeded", 1 * DAY, 500, executionType="ROLLBACK"),
    execution(4, "Failed", 2 * DAY, 300, "c"),
    execution(3, "Succeeded", 3 * DAY, 200, "b"),
    execution(2, "Succeeded", 4 * DAY, 100, "b"),
    execution(1, "Failed", 5 * DAY, 60, "b"),
    execution(0, "Succeeded", 50 * DAY, 9, "z"),
]
ACTIONS = [
    action(6, "Gate", "Sign", "Approval", 80, 30, "InProgress"),
    action(2, "Gate", "Sign", "Approval", 4 * DAY - 40, 60),
    action(2, "Build", "Make", "Build", 4 * DAY, 20),
    action(2, "Build", "Check", "Test", 4 * DAY, 30),
    action(1, "Build", "Make", "Build", 5 * DAY, 10, "Failed"),
    action(0, "Build", "Make", "Build", 50 * DAY, 10),
]
REVISION = {"artifactRevisions": [{"name": "App", "created": NOW - 6 * DAY}]}


def tell(served, *documents):
    """Answers one request after the other."""
    left = list(documents)
    served.answer = lambda sent: json.dumps(left.pop(0)).encode()


def test_the_past_in_numbers_from_as_many_calls_as_needed():
    with answering() as (served, client):
        tell(
            served,
            {"pipelineExecutionSummaries": PAST[:3], "nextToken": "more"},
            {"pipelineExecutionSummaries": PAST[3:], "nextToken": "too old"},
            {"actionExecutionDetails": ACTIONS, "nextToken": "too old"},
            {"pipelineExecution": REVISION},
        )
        report = codepipeline.metrics(client, "site", since=datetime.timedelta(days=30))
    assert report.calls == len(served.requests) == 4
    assert PAST[4]["pipelineExecutionId"].encode() in served.requests[3]
    site = report.pipelines["site"]
    counts = (site.executions, site.succeeded, site.failed, site.in_progress, site.rollbacks, site.deployments)
    assert counts == (6, 3, 2, 1, 1, 2)
    assert site.failure_rate == pytest.approx(2 / 5) and site.deployment_frequency == pytest.approx(2 / 30, rel=1e-3)
    # b was made six days ago and first delivered four days ago
    assert site.lead_time.count == 1 and site.lead_time.max == pytest.approx(2 * DAY + 100)
    # a failure that the next deployment mended, and one that the rollback did
    assert site.time_to_restore.count == 2
    assert site.time_to_restore.total == pytest.approx((DAY + 100 - 60) + (DAY + 500 - 300))
    assert site.broken_since is None
    assert site.duration.total == pytest.approx(300) and site.approvals.total == pytest.approx(60)
    build, gate = site.stages
    assert build.stage == "Build" and build.time.count == 2 and build.time.max == pytest.approx(30)
    assert [(step.action, step.executions, step.failed) for step in build.actions] == [("Make", 2, 1), ("Check", 1, 0)]
    assert gate.actions[0].executions == 2 and gate.actions[0].time.count == 1
    assert report.total.pipeline is None and report.total.deployments == 2


def test_a_pipeline_without_a_past_costs_one_call():
    with answering() as (served, client):
        tell(served, {"pipelineExecutionSummaries": PAST[6:]})
        site = codepipeline.metrics(client, ["site"]).pipelines["site"]
    assert len(served.requests) == 1
    assert site.executions == 0 and site.failure_rate is None and not site.lead_time and site.lead_time.mean is None


def test_a_pipeline_that_stays_broken_says_since_when():
    with answering() as (served, client):
        tell(served, {"pipelineExecutionSummaries": PAST[5:6]}, {"actionExecutionDetails": []})
        site = codepipeline.metrics(client, ["site"]).pipelines["site"]
    assert site.broken_since.timestamp() == pytest.approx(NOW - 5 * DAY + 60, abs=1)


def test_all_pipelines_of_the_emulator(world, client):
    run = world(BUILD)
    list(run.follow(0.05))
    work(client)
    assert run.wait()
    report = codepipeline.metrics(client)
    assert list(report.pipelines) == ["site"] and report.calls == 4
    assert report.total.deployments == 1 and report.total.lead_time.count == 1
    assert [stage.stage for stage in report.pipelines["site"].stages] == ["Source", "Build"]
    assert "site" in repr(report.pipelines["site"]) and "Make" in repr(report.pipelines["site"].stages[1].actions[0])


def test_lint_says_what_the_service_would(world, client):
    world(GATE)
    pipeline = client.get_pipeline(name="site")["pipeline"]
    assert codepipeline.lint({"pipeline": pipeline}) == codepipeline.lint(pipeline) == []
    pipeline["stages"].append(pipeline["stages"][1])
    (complaint,) = codepipeline.lint(pipeline)
    with pytest.raises(codepipeline.exceptions.InvalidStageDeclarationException) as refusal:
        client.update_pipeline(pipeline=pipeline)
    assert complaint.code == refusal.value.code and complaint.message == refusal.value.message
    assert complaint.path == "stages[2]" and "stages[2]" in repr(complaint)


def test_lint_knows_lines():
    text = '{\n  "name": "site",\n  "roleArn": 7,\n  "stages": []\n}'
    assert [(one.line, one.column, one.path) for one in codepipeline.lint(text)] == [(3, 3, "roleArn")]
    assert [one.line for one in codepipeline.lint('{\n"pipeline": }')] == [2]


def test_what_metrics_cannot_be_made_of_is_told():
    with pytest.raises(TypeError, match="the client comes first, and not 'site'"):
        codepipeline.metrics("site")
    with codepipeline.Emulator() as emulator, emulator.client() as client:
        with pytest.raises(TypeError, match="since: a datetime, a timedelta or seconds since 1970, not '30d'"):
            codepipeline.metrics(client, since="30d")
