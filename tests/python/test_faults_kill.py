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

import sweep


class FirstPoll:
    """Begins something once, while the worker waits for the answer that brings the job; what is before is Python."""

    def __init__(self, begin):
        self.begin, self.begun = begin, False

    def __call__(self, name, when, sender):
        if (name, when) == ("PollForJobs", "after") and not self.begun:
            self.begun = True
            self.begin()


class Kill(sweep.Trouble):
    """SIGKILL after the first poll has its answer."""

    statuses = (-signal.SIGKILL,)

    def begin(self, machine):
        machine.road.watch = FirstPoll(lambda: self.arm(machine))

    def end(self, machine):
        self.count(machine)
        return -signal.SIGKILL in machine.ends


class ByLibrary(Kill):
    """At the n-th call of the preloaded library."""

    def __init__(self, shim, point):
        super().__init__(point)
        self.shim = shim

    def arm(self, machine):
        machine.switch.set(calls=0, kill_at=self.point or 0)

    def count(self, machine):
        self.points = range(1, machine.switch.get("calls") + 1)
        machine.switch.set(kill_at=0)


class ByStrace(Kill):
    """The same with strace, at system calls: (name of one, n)."""

    repeats = "accept"

    def arm(self, machine):
        self.log = machine.folder / "strace"
        inject = ["-e", "inject={}:signal=KILL:when={}".format(*self.point)] if self.point else []
        command = ["strace", "-f", "-o", self.log, *inject, "-p", str(machine.victim.pid)]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE)
        assert b"attached" in self.process.stderr.readline()

    def count(self, machine):
        self.process.wait(30)
        self.process.stderr.close()
        calls = collections.Counter(re.findall(r"^(\d+) +(\w+)\(", self.log.read_text(errors="replace"), re.M))
        most = {}
        for (_, name), count in calls.items():
            most[name] = max(most.get(name, 0), count)
        self.points = [(name, n) for name in sorted(most) for n in range(1, most[name] + 1)]


def test_killed_at_a_call_that_leaves_the_process(shim, tmp_path):
    sweep.everywhere(tmp_path, lambda point: ByLibrary(shim, point), 40)


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
    sweep.everywhere(tmp_path, ByStrace, 100)
