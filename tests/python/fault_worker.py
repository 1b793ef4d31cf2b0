# SPDX-License-Identifier: MIT
"""The worker that tests/python/host.py starts, and gets into trouble. Its handler tells when it comes to a phase."""

import contextlib
import json
import logging
import os
import signal
import sys
import urllib.error
import urllib.request

import codepipeline
import judge


def phase(name):
    """Waits until the test has seen that we are there."""
    if not os.environ.get("PHASES"):
        return
    request = urllib.request.Request(
        os.environ["PHASES"], b"", {"X-Amz-Target": f"Phase.{name}", "X-Pid": str(os.getpid())}
    )
    with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(request, timeout=30) as answer:
        answer.read()


def note(run):
    """One write, so that a line is there as a whole or not at all."""
    line = json.dumps(run).encode() + b"\n"
    file = os.open(os.environ["RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line)
    os.close(file)


def build(job):
    run = {"id": job.id, "nonce": job.nonce, "artifact": f"made by {job.id}", "variables": {"job": job.id}}
    if os.environ.get("THIRD_PARTY"):
        run["variables"] = {}
    if os.environ.get("HEAP"):
        run["heap"] = judge.heap_bytes()
    if os.environ.get("ISOLATION"):
        with open("/proc/self/environ", "rb") as file:
            surroundings = file.read()
        with open("/proc/self/cmdline", "rb") as file:
            surroundings += file.read()
        run["surroundings"] = surroundings.hex()
    else:
        run["credentials"] = job.raw()["data"]["artifactCredentials"]
    raises = os.environ.get("HANDLER") == "raise"
    if raises:
        run["message"] = f"RuntimeError: {job!r} in trouble: {vars(job)['id']}"
    note(run)
    if raises:
        raise RuntimeError(run["message"].partition(": ")[2])
    if os.environ.get("HANDLER") == "later":
        return job.later("s" * 5000)
    if os.environ.get("HANDLER") == "large":
        path = os.path.join(job.work_dir, "large")
        with open(path, "wb") as file:
            file.truncate(65 << 20)
        job.output("Binary").file(path)
        return None
    source = job.input().path()
    phase("extracting")
    assert source
    with open(os.path.join(job.input().extract(), "main.txt")) as file:
        assert file.read() == "hello"
    phase("running")
    phase("packaging")
    path = os.path.join(job.work_dir, "out.txt")
    with open(path, "w") as file:
        file.write(run["artifact"])
    job.output("Binary").pack(path)
    return run["variables"]


def make_worker():
    third_party = {"third_party": True, "client_token": lambda customer: f"emulator-token-{customer}"}
    worker = codepipeline.Worker(
        codepipeline.Client(connect_timeout=1, read_timeout=10),
        concurrency=int(os.environ.get("CONCURRENCY", "1")),
        poll_interval=0.02,
        journal=os.environ["JOURNAL"],
        work_dir=os.environ["WORK"],
        grace=20,
        **(third_party if os.environ.get("THIRD_PARTY") else {}),
    )
    kind = (
        {"category": "Test", "provider": "Partner"}
        if os.environ.get("THIRD_PARTY")
        else {"category": "Build", "provider": "Builder"}
    )
    isolated = (
        {"isolation": "process", "environ": ["PHASES", "RUNS", "ISOLATION"]} if os.environ.get("ISOLATION") else {}
    )
    worker.job(**kind, **isolated)(build)
    return worker


def main():
    logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
    if os.environ.get("STORM"):
        signal.signal(signal.SIGALRM, lambda *unused: None)
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    print("started", flush=True)
    summary = make_worker().run()
    signal.setitimer(signal.ITIMER_REAL, 0)
    return summary


if __name__ == "__main__":
    sys.exit(main())
