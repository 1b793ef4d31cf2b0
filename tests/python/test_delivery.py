# SPDX-License-Identifier: MIT
"""The delivery promise: a worker process is killed wherever it hurts, and every job still ends in one result."""

import contextlib
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import codepipeline
from road import Road, to
from test_worker import World, action

# what the service answers to a repeated result is its own secret: a worker must do with both
BOTH_POLICIES = pytest.mark.parametrize("repeats", ["refuse", "accept"])

# Takes jobs until it is killed. Appends a line for each handler it starts to the file RUNS.
WORKER = """
import codepipeline, os, random, signal, sys, time
worker = codepipeline.Worker(
    codepipeline.Client(max_attempts=2), poll_interval=0.02, journal=os.environ["JOURNAL"],
    grace=float(os.environ.get("GRACE", "60")), on_shutdown=os.environ.get("ON_SHUTDOWN", "fail"))
mode = os.environ.get("MODE", "")

@worker.job(category="Build", provider="Builder", idempotent=mode == "idempotent")
def build(job):
    with open(os.environ["RUNS"], "a") as runs:
        runs.write(f"{job.id} {job.nonce}\\n")
    print("running", flush=True)
    if mode in ("die", "idempotent") and not os.path.exists(os.environ["RUNS"] + ".died"):
        open(os.environ["RUNS"] + ".died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "listen":
        return {"heard": str(job.wait_cancelled(30)), "state": str(job.state)}
    if mode == "deaf" and job.state is None:
        time.sleep(60)
    if mode == "soak":
        time.sleep(random.random() / 50)
    return {"job": job.id}

sys.exit(worker.run())
"""


class Bridge:
    """Stands between a worker and the emulator: may kill the worker at a call, and notes the results accepted."""

    def __init__(self, emulator, accepted=None):
        self.target = emulator.url.partition("//")[2]
        self.kill = None  # (operation, "before" or "after")
        self.victim = None
        self.accepted = [] if accepted is None else accepted  # job ids
        self.calls = 0
        self.away_from = None  # the operation with which the service goes away
        self.away = False
        self.spoiled = False  # the last call was
        self.chaos = None  # a random.Random that spoils some calls on their way
        self.lock = threading.Lock()
        self.offered = False  # the worker was given a job, of which the service will have to think for a minute if lost

    def forward(self, path, body, headers):
        service = http.client.HTTPConnection(self.target)
        service.request("POST", path, body, headers)
        answer = service.getresponse()
        text = answer.read()
        service.close()
        return answer.status, text

    def kill_now(self):
        """False when it was just given a job."""
        with self.lock:
            spared = self.offered
            if not spared:
                self.victim.kill()
        self.victim.poll()
        return not spared

    def spoils(self):
        """What becomes of this call: None, "lost" (not heard), "deaf" (heard, and the answer lost) or an answer."""
        if self.chaos is None:
            return None
        with self.lock:
            # never two in a row: a job whose acknowledgement fails for good comes again after a minute, which is long
            dice = 1 if self.spoiled else self.chaos.random()
            self.spoiled = dice < 0.09
        fates = ((0.025, "lost"), (0.05, "deaf"), (0.06, (500, b"{}")), (0.07, (503, b"<html>busy</html>")))
        fates += ((0.09, (400, b'{"__type": "ThrottlingException", "message": "Rate exceeded"}')),)
        return next((fate for limit, fate in fates if dice < limit), None)

    def strikes(self, operation, when):
        if self.kill != (operation, when):
            return False
        self.kill = None
        self.victim.kill()
        self.victim.wait()
        return True

    def handler(bridge):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers["X-Amz-Target"].partition(".")[2]
                bridge.away = bridge.away or operation == bridge.away_from
                if bridge.away or bridge.strikes(operation, "before"):
                    self.close_connection = True
                    return
                bridge.calls += 1
                fate = bridge.spoils()
                if fate == "lost":
                    self.close_connection = True
                    return
                if isinstance(fate, tuple):
                    self.answer(*fate)
                    return
                with bridge.lock if operation == "PollForJobs" else contextlib.nullcontext():
                    status, text = bridge.forward(self.path, body, dict(self.headers))
                    bridge.offered = operation == "PollForJobs" and b'"nonce"' in text
                document = json.loads(body)
                if operation.startswith("PutJob") and status == 200 and "continuationToken" not in document:
                    bridge.accepted.append(document["jobId"])
                bridge.strikes(operation, "after")
                # a job that nobody heard of is offered again after a minute: too long for a test
                if fate == "deaf" and not bridge.offered:
                    self.close_connection = True
                else:
                    self.answer(status, text)

            def answer(self, status, text):
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(text)))
                    self.end_headers()
                    self.wfile.write(text)

            def log_message(self, *unused):
                pass

        return Handler

    @contextlib.contextmanager
    def open(self):
        server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()


