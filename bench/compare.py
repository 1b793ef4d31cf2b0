# SPDX-License-Identifier: MIT
"""Ours beside boto3, the AWS SDK for JavaScript and libcurl's own signer, on one loopback server, in one run.

    ./dev bench compare.py
    BENCH_SHORT=1 ./dev bench compare.py         one round of each, to see that all of it runs

Contestants take their turns, several rounds of it, so that a slow moment of the machine hits all alike; what is printed
are medians. All samples go to build/bench/compare.jsonl. README.md tells what each number means.
"""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict

from contestants import tables
from contestants.servers import job_server, web_server

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
BUILT = os.path.join(ROOT, "build", "bench", "contestants")
SPAWN, JOBS = os.path.join(BUILT, "spawn"), os.path.join(BUILT, "jobs")
CALL_ROUNDS, COLD_ROUNDS, WORK_ROUNDS = (1, 1, 1) if os.environ.get("BENCH_SHORT") else (7, 11, 3)

BOTO3, JS, CURL, UNSIGNED = "boto3", "SDK for JavaScript", "libcurl --aws-sigv4 + cJSON", "libcurl, unsigned"
C, PYTHON, LUA = "ours, C", "ours, Python", "ours, Lua"
# with the libraries that the wheel is made of linked into the module, instead of the distribution's
PYTHON_WHEEL, LUA_WHEEL = "ours, Python, the wheel's", "ours, Lua, the wheel's"
LEAN = os.path.join(ROOT, "build", "lean")


def script(name, *interpreter):
    return [*interpreter, os.path.join(HERE, "contestants", name)]


COMMANDS = {
    BOTO3: script("boto3_sdk.py", sys.executable),
    JS: script("sdk.cjs", "node"),
    CURL: [os.path.join(BUILT, "curl"), "sigv4"],
    UNSIGNED: [os.path.join(BUILT, "curl"), "unsigned"],
    C: [os.path.join(BUILT, "ours")],
    PYTHON: script("ours.py", sys.executable),
    LUA: script("ours.lua", "lua5.4"),
}
ELSEWHERE = {
    PYTHON_WHEEL: (PYTHON, {"PYTHONPATH": os.path.join(LEAN, "python")}),
    LUA_WHEEL: (LUA, {"LUA_CPATH": os.path.join(LEAN, "lua", "?.so")}),
}
BARE = {
    BOTO3: [sys.executable, "-c", ""],
    JS: ["node", "-e", ""],
    PYTHON: [sys.executable, "-c", ""],
    LUA: ["lua5.4", "-e", ""],
}
SMALL, MEDIUM, LARGE = "ListPipelines", "GetPipelineState", "ListActionExecutions"
# which processor the contestant has, and which the server (README.md says why)
PROCESSORS = sorted(os.sched_getaffinity(0))
TOGETHER, APART = "one processor", "a processor each"
PLACES = {TOGETHER: (PROCESSORS[:1], PROCESSORS[:1]), APART: (PROCESSORS[:1], PROCESSORS[-1:])}
# how often a round makes each call
CALLS = {BOTO3: (200, 200, 40), JS: (800, 800, 150)}
OUR_CALLS = (1000, 1000, 120)


