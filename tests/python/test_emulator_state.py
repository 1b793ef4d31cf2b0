# SPDX-License-Identifier: MIT
"""A whole state of the emulator, out and in again."""

import json
import subprocess
import sys

import pytest

import codepipeline
from test_emulator_events import command
from test_emulator_functions import next_of, post, start
from test_run import BUILD, GATE, QUICK, world

__all__ = ["start", "world"]  # the fixtures

KIND = BUILD["actions"][0]["actionTypeId"]


@pytest.fixture
def stopped(world, emulator, client):
    """A story in the middle: a job was handed out, and nobody has answered yet."""
    world(BUILD, GATE)
    job = client.poll_for_jobs(actionTypeId=KIND)["jobs"][0]
    return job, emulator.export()


def go_on(emulator, job):
    client = emulator.client()
    assert client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    client.put_job_success_result(jobId=job["id"])
    run = client.run("site", **QUICK)
    run.approve("Gate", "Sign")
    assert run.wait(10).status == "Succeeded"


def test_a_story_goes_on_elsewhere(stopped):
    job, state = stopped
    with codepipeline.Emulator(state=json.loads(json.dumps(state))) as other:
        go_on(other, job)


def test_a_state_can_be_gone_back_to_as_often_as_one_likes(stopped, emulator):
    job, state = stopped
    for _ in range(3):
        go_on(emulator, job)
        emulator.restore(state)
    assert emulator.export()["executions"] == state["executions"]


def reporting(emulator, called):
    """A function that reports its job done."""

    def handler(event, context):
        called.append(event["CodePipeline.job"]["id"])
        emulator.client().put_job_success_result(jobId=called[-1])

    return handler


def test_a_function_that_was_not_called_yet_is_called_where_the_story_goes_on(emulator, start):
    emulator.function("check")
    start()
    state, called = emulator.export(), []
    ((job,),) = [[entry["key"] for entry in state["jobs"]]]
    with codepipeline.Emulator(state=state) as other:
        other.function("check", reporting(other, called))
        assert other.client().run("site", **QUICK).wait(20).status == "Succeeded"
    emulator.restore(state)
    emulator.function("check", reporting(emulator, called))
    assert emulator.client().run("site", **QUICK).wait(20).status == "Succeeded"
    assert called == [job, job]


def test_a_function_whose_invocation_ended_is_not_called_again(emulator, start):
    address = emulator.function("check")
    start()
    connection, headers, event = next_of(address)
    halfway = emulator.export()
    assert post(connection, headers["Lambda-Runtime-Aws-Request-Id"] + "/response")[0] == 202
    connection.close()
    state, called = emulator.export(), []
    with codepipeline.Emulator(state=state) as other:
        other.function("check", reporting(other, called))
        other.client().put_job_success_result(jobId=event["CodePipeline.job"]["id"])
        assert other.client().run("site", **QUICK).wait(20).status == "Succeeded"
    with codepipeline.Emulator(state=halfway) as other:
        other.function("check", reporting(other, called))
        assert other.client().run("site", **QUICK).wait(20).status == "Succeeded"
    assert called == [event["CodePipeline.job"]["id"]]


def test_a_function_that_runs_while_the_state_is_replaced_may_end(emulator, start):
    address = emulator.function("check")
    start()
    state = emulator.export()
    connection, headers, _ = next_of(address)
    emulator.restore(state)
    assert post(connection, headers["Lambda-Runtime-Aws-Request-Id"] + "/error")[0] == 202
    again, headers, event = next_of(address)
    assert event["CodePipeline.job"]["id"] == state["jobs"][0]["key"]
    connection.close()
    again.close()


def test_a_function_that_was_not_called_yet_is_called_after_a_restart(tmp_path):
    path, called = tmp_path / "state.db", []
    with codepipeline.Emulator(path=path) as first:
        first.function("check")
        first.script("succeed", provider="CodeCommit")
        first.client().create_pipeline(pipeline=calling())
    with codepipeline.Emulator(path=path) as second:
        second.function("check", reporting(second, called))
        assert second.client().run("site", **QUICK).wait(20).status == "Succeeded"
    assert len(called) == 1


def calling():
    """A pipeline whose second stage calls the function "check"."""
    kind = {"owner": "AWS", "version": "1"}
    fetch = {
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "provider": "CodeCommit", **kind},
        "configuration": {"RepositoryName": "site", "BranchName": "main"},
        "outputArtifacts": [{"name": "Source"}],
    }
    check = {
        "name": "Check",
        "actionTypeId": {"category": "Invoke", "provider": "Lambda", **kind},
        "configuration": {"FunctionName": "check"},
    }
    return {
        "name": "site",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts-of-site"},
        "stages": [{"name": "Source", "actions": [fetch]}, {"name": "Check", "actions": [check]}],
    }


