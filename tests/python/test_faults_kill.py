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
import urllib.parse

import pytest

import codepipeline
import sweep
from host import Host


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


class AtUpload:
    """Kills the worker when S3 has taken what it uploads, before the worker hears of it."""

    def __init__(self, machine):
        self.machine, self.inner, self.path, self.deleted = machine, machine.road.answer, None, []

    def __call__(self, method, path, headers, body):
        reply = self.inner(method, path, headers, body)
        if method == "DELETE":
            self.deleted.append((path, reply[0]))
        elif method == "PUT" and self.path is None:
            self.path = path
            self.machine.victim.kill()
        return reply


def strike_upload(folder, language, handler):
    """A worker that dies in an upload, and the one after it. Answers what S3 was asked to put, and to delete."""
    with Host(folder, language=language, HANDLER=handler) as machine:
        killer = machine.road.answer = AtUpload(machine)
        machine.spawn()
        assert machine.reap() == -signal.SIGKILL
        machine.spawn()
        machine.wait(1)
        machine.until(lambda: killer.deleted, "nothing was removed")
        assert machine.stop() == 0
        machine.judge((0, -signal.SIGKILL))
        assert machine.bench.state()["status"] == "Failed"
        where = urllib.parse.unquote(killer.path.partition("?")[0]).lstrip("/").partition("/")
        try:
            left = machine.bench.read_object(where[0], where[2])
        except codepipeline.CodePipelineError as error:
            assert error.code == "NoSuchKey"
            left = b""
        return killer, left


@pytest.mark.parametrize("language", ["python", "lua"])
def test_a_state_that_was_being_written_is_removed_by_the_next_start(language, tmp_path):
    assert strike_upload(tmp_path, language, "later")[1] == b""


@pytest.mark.parametrize("language", ["python", "lua"])
def test_an_upload_in_parts_is_taken_back_by_the_next_start(language, tmp_path):
    killer, left = strike_upload(tmp_path, language, "large")
    upload = killer.path.partition("uploadId=")[2]
    assert upload and left == b""
    assert [status for path, status in killer.deleted if path.endswith(f"?uploadId={upload}")] == [204]
