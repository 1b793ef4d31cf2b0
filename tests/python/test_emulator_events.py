# SPDX-License-Identifier: MIT
"""The emulator's events: as an iterator, in a file, at an address, and in the shape of the service's own examples."""

import json
import signal
import subprocess
import sys
import threading
import warnings

import pytest

import codepipeline
from servers import answering
from test_run import BUILD, GATE, SOURCE, work, world

__all__ = ["world"]  # the fixture

LINKED = {
    "entityUrlTemplate": "https://maker.example/",
    "executionUrlTemplate": "https://maker.example/{ExternalExecutionId}",
}
MAKE = {
    "name": "Deploy",
    "actions": [
        {
            "name": "Deploy",
            "actionTypeId": {"category": "Build", "owner": "Custom", "provider": "Linked", "version": "1"},
            "inputArtifacts": [{"name": "Source"}],
            "outputArtifacts": [{"name": "Made"}],
        }
    ],
}
START = ["STARTED pipeline", "STARTED Source", "STARTED Source/Fetch", "SUCCEEDED Source/Fetch", "SUCCEEDED Source"]


def short(event):
    detail = event["detail"]
    where = "/".join(detail[name] for name in ("stage", "action") if name in detail)
    return f"{detail['state']} {where or 'pipeline'}"


def shorts(events):
    return [short(event) for event in events]


@pytest.fixture
def stories(world, emulator, client):
    """Executions that between them emit every kind of event of which the user guide has an example."""
    count = {"minimumCount": 0, "maximumCount": 5}
    client.create_custom_action_type(
        category="Build",
        provider="Linked",
        version="1",
        settings=LINKED,
        inputArtifactDetails=count,
        outputArtifactDetails=count,
    )

    def answer(call, **more):
        kind = MAKE["actions"][0]["actionTypeId"]
        job = client.poll_for_jobs(actionTypeId=kind)["jobs"][0]
        client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        call(jobId=job["id"], **more)

    world(MAKE, executionMode="QUEUED")
    details = {"summary": "Deployment done", "externalExecutionId": "d-1"}
    answer(client.put_job_success_result, executionDetails=details)
    client.start_pipeline_execution(name="site")
    failure = {"type": "JobFailed", "message": "Deployment failed", "externalExecutionId": "d-2"}
    answer(client.put_job_failure_result, failureDetails=failure)
    stopped = client.start_pipeline_execution(name="site")["pipelineExecutionId"]
    about = {"pipelineName": "site", "pipelineExecutionId": stopped, "reason": "an update"}
    client.stop_pipeline_execution(**about)
    client.stop_pipeline_execution(**about, abandon=True)
    return list(emulator.events())


# ---- the iterator ----


def test_they_come_in_order_and_again_from_the_start(world, emulator, client):
    world(BUILD)
    events = emulator.events()
    assert shorts(events) == [*START, "STARTED Build", "STARTED Build/Make"]
    work(client)
    after = ["SUCCEEDED Build/Make", "SUCCEEDED Build", "SUCCEEDED pipeline"]
    assert shorts(events) == after
    assert shorts(emulator.events())[-3:] == after
    emulator.clear()
    assert shorts(emulator.events()) == []


def test_a_reader_that_waits_gets_what_comes_and_ends_with_the_emulator(tmp_path):
    read = []
    with codepipeline.Emulator() as emulator:
        events = emulator.events(timeout=None)
        reader = threading.Thread(target=lambda: read.extend(shorts(events)))
        reader.start()
        emulator.client().create_pipeline(pipeline={**failing(), "name": "p"})
        for event in emulator.events(timeout=30):
            if short(event) == "FAILED pipeline":
                break
    reader.join(30)
    assert not reader.is_alive()
    assert read == [
        *("STARTED pipeline", "STARTED Source", "STARTED Source/Fetch"),
        *("FAILED Source/Fetch", "FAILED Source", "FAILED pipeline"),
    ]
    assert list(events) == []


def failing():
    """A pipeline whose source is not there: six events, and it has failed."""
    return {
        "roleArn": "arn:aws:iam::123456789012:role/p",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [SOURCE, GATE],
    }


def test_two_threads_do_not_share_one_iterator(emulator):
    events = emulator.events(timeout=None)
    reader = threading.Thread(target=lambda: list(events))
    reader.start()
    with pytest.raises(codepipeline.StateError, match="another thread"):
        while True:  # until the other one waits
            next(emulator.events(timeout=0.001), None)
            next(iter(events))
    emulator.close()
    reader.join(30)
    assert not reader.is_alive()


@pytest.mark.parametrize("timeout", [-1, "soon", float("nan")])
def test_what_is_no_time_is_refused(emulator, timeout):
    with pytest.raises((ValueError, TypeError)):
        next(emulator.events(timeout=timeout))


def test_a_closed_emulator_has_no_more(emulator):
    emulator.close()
    with pytest.raises(codepipeline.StateError):
        emulator.events()


# ---- the shapes ----


def kinds(value):
    """The members of a document and what they are; of a list, those of its first item."""
    if isinstance(value, dict):
        return {name: kinds(member) for name, member in value.items()}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def holds(wanted, got, path=""):
    """The paths of wanted that got has not, or has as something else."""
    if isinstance(wanted, dict) and isinstance(got, dict):
        return [
            wrong
            for name, kind in wanted.items()
            for wrong in (holds(kind, got[name], f"{path}.{name}") if name in got else [f"{path}.{name}: none"])
        ]
    if isinstance(wanted, list) and isinstance(got, list):
        return holds(wanted[0], got[0], f"{path}[0]") if wanted and got else [path] * bool(wanted)
    return [] if wanted == got else [f"{path}: {got}, not {wanted}"]


