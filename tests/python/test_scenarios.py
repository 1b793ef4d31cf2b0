# SPDX-License-Identifier: MIT
"""Runs tests/scenarios/worker/*.json; their README says what the members mean."""

import json
import pathlib

import pytest

import codepipeline

SCENARIOS = sorted((pathlib.Path(__file__).parents[1] / "scenarios" / "worker").glob("*.json"))


def action(outputs, configuration):
    return {
        "name": "Make",
        "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"},
        "inputArtifacts": [{"name": "Source"}],
        "outputArtifacts": [{"name": name} for name in outputs],
        "configuration": configuration,
    }


def source():
    return {
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": "Source"}],
    }


def prepare(emulator, client, scenario, tmp_path):
    emulator.create_bucket("source")
    emulator.create_bucket("artifacts")
    (tmp_path / "main.txt").write_text("hello")
    codepipeline.pack(str(tmp_path / "main.txt"), str(tmp_path / "app.zip"))
    client.upload_file(str(tmp_path / "app.zip"), "source", "app.zip")
    client.create_custom_action_type(
        category="Build",
        provider="Builder",
        version="1",
        configurationProperties=[{"name": "Target", "required": False, "key": True, "secret": False}],
        inputArtifactDetails={"minimumCount": 1, "maximumCount": 1},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
    )
    make = action(scenario.get("outputs", []), scenario.get("configuration", {}))
    client.create_pipeline(
        pipeline={
            "name": "p",
            "roleArn": "arn:aws:iam::123456789012:role/pipeline",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [{"name": "Source", "actions": [source()]}, {"name": "Make", "actions": [make]}],
        }
    )


def check_job(step, job):
    if "input" in step:
        directory = pathlib.Path(job.input("Source").extract())
        assert (directory / "main.txt").read_text() == step["input"]
    if "configuration" in step:
        assert job.configuration == step["configuration"]
    assert job.state == step.get("state")


def make_outputs(step, job, folder):
    for name, text in step.get("pack", {}).items():
        (folder / "out.txt").write_text(text)
        job.output(name).pack(str(folder / "out.txt"))
    for name, text in step.get("write", {}).items():
        job.output(name).write(text.encode())


def finish(step, job):
    if "raise" in step:
        raise RuntimeError(step["raise"])
    if "fail" in step:
        return job.fail(**step["fail"])
    if "later" in step:
        later = dict(step["later"])
        return job.later(later.pop("state"), **later)
    return job.succeed(**step["succeed"])


def check_expectations(expect, client):
    state = client.get_pipeline_state(name="p")["stageStates"][1]["actionStates"][0]["latestExecution"]
    details = client.list_action_executions(pipelineName="p")["actionExecutionDetails"][0]
    assert state["status"] == expect["status"], state
    for member in ("summary", "externalExecutionId", "percentComplete"):
        if member in expect:
            assert state[member] == expect[member]
    if "outputVariables" in expect:
        assert details["output"]["outputVariables"] == expect["outputVariables"]
    if "errorCode" in expect:
        assert state["errorDetails"]["code"] == expect["errorCode"]
    if "errorContains" in expect:
        assert expect["errorContains"] in state["errorDetails"]["message"]


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_scenario(path, emulator, client, tmp_path):
    scenario = json.loads(path.read_text(encoding="utf-8"))
    prepare(emulator, client, scenario, tmp_path)
    steps = iter(scenario["handler"])
    broken = []
    worker = codepipeline.Worker(client, poll_interval=0.01)

    @worker.job(category="Build", provider="Builder")
    def build(job):
        step = next(steps)
        try:
            check_job(step, job)
            make_outputs(step, job, tmp_path)
        except AssertionError as error:
            broken.append(error)
        return finish(step, job)

    for _ in scenario["handler"]:
        assert worker.run_once(timeout=10)
    assert not broken
    check_expectations(scenario["expect"], client)
