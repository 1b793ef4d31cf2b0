# SPDX-License-Identifier: MIT
"""The programs of examples/ that no other test runs: a release script, a partner's worker, a step of GitHub Actions."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest
import yaml

from conftest import ROOT
from test_emulator_scripts import action

EXAMPLES = ROOT / "examples"


def stage(name, *actions):
    return {"name": name, "actions": list(actions)}


@pytest.fixture
def site(emulator, client):
    """site(name): makes a V2 pipeline of actions of AWS, and waits for its first execution; nothing here takes time."""
    emulator.script("succeed", provider="CodeCommit")
    emulator.script("succeed", provider="CodeBuild")

    def make(name, *more):
        configuration = {"RepositoryName": name, "BranchName": "main"}
        source = action(
            "Fetch", "Source", "CodeCommit", configuration=configuration, outputArtifacts=[{"name": "Source"}]
        )
        build = action(
            "Make", "Build", "CodeBuild", configuration={"ProjectName": name}, inputArtifacts=[{"name": "Source"}]
        )
        client.create_pipeline(
            pipeline={
                "name": name,
                "roleArn": "arn:aws:iam::123456789012:role/pipeline",
                "artifactStore": {"type": "S3", "location": "artifacts-of-site"},
                "pipelineType": "V2",
                "variables": [{"name": "version", "defaultValue": "none"}],
                "stages": [stage("Source", source), *more, stage("Deploy", build)],
            }
        )
        first = client.run(name, poll_interval=0.02)
        if more:
            first.stop(abandon=True)  # it would wait there, and what comes behind it
        assert first.wait(timeout=20).status == ("Stopped" if more else "Succeeded")

    return make


GATE = stage("Gate", action("Sign", "Approval", "Manual"))


# ---- automation/release.py ----


def release(*arguments):
    command = [sys.executable, EXAMPLES / "automation/release.py", "--interval", "0.05", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)


def newest(client, pipeline):
    return client.list_pipeline_executions(pipelineName=pipeline)["pipelineExecutionSummaries"][0]


def test_a_release_goes_through_its_pipelines_and_approves_what_it_may(client, site):
    site("staging")
    site("production", GATE)
    done = release("--var", "version=1.4", "--approve", "Gate/Sign", "staging", "production")
    assert done.returncode == 0, done.stdout
    assert "staging: staging: Succeeded" in done.stdout and "production: production: Succeeded" in done.stdout
    assert done.stdout.index("staging: staging: Succeeded") < done.stdout.index("production: ")
    execution = client.get_pipeline_execution(
        pipelineName="production", pipelineExecutionId=newest(client, "production")["pipelineExecutionId"]
    )["pipelineExecution"]
    assert [variable["resolvedValue"] for variable in execution["variables"]] == ["1.4"]


def test_a_release_that_fails_says_why_goes_back_and_stops(emulator, client, site):
    site("staging")
    site("production")
    good = newest(client, "staging")["pipelineExecutionId"]
    emulator.script("fail", provider="CodeBuild", message="no room on the fleet", times=1)
    done = release("--roll-back", "Deploy", "staging", "production")
    assert done.returncode == 1
    assert "no room on the fleet" in done.stdout and "staging: Deploy goes back" in done.stdout
    assert "staging: the rollback Succeeded" in done.stdout and "production:" not in done.stdout
    back = newest(client, "staging")
    assert back["executionType"] == "ROLLBACK" and f"which is execution {back['pipelineExecutionId']}" in done.stdout
    assert back["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == good


def test_a_release_that_has_nothing_to_go_back_to_says_so(emulator, client, site):
    site("staging", GATE)
    emulator.script("fail", provider="CodeBuild", message="no room", times=1)
    done = release("--roll-back", "Deploy", "--approve", "Gate/Sign", "staging")
    assert done.returncode == 1 and "staging: Deploy stays as it is: no earlier execution of version 1" in done.stdout


def test_a_release_of_nothing_is_refused_in_words(client, site):
    assert "NAME=VALUE" in release("--var", "version", "site").stdout
    refused = release("lost")
    assert refused.returncode == 1 and "PipelineNotFoundException" in refused.stdout


# ---- third-party/worker ----

SPELLCHECKER = {"category": "Test", "owner": "ThirdParty", "provider": "Spellchecker", "version": "1"}


@pytest.fixture
def customer(emulator, client, tmp_path):
    """A customer's pipeline with an action of the partner's; their client id is what the worker is told it by."""
    emulator.create_bucket("source")
    with zipfile.ZipFile(tmp_path / "book.zip", "w") as archive:
        archive.writestr("one.txt", "it was a dark night")
        archive.writestr("two.txt", "and stormy")
    client.upload_file(tmp_path / "book.zip", "source", "book.zip")
    one = {"minimumCount": 1, "maximumCount": 1}
    client.update_action_type(
        actionType={
            "id": SPELLCHECKER,
            "executor": {
                "type": "JobWorker",
                "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["123456789012"]}},
            },
            "inputArtifactDetails": one,
            "outputArtifactDetails": one,
            "properties": [{"name": "Language", "optional": False, "key": True, "noEcho": False}],
        }
    )
    source = action(
        "Fetch",
        "Source",
        "S3",
        configuration={"S3Bucket": "source", "S3ObjectKey": "book.zip", "PollForSourceChanges": "false"},
        outputArtifacts=[{"name": "Book"}],
    )
    spell = {
        "name": "Spell",
        "actionTypeId": SPELLCHECKER,
        "configuration": {"Language": "en"},
        "inputArtifacts": [{"name": "Book"}],
        "outputArtifacts": [{"name": "Report"}],
    }
    client.create_pipeline(
        pipeline={
            "name": "book",
            "roleArn": "arn:aws:iam::123456789012:role/pipeline",
            "artifactStore": {"type": "S3", "location": "artifacts-of-book"},
            "stages": [stage("Source", source), stage("Test", spell)],
        }
    )
    jobs = client.poll_for_third_party_jobs(actionTypeId=SPELLCHECKER, maxBatchSize=1)["jobs"]
    emulator.clock.advance(seconds=61)  # it is offered again
    return jobs[0]["clientId"]


@pytest.mark.parametrize("language", ["py", "lua"])
def test_a_partners_worker_serves_a_customer_whose_token_comes_later(customer, client, tmp_path, language):
    program = {"py": [sys.executable], "lua": ["lua5.4"]}[language]
    if shutil.which(program[0]) is None:
        pytest.skip(f"no {program[0]}")
    tokens = tmp_path / "tokens"
    known = {"py": json.dumps({customer: f"emulator-token-{customer}"})}.get(
        language, f'return {{ ["{customer}"] = "emulator-token-{customer}" }}'
    )
    tokens.write_text(known)
    environ = {**os.environ, "TOKENS": str(tokens), "JOURNAL": str(tmp_path / "jobs.db")}
    worker = subprocess.Popen([*program, EXAMPLES / f"third-party/worker.{language}"], env=environ)
    try:
        outcome = client.run("book", poll_interval=0.05).wait(timeout=30)
        assert outcome, outcome.explanation
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=20) == 0
    spelled = client.get_pipeline_state(name="book")["stageStates"][1]["actionStates"][0]["latestExecution"]
    assert spelled["summary"] == "7 words" and spelled["externalExecutionId"]
    output = client.list_action_executions(pipelineName="book")["actionExecutionDetails"][0]["output"]
    place = output["outputArtifacts"][0]["s3location"]
    client.download_file(place["bucket"], place["key"], tmp_path / "report")
    report = (tmp_path / "report").read_text()
    if language == "py":
        pages = [{"page": "one.txt", "words": 5}, {"page": "two.txt", "words": 2}]
        assert json.loads(report) == {"language": "en", "pages": pages}
    else:
        assert report == "en\none.txt 5\ntwo.txt 2\n"


# ---- github-actions ----

ACTION = yaml.safe_load((EXAMPLES / "github-actions/run-pipeline/action.yml").read_text())
WORKFLOW = yaml.safe_load((EXAMPLES / "github-actions/release.yml").read_text())


class Runner:
    """Runs the steps of the composite action as GitHub's runner does, with commands of our own in PATH."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("output", "summary"):
            (folder / name).touch()
        commands = {
            "codepipeline": f'exec {sys.executable} -m codepipeline.cli "$@"',
            "python3": 'echo "$@" >>installed',
        }
        for name, text in commands.items():
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
        self.environ = {
            **os.environ,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        }

    def run(self, **inputs):
        given = {name: str(details.get("default", "")) for name, details in ACTION["inputs"].items()}
        given |= {"package": "codepipeline.whl[cli]", **inputs}
        said = ""
        for step in ACTION["runs"]["steps"]:
            assert "${{" not in step["run"]  # a value in a script's text would be code
            env = {
                name: re.sub(r"\$\{\{ inputs\.(\w+) }}", lambda m: given[m[1]], v) for name, v in step["env"].items()
            }
            script = self.folder / "step.sh"
            script.write_text(step["run"])
            command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
            done = subprocess.run(
                command,
                cwd=self.folder,
                env={**self.environ, **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            said += done.stdout
            if done.returncode:
                return done.returncode, said
        return 0, said


@pytest.fixture
def runner(emulator, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    return Runner(tmp_path)


def test_the_step_starts_a_pipeline_and_follows_it(runner, client, site):
    site("site")
    status, said = runner.run(pipeline="site", variables="version=1.4 beta\n\n")
    assert status == 0, said
    assert "Deploy: Succeeded" in said
    execution = newest(client, "site")["pipelineExecutionId"]
    assert (runner.folder / "output").read_text() == f"execution-id={execution}\n"
    assert "Succeeded" in (runner.folder / "summary").read_text()
    assert (runner.folder / "installed").read_text() == "-m pip install --quiet codepipeline.whl[cli]\n"
    variables = client.get_pipeline_execution(pipelineName="site", pipelineExecutionId=execution)
    assert variables["pipelineExecution"]["variables"][0]["resolvedValue"] == "1.4 beta"


def test_the_step_fails_with_the_pipeline_and_says_why(runner, emulator, site):
    site("site")
    emulator.script("fail", provider="CodeBuild", message="no room on the fleet")
    status, said = runner.run(pipeline="site")
    assert status == 1 and "no room on the fleet" in said
    assert "no room on the fleet" in (runner.folder / "summary").read_text()


def test_the_step_says_what_to_install_and_takes_no_name_from_an_index_by_itself(runner, emulator):
    assert ACTION["inputs"]["package"]["required"] and "default" not in ACTION["inputs"]["package"]
    (runner.folder / "python3").write_text("#!/bin/sh\necho no such distribution >&2\nexit 1\n")
    status, said = runner.run(pipeline="site")
    assert status == 1 and "no such distribution" in said and "::error::The input package" in said


def test_the_step_waits_no_longer_than_it_may(runner, site):
    site("site", GATE)
    began = time.monotonic()
    status, _ = runner.run(pipeline="site", timeout="1")
    assert status == 3 and time.monotonic() - began < 30
    assert "approval" in (runner.folder / "summary").read_text()


def test_a_pipeline_that_is_not_there_fails_the_step(runner, emulator):
    status, said = runner.run(pipeline="lost; echo oops")
    assert status == 4 and "name: does not match" in said  # and nothing of it was run
    assert (runner.folder / "output").read_text() == ""


def test_the_workflow_uses_the_action_as_it_is():
    steps = WORKFLOW["jobs"]["deliver"]["steps"]
    ours = next(step for step in steps if step.get("uses", "").startswith("./"))
    assert pathlib.Path(ROOT / ours["uses"], "action.yml").exists()
    assert set(ours["with"]) <= set(ACTION["inputs"])
    assert all(name in ours["with"] for name, details in ACTION["inputs"].items() if details.get("required"))
    used = re.findall(rf"steps\.{ours['id']}\.outputs\.([\w-]+)", json.dumps(steps))
    assert used and set(used) <= set(ACTION["outputs"])
