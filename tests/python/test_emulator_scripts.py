# SPDX-License-Identifier: MIT
"""What a script says becomes of actions that the emulator cannot run."""

import io
import zipfile

import pytest

import codepipeline


def action(name, category, provider, owner="AWS", **more):
    kind = {"category": category, "owner": owner, "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, **more}


def pipeline(*deploys):
    source = action(
        "Fetch",
        "Source",
        "CodeCommit",
        configuration={"RepositoryName": "site", "BranchName": "main"},
        outputArtifacts=[{"name": "Source"}],
        namespace="source",
    )
    build = action(
        "Compile",
        "Build",
        "CodeBuild",
        configuration={"ProjectName": "site"},
        inputArtifacts=[{"name": "Source"}],
        outputArtifacts=[{"name": "Binary"}],
        namespace="build",
    )
    deploy = action(
        "Roll",
        "Deploy",
        "CodeDeploy",
        configuration={"ApplicationName": "#{build.digest}", "DeploymentGroupName": "all"},
        inputArtifacts=[{"name": "Binary"}],
    )
    return {
        "name": "site",
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts-of-site"},
        "pipelineType": "V2",
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [build]},
            {"name": "Deploy", "actions": [deploy, *deploys]},
        ],
    }


@pytest.fixture
def start(client):
    def begin(*deploys):
        client.create_pipeline(pipeline=pipeline(*deploys))
        run = client.run("site", poll_interval=0.02)
        return run

    return begin


def states(client):
    """Action -> its latest execution."""
    answer = client.get_pipeline_state(name="site")
    return {
        state["actionName"]: state.get("latestExecution")
        for stage in answer["stageStates"]
        for state in stage["actionStates"]
    }


def test_without_a_script_an_action_fails_and_says_that_none_fits(emulator, client, start):
    outcome = start().wait(timeout=10)
    assert outcome.status == "Failed"
    (finding,) = outcome.explanation.findings
    assert (
        finding.code == "NotEmulated"
        and "provider CodeCommit (Source, owner AWS), and no script fits" in finding.message
    )


def test_a_pipeline_of_actions_that_run_nowhere_succeeds_as_its_script_says(emulator, client, start, tmp_path):
    (tmp_path / "binary.zip").write_bytes(b"PK\5\6" + bytes(18))
    emulator.script("succeed")
    emulator.script("succeed", provider="CodeCommit", revision="4f2a", revision_summary="mend the door")
    emulator.script(
        "succeed",
        pipeline="site",
        stage="Build",
        action="Compile",
        summary="build 17",
        external_execution_id="site:17",
        output_variables={"digest": "sha256-77"},
        artifacts={"Binary": tmp_path / "binary.zip"},
    )
    run = start()
    assert run.wait(timeout=10).status == "Succeeded"
    latest = states(client)
    assert latest["Compile"]["summary"] == "emulated: build 17"
    assert latest["Compile"]["externalExecutionId"] == "site:17"
    assert latest["Roll"]["summary"] == "emulated: as a script says"
    execution = client.get_pipeline_execution(pipelineName="site", pipelineExecutionId=run.id)["pipelineExecution"]
    (revision,) = execution["artifactRevisions"]
    assert revision["revisionId"] == "4f2a" and revision["revisionSummary"] == "mend the door"
    details = client.list_action_executions(pipelineName="site")["actionExecutionDetails"]
    (roll,) = [detail for detail in details if detail["actionName"] == "Roll"]
    assert roll["input"]["resolvedConfiguration"]["ApplicationName"] == "sha256-77"
    assert roll["output"]["outputVariables"] == {}


def test_outputs_are_there_an_empty_archive_when_no_file_is_named(emulator, client, boto3_client, start):
    import boto3

    emulator.script("succeed")
    start().wait(timeout=10)
    details = client.list_action_executions(pipelineName="site")["actionExecutionDetails"]
    (build,) = [detail for detail in details if detail["actionName"] == "Compile"]
    (output,) = build["output"]["outputArtifacts"]
    body = boto3.client("s3").get_object(Bucket=output["s3location"]["bucket"], Key=output["s3location"]["key"])["Body"]
    assert zipfile.ZipFile(io.BytesIO(body.read())).namelist() == []


def test_a_source_whose_script_names_no_revision_has_one_like_a_commit(emulator, client, start):
    emulator.script("succeed")
    run = start()
    run.wait(timeout=10)
    execution = client.get_pipeline_execution(pipelineName="site", pipelineExecutionId=run.id)["pipelineExecution"]
    revision = execution["artifactRevisions"][0]["revisionId"]
    assert len(revision) == 40 and int(revision, 16) >= 0


