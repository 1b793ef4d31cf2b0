# SPDX-License-Identifier: MIT
"""Workers of third-party jobs, and of several regions, against the emulator."""

import logging

import pytest

import codepipeline
from test_delivery import BOTH_POLICIES
from test_worker import World

PARTNER = {"category": "Test", "owner": "ThirdParty", "provider": "Partner", "version": "1"}


@pytest.fixture
def world(emulator, client, tmp_path):
    world = World(emulator, client, tmp_path)
    client.update_action_type(
        actionType={
            "id": PARTNER,
            "executor": {
                "type": "JobWorker",
                "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["123456789012"]}},
            },
            "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
            "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 5},
            "properties": [{"name": "Suite", "optional": False, "key": True, "noEcho": False}],
        }
    )
    return world


def start(world, outputs=()):
    world.start(
        {
            "name": "Make",
            "actionTypeId": PARTNER,
            "inputArtifacts": [{"name": "Source"}],
            "outputArtifacts": [{"name": name} for name in outputs],
            "configuration": {"Suite": "fast"},
        }
    )


def token_of(customer):
    return f"emulator-token-{customer}"


def partner_worker(world, handler, client_token=token_of, **options):
    worker = world.worker(third_party=True, client_token=client_token, **options)
    worker.job(category="Test", provider="Partner")(handler)
    return worker


def test_a_third_party_job_runs_like_any_other(world):
    start(world, outputs=["Report"])
    asked = []

    def handler(job):
        assert job.configuration == {"Suite": "fast"}
        assert job.account_id is None
        assert b"main.txt" in job.input().read()
        job.output().write(b"fine")

    worker = partner_worker(world, handler, lambda customer: asked.append(customer) or token_of(customer))
    assert worker.run_once(timeout=10) == "succeeded"
    assert world.state()["status"] == "Succeeded"
    assert len(asked) == 1


def test_artifact_credentials_that_end_in_the_middle_are_renewed(emulator, world):
    start(world, outputs=["Report"])

    def details():
        return [entry.get("operation") for entry in emulator.ledger()].count("GetThirdPartyJobDetails")

    def handler(job):
        emulator.fault("expired-token", "GetObject")
        before = details()
        job.input().extract()
        assert details() == before + 1
        emulator.clock.advance(seconds=3601)  # what they live for
        job.output().write(b"fine")
        counts.append(details())

    counts = []
    assert partner_worker(world, handler).run_once(timeout=10) == "succeeded"
    assert details() == counts[0] + 1


def test_a_generator_goes_on_in_the_next_job(world):
    start(world)
    seen = []

    def handler(job):
        first = job.step(lambda: seen.append(job.id) or job.id)
        yield job.later("half")
        seen.append(job.id)
        assert first == seen[0] != job.id and job.state == "half"

    worker = partner_worker(world, handler)
    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "succeeded"]
    assert len(seen) == 2 and world.state()["status"] == "Succeeded"


@BOTH_POLICIES
@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
def test_an_answer_that_was_lost_is_asked_for_again_and_the_result_counts_once(world, emulator, repeats, ending):
    start(world)
    for operation in ("Acknowledge{}Job", "Put{}JobSuccessResult", "Put{}JobFailureResult"):
        emulator.fault("lost-answer", operation.format("ThirdParty"))

    def handler(job):
        if ending == "Failed":
            raise RuntimeError("it broke")

    assert partner_worker(world, handler).run_once(timeout=10) == ending.lower()
    assert world.state()["status"] == ending
    results = [
        entry for entry in emulator.ledger() if "JobSuccess" in entry["operation"] or "JobFail" in entry["operation"]
    ]
    assert [entry["status"] for entry in results] == [200, 200 if repeats == "accept" else 400]


def test_it_goes_on_later_with_its_state(world):
    start(world)
    states = []

    def handler(job):
        states.append(job.state)
        return job.later({"n": 1}) if job.state is None else job.succeed(external_execution_id="run-7")

    worker = partner_worker(world, handler)
    assert [worker.run_once(timeout=10), worker.run_once(timeout=10)] == ["continued", "succeeded"]
    assert states == [None, {"n": 1}]


def test_output_variables_are_a_failure_that_says_so(world):
    start(world)
    assert partner_worker(world, lambda job: {"digest": "abc"}).run_once(timeout=10) == "failed"
    error = world.state()["errorDetails"]
    assert error["code"] == "ConfigurationError"
    assert "third-party job has no output variables" in error["message"]


@pytest.mark.parametrize("answer", [None, "wrong", ValueError("no such customer")])
def test_without_the_right_token_the_job_waits(world, answer, caplog):
    start(world)

    def client_token(customer):
        if isinstance(answer, Exception):
            raise answer
        return answer

    worker = partner_worker(world, lambda job: None, client_token)
    with caplog.at_level(logging.WARNING, "codepipeline"):
        assert worker.run_once(timeout=0.5) is None
    assert world.state()["status"] == "InProgress"
    if answer != "wrong":
        assert "client token of the customer" in caplog.text
    if isinstance(answer, Exception):
        assert "no such customer" in caplog.text


def test_the_token_is_needed_from_the_start(client):
    with pytest.raises(ValueError, match="client_token"):
        codepipeline.Worker(client, third_party=True)


def test_a_worker_serves_several_regions(emulator, client, tmp_path):
    with codepipeline.Emulator(region="eu-west-1") as other:
        away = other.client()
        worlds = [World(emulator, client, tmp_path), World(other, away, tmp_path)]
        for world in worlds:
            action_type = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}
            world.start({"name": "Make", "actionTypeId": action_type, "inputArtifacts": [{"name": "Source"}]})
        worker = worlds[0].worker()
        seen = []
        for one in (client, away):
            worker.job(category="Build", provider="Builder", client=one)(lambda job: seen.append(job.pipeline_arn))
        assert [worker.run_once(timeout=10) for _ in worlds] == ["succeeded", "succeeded"]
        assert sorted(arn.split(":")[3] for arn in seen) == ["eu-west-1", "us-east-1"]
        assert [world.state()["status"] for world in worlds] == ["Succeeded", "Succeeded"]


def test_regions_poll_with_views_of_the_client(client):
    worker = codepipeline.Worker(client, regions=["eu-west-1", client.region, "eu-central-1"])
    handler = worker.job(category="Build", provider="Builder")(lambda job: None)
    assert worker._handler_for_lambda().handler is handler
    with pytest.raises(codepipeline.exceptions.ParamValidationError, match="there already in us-east-1"):
        worker.job(category="Build", provider="Builder", client=client)(handler)
