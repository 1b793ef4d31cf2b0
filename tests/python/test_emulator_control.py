# SPDX-License-Identifier: MIT
"""What tests turn: the emulator's clock, its faults, and what its ledger tells of both."""

import contextlib
import datetime
import socket
import threading
import time

import pytest

import codepipeline
from test_run import BUILD, GATE, QUICK, world
from test_worker import World, action

__all__ = ["world"]  # the fixture


@pytest.fixture
def workshop(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


def take(client):
    kind = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}
    jobs = client.poll_for_jobs(actionTypeId=kind, maxBatchSize=1)["jobs"]
    return jobs[0] if jobs else None


# ---- the clock ----


def test_an_approval_expires_when_the_clock_is_turned(world, emulator, client):
    world(GATE)
    run = client.run("site", **QUICK)
    emulator.clock.advance(days=6)
    assert run.status == "InProgress"
    emulator.clock.advance(days=1, seconds=1)
    assert run.wait(10).status == "Failed"


def test_a_job_that_nobody_acknowledged_comes_again_with_another_nonce(workshop, emulator, client):
    workshop.start(action("Make"))
    first = take(client)
    assert take(client) is None
    emulator.clock.advance(minutes=2)
    second = take(client)
    assert second["id"] == first["id"] and second["nonce"] != first["nonce"]
    with pytest.raises(client.exceptions.InvalidNonceException):
        client.acknowledge_job(jobId=first["id"], nonce=first["nonce"])


def test_the_artifacts_keys_expire_by_the_emulators_clock(workshop, emulator, client):
    workshop.start(action("Make"))
    worker = codepipeline.Worker(client, poll_interval=0.01)
    told = []

    @worker.job(category="Build", provider="Builder")
    def build(job):
        told.append(job.input("Source").read())
        emulator.clock.advance(hours=2)
        return {}

    worker.run_once()
    assert workshop.state()["status"] == "Succeeded" and told


def test_now_is_what_was_turned_and_signatures_go_by_the_machine(emulator, client):
    before = emulator.clock.now()
    emulator.clock.advance(hours=24)
    assert datetime.timedelta(hours=24) <= emulator.clock.now() - before < datetime.timedelta(hours=24, minutes=1)
    assert client.list_pipelines()["pipelines"] == []


def test_a_frozen_clock_moves_only_when_it_is_turned(emulator):
    clock = emulator.clock
    clock.freeze()
    stands = clock.now()
    end = time.monotonic() + 0.005
    while time.monotonic() < end:
        assert clock.now() == stands and clock.frozen
    clock.advance(hours=1)
    assert clock.now() == stands + datetime.timedelta(hours=1)
    clock.freeze()
    clock.resume()
    assert not clock.frozen
    later = clock.now()
    assert datetime.timedelta(0) <= later - stands - datetime.timedelta(hours=1) < datetime.timedelta(minutes=1)
    while clock.now() == later:
        pass
    assert clock.now() > later


def test_a_clock_is_not_turned_back(emulator):
    with pytest.raises(codepipeline.ParamValidationError, match="turned back"):
        emulator.clock.advance(seconds=-1)
    with pytest.raises(codepipeline.ParamValidationError, match="ten years"):
        emulator.clock.advance(days=10000)


# ---- the policy for what is repeated ----


def test_the_policy_is_changed_while_it_runs(workshop, emulator, client):
    workshop.start(action("Make"))
    job = take(client)
    client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    client.put_job_success_result(jobId=job["id"])
    assert emulator.repeats == "refuse"
    with pytest.raises(client.exceptions.InvalidJobStateException):
        client.put_job_success_result(jobId=job["id"])
    emulator.repeats = "accept"
    assert emulator.repeats == "accept"
    client.put_job_success_result(jobId=job["id"])
    for wrong in ("maybe", ""):
        with pytest.raises(codepipeline.ParamValidationError, match='neither "refuse" nor "accept"'):
            emulator.repeats = wrong
    emulator.repeats = "refuse"
    with pytest.raises(client.exceptions.InvalidJobStateException):
        client.put_job_success_result(jobId=job["id"])
    emulator.close()
    with pytest.raises(codepipeline.StateError, match="closed"):
        emulator.repeats = "accept"
    with pytest.raises(codepipeline.StateError, match="closed"):
        assert emulator.repeats