def example(path):
    """The event of an example. Those for notifications wrap the same detail in another way, and an old one of Lambda's
    Go library (2017) has the version of an action type as a number."""
    document = json.loads(path.read_text(encoding="utf-8"))
    document["detail-type"] = document.pop("detailType", document.get("detail-type"))
    for name in ("notificationRuleArn", "additionalAttributes"):
        document.pop(name, None)
    if path.name.startswith("lambda-go") and "type" in document["detail"]:
        document["detail"]["type"]["version"] = str(document["detail"]["type"]["version"])
    return document


def test_every_example_has_its_like(suite, stories):
    paths = sorted((suite("payloads") / "eventbridge-events").glob("*.json"))
    assert len(paths) >= 18
    wrong = []
    for path in paths:
        wanted = example(path)
        like = [
            holds(kinds(wanted), kinds(event))
            for event in stories
            if event["detail-type"] == wanted["detail-type"]
            and event["detail"]["state"] == wanted["detail"]["state"]
            and set(wanted["detail"]) <= set(event["detail"])
        ]
        if [] not in like:
            wrong.append(f"{path.name}: {min(like, key=len) if like else 'no event with these members'}")
    assert wrong == []


def test_an_event_names_its_resource_as_the_examples_do(stories, emulator):
    account, region = "123456789012", emulator.environ["AWS_REGION"]
    assert {tuple(event["resources"]) for event in stories} == {(f"arn:aws:codepipeline:{region}:{account}:site",)}
    assert {event["account"] for event in stories} == {account} and {event["region"] for event in stories} == {region}
    assert len({event["id"] for event in stories}) == len(stories)


def test_what_the_worker_said_is_in_the_result(stories):
    results = [event["detail"].get("execution-result") for event in stories if event["detail"].get("stage") == "Deploy"]
    assert [result for result in results if result] == [
        {
            "external-execution-url": "https://maker.example/d-1",
            "external-execution-summary": "Deployment done",
            "external-execution-id": "d-1",
        },
        {
            "external-execution-url": "https://maker.example/d-2",
            "external-execution-summary": "Deployment failed",
            "external-execution-id": "d-2",
            "error-code": "JobFailed",
        },
    ]


# ---- a file, an address ----


def test_a_file_gets_a_line_each(tmp_path):
    path = tmp_path / "events.jsonl"
    with codepipeline.Emulator(events=path) as emulator:
        emulator.client().create_pipeline(pipeline={**failing(), "name": "p"})
        seen = list(emulator.events())
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == seen
    assert emulator.relayed == {"delivered": 6, "dropped": 0, "reason": None}


def test_an_address_gets_a_request_each():
    with answering() as (answers, target):
        with codepipeline.Emulator(events=target.endpoint_url) as emulator:
            emulator.client().create_pipeline(pipeline={**failing(), "name": "p"})
            seen = list(emulator.events())
        assert [json.loads(body) for body in answers.requests] == seen and len(seen) == 6


def test_a_target_that_is_down_is_said_and_waited_for_by_nobody(tmp_path):
    with answering() as (answers, target):
        answers.status = 404
        emulator = codepipeline.Emulator(events=target.endpoint_url)
        emulator.client().create_pipeline(pipeline={**failing(), "name": "p"})
        with pytest.warns(RuntimeWarning, match="6 events did not get to http://.*HTTP status 404"):
            emulator.close()
        assert emulator.relayed["dropped"] == 6
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            emulator.close()


def command(*arguments, tell):
    """Runs codepipeline-emulator, has tell(a client of it) do something, and stops it: what it said as trouble."""
    code = "import sys; from codepipeline import _commands; sys.exit(_commands.emulator())"
    running = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    url = running.stdout.readline().strip()
    exports = dict(running.stdout.readline().strip().replace("export ", "").split("=", 1) for _ in range(7))
    tell(
        codepipeline.Client(
            exports["AWS_REGION"],
            endpoint_url=url,
            access_key_id=exports["AWS_ACCESS_KEY_ID"],
            secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
        )
    )
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=30)
    assert running.returncode == 0
    return said


def test_the_command_writes_them_and_says_what_was_lost(tmp_path):
    def tell(client):
        client.create_pipeline(pipeline={**failing(), "name": "p"})

    path = tmp_path / "events.jsonl"
    assert "did not get" not in command("--events", path, tell=tell)
    assert len(path.read_text(encoding="utf-8").splitlines()) == 6
    with answering() as (answers, target):
        answers.status = 410
        said = command("--events", target.endpoint_url, tell=tell)
        assert f"6 events did not get to {target.endpoint_url}: it answered with HTTP status 410" in said


@pytest.mark.parametrize(
    ("target", "error"),
    [("/no/such/folder/file", codepipeline.SystemFailure), ("http://a b/", codepipeline.ParamValidationError)],
)
def test_what_cannot_be_a_target_is_refused(target, error):
    with pytest.raises(error, match="events"):
        codepipeline.Emulator(events=target)
