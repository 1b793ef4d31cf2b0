# SPDX-License-Identifier: MIT
"""Handlers for test_isolation.py, which run in processes of their own and have to be imported there."""

import asyncio
import os
import pathlib
import signal
import subprocess
import sys

import codepipeline

worker = codepipeline.Worker(codepipeline.Client(region="us-east-1"))  # idle in such a process


@worker.job(category="Build", provider="Builder")
def build(job):
    folder = pathlib.Path(job.input("Source").extract())
    assert (folder / "main.txt").read_text() == "hello"
    assert job.input().path() and job.work_dir and not job.cancelled
    job.output("One").pack(folder)
    job.output("Two").write(b"two")
    pathlib.Path(job.work_dir, "three").write_bytes(b"three")
    job.output("Three").file(pathlib.Path(job.work_dir, "three"))
    seen = {
        "pid": os.getpid(),
        "pipeline": job.pipeline,
        "target": job.configuration["Target"],
        "digest": job.output("Two").digest()[:8],
        "secret": job.data["data"]["artifactCredentials"]["secretAccessKey"],
        "keys": [name for name in os.environ if "SECRET" in name],
        "idle": repr(worker.run()),
    }
    return {name: str(value) for name, value in seen.items() if name not in ("secret", "keys")} | {
        "secret": "yes" if seen["secret"] == "***" and not seen["keys"] else "no"
    }


def again(job):
    return job.later({"n": 1, "of": ["ü"]}) if job.state is None else job.succeed(summary=str(job.state["of"][0]))


def refused(job):
    return {"not this": "x"}


def missing(job):
    try:
        job.input("None")
        job.input("None").path()
    except codepipeline.ParamValidationError as error:
        raise codepipeline.ConfigurationError(f"{error.status} {error}") from error


def raises(job):
    raise PermissionError("no key for the door")


def raw(job):
    job.raw()


def hangs(job):
    subprocess.run(["sleep", "100"], check=False)


def waits(job):
    job.wait_cancelled()
    return job.fail("heard it", type="SystemUnavailable")


def eats_memory(job):
    blocks = []
    while True:
        blocks.append(bytearray(32 << 20))


def writes_much(job):
    with open(os.path.join(job.work_dir, "big"), "wb") as file:
        for _ in range(1000):
            file.write(bytes(1 << 20))


def crashes(job):
    os.kill(os.getpid(), signal.SIGSEGV)


def exits(job):
    os._exit(7)


def prints(job):
    print("for people")
    print("more", file=sys.stderr)


def names(configuration, Source):
    return {"target": configuration["Target"], "from": Source.name}


async def pauses(job):
    await asyncio.sleep(0)
    return {"waited": "yes"}


def goes_on(job):
    first = job.step(os.getpid)
    yield job.later({"n": 1})
    return {"same": str(job.step(lambda: first)), "other": str(first != os.getpid())}


def goes_on_with_much(job):
    if job.state is None:
        return job.later(["much"] * 1000)
    assert job.state == ["much"] * 1000
    job.output().write(b"made")


def waits_a_minute(job):
    job.wait_cancelled(60)


def tells_its_time(job):
    assert not job.wait_cancelled(0.01)
    return {"fine": str(0 < job.remaining <= 60)}


def quiet(job):
    return job.succeed()