@contextlib.contextmanager
def placed(pid, processors):
    before = os.sched_getaffinity(pid)
    os.sched_setaffinity(pid, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(pid, before)


class Samples:
    """Everything measured, by what it is and whose; each sample is also a line of the JSON file."""

    def __init__(self, path):
        self.rows = defaultdict(list)
        self.file = open(path, "w", encoding="utf-8")

    def add(self, what, who, sample):
        self.rows[what, who].append(sample)
        print(json.dumps({"what": what, "who": who, **sample}), file=self.file, flush=True)

    def median(self, what, who, key):
        return statistics.median(sample[key] for sample in self.rows[what, who])


class Bench:
    def __init__(self, folder, server, samples):
        self.folder, self.server, self.samples = folder, server, samples
        self.url, self.tls_url = (f"{kind}://127.0.0.1:{port}" for kind, port in zip(("http", "https"), server.ports))
        kept = "PATH PYTHONPATH LUA_PATH LUA_CPATH NODE_PATH LANG LD_LIBRARY_PATH".split()
        self.environ = {name: os.environ[name] for name in kept if name in os.environ}
        self.environ.update(
            HOME=folder,
            AWS_ACCESS_KEY_ID="AKIDEXAMPLE00000000",
            AWS_SECRET_ACCESS_KEY="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            AWS_REGION="us-east-1",
            AWS_DEFAULT_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
            NODE_NO_WARNINGS="1",
        )

    def run(self, command, **environ):
        """The JSON lines it prints."""
        environ = {**self.environ, "AWS_ENDPOINT_URL": self.url, **environ}
        done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, timeout=120)
        if done.returncode != 0:
            sys.exit(f"failed: {' '.join(command)}")
        return [json.loads(line) for line in done.stdout.splitlines()]

    def spawn(self, what, who, command, **environ):
        self.samples.add(what, who, *self.run([SPAWN, *command], **environ))

    # ---- what is measured ----

    def calls(self):
        for _ in range(CALL_ROUNDS):
            for where, (ours, servers) in PLACES.items():
                with placed(0, ours), placed(self.server.pid, servers):
                    self.calls_of_all(where)
            with placed(0, PLACES[TOGETHER][0]):
                self.samples.add(
                    "json", "json.loads", *self.run([*script("json_loads.py", sys.executable), self.body(LARGE), "100"])
                )

    def calls_of_all(self, where):
        for who, command in COMMANDS.items():
            counts = zip((SMALL, MEDIUM, LARGE), CALLS.get(who, OUR_CALLS))
            for line in self.run([*command, "calls", *(f"{name}:{count}" for name, count in counts)]):
                self.samples.add(f"{line.pop('op')}, {where}", who, line)

    def body(self, operation):
        return os.path.join(self.folder, operation)

    def trust(self, who):
        """Each finds the system's certificates and the server's the way it finds the system's by default."""
        if who == JS:
            return {"NODE_EXTRA_CA_CERTS": self.body("cert.pem")}
        return {"AWS_CA_BUNDLE": self.body("ca.pem" if who in (BOTO3, CURL, UNSIGNED) else "ca")}

    def cold(self):
        for turn in range(-1, COLD_ROUNDS):
            for who in (*COMMANDS, *ELSEWHERE):
                same, where = ELSEWHERE.get(who, (who, {}))
                command = COMMANDS[same]
                if turn < 0:  # byte code is written, files are in memory from here on
                    self.run([*command, "once"], **where)
                    continue
                if who in BARE:
                    self.spawn("bare", who, BARE[who])
                self.spawn("http", who, [*command, "once"], **where)
                tls = {"AWS_ENDPOINT_URL": self.tls_url, **self.trust(who)}
                self.spawn("https", who, [*command, "once"], **tls, **where)

    def work(self):
        for _ in range(WORK_ROUNDS):
            for who, count in ((BOTO3, 400), (JS, 600), (PYTHON, 2000), (LUA, 2000)):
                with job_server(JOBS, count) as port:
                    url = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
                    (sample,) = self.run([SPAWN, *COMMANDS[who], "work", str(count)], **url)
                # what starting took is not the worker's
                wall_ms = sample["wall_ms"] - self.samples.median("http", who, "wall_ms")
                cpu_ms = sample["cpu_ms"] - self.samples.median("http", who, "cpu_ms")
                self.samples.add(
                    "work", who, {**sample, "per_s": count / wall_ms * 1e3, "cpu_us": cpu_ms / count * 1e3}
                )
            with job_server(JOBS, 0) as port:
                url = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
                for who, where in ((LUA, {}), (LUA_WHEEL, ELSEWHERE[LUA_WHEEL][1])):
                    self.samples.add("idle", who, *self.run([*COMMANDS[LUA], "idle"], **url, **where))

    def memory(self):
        for _ in range(COLD_ROUNDS):
            for who in (PYTHON, LUA, *ELSEWHERE):
                same, where = ELSEWHERE.get(who, (who, {}))
                self.samples.add("peak", who, *self.run([*COMMANDS[same], "peak"], **where))
        for _ in range(WORK_ROUNDS):
            self.samples.add("clients", PYTHON, *self.run([*COMMANDS[PYTHON], "clients", "100"]))

    def signing(self):
        for line in self.run([os.path.join(ROOT, "build", "bench", "signing")]):
            if "cpu_us" in line:
                self.samples.add("sign", line.pop("who"), line)

    def emulator(self):
        for line in self.run([os.path.join(ROOT, "build", "bench", "emulator")]):
            self.samples.add("emulator", line.pop("what"), line)


