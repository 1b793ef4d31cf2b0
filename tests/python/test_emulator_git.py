# SPDX-License-Identifier: MIT
"""Pushes and pull requests as tests tell them."""

import io
import zipfile
from pathlib import Path

import pytest

import codepipeline
from test_emulator_page import git_pipeline
from test_worker import World, action

RELEASES = {
    "push": [
        {"branches": {"includes": ["release/**"]}, "filePaths": {"excludes": ["docs/**"]}},
        {"tags": {"includes": ["v*"], "excludes": ["v0*"]}},
    ],
    "pullRequest": [{"events": ["OPEN", "UPDATED"], "branches": {"includes": ["main"]}}],
}


@pytest.fixture
def site(emulator, client):
    emulator.script("succeed", provider="CodeStarSourceConnection")
    client.create_pipeline(pipeline=git_pipeline(triggers=RELEASES))
    return "site"


def test_what_fits_a_filter_starts_and_what_does_not_is_told_why(emulator, site, client):
    [told] = emulator.git_push("acme/site", "release/1/fix", files=["docs/a.md", "src/a.js"])
    assert told["reason"] == "its filter push[0] fits"
    run = client.run(site, told["pipelineExecutionId"])
    assert run.status == "InProgress"
    assert "pipelineExecutionId" in emulator.git_push("acme/site", tag="v1")[0]
    request = {"source": "door", "target": "main"}
    assert "pipelineExecutionId" in emulator.pull_request("acme/site", "UPDATED", **request)[0]
    reasons = [
        emulator.git_push("acme/site", "release/1", files=(path for path in ["docs/a.md"]))[0],
        emulator.git_push("acme/site", tag="v0.1")[0],
        emulator.pull_request("acme/site", "CLOSED", **request)[0],
    ]
    assert reasons == [
        {"pipelineName": site, "actionName": "App", "reason": f"no filter fits: {reason}"}
        for reason in (
            "push[0] by its filePaths, push[1] by its tags",
            "push[0] by its tags, push[1] by its tags",
            "pullRequest[0] by its events",
        )
    ]
    assert emulator.git_push("acme/other", "main") == []


def test_files_with_texts_are_the_artifact_and_an_archive_is_one_too(emulator, client, tmp_path):
    client.create_pipeline(pipeline=git_pipeline())
    archive = tmp_path / "site.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("index.html", "from a file")
    texts = {"index.html": "hallo, Wörld", "src/empty": ""}
    for given in ({"files": texts}, {"archive": archive}, {"archive": str(archive), "files": ["index.html"]}):
        [told] = emulator.git_push("acme/site", "main", commit="4f2a9c", message="mend the door", **given)
        details = client.list_action_executions(
            pipelineName="site", filter={"pipelineExecutionId": told["pipelineExecutionId"]}
        )["actionExecutionDetails"]
        [output] = [entry["output"] for entry in details if entry["actionName"] == "App"]
        assert output["outputVariables"]["CommitMessage"] == "mend the door"
        place = output["outputArtifacts"][0]["s3location"]
        found = fetch(emulator, client, place)
        if "archive" in given:
            assert found == archive.read_bytes()
        else:
            with zipfile.ZipFile(io.BytesIO(found)) as zipped:
                assert zipped.testzip() is None
                assert {name: zipped.read(name).decode() for name in zipped.namelist()} == texts


def fetch(emulator, client, place):
    """An object, by way of a pipeline: an S3 source would do; here the state has it."""
    import base64

    blobs = {blob["key"]: blob["base64"] for blob in emulator.export()["blobs"]}
    return base64.b64decode(blobs[f"{place['bucket']}/{place['key']}"])


def test_a_worker_gets_what_was_pushed(emulator, client, tmp_path):
    World(emulator, client, tmp_path)  # for its action type
    made = git_pipeline()
    made["stages"][1] = {"name": "Build", "actions": [action("Make")]}
    client.create_pipeline(pipeline=made)
    worker = codepipeline.Worker(client, poll_interval=0.01)
    told = []

    @worker.job(category="Build", provider="Builder")
    def build(job):
        told.append((Path(job.input("Source").extract()) / "src/a.txt").read_text())
        return {}

    emulator.git_push("acme/site", "main", files={"src/a.txt": "one"})
    worker.run_once()
    assert told == ["one"]


def test_what_came_along_is_in_a_state_unless_its_objects_are_left_out(emulator, client):
    client.create_pipeline(pipeline=git_pipeline())
    [told] = emulator.git_push("acme/site", "main", commit="4f2a9c", files={"a": "b"})
    for objects in (True, False):
        with codepipeline.Emulator(state=emulator.export(objects=objects)) as other:
            run = other.client().get_pipeline_execution(
                pipelineName="site", pipelineExecutionId=told["pipelineExecutionId"]
            )
            assert run["pipelineExecution"]["artifactRevisions"][0]["revisionId"] == "4f2a9c"
            assert other.git_push("acme/site", "main")[0]["reason"] == "its BranchName is main"


def test_a_damaged_event_of_a_state_is_refused_with_its_place(emulator, client):
    client.create_pipeline(pipeline=git_pipeline())
    emulator.git_push("acme/site", "main")
    state = emulator.export()
    state["executions"][1]["document"]["git"]["commit"] = 1
    with pytest.raises(codepipeline.ParamValidationError, match=r"executions\[1\]\.document\.git\.commit: not text"):
        emulator.restore(state)


@pytest.mark.parametrize(
    "call, given, message",
    [
        ("git_push", ("acme/site",), "branch: missing, and so is tag"),
        ("git_push", ("", "main"), "repository: empty"),
        ("git_push", ("acme/site", "main", {"files": "src/a"}), "files: neither paths nor paths and texts"),
        ("git_push", ("acme/site", "main", {"files": {"../a": ""}}), "leaves the directory"),
        ("git_push", ("acme/site", "main", {"archive": "no such file"}), 'archive: "no such file" cannot be read'),
        ("pull_request", ("acme/site", "OPENED", {"source": "a", "target": "b"}), "event: neither OPEN nor"),
    ],
)
def test_what_makes_no_sense_is_named_and_starts_nothing(emulator, site, client, call, given, message):
    named = given[-1] if isinstance(given[-1], dict) else {}
    with pytest.raises(codepipeline.ParamValidationError) as refused:
        getattr(emulator, call)(*[one for one in given if one is not named], **named)
    assert message in str(refused.value)
    assert len(client.list_pipeline_executions(pipelineName=site)["pipelineExecutionSummaries"]) == 1


def test_a_closed_emulator_says_so():
    emulator = codepipeline.Emulator()
    emulator.close()
    with pytest.raises(codepipeline.StateError, match="closed"):
        emulator.git_push("acme/site", "main")
    with pytest.raises(codepipeline.StateError, match="closed"):
        emulator.pull_request("acme/site", "OPEN", source="door", target="main")