def test_the_newest_that_fits_decides_and_times_runs_out(emulator, client, start):
    emulator.script("succeed", output_variables={"digest": "1"})
    emulator.script("fail", provider="CodeDeploy", code="RevisionOutOfSync", message="host 3 is down", times=1)
    run = start()
    outcome = run.wait(timeout=10)
    assert outcome.status == "Failed"
    (finding,) = outcome.explanation.findings
    assert finding.code == "RevisionOutOfSync" and "host 3 is down" in str(finding)
    run.retry("Deploy")
    assert run.wait(timeout=10).status == "Succeeded"


def test_an_action_takes_its_time_by_the_clock(emulator, client, start):
    emulator.script("succeed", provider="CodeBuild", after=600, output_variables={"digest": "1"})
    emulator.script("succeed", provider="CodeCommit")
    emulator.script("succeed", provider="CodeDeploy")
    run = start()
    assert states(client)["Compile"]["status"] == "InProgress"
    emulator.clock.advance(seconds=590)
    assert states(client)["Compile"]["status"] == "InProgress"
    emulator.clock.advance(seconds=20)
    assert run.wait(timeout=10).status == "Succeeded"


def test_an_action_that_waits_goes_on_by_the_next_script_or_ends_with_its_time(emulator, client, start):
    emulator.script("succeed", output_variables={"digest": "1"})
    emulator.script("wait", provider="CodeDeploy", summary="in the queue")
    run = start(action("Second", "Deploy", "CodeDeploy", **only(pipeline()["stages"][2]["actions"][0])))
    assert states(client)["Roll"]["status"] == "InProgress"
    assert states(client)["Second"]["summary"] == "emulated: in the queue"
    emulator.script("succeed", action="Roll")
    assert states(client)["Roll"]["status"] == "Succeeded" and states(client)["Second"]["status"] == "InProgress"
    emulator.script("fail", action="Second", after=5)
    emulator.clock.advance(seconds=6)
    assert run.wait(timeout=10).status == "Failed"
    emulator.script("wait", provider="CodeDeploy")
    run.retry("Deploy")
    emulator.clock.advance(days=8)
    assert states(client)["Second"]["errorDetails"]["code"] == "Timeout"


def only(action):
    return {key: action[key] for key in ("configuration", "inputArtifacts")}


def test_it_survives_a_restart(tmp_path):
    path = tmp_path / "state.db"
    with codepipeline.Emulator(path=path) as emulator:
        emulator.script("succeed")
        emulator.script("succeed", provider="CodeBuild", after=100, output_variables={"digest": "1"})
        emulator.client().create_pipeline(pipeline=pipeline())
        assert states(emulator.client())["Compile"]["status"] == "InProgress"
    with codepipeline.Emulator(path=path) as emulator:
        emulator.script("succeed")
        emulator.clock.advance(seconds=101)
        assert states(emulator.client())["Compile"]["status"] == "Succeeded"


def test_a_stopped_execution_leaves_its_script_behind(emulator, client, start):
    emulator.script("succeed")
    emulator.script("succeed", provider="CodeBuild", after=100)
    run = start()
    run.stop(abandon=True)
    emulator.clock.advance(seconds=200)
    assert run.wait(timeout=10).status == "Stopped"
    assert states(client)["Compile"]["status"] == "Abandoned"


def test_clear_forgets_them(emulator, client, start):
    emulator.script("succeed")
    emulator.clear()
    assert start().wait(timeout=10).status == "Failed"


@pytest.mark.parametrize(
    "given, path",
    [
        ({"outcome": "maybe"}, "outcome"),
        ({"outcome": 3}, "outcome"),
        ({"outcome": "succeed", "after": -1}, "after"),
        ({"outcome": "succeed", "after": "soon"}, "after"),
        ({"outcome": "succeed", "stage": 1}, "stage"),
        ({"outcome": "succeed", "output_variables": ["a"]}, "output_variables"),
        ({"outcome": "succeed", "output_variables": {"a": 1}}, "output_variables.a"),
        ({"outcome": "succeed", "artifacts": {"Binary": "/nowhere/at/all"}}, "artifacts.Binary"),
    ],
)
def test_what_is_wrong_is_named(emulator, given, path):
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        emulator.script(**given)
    assert caught.value.path == path and path in str(caught.value)


def test_an_artifact_that_is_gone_when_it_is_needed_fails_the_action(emulator, client, start, tmp_path):
    (tmp_path / "binary.zip").write_bytes(b"1")
    emulator.script("succeed")
    emulator.script("succeed", provider="CodeBuild", artifacts={"Binary": tmp_path / "binary.zip"})
    (tmp_path / "binary.zip").unlink()
    outcome = start().wait(timeout=10)
    assert outcome.explanation.findings[0].code == "ScriptError"
