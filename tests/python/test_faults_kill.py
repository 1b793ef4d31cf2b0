# SPDX-License-Identifier: MIT
"""SIGKILL at the n-th call of a worker, in one job from its first poll to its result. NIGHTLY=1: at every one.

Twice: at the calls of libc that change a file or go to the network, by a preloaded library; and at system calls of any
kind, by strace, which counts each kind for itself, in whichever thread comes first to its n-th.
"""

import collections
import os
import re
import shutil
import signal
import subprocess

import pytest

import judge
from conftest import NIGHTLY
from host import Host

SAMPLE = 4


class FirstPoll:
    """Begins something once, while the worker waits for the answer that brings the job; what is before is Python."""

    def __init__(self, begin):
        self.begin, self.begun = begin, False

    def __call__(self, name, when, sender):
        if (name, when) == ("PollForJobs", "after") and not self.begun:
            self.begun = True
            self.begin()


class ByLibrary:
    """Kills at the n-th call of the preloaded library; None: finds out what points there are."""

    repeats = "refuse"

    def __init__(self, shim, point):
        self.shim, self.point = shim, point

    def begin(self, machine):
        machine.switch.set(calls=0, kill_at=self.point or 0)

    def end(self, machine):
        self.points = range(1, machine.switch.get("calls") + 1)


class ByStrace:
    """The same with strace, at system calls."""

    shim, repeats = None, "accept"

    def __init__(self, point):
        self.point = point  # (name of a system call, n)

    def begin(self, machine):
        self.log = machine.folder / "strace"
        inject = ["-e", "inject={}:signal=KILL:when={}".format(*self.point)] if self.point else []
        command = ["strace", "-f", "-o", self.log, *inject, "-p", str(machine.victim.pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert b"attached" in self.process.stderr.readline()

    def end(self, machine):
        self.process.wait(30)
        self.process.stderr.close()
        calls = collections.Counter(re.findall(r"^(\d+) +(\w+)\(", self.log.read_text(errors="replace"), re.M))
        most = {}
        for (_, name), count in calls.items():
            most[name] = max(most.get(name, 0), count)
        self.points = [(name, n) for name in sorted(most) for n in range(1, most[name] + 1)]


def run_cycle(folder, killer):
    """The action's status, and how the processes ended."""
    folder.mkdir()
    with Host(folder, killer.shim, repeats=killer.repeats, PHASES="") as machine:
        machine.road.watch = FirstPoll(lambda: killer.begin(machine))
        machine.spawn()
        machine.wait(1)
        machine.switch.set(kill_at=0)
        machine.stop()
        killer.end(machine)
        machine.judge((0, -signal.SIGKILL))
        return machine.bench.state()["status"], machine.ends


def kill_everywhere(folder, make_killer, least):
    counting = make_killer(None)
    assert run_cycle(folder / "whole", counting) == ("Succeeded", [0])
    points = counting.points
    assert len(points) >= least
    broken, killed = [], 0
    for point in points if NIGHTLY else points[2 :: len(points) // SAMPLE]:
        try:
            killed += -signal.SIGKILL in run_cycle(folder / "one", make_killer(point))[1]
        except (judge.Broken, subprocess.TimeoutExpired) as error:
            broken.append(f"at {point}: {error}")
        shutil.rmtree(folder / "one")
    print(f"{len(points)} calls, killed at {killed}")
    assert not broken, "\n".join(broken)
    assert killed >= 2


def test_killed_at_a_call_that_leaves_the_process(shim, tmp_path):
    kill_everywhere(tmp_path, lambda point: ByLibrary(shim, point), 40)


def traces():
    """Whether there is strace, and it may look at a process that is not its child."""
    if shutil.which("strace") is None:
        return False
    with subprocess.Popen(["sleep", "10"]) as other:
        command = ["strace", "-o", os.devnull, "-p", str(other.pid)]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
            attached = b"attached" in tracer.stderr.readline()
            other.kill()
    return attached


@pytest.mark.skipif(not traces(), reason="no strace here, or it may not trace")
def test_killed_at_a_system_call(tmp_path):
    kill_everywhere(tmp_path, ByStrace, 100)
