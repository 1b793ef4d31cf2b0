# SPDX-License-Identifier: MIT
"""A worker process on a host in trouble: full disks, signals, failing system calls, a wrong clock."""

import contextlib
import json
import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

import judge
from conftest import CLEAN, ROOT, SANITIZED
from road import Road, to
from workbench import Workbench

# bits of tests/shim/faults.c
WRITES, JOURNAL, SYNCS, OPENS, FORKS, NAMES = 1, 2, 4, 8, 16, 32
DAY = 24 * 3600
HOLD_S = 0.4  # so long a fault that passes is on
FORGETFUL_S = 120
LIMIT_S = 60  # within which all must be over


class Switch:
    """The page that the preloaded library reads."""

    FIELDS = {
        "on": ("i", 0),
        "clock_s": ("i", 4),
        "calls": ("l", 8),
        "kill_at": ("l", 16),
        "struck": ("i", 24),
        "only_process": ("i", 28),
        "uptime_s": ("i", 32),
        "error": ("i", 36),
        "file_calls": ("l", 40),
        "fail_at": ("l", 48),
    }

    def __init__(self, path):
        self.path = path
        path.write_bytes(b"\0" * mmap.PAGESIZE)
        with open(path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def get(self, name):
        return struct.unpack_from(*self.FIELDS[name][:1], self.page, self.FIELDS[name][1])[0]

    def set(self, **values):
        for name, value in values.items():
            form, offset = self.FIELDS[name]
            struct.pack_into(form, self.page, offset, value)


class Disk:
    """A folder for journal and artifacts; as a small file system of its own, it can be full."""

    def __init__(self, folder, small=False):
        self.folder = folder / "disk"
        self.folder.mkdir()
        self.mounted = small
        if small:
            command = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "none", str(self.folder)]
            if os.geteuid() != 0 or subprocess.run(command, stderr=subprocess.DEVNULL, timeout=20).returncode != 0:
                pytest.skip("no tmpfs can be mounted here")
        (self.folder / "work").mkdir()

    def fill(self):
        with contextlib.suppress(OSError), open(self.folder / "filler", "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)

    def empty(self):
        (self.folder / "filler").unlink(missing_ok=True)

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.folder)], check=True, timeout=20)