def test_region_and_account_come_along(tmp_path):
    with codepipeline.Emulator(region="eu-west-1", account_id="210987654321") as emulator:
        emulator.create_bucket("mine")
        state = json.dumps(emulator.export())
    with codepipeline.Emulator(state=state) as other:
        assert other.environ["AWS_REGION"] == "eu-west-1"
        assert other.export()["account"] == "210987654321"
    with pytest.raises(codepipeline.ParamValidationError, match='region: "eu-west-1"'):
        codepipeline.Emulator(state=state, region="us-east-1")
    with codepipeline.Emulator() as third, pytest.raises(codepipeline.ParamValidationError, match="region"):
        third.restore(state)


def test_objects_may_be_left_out(stopped, emulator, client, tmp_path):
    state = emulator.export(objects=False)
    assert "objects" not in state and "blobs" not in state and len(state["executions"]) == 1
    with codepipeline.Emulator(state=state) as other:
        assert [bucket["key"] for bucket in state["buckets"]] == ["source", "artifacts"]
        with pytest.raises(codepipeline.ClientError):
            other.client().download_file("source", "app.zip", tmp_path / "app.zip")


def test_the_clock_goes_on_from_where_it_stood(stopped, emulator):
    emulator.clock.advance(days=100)
    before = emulator.clock.now()
    with codepipeline.Emulator(state=emulator.export()) as other:
        assert 0 <= (other.clock.now() - before).total_seconds() < 60


def test_a_damaged_state_is_named_by_path_and_changes_nothing(stopped, emulator):
    _, state = stopped
    emulator.clock.freeze()
    before = emulator.export()
    state["executions"][0]["document"]["actions"][1]["status"] = "Sleeping"
    with pytest.raises(codepipeline.ParamValidationError, match=r"executions\[0\]\.document\.actions\[1\]\.status"):
        emulator.restore(state)
    with pytest.raises(codepipeline.ParamValidationError, match="JSON"):
        emulator.restore("{")
    with pytest.raises(codepipeline.ParamValidationError, match="status"):
        codepipeline.Emulator(state=state)
    assert emulator.export() == before


def test_the_command_reads_and_writes_states(stopped, tmp_path):
    job, state = stopped
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps(state), encoding="utf-8")

    def tell(client):
        assert client.get_job_details(jobId=job["id"])["jobDetails"]["id"] == job["id"]
        client.delete_pipeline(name="site")

    assert "cannot" not in command("--import", before, "--export", after, tell=tell)
    assert json.loads(after.read_text(encoding="utf-8"))["pipelines"] == []
    with codepipeline.Emulator(state=after.read_text(encoding="utf-8")) as other:
        work_of(other)


def work_of(emulator):
    kinds = emulator.client().list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    assert [kind["id"]["provider"] for kind in kinds] == ["Maker"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [(None, None, "no-state.json"), ("state.json", "[]", "the state is not an object"), ("state.json", "{", "JSON")],
)
def test_the_command_refuses_a_file_that_is_no_state(tmp_path, name, text, said):
    path = tmp_path / (name or "no-state.json")
    if text:
        path.write_text(text, encoding="utf-8")
    code = "import sys; from codepipeline import _commands; sys.exit(_commands.emulator())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--import", str(path)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode in (1, 2) and said in done.stderr and done.stdout == ""


# ---- the demo ----


def test_a_demo_has_weeks_of_past_and_is_the_same_every_time():
    with codepipeline.Emulator(demo=True) as one, codepipeline.Emulator(demo=True, region="eu-west-1") as two:
        ids = [[execution["key"] for execution in each.export(objects=False)["executions"]] for each in (one, two)]
        assert ids[0] == ids[1] and len(ids[0]) > 50
        began = min(run["startTime"] for run in one.client().paginate("list_pipeline_executions", pipelineName="docs"))
        assert 20 < (one.clock.now() - began).days < 30
        assert list(one.events()) == []
        assert [approval.message for approval in two.client(region="eu-west-1").approvals("site")] == ["look twice"]
    with pytest.raises(codepipeline.ParamValidationError, match="demo"):
        codepipeline.Emulator(demo=True, state="{}")


def test_the_command_begins_with_a_demo():
    def tell(client):
        assert len(client.list_pipelines()["pipelines"]) == 5

    command("--demo", tell=tell)