class Stage:
    def __init__(self, world, bridge, url, folder):
        self.world, self.bridge, self.url, self.folder = world, bridge, url, folder
        self.journal = folder / "jobs.db"

    def spawn(self, **more):
        self.bridge.calls = 0
        names = {"AWS_ENDPOINT_URL_CODEPIPELINE": self.url, "JOURNAL": self.journal, "RUNS": self.runs_file}
        self.bridge.victim = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, **{name: str(value) for name, value in {**names, **more}.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        return self.bridge.victim

    @property
    def runs_file(self):
        return self.folder / "runs"

    def runs(self):
        return self.runs_file.read_text().splitlines() if self.runs_file.exists() else []

    def wait_for(self, condition, seconds=30):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.02)

    def end(self):
        """Stops the worker, once it is at work; what it logged."""
        process = self.bridge.victim
        self.wait_for(lambda: self.bridge.calls > 0)
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=30)[1]
        assert process.returncode == 0, errors
        return errors

    def ended(self, name="Make"):
        return self.world.state(name)["status"] in ("Succeeded", "Failed")


@pytest.fixture
def stage(emulator, client, tmp_path):
    bridge = Bridge(emulator)
    with bridge.open() as url:
        stage = Stage(World(emulator, client, tmp_path), bridge, url, tmp_path)
        yield stage
        if bridge.victim and bridge.victim.poll() is None:
            bridge.victim.kill()
            bridge.victim.wait()


# ---- kill -9 ----


@BOTH_POLICIES
@pytest.mark.parametrize(
    ("operation", "when"),
    [
        ("PollForJobs", "before"),
        ("AcknowledgeJob", "before"),
        ("AcknowledgeJob", "after"),
        ("PutJobSuccessResult", "before"),
        ("PutJobSuccessResult", "after"),
    ],
)
def test_a_worker_killed_at_a_call_leaves_nothing_hanging_and_nothing_doubled(stage, repeats, operation, when):
    stage.bridge.kill = (operation, when)
    victim = stage.spawn()
    stage.world.start(action("Make"))
    assert victim.wait(30) == -signal.SIGKILL
    stage.spawn()
    stage.wait_for(stage.ended)
    stage.end()
    assert stage.world.state()["status"] == "Succeeded"
    assert len(set(stage.bridge.accepted)) == 1
    assert repeats == "accept" or len(stage.bridge.accepted) == 1
    assert len(stage.runs()) == 1


def test_a_job_whose_handler_killed_its_worker_fails_and_is_not_run_again(stage):
    stage.world.start(action("Make"))
    assert stage.spawn(MODE="die").wait(30) == -signal.SIGKILL
    stage.spawn(MODE="die")
    stage.wait_for(stage.ended)
    stage.end()
    assert stage.world.state()["errorDetails"]["message"] == "the worker stopped while the job ran"
    assert len(stage.bridge.accepted) == len(stage.runs()) == 1


@BOTH_POLICIES
def test_an_idempotent_handler_is_run_again(stage):
    stage.world.start(action("Make"))
    assert stage.spawn(MODE="idempotent").wait(30) == -signal.SIGKILL
    stage.spawn(MODE="idempotent")
    stage.wait_for(stage.ended)
    stage.end()
    assert stage.world.state()["status"] == "Succeeded"
    assert len(stage.runs()) == 2 and len(set(stage.runs())) == 1


@BOTH_POLICIES
def test_a_result_outlasts_a_service_that_is_away_and_the_worker_too(stage):
    stage.world.start(action("Make"))
    stage.bridge.away_from = "PutJobSuccessResult"
    victim = stage.spawn()
    stage.wait_for(lambda: stage.bridge.away)
    victim.kill()
    victim.communicate()
    stage.spawn()
    time.sleep(1)
    stage.bridge.away_from, stage.bridge.away = None, False
    stage.wait_for(stage.ended)
    stage.end()
    assert stage.world.state()["status"] == "Succeeded"
    assert len(stage.bridge.accepted) == len(stage.runs()) == 1


def test_the_journal_holds_no_secret(stage):
    stage.world.start(action("Make", UserParameters="canary-parameter"))
    stage.bridge.kill = ("PutJobSuccessResult", "before")
    stage.spawn().wait(30)
    job = stage.runs()[0].split()[0]
    data = stage.world.client.get_job_details(jobId=job)["jobDetails"]["data"]
    written = b"".join(path.read_bytes() for path in stage.folder.glob("jobs.db*"))
    assert job.encode() in written
    for secret in (
        *data["artifactCredentials"].values(),
        data["inputArtifacts"][0]["location"]["s3Location"]["objectKey"],
    ):
        assert secret.encode() not in written
    assert b"canary-parameter" not in written