# ---- faults ----

WAYS = [
    ("reset", codepipeline.NetworkError),
    ("lost-answer", codepipeline.NetworkError),
    ("cut-answer", codepipeline.ProtocolError),
    ("500", codepipeline.ClientError),
    ("502", codepipeline.ClientError),
    ("503", codepipeline.ClientError),
    ("504", codepipeline.ClientError),
    ("late-500", codepipeline.ClientError),
    ("throttling", codepipeline.ClientError),
    ("retry-after", codepipeline.ClientError),
    ("expired-token", codepipeline.ClientError),
    ("access-denied", codepipeline.ClientError),
    ("no-json", codepipeline.ProtocolError),
    ("html", codepipeline.ProtocolError),
    ("redirect", codepipeline.CodePipelineError),
]


@pytest.mark.parametrize(("kind", "error"), WAYS, ids=[kind for kind, _ in WAYS])
def test_each_kind_is_what_a_caller_sees_once(emulator, kind, error):
    client = emulator.client(max_attempts=1)
    emulator.fault(kind, "ListPipelines")
    with pytest.raises(error):
        client.list_pipelines()
    assert client.list_pipelines()["pipelines"] == []
    struck, after = emulator.ledger(operation="ListPipelines")
    assert struck["fault"] == kind and "fault" not in after


def test_an_empty_answer_is_an_answer_without_members(emulator):
    emulator.fault("empty", "ListPipelines")
    assert "pipelines" not in emulator.client(max_attempts=1).list_pipelines()


def test_a_lost_answer_was_work_done_and_a_reset_was_not(world, emulator, client):
    world(BUILD)
    quick = emulator.client(max_attempts=1)
    for kind, times in (("lost-answer", 1), ("reset", 0)):
        emulator.fault(kind, "StartPipelineExecution")
        before = len(list(client.paginate("list_pipeline_executions", pipelineName="site")))
        with pytest.raises(codepipeline.NetworkError):
            quick.start_pipeline_execution(name="site")
        after = len(list(client.paginate("list_pipeline_executions", pipelineName="site")))
        assert after - before == times


@pytest.mark.parametrize(("kind", "bytes"), [("stall", 0), ("stall", 5), ("stall", 10**6), ("trickle", 2)])
def test_a_slow_answer_meets_the_read_timeout_and_the_next_attempt_gets_through(emulator, kind, bytes):
    once = emulator.client(max_attempts=1, read_timeout=0.3)
    emulator.fault(kind, "ListPipelines", bytes=bytes)
    began = time.monotonic()
    with pytest.raises((codepipeline.NetworkError, codepipeline.TimeoutError)):
        once.list_pipelines()
    assert 0.25 < time.monotonic() - began < 5
    emulator.fault(kind, "ListPipelines", bytes=bytes)
    assert once.with_options(max_attempts=3).list_pipelines()["pipelines"] == []
    assert [entry["status"] for entry in emulator.ledger(operation="ListPipelines")] == [200, 200, 200]


def test_an_answer_that_trickles_comes_whole_to_who_has_the_time(emulator, client):
    emulator.fault("trickle", "ListPipelines", bytes=100)  # {"pipelines":[]}
    began = time.monotonic()
    assert client.list_pipelines()["pipelines"] == []
    assert 0.1 < time.monotonic() - began < 5


def test_objects_stall_too_and_an_emulator_with_such_answers_under_way_can_be_closed():
    with codepipeline.Emulator() as emulator:
        emulator.create_bucket("source")
        address = emulator.url.removeprefix("http://").split(":")
        emulator.fault("stall", "HeadObject")
        emulator.fault("stall", "GetObject", bytes=10)
        waiting = []
        for method in (b"HEAD", b"GET"):
            waiting.append(socket.create_connection(address, timeout=10))
            waiting[-1].sendall(method + b" /source/app.zip HTTP/1.1\r\nHost: x\r\n\r\n")
        head = waiting[1].recv(4096)
        while b"\r\n\r\n" not in head or len(head.partition(b"\r\n\r\n")[2]) < 10:
            head += waiting[1].recv(4096)
        assert b" 403 " in head and len(head.partition(b"\r\n\r\n")[2]) == 10
        for connection in waiting:
            connection.settimeout(0.3)
            with pytest.raises(socket.timeout):
                connection.recv(1)
        waiting[0].close()
    waiting[1].settimeout(10)
    assert waiting[1].recv(1) == b""


