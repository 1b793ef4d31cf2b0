# SPDX-License-Identifier: MIT
"""tests/scenarios/faults/host.json: what happens to the machine, in every phase of a job. NIGHTLY=1: all of it."""

import itertools
import json
import os
import signal
import threading
import time

import pytest

import host
import judge
from conftest import NIGHTLY, ROOT
from host import DAY, Host

TABLE = json.loads((ROOT / "tests/scenarios/faults/host.json").read_text())


def all_cells():
    for fault, phase in itertools.product(TABLE["faults"], TABLE["phases"]):
        if phase["phase"] in fault.get("phases", [phase["phase"]]):
            yield fault, phase


def chosen():
    return [(fault, phase) for fault, phase in all_cells() if NIGHTLY or fault.get("daily") == phase["phase"]]


class Trouble:
    """The faults by name: what is done to the host when the phase comes."""

    def __init__(self, machine, child_of):
        self.machine, self.child_of = machine, child_of

    def sigterm(self):
        self.machine.victim.send_signal(signal.SIGTERM)

    def sigint_twice(self):
        self.machine.victim.send_signal(signal.SIGINT)
        time.sleep(0.1)
        self.machine.victim.send_signal(signal.SIGINT)

    def sigkill(self):
        self.machine.victim.kill()
        self.machine.victim.wait()

    def sigstop(self):
        self.machine.victim.send_signal(signal.SIGSTOP)
        self.machine.bench.emulator.clock.advance(minutes=5)
        self.machine.later(0.1, lambda: self.machine.victim.send_signal(signal.SIGCONT))

    def enospc(self):
        self.machine.turn_on(host.WRITES)

    def tmpfs_full(self):
        self.machine.disk.fill()
        self.machine.later(host.HOLD_S, self.machine.disk.empty)

    def fsync_eio(self):
        self.machine.turn_on(host.SYNCS)

    def emfile(self):
        self.machine.turn_on(host.OPENS)

    def eintr_storm(self):
        pass  # since the start

    def fork_fails(self):
        self.machine.turn_on(host.FORKS)

    def clock_ahead(self):
        self.machine.switch.set(clock_s=DAY)

    def clock_behind(self):
        self.machine.switch.set(clock_s=-DAY)

    def child_killed(self):
        os.kill(self.child_of(), signal.SIGKILL)

    def stdout_closed(self):
        self.machine.deaf.set()
        time.sleep(0.2)

    def journal_unwritable(self):
        self.machine.turn_on(host.JOURNAL)

    def no_name(self):
        self.machine.forget_name()


def struck_by_hand():
    return {name.replace("_", "-") for name in vars(Trouble) if not name.startswith("_")}


class Watch:
    """Strikes once, when the phase comes."""

    def __init__(self, machine, fault, phase):
        self.machine, self.phase = machine, phase
        self.lock, self.struck, self.child, self.stopped = threading.Lock(), False, None, False
        trouble = Trouble(machine, lambda: self.child)
        self.strike = getattr(trouble, fault["fault"].replace("-", "_"))

    def __call__(self, name, when, sender):
        self.child = int(sender) if sender else self.child
        if self.phase["when"] == "stopped" and name == "running" and not self.stopped:
            self.stopped = True
            self.machine.victim.send_signal(signal.SIGTERM)
        wanted = "before" if self.phase["when"] == "stopped" else self.phase["when"]
        with self.lock:
            due = not self.struck and (name, when) == (self.phase["call"], wanted)
            self.struck = self.struck or due
        if due:
            self.strike()


def environ_of(fault):
    return {
        **({"ISOLATION": 1} if fault.get("isolated") else {}),
        **({"STORM": 1} if fault["fault"] == "eintr-storm" else {}),
        **({"NAMED": 1} if fault["fault"] == "no-name" else {}),
    }


def run_cell(fault, phase, folder, library):
    idle, small = phase["phase"] == "idle", fault["fault"] == "tmpfs-full"
    with Host(folder, library, started=not idle, small_disk=small, **environ_of(fault)) as machine:
        watch = machine.road.watch = Watch(machine, fault, phase)
        machine.spawn()
        if idle:
            machine.until(lambda: watch.struck, "no idle poll")
            machine.bench.start()
        machine.wait(1)
        machine.until(lambda: watch.struck, "the phase never came")
        if fault.get("shim") and "clock" not in fault["fault"]:
            machine.until(lambda: machine.switch.get("struck"), "the fault hit no call")
        first = machine.bench.state()
        machine.switch.set(on=0)
        machine.disk.empty()
        if (fault.get("stops") or phase["when"] == "stopped") and not machine.ends:
            machine.reap()
            machine.spawn()
        machine.bench.start("p2")  # and the next job runs
        machine.wait(2)
        assert machine.bench.state("p2")["status"] == "Succeeded", machine.bench.state("p2")
        machine.stop()
        machine.judge((0, -signal.SIGKILL) if fault.get("dies") else (0,))
        return first


def test_a_phase_that_is_left_out_has_a_reason():
    for fault in TABLE["faults"]:
        assert ("phases" in fault) == ("why" in fault), fault["fault"]
    for fault in TABLE["elsewhere"]:
        assert (ROOT / fault["by"]).exists()
    names = {fault["fault"] for fault in TABLE["faults"] + TABLE["elsewhere"]}
    assert len(TABLE["phases"]) == 12 and names == {*struck_by_hand(), "no-memory", "file-call"}


@pytest.mark.skipif(judge.heap_bytes() is None, reason="malloc does not tell what it has given out")
def test_memory_is_as_before_after_many_jobs_in_trouble(tmp_path):
    with Host(tmp_path, HEAP=1, PHASES="") as machine:
        machine.bench.emulator.fault("reset", times=None, probability=0.1, seed=3)
        machine.spawn()
        for number in range(1, 61):
            machine.wait(number)
            machine.bench.client.start_pipeline_execution(name="p")
        machine.wait(61)
        machine.stop()
        machine.judge()
        judge.check_memory(machine.runs(), 512)


@pytest.mark.parametrize(
    ("fault", "phase"), chosen(), ids=lambda value: value["phase"] if "phase" in value else value["fault"]
)
def test_a_worker_on_a_host_in_trouble(fault, phase, tmp_path, request):
    library = request.getfixturevalue("shim") if fault.get("shim") else None
    state = run_cell(fault, phase, tmp_path, library)
    may_fail = fault.get("may_fail") or fault.get("dies")
    assert state["status"] == "Succeeded" or may_fail and state["status"] == "Failed", state