class Host:
    """An emulator, a road to it, and one worker process after another; closed, it is judged."""

    def __init__(
        self, folder, shim=None, *, language="python", small_disk=False, repeats="refuse", started=True, **environ
    ):
        if SANITIZED and environ.get("ISOLATION"):
            pytest.skip(CLEAN)
        self.folder, self.shim, self.language, self.environ = folder, shim, language, environ
        self.third_party = bool(environ.get("THIRD_PARTY"))
        self.stack = contextlib.ExitStack()
        self.disk = Disk(folder, small_disk)
        self.stack.callback(self.disk.close)
        self.switch = Switch(folder / "switch")
        self.bench = self.stack.enter_context(Workbench(folder, self.third_party, started, repeats))
        self.road = self.stack.enter_context(Road(to(self.bench.emulator.url)))
        self.victim, self.heard, self.ends, self.timers = None, [], [], []
        self.runs_file = folder / "runs"

    def command(self):
        if self.language == "lua":
            return ["lua5.4", str(ROOT / "tests/lua/fault_worker.lua")]
        return [sys.executable, "-c", "import sys, fault_worker; sys.exit(fault_worker.main())"]

    def spawn(self, **more):
        url = self.road.url.replace("127.0.0.1", "faults.test") if self.environ.get("NAMED") else self.road.url
        names = {
            **self.bench.emulator.environ,
            "AWS_ENDPOINT_URL_CODEPIPELINE": url,
            "AWS_ENDPOINT_URL_S3": url,
            "JOURNAL": self.disk.folder / "jobs.db",
            "WORK": self.disk.folder / "work",
            "TMPDIR": self.disk.folder / "work",
            "RUNS": self.runs_file,
            "PHASES": f"{self.road.url}/phase",
            "PYTHONPATH": f"{ROOT / 'tests/python'}:{os.environ.get('PYTHONPATH', '')}",
        }
        if self.shim:
            names |= {"LD_PRELOAD": self.shim, "FAULT_SWITCH": self.switch.path, "FAULT_FOLDER": self.disk.folder}
        self.victim = subprocess.Popen(
            self.command(),
            env={**os.environ, **{name: str(value) for name, value in {**names, **self.environ, **more}.items()}},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.switch.set(only_process=self.victim.pid)
        self.deaf = threading.Event()
        ears = [os.dup(stream.fileno()) for stream in (self.victim.stdout, self.victim.stderr)]
        self.victim.stdout.close()
        self.victim.stderr.close()
        self.listeners = [threading.Thread(target=self.listen, args=(ear,), daemon=True) for ear in ears]
        for listener in self.listeners:
            listener.start()
        return self.victim

    def listen(self, ear):
        """Until the end, or until nobody listens any more: whoever writes then hears that."""
        with contextlib.suppress(OSError):
            while not self.deaf.is_set():
                if select.select([ear], [], [], 0.05)[0]:
                    text = os.read(ear, 65536)
                    self.heard.append(text)
                    if not text:
                        break
        os.close(ear)

    @property
    def said(self):
        return b"".join(self.heard)

    def later(self, seconds, function):
        timer = threading.Timer(seconds, function)
        timer.daemon = True
        self.timers.append(timer)
        timer.start()

    def turn_on(self, bit):
        self.switch.set(on=bit)
        self.later(HOLD_S, lambda: self.switch.set(on=0))

    def forget_name(self):
        """For a while nobody knows the service's name. libcurl, which remembers it for a minute, has to ask anew."""
        self.switch.set(clock_s=FORGETFUL_S)
        self.turn_on(NAMES)
        self.road.hang_up()

    def reap(self):
        """Waits for the process; what it ended with."""
        status = self.victim.wait(LIMIT_S)
        for listener in self.listeners:
            listener.join(5)
        self.deaf.set()
        self.ends.append(status)
        self.victim = None
        return status

    def stop(self):
        self.victim.send_signal(signal.SIGTERM)
        return self.reap()

    def results(self):
        return judge.accepted(self.bench.emulator.ledger())

    def until(self, condition, what):
        end = time.monotonic() + LIMIT_S
        while not condition():
            judge.expect(time.monotonic() < end, "I5", what, self.said[-1500:].decode(errors="replace"))
            time.sleep(0.01)

    def wait(self, results):
        """Until so many results were accepted; a worker that ended is started again, and lost offers come again."""
        end, turned = time.monotonic() + LIMIT_S, time.monotonic()
        while len(self.results()) < results:
            judge.expect(time.monotonic() < end, "I5", "not over in time;", self.said[-1500:].decode(errors="replace"))
            if self.victim.poll() is not None:
                self.reap()
                self.switch.set(on=0, clock_s=0)
                self.spawn()
            open_offers = len(judge.acknowledged(self.bench.emulator.ledger())) < results
            if open_offers and time.monotonic() > turned + 0.4:
                turned = time.monotonic()
                self.bench.emulator.clock.advance(minutes=2)  # what was handed out to nobody comes again
            time.sleep(0.01)

    def runs(self):
        lines = self.runs_file.read_bytes().splitlines() if self.runs_file.exists() else []
        return [json.loads(line) for line in lines]

    def secrets(self):
        found = self.bench.secrets()
        for run in self.runs():
            found += run.get("credentials", {}).values()
        return found

    def judge(self, statuses=(0,)):
        """All of I1 to I6 on what the processes left."""
        for status in self.ends:
            judge.check_end(status, str(self.ends).encode() + self.said, statuses)
        owed = judge.check_results(self.bench.emulator.ledger(), [self.disk.folder / "jobs.db"], self.bench.repeats)
        judge.expect(not owed, "I1", "still owed:", owed)
        runs = self.runs()
        judge.check_runs(runs)
        for name in self.bench.names:
            judge.check_bytes(self.bench.client, runs, self.bench.read_object, name)
        files = list(judge.read_all(self.disk.folder.glob("jobs.db*")))
        files += [(f"run {n}", bytes.fromhex(run.get("surroundings", ""))) for n, run in enumerate(runs)]
        judge.check_secrets(self.secrets(), [("what it said", self.said), *files])
        if -signal.SIGKILL not in self.ends:
            judge.check_empty(self.disk.folder / "work")

    def close(self):
        for timer in self.timers:
            timer.cancel()
        if self.victim and self.victim.poll() is None:
            self.victim.send_signal(signal.SIGCONT)
            self.victim.kill()
            self.reap()
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
