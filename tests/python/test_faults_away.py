# SPDX-License-Identifier: MIT
"""The service gives no answer for hours. The worker's own clock is turned: nobody waits for that."""

import json
import threading
import time

import pytest

import judge
from host import Host
from road import to

HOUR = 3600
HOURS = 8
JOBS = 3
GROWTH = 64 << 10  # of the journal, in all those hours
MINUTE = 60


@pytest.fixture
def machine(tmp_path, shim):
    with Host(tmp_path, shim, CONCURRENCY=JOBS) as machine:
        yield machine


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def journal_bytes(machine):
    return sum(path.stat().st_size for path in machine.disk.folder.glob("jobs.db*"))


def leave_before_results(machine):
    """The service goes away when all jobs have come to their results, and no result has arrived."""
    ready = threading.Barrier(JOBS)

    def watch(name, when, sender):
        if name.startswith("PutJob") and not machine.road.away:
            ready.wait(20)
            machine.road.away = True

    machine.road.watch = watch


def test_results_outlast_hours_without_the_service(machine):
    for number in range(2, JOBS + 1):
        machine.bench.start(f"p{number}")
    leave_before_results(machine)
    machine.spawn()
    wait_for(lambda: machine.road.knocks > 0)
    before, uptime = journal_bytes(machine), 0
    for _ in range(HOURS):
        uptime += HOUR
        knocks = machine.road.knocks
        machine.switch.set(uptime_s=uptime)
        wait_for(lambda before=knocks: machine.road.knocks > before)  # it asks again, and not in a rush:
        assert machine.road.knocks - knocks < 20
    assert machine.victim.poll() is None
    assert journal_bytes(machine) < before + GROWTH
    machine.bench.reopen()
    machine.road.answer = to(machine.bench.emulator.url)
    machine.road.watch = lambda name, when, sender: None
    machine.road.away = False
    machine.switch.set(uptime_s=uptime + MINUTE)
    wait_for(lambda: len(machine.results()) == JOBS)  # all of them, and without another minute
    machine.stop()
    machine.judge()  # ends with 0: every result got through after all
    assert {machine.bench.state(name)["status"] for name in machine.bench.names} == {"Succeeded"}


def test_a_worker_that_ends_meanwhile_says_so_and_the_next_one_delivers(machine):
    machine.road.watch = lambda name, when, sender: name.startswith("PutJob") and setattr(machine.road, "away", True)
    machine.spawn()
    wait_for(lambda: machine.road.knocks > 0)
    machine.switch.set(uptime_s=HOUR)  # the job's thread leaves its result to the worker
    knocks = machine.road.knocks
    wait_for(lambda: machine.road.knocks > knocks)
    assert machine.stop() == 1
    assert list(judge.journal_rows(machine.disk.folder / "jobs.db").values()) == [judge.DELIVERED - 1]
    machine.road.watch = lambda name, when, sender: None
    machine.road.away = False
    machine.spawn()
    machine.wait(1)
    assert machine.stop() == 0
    machine.judge((0, 1))
    assert machine.bench.state()["status"] == "Succeeded"


class Hole:
    """On the road: swallows the acknowledgements of the first job that comes, until it is closed."""

    def __init__(self, answer):
        self.answer, self.job, self.swallowed, self.closed = answer, None, 0, threading.Event()

    def __call__(self, method, path, headers, body):
        if headers.get("X-Amz-Target", headers.get("x-amz-target", "")).endswith(".AcknowledgeJob"):
            id = json.loads(body)["jobId"]
            self.job = self.job or id
            if id == self.job and not self.closed.is_set():
                self.swallowed += 1
                self.closed.wait(60)
                raise ConnectionError("swallowed")
        return self.answer(method, path, headers, body)


@pytest.mark.parametrize("language", ["python", "lua"])
def test_a_job_whose_acknowledgement_is_never_answered_holds_up_no_other(language, tmp_path, shim):
    with Host(tmp_path, shim, language=language) as machine:
        machine.bench.start("p2")
        hole = machine.road.answer = Hole(machine.road.answer)
        machine.spawn()
        wait_for(lambda: hole.swallowed == 1)
        machine.switch.set(uptime_s=MINUTE)  # the worker gives the answer up
        wait_for(lambda: len(machine.results()) == 1)
        machine.switch.set(uptime_s=3 * MINUTE)  # and asks again, and still nobody answers
        wait_for(lambda: hole.swallowed == 2)
        machine.bench.start("p3")
        machine.switch.set(uptime_s=4 * MINUTE)
        wait_for(lambda: len(machine.results()) == 2)
        assert hole.job not in machine.results()
        hole.closed.set()
        machine.switch.set(uptime_s=8 * MINUTE)
        wait_for(lambda: len(machine.results()) == 3)
        machine.stop()
        machine.judge()
        assert {machine.bench.state(name)["status"] for name in machine.bench.names} == {"Succeeded"}