# ---- what is printed ----


def report(samples):
    report_calls(samples)
    report_processes(samples.median)
    report_others(samples)


def report_calls(samples):
    m = samples.median
    for where in PLACES:

        def call(op, who, where=where):
            return m(f"{op}, {where}", who, "cpu_us")

        tables.table(
            f"One call, client and server on {where}, CPU us (ratio to ours in Python)",
            ["small, 1.4 KB", "medium, 6 KB", "large, 150 KB"],
            [
                [who]
                + [f"{call(op, who):.0f} ({call(op, who) / call(op, PYTHON):.1f})" for op in (SMALL, MEDIUM, LARGE)]
                for who in COMMANDS
            ],
        )


def report_processes(m):
    tables.table(
        "A whole process with one call, exit and all: start to end, ms; CPU ms; peak memory, MB",
        ["bare interpreter", "HTTP", "HTTPS", "HTTP, CPU", "peak memory", "of the bare interpreter"],
        [
            [
                who,
                f"{m('bare', who, 'wall_ms'):.1f}" if who in BARE else "",
                f"{m('http', who, 'wall_ms'):.1f}",
                f"{m('https', who, 'wall_ms'):.1f}",
                f"{m('http', who, 'cpu_ms'):.1f}",
                f"{m('http', who, 'rss_kb') / 1024:.1f}",
                f"{m('bare', who, 'rss_kb') / 1024:.1f}" if who in BARE else "",
            ]
            for who in (*COMMANDS, *ELSEWHERE)
        ],
    )
    tables.table(
        "A worker whose handler does nothing, 8 at once",
        ["jobs a second", "CPU us a job", "peak memory, MB"],
        [
            [
                who,
                f"{m('work', who, 'per_s'):.0f}",
                f"{m('work', who, 'cpu_us'):.0f}",
                f"{m('work', who, 'rss_kb') / 1024:.1f}",
            ]
            for who in (BOTO3, JS, PYTHON, LUA)
        ],
    )


def report_others(samples):
    m = samples.median
    tables.table(
        "Other",
        [""],
        [
            *([f"signing a typical POST, {who}", f"{m('sign', who, 'cpu_us'):.1f} us"] for who in SIGNERS),
            ["json.loads of the large answer", f"{m('json', 'json.loads', 'cpu_us'):.0f} us"],
            ["the large answer to Python objects (call less unsigned libcurl)", f"{objects_us(samples):.0f} us"],
            ["100 more clients, made", f"{m('clients', PYTHON, 'made_kb'):.0f} KB"],
            ["100 more clients, each with a call made", f"{m('clients', PYTHON, 'used_kb'):.0f} KB"],
            *(
                [f"peak memory once a call was made, {who}", f"{m('peak', who, 'kb') / 1024:.1f} MB"]
                for who in (PYTHON, LUA, PYTHON_WHEEL, LUA_WHEEL)
            ),
            *(
                [f"memory of an idle worker, {who}", f"{m('idle', who, 'kb') / 1024:.1f} MB"]
                for who in (LUA, LUA_WHEEL)
            ),
        ],
    )


SIGNERS = ("ours, cached key", "ours, cold key", "naive OpenSSL 3")


def objects_us(samples):
    large = f"{LARGE}, {TOGETHER}"
    return samples.median(large, PYTHON, "cpu_us") - samples.median(large, UNSIGNED, "cpu_us")