def test_a_soak_with_random_kills_and_a_bad_network(stage, emulator):
    """SOAK_JOBS jobs (a multiple of 40), SOAK_WORKERS processes, one of them killed three times a second or so, and one
    call in ten spoiled: connections reset before and after the service heard them, 500, 503, throttling."""
    jobs, workers = int(os.environ.get("SOAK_JOBS", "160")), int(os.environ.get("SOAK_WORKERS", "3"))
    chance = random.Random(int(os.environ.get("SOAK_SEED", "1")))
    pipelines = [f"p{number}" for number in range(jobs // 40)]
    for name in pipelines:
        stage.world.start(*[action(f"Make{number}", inputs=()) for number in range(40)], name=name)
    accepted = []

    def count():
        states = [stage.world.client.get_pipeline_state(name=name)["stageStates"][1] for name in pipelines]
        ends = [state.get("latestExecution", {}).get("status") for work in states for state in work["actionStates"]]
        return sum(end in ("Succeeded", "Failed") for end in ends)

    with contextlib.ExitStack() as stack:
        crew = []
        for number in range(workers):
            bridge = Bridge(emulator, accepted)
            bridge.chaos = random.Random(chance.random())
            member = Stage(stage.world, bridge, stack.enter_context(bridge.open()), stage.folder)
            member.journal = stage.folder / f"jobs-{number}.db"
            member.spawn(MODE="soak")
            stack.callback(lambda bridge=bridge: (bridge.victim.kill(), bridge.victim.communicate()))
            crew.append(member)
        limit = time.monotonic() + jobs / 4 + 90
        while count() < jobs:
            assert time.monotonic() < limit, f"{count()} of {jobs} are over"
            time.sleep(chance.random() * 0.6)
            member = chance.choice(crew)
            if member.bridge.kill_now():
                member.bridge.victim.communicate()
                member.spawn(MODE="soak")
    assert len(accepted) == len(set(accepted)) == jobs
    assert len(stage.runs()) == len(set(stage.runs()))


# ---- lost answers ----


@BOTH_POLICIES
@pytest.mark.parametrize("kind", ["lost-answer", "cut-answer", "late-500", "no-json"])
@pytest.mark.parametrize("ending", ["Succeeded", "Failed"])
def test_an_answer_that_was_lost_is_asked_for_again_and_the_result_counts_once(
    emulator, client, tmp_path, repeats, kind, ending
):
    world = World(emulator, client, tmp_path)
    world.start(action("Make"))
    for operation in ("AcknowledgeJob", "PutJobSuccessResult", "PutJobFailureResult"):
        emulator.fault(kind, operation)
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def build(job):
        if ending == "Failed":
            raise RuntimeError("it broke")

    assert worker.run_once(timeout=10) == ending.lower()
    assert world.state()["status"] == ending
    results = [entry for entry in emulator.ledger() if entry.get("operation", "").startswith("PutJob")]
    expected = (200, None) if repeats == "accept" else (400, "InvalidJobStateException")
    assert [(entry["status"], entry.get("code")) for entry in results] == [(200, None), expected]


# ---- the journal as an option ----


def test_two_workers_cannot_share_a_journal(client, tmp_path):
    first = codepipeline.Worker(client, journal=tmp_path / "jobs.db")
    with pytest.raises(codepipeline.StateError, match="in use by another worker"):
        codepipeline.Worker(client, journal=tmp_path / "jobs.db")
    del first
    codepipeline.Worker(client, journal=str(tmp_path / "jobs.db"))


def test_a_damaged_journal_is_set_aside_with_a_warning(stage):
    (stage.folder / "jobs.db").write_bytes(b"not a journal" * 100)
    stage.world.start(action("Make"))
    stage.spawn()
    stage.wait_for(stage.ended)
    assert "jobs.db.damaged-" in stage.end()
    assert len(list(stage.folder.glob("jobs.db.damaged-*"))) == 1


def test_without_a_journal_one_line_says_so(client, caplog):
    worker = codepipeline.Worker(client)
    worker.job(category="Build", provider="Builder")(print)
    worker.stop()
    assert worker.run() == 0
    assert [record.levelname for record in caplog.records if "no journal is named" in record.message] == ["WARNING"]


def test_a_journal_that_cannot_be_made_is_named(client, tmp_path):
    with pytest.raises(codepipeline.CodePipelineError, match="jobs.db"):
        codepipeline.Worker(client, journal=tmp_path / "nowhere" / "jobs.db")


# ---- shutting down ----


def test_the_end_of_the_grace_is_heard(stage):
    stage.world.start(action("Make"))
    process = stage.spawn(MODE="listen", GRACE="0.2")
    assert process.stdout.readline() == "running\n"
    begin = time.monotonic()
    stage.end()
    assert time.monotonic() - begin < 4
    assert stage.world.output()["outputVariables"] == {"heard": "True", "state": "None"}


def test_a_second_signal_ends_the_grace(stage):
    stage.world.start(action("Make"))
    process = stage.spawn(MODE="listen", GRACE="60")
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    begin = time.monotonic()
    stage.end()
    assert time.monotonic() - begin < 4
    assert stage.world.output()["outputVariables"]["heard"] == "True"


def test_a_handler_that_does_not_hear_is_answered_for(stage):
    stage.world.start(action("Make"))
    process = stage.spawn(MODE="deaf", GRACE="0")
    assert process.stdout.readline() == "running\n"
    stage.end()
    assert stage.world.state()["errorDetails"] == {
        "code": "SystemUnavailable",
        "message": "the worker was shut down before the job finished",
    }


def test_a_handler_that_does_not_hear_can_be_handed_on(stage):
    stage.world.start(action("Make"))
    process = stage.spawn(MODE="deaf", GRACE="0", ON_SHUTDOWN="continue")
    assert process.stdout.readline() == "running\n"
    stage.end()
    assert stage.world.state()["status"] == "InProgress"
    stage.spawn()
    stage.wait_for(stage.ended)
    stage.end()
    assert stage.world.state()["status"] == "Succeeded"


def test_systemd_is_told(stage):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(stage.folder / "notify"))
        manager.settimeout(20)
        process = stage.spawn(NOTIFY_SOCKET=stage.folder / "notify", WATCHDOG_USEC=400000)
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == manager.recv(100) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        while (text := manager.recv(100)) == b"WATCHDOG=1":
            pass
        assert text == b"STOPPING=1"
        assert "systemd" not in process.communicate(timeout=20)[1]


def test_the_kubernetes_hook_gives_a_grace_and_then_cancels(stage, root):
    hook = re.search(r'command: \["sh", "-c", "(.*)"\]', (root / "examples/kubernetes/worker.yaml").read_text()).group(
        1
    )
    stage.world.start(action("Make"))
    process = stage.spawn(MODE="listen")
    assert process.stdout.readline() == "running\n"
    hook = hook.replace("kill -TERM 1;", f"kill -TERM {process.pid};").replace("sleep 45", "sleep 0.5")
    subprocess.run(["sh", "-c", hook], check=True, timeout=20)
    assert process.poll() is None
    stage.end()
    assert stage.world.output()["outputVariables"]["heard"] == "True"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_understands_the_unit(root):
    unit = root / "examples/systemd/codepipeline-worker.service"
    done = subprocess.run(["systemd-analyze", "verify", unit], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_options_of_shutting_down_are_checked(client):
    with pytest.raises(ValueError, match="on_shutdown"):
        codepipeline.Worker(client, on_shutdown="hide")
    with pytest.raises(ValueError, match="not a duration"):
        codepipeline.Worker(client, grace=-1)


def test_a_run_that_ends_with_an_error_gives_back_what_it_kept(emulator, client, tmp_path):
    world = World(emulator, client, tmp_path)
    world.start(action("Make"))
    worker = world.worker()
    worker.job(category="Build", provider="Builder")(lambda job: job.later({"n": 1}, after=600))
    assert worker.run_once(timeout=10) == "continued"
    while len(emulator.ledger(operation="AcknowledgeJob", status=200)) < 2:
        assert worker.run_once(timeout=0.05) is None
    emulator.fault("access-denied", "PollForJobs")
    with pytest.raises(codepipeline.CodePipelineError, match="not authorized"):
        worker.run()
    results = emulator.ledger(operation="PutJobSuccessResult", status=200)
    assert [entry["job_id"] for entry in results] == [
        entry["job_id"] for entry in emulator.ledger(operation="AcknowledgeJob", status=200)
    ]
    while len(emulator.ledger(operation="AcknowledgeJob", status=200)) < 3:  # it is not stopped for good
        assert worker.run_once(timeout=0.05) is None


def test_the_acknowledgements_of_a_batch_are_under_way_together(emulator, client, tmp_path):
    world = World(emulator, client, tmp_path)
    world.start(*[action(f"Make{number}") for number in range(4)])
    together = threading.Barrier(4)

    def watch(name, when, sender):
        if (name, when) == ("AcknowledgeJob", "before"):
            together.wait(20)  # one after another they would break it

    with Road(to(emulator.url)) as road, emulator.client(endpoint_url=road.url) as far:
        road.watch = watch
        worker = codepipeline.Worker(far, concurrency=4, poll_interval=0.02)
        worker.job(category="Build", provider="Builder")(lambda job: worker.stop())
        summary = worker.run()
    assert (summary.succeeded, int(summary)) == (4, 0)