def test_an_answer_after_a_failed_attempt_is_typed_and_told_as_ever(workshop, emulator, client):
    workshop.start(action("Make"))
    told = []
    client.on("response", lambda event: told.append(event.text))
    emulator.fault("500", "ListPipelines")
    assert isinstance(client.list_pipelines()["pipelines"][0]["created"], datetime.datetime)
    emulator.fault("503", "PollForJobs")
    secrets = take(client)["data"]["artifactCredentials"].values()
    assert '"***"' in told[-1] and not any(secret in text for secret in secrets for text in told)


def test_after_times_probability_and_a_seed_choose_whom_it_strikes(emulator):
    client = emulator.client(max_attempts=1)

    def struck(count):
        rows_struck = []
        for _ in range(count):
            try:
                client.list_pipelines()
                rows_struck.append(0)
            except codepipeline.ClientError:
                rows_struck.append(1)
        return rows_struck

    emulator.fault("503", "ListPipelines", after=2, times=2)
    assert struck(6) == [0, 0, 1, 1, 0, 0]
    rows = []
    for _ in range(2):
        emulator.clear()
        emulator.fault("503", times=None, probability=0.5, seed=7)
        rows.append(struck(40))
    assert rows[0] == rows[1] and 8 < sum(rows[0]) < 32
    emulator.clear()
    assert struck(3) == [0, 0, 0]


def test_a_fault_for_one_job_and_for_objects(workshop, emulator, client):
    workshop.start(action("Make"))
    job = take(client)
    emulator.fault("500", "AcknowledgeJob", job_id="another")
    client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    emulator.clear()
    emulator.fault("503", "PutObject")
    client.upload_file(__file__, "source", "again.zip")  # is tried again
    assert [entry["fault"] for entry in emulator.ledger(operation="PutObject") if "fault" in entry] == ["503"]


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        ({"kind": "earthquake"}, "kind"),
        ({"kind": "500", "operation": "list_pipelines"}, "operation"),
        ({"kind": "500", "times": -7}, "times"),
        ({"kind": "500", "after": -1}, "after"),
        ({"kind": "500", "probability": 2.0}, "probability"),
        ({"kind": "500", "job_id": "x" * 90}, "job_id"),
        ({"kind": "stall", "bytes": -1}, "bytes"),
        ({"kind": "500", "bytes": 1}, "bytes"),
    ],
)
def test_a_fault_that_makes_no_sense_names_its_member(emulator, wrong, path):
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        emulator.fault(**wrong)
    assert caught.value.path == path


# ---- the ledger ----


def test_the_ledger_has_deliveries_results_and_refusals(workshop, emulator, client):
    workshop.start(action("Make"))
    job = take(client)
    client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    client.put_job_success_result(jobId=job["id"])
    with pytest.raises(client.exceptions.InvalidJobStateException):
        client.put_job_success_result(jobId=job["id"])
    (poll,) = emulator.ledger(operation="PollForJobs")
    assert poll["jobs"] == [{"id": job["id"], "nonce": job["nonce"]}] and poll["status"] == 200
    first, second = emulator.ledger(operation="PutJobSuccessResult", job_id=job["id"])
    assert (first["status"], second["status"], second["code"]) == (200, 400, "InvalidJobStateException")
    assert first["seq"] < second["seq"] and first["time"] <= second["time"]
    assert "secret" not in str(emulator.ledger()).lower()
    emulator.clear()
    assert emulator.ledger() == []


def test_an_emulator_may_be_closed_while_another_thread_turns_its_clock():
    for _ in range(20):
        emulator = codepipeline.Emulator()
        turned = threading.Event()

        def turn(emulator=emulator, turned=turned):
            with contextlib.suppress(codepipeline.StateError):
                while True:
                    emulator.clock.advance(seconds=1)
                    turned.set()

        threads = [threading.Thread(target=turn, daemon=True) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert turned.wait(10)
        emulator.close()
        assert emulator.closed
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


def test_a_closed_emulator_says_so(emulator):
    other = codepipeline.Emulator()
    other.close()
    for use in (other.ledger, other.clear, other.clock.now, lambda: other.fault("500")):
        with pytest.raises(codepipeline.StateError, match="closed"):
            use()
