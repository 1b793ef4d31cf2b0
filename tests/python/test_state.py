# SPDX-License-Identifier: MIT
"""States too large for a continuation token, of every kind of handler and of job, against the emulator."""

import logging

import pytest

import codepipeline
from conftest import CLEAN, SANITIZED
from test_emulator_functions import start, until_reported  # noqa: F401 (a fixture)
from test_third_party_worker import partner_worker
from test_third_party_worker import start as start_partner
from test_third_party_worker import world as partner_world  # noqa: F401 (a fixture)
from test_worker import World, action

LARGE = ["x" * 1000] * 50


@pytest.fixture
def world(emulator, client, tmp_path):
    world = World(emulator, client, tmp_path)
    world.emulator, world.folder = emulator, tmp_path
    return world


def worker_for(world, handler, **options):
    worker = world.worker(**options)
    worker.job(category="Build", provider="Builder")(handler)
    return worker


def place_of(job):
    location = job.data["data"]["outputArtifacts"][0]["location"]["s3Location"]
    return location["bucketName"], location["objectKey"]


def stored(world, place):
    path = world.folder / "stored"
    world.client.download_file(*place, str(path))
    return path.read_bytes()


def test_a_generator_with_a_long_history_goes_on(world):
    world.start(action("Make", outputs=["Binary"]))
    seen, places = [], []

    def build(job):
        places.append(place_of(job))
        pages = job.step(lambda: LARGE)
        count = 0
        while count < 3:
            seen.append((job.replaying, count))
            count = yield job.later(count + 1)
        job.output().write("".join(pages).encode())
        return {"count": str(count)}

    worker = worker_for(world, build)
    assert [worker.run_once(timeout=10) for _ in range(4)] == ["continued"] * 3 + ["succeeded"]
    assert [count for replaying, count in seen if not replaying] == [0, 1, 2]
    assert len(set(places)) == 1 and stored(world, places[0]) == b"x" * 50000


def test_nothing_of_it_is_left_after_a_failure(world):
    world.start(action("Make", outputs=["Binary"]))
    places = []

    def build(job):
        places.append(place_of(job))
        if job.state is None:
            return job.later(LARGE)
        assert b"xxx" in stored(world, places[0])
        raise ValueError("enough")

    worker = worker_for(world, build)
    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "failed"]
    assert stored(world, places[0]) == b""
    assert world.state()["errorDetails"]["message"] == "ValueError: enough"


def test_one_that_is_gone_fails_the_job_and_says_so(world):
    world.start(action("Make", outputs=["Binary"]))

    def build(job):
        if job.continuation_token is None:
            return job.later(LARGE)
        (world.folder / "other").write_text("other")
        world.client.upload_file(str(world.folder / "other"), *place_of(job))
        return job.state

    worker = worker_for(world, build)
    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "failed"]
    assert "is not the state that the continuation token tells of" in world.state()["errorDetails"]["message"]


def test_what_cannot_be_removed_is_logged_and_no_failure(world, caplog):
    world.start(action("Make", outputs=["Binary"]))
    worker = worker_for(world, lambda job: job.later(LARGE) if job.state is None else job.later("small"))
    assert worker.run_once(timeout=10) == "continued"
    world.emulator.fault("500", "DeleteObject", times=None)
    with caplog.at_level(logging.WARNING, "codepipeline"):
        assert worker.run_once(timeout=10) == "continued"
    assert "the job is over, and an object of it is left: " in caplog.text


def test_one_is_not_asked_for_when_nobody_looks(world):
    world.start(action("Make", outputs=["Binary"]))

    def build(job):
        if job.continuation_token is None:
            return job.later(LARGE)
        world.emulator.clear()
        return job.fail("never looked")

    worker = worker_for(world, build)
    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "failed"]
    assert not world.emulator.ledger(operation="GetObject")


@pytest.mark.skipif(SANITIZED, reason=CLEAN)
def test_a_handler_in_a_process_of_its_own_has_it_too(world):
    import isolated_handlers

    world.start(action("Make", outputs=["Binary"]))
    worker = world.worker()
    worker.job(category="Build", provider="Builder", isolation="process")(isolated_handlers.goes_on_with_much)
    assert [worker.run_once(timeout=20) for _ in range(2)] == ["continued", "succeeded"]


def test_a_worker_that_is_shut_down_hands_it_on(world):
    world.start(action("Make", outputs=["Binary"]))
    seen = []

    def build(job):
        if job.continuation_token is None:
            return job.later(LARGE)
        seen.append(job.state == LARGE)
        if len(seen) == 1:
            worker.cancel()
            worker._answer_for_all()  # as run() does for a handler that does not end
        job.output().write(b"made")

    worker = worker_for(world, build, on_shutdown="continue")
    assert worker.run_once(timeout=10) == "continued"
    worker.run_once(timeout=10)
    assert worker_for(world, build).run_once(timeout=10) == "succeeded" and seen == [True, True]


def test_a_third_party_job_has_it_too(partner_world):  # noqa: F811
    start_partner(partner_world, outputs=["Report"])

    def handler(job):
        pages = job.step(lambda: LARGE)
        yield job.later()
        job.output().write("".join(pages).encode())

    worker = partner_worker(partner_world, handler)
    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "succeeded"]
    assert partner_world.state()["status"] == "Succeeded"


def test_a_lambda_function_has_it_too(emulator, client, start):  # noqa: F811
    worker = codepipeline.Worker(client)

    @worker.invoke
    def check(job):
        pages = job.step(lambda: LARGE)
        yield job.later("half")
        job.output("Report").write("".join(pages).encode())

    emulator.function("check", worker.lambda_handler)
    run = start()
    until_reported(emulator)
    emulator.clock.advance(seconds=31)
    assert run.wait(timeout=20).status == "Succeeded"


def test_a_unit_test_has_it_too(client):
    worker = codepipeline.Worker(client)

    def handler(job):
        pages = job.step(lambda: LARGE)
        state = yield job.later(["half", pages[0]])
        job.output().write(state[1].encode())

    half = worker.test(handler, outputs=["Report"])
    assert half.state == ["half", LARGE[0]] and half.answer["continuationToken"].startswith("cpl2:")
    assert half.finish().outputs["Report"].read_text() == LARGE[0]
    assert "the job has no output artifact" in worker.test(handler).message