def start_goals(m):
    """Those that depend on the libraries, with the distribution's and with the wheel's."""

    def above(who, bare, key):
        return m("http", who, key) - m("bare", bare, key)

    for build, python, lua in (("", PYTHON, LUA), (" (the wheel's)", PYTHON_WHEEL, LUA_WHEEL)):
        cold = above(BOTO3, BOTO3, "wall_ms") / above(python, PYTHON, "wall_ms")
        yield f"cold start above the interpreter, Python{build}: boto3 / ours", 30, 60, cold, True
        https = m("https", BOTO3, "wall_ms") / m("https", python, "wall_ms")
        yield f"whole process over HTTPS, Python{build}: boto3 / ours", 12, 20, https, True
        once = m("http", lua, "wall_ms") / m("http", CURL, "wall_ms")
        yield f"whole process, Lua{build}: ours / libcurl --aws-sigv4 in C", 1.4, 1.0, once, False
        memory = (m("peak", python, "kb") - m("bare", PYTHON, "rss_kb")) / 1024
        yield f"peak memory above the interpreter, Python{build}, MB", 10, 6, memory, False
        yield f"peak memory, Lua{build}, MB", 12, 8, m("peak", lua, "kb") / 1024, False
        yield f"idle worker, Lua{build}, MB", 12, 8, m("idle", lua, "kb") / 1024, False


def goals(samples):
    """(what, must, moonshot, reached, whether more is better)"""
    m = samples.median

    def call(op, peer, own):
        what = f"{op}, {TOGETHER}"
        return m(what, peer, "cpu_us") / m(what, own, "cpu_us")

    def per_s(who):
        return m("work", who, "per_s") / m("work", BOTO3, "per_s")

    yield from start_goals(m)
    yield "small call, Python: boto3 / ours", 18, 25, call(SMALL, BOTO3, PYTHON), True
    yield "medium call, Python: boto3 / ours", 15, 22, call(MEDIUM, BOTO3, PYTHON), True
    yield "large call, Python: boto3 / ours", 8, 12, call(LARGE, BOTO3, PYTHON), True
    yield "small call, Lua: libcurl --aws-sigv4 + cJSON in C / ours", 1.3, 2, call(SMALL, CURL, LUA), True
    yield "small call, C: ours / unsigned libcurl", 2, 1.6, 1 / call(SMALL, UNSIGNED, C), False
    signing = m("sign", SIGNERS[2], "cpu_us") / m("sign", SIGNERS[0], "cpu_us")
    yield "signing: plain OpenSSL 3 / ours", 4, 7, signing, True
    loads = objects_us(samples) / m("json", "json.loads", "cpu_us")
    yield "large answer to Python objects: ours / json.loads", 1, 0.63, loads, False
    yield "worker, Python: ours / boto3, jobs a second", 10, 16, per_s(PYTHON), True
    yield "worker, Lua: ours / boto3, jobs a second", 8, 16, per_s(LUA), True
    yield "100 more clients, MB", 1, 0.2, m("clients", PYTHON, "made_kb") / 1024, False
    start, polls, jobs = "start to first answer", "PollForJobs, one client", "jobs"
    yield f"emulator, {start}, ms", 20, 5, m("emulator", start, "ms"), False
    yield f"emulator, {polls}, a second", 10000, 20000, m("emulator", polls, "per_s"), True
    yield f"emulator, {jobs} a second", 5000, 10000, m("emulator", jobs, "per_s"), True


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # the servers go with it
    folder = tempfile.mkdtemp()
    samples = Samples(os.path.join(ROOT, "build", "bench", "compare.jsonl"))
    try:
        with web_server(folder) as server:
            bench = Bench(folder, server, samples)
            for part in (bench.cold, bench.calls, bench.work, bench.memory, bench.signing, bench.emulator):
                print(f"{part.__name__} ...", file=sys.stderr, flush=True)
                part()
    finally:
        shutil.rmtree(folder)
    report(samples)
    tables.goals(goals(samples))


if __name__ == "__main__":
    main()
