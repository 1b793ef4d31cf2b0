# SPDX-License-Identifier: MIT
"""Artifacts on their way: how far they are, who hears of it, and credentials that end meanwhile."""

import functools
import gc
import subprocess
import sys
import weakref

import pytest

import codepipeline
from test_worker import World, action

MIB = 1 << 20
LARGE = 18 * MIB  # comes in two parts


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


@pytest.fixture
def large(world, tmp_path):
    """A source revision of 18 MiB, no archive."""
    path = tmp_path / "large"
    path.write_bytes(bytes(range(256)) * (LARGE // 256))
    world.client.upload_file(path, "source", "app.zip")
    return path


# ---- progress ----


def test_a_client_tells_how_far_its_files_are(world, large, tmp_path):
    told = []
    world.client.upload_file(large, "source", "copy", progress=lambda *args: told.append(args))
    assert told[-1] == (LARGE, LARGE)
    told.clear()
    world.client.download_file("source", "copy", tmp_path / "back", progress=lambda *args: told.append(args))
    assert told[-1] == (LARGE, LARGE) and len(told) >= 2  # the first part, and the end
    assert all(0 <= done <= LARGE and total in (None, LARGE) for done, total in told)
    assert (tmp_path / "back").read_bytes() == large.read_bytes()
    told.clear()
    (tmp_path / "empty").write_bytes(b"")
    world.client.upload_file(tmp_path / "empty", "source", "empty", progress=lambda *args: told.append(args))
    assert told == [(0, 0)]


def test_what_a_progress_function_raises_stops_the_transfer(world, large, tmp_path):
    def refuse(done, total):
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        world.client.download_file("source", "app.zip", tmp_path / "back", progress=refuse)
    assert not (tmp_path / "back").exists() and not list(tmp_path.glob("back*"))
    world.client.download_file("source", "app.zip", tmp_path / "back")  # the client is as good as before
    with pytest.raises(TypeError, match="not callable"):
        world.client.download_file("source", "app.zip", tmp_path / "more", progress=3)


def test_a_worker_tells_how_far_its_jobs_artifacts_are(world, large):
    told = []
    world.start(action("Make", outputs=["Binary"]))
    worker = world.worker(progress=lambda job, name, done, total: told.append((job.action, name, done, total)))

    @worker.job(category="Build", provider="Builder")
    def build(job):
        job.output().file(job.input().path())

    assert worker.run_once(timeout=10) == "succeeded"
    assert ("Make", "Source", LARGE, LARGE) in told
    assert told[-1] == ("Make", "Binary", LARGE, LARGE)


def test_a_handler_hears_of_its_own_artifacts(world):
    told = []
    world.start(action("Make", outputs=["Binary"]))

    def handler(job):
        assert job.progress is None
        job.progress = lambda *args: told.append(args)
        job.input().extract()
        job.output().write(b"made")
        with pytest.raises(TypeError, match="function"):
            job.progress = 3

    assert world.run_one(handler)[0] == "succeeded"
    names = [name for name, _, _ in told]
    assert names[0] == "Source" and told[-1] == ("Binary", 4, 4)


def test_a_progress_function_that_raises_fails_the_job(world):
    world.start(action("Make"))

    def handler(job):
        def refuse(name, done, total):
            raise codepipeline.ConfigurationError("this is more than I want")

        job.progress = refuse
        job.input().path()

    outcome, state = world.run_one(handler)
    assert (outcome, state["errorDetails"]["code"]) == ("failed", "ConfigurationError")
    assert "more than I want" in state["errorDetails"]["message"]


def test_a_job_that_is_watched_by_itself_is_freed(client):
    job = client.job(codepipeline.sample_event())
    job.progress = functools.partial(print, job)  # a cycle
    gone = weakref.ref(job)
    job.close()
    del job
    gc.collect()
    assert gone() is None


# ---- memory ----

THROUGH = """
import codepipeline
worker = codepipeline.Worker(codepipeline.Client(), poll_interval=0.02)
def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name))
@worker.job(category="Build", provider="Builder")
def build(job):
    global before
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # forgets the peak, which may be the parent's
    before = status("VmHWM")
    job.output().file(job.input().path())
outcome = worker.run_once(timeout=30)
print(outcome, status("VmHWM") - before)
"""


def test_memory_does_not_grow_with_an_artifact(world, tmp_path):
    """66 MiB: in parts both ways. bench/artifact.py does the same with 2 GB and with archives."""
    with open(tmp_path / "large", "wb") as file:
        for number in range(66):
            file.write(bytes([number]) * MIB)
    world.client.upload_file(tmp_path / "large", "source", "app.zip")
    world.start(action("Make", outputs=["Binary"]))
    done = subprocess.run([sys.executable, "-c", THROUGH], check=True, capture_output=True, text=True, timeout=60)
    outcome, grown_kb = done.stdout.split()
    assert outcome == "succeeded" and int(grown_kb) < 16 * 1024


# ---- S3 away ----


@pytest.mark.parametrize("kind", ["reset", "503", "html", "redirect"])
@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_job_outlasts_what_a_client_does_not(emulator, world, kind, operation, tmp_path):
    world.start(action("Make", outputs=["Binary"]))

    def handler(job):
        if operation == "GetObject":
            emulator.fault(kind, operation, times=4)  # one more than a client's attempts
        job.output().file(job.input().path())
        if operation == "PutObject":
            emulator.fault(kind, operation, times=4)

    assert world.run_one(handler)[0] == "succeeded"
    assert sum("fault" in entry for entry in emulator.ledger(operation=operation)) == 4
    emulator.fault(kind, "GetObject", times=4)
    with pytest.raises(codepipeline.CodePipelineError):
        world.client.download_file("source", "app.zip", tmp_path / "back")


def test_an_event_that_nobody_guards_has_the_clients_attempts(emulator):
    client = emulator.client(s3_endpoint_url="http://127.0.0.1:1")
    job = client.job(codepipeline.sample_event())
    with pytest.raises(codepipeline.CodePipelineError) as failed:
        job.input().path()
    job.close()
    assert "input artifact" in str(failed.value)


# ---- credentials that end ----


@pytest.mark.parametrize("operation", ["GetObject", "PutObject"])
def test_a_transfer_goes_on_when_the_jobs_credentials_have_expired(emulator, world, operation):
    world.start(action("Make", outputs=["Binary"]))

    def handler(job):
        if operation == "GetObject":
            emulator.fault("expired-token", operation)
        job.output().file(job.input().path())
        if operation == "PutObject":
            emulator.fault("expired-token", operation)

    assert world.run_one(handler)[0] == "succeeded"
    asked = [entry.get("operation") for entry in emulator.ledger()]
    assert asked.count("GetJobDetails") == 1


def test_an_hour_between_the_input_and_the_output(emulator, world):
    """Credentials live for an hour by the emulator's clock."""
    world.start(action("Make", outputs=["Binary"]))

    def handler(job):
        folder = job.input().extract()
        emulator.clock.advance(seconds=3601)
        job.output().pack(folder)

    assert world.run_one(handler)[0] == "succeeded"
    assert "GetJobDetails" in [entry.get("operation") for entry in emulator.ledger()]
