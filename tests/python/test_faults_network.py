# SPDX-License-Identifier: MIT
"""tests/scenarios/faults/network.json: what happens to a call, on every call of a job. NIGHTLY=1: all of it."""

import contextlib
import io
import itertools
import json
import logging
import time
from pathlib import Path

import pytest

import codepipeline
import judge
from conftest import NIGHTLY, ROOT
from host import Host
from road import Certificates, Road, to
from workbench import CUSTOMER, Workbench, token_of

NETWORK = json.loads((ROOT / "tests/scenarios/faults/network.json").read_text())
ONE_IN = 61  # of so many cells one is in the normal run, beside those of is_daily()


class Cell:
    def __init__(self, number, kind, way, call, times):
        self.kind, self.way, self.call, self.times = kind, way, call, times
        self.repeats = NETWORK["repeats"][number % 2]
        self.id = f"{way['name']}-{call}-{kind['kind']}-{times}-{self.repeats}"

    @property
    def before(self):
        at = self.way["calls"].index(self.call)
        return self.way["calls"][at - 1] if at else None

    @property
    def makes_sense(self):
        return not (self.kind["kind"] == "stale" and (self.before is None or self.times > 1))

    @property
    def statuses(self):
        """How the action may end."""
        if self.way["handler"] == "fail" or self.fits("fails"):
            return {"Failed"}
        return {"Succeeded", "Failed"} if self.fits("may_fail") else {"Succeeded"}

    def fits(self, table):
        return any(
            self.kind["kind"] in rule["kinds"] and self.call in rule["calls"] and self.times >= rule["times"]
            for rule in NETWORK[table]
        )


def all_cells():
    """A result that was lost is repeated; by turns, the service refuses and accepts that."""
    number = itertools.count()
    for way in NETWORK["ways"]:
        for call, kind, times in itertools.product(way.get("struck", way["calls"]), NETWORK["kinds"], NETWORK["times"]):
            cell = Cell(next(number), kind, way, call, times)
            if cell.makes_sense:
                yield cell


def is_daily(cell):
    return (
        cell.way is NETWORK["ways"][0] and cell.kind["by"] == "emulator" and cell.times == 1 and "slow" not in cell.kind
    )


def chosen():
    cells = list(all_cells())
    return cells if NIGHTLY else [cell for number, cell in enumerate(cells) if is_daily(cell) or number % ONE_IN == 5]


def make_handler(bench, way, runs):
    def handler(job):
        run = {"id": job.id, "nonce": job.nonce, "credentials": job.raw()["data"].get("artifactCredentials", {})}
        runs.append(run)
        if way["handler"] == "renew":
            bench.emulator.clock.advance(minutes=61)
        assert Path(job.input().extract(), "main.txt").read_text() == "hello"
        if way["handler"] == "fail":
            run["message"] = "failed on purpose"
            return job.fail(run["message"])
        if way["handler"] == "later" and job.state is None:
            return job.later({"step": 2})
        run["artifact"] = f"made by {job.id}"
        job.output("Binary").write(run["artifact"].encode())
        run["variables"] = {} if bench.third_party else {"job": job.id}
        return run["variables"]

    return handler


def drive(bench, cell, worker):
    """Until the action has ended; a poll that cannot get over its trouble raises, and the next one goes on."""
    end = time.monotonic() + 60
    taken = "AcknowledgeThirdPartyJob" if bench.third_party else "AcknowledgeJob"
    results = 2 if cell.way["handler"] == "later" else 1
    while len(judge.accepted(bench.emulator.ledger())) < results:
        assert time.monotonic() < end, "I5: not over within a minute"
        with contextlib.suppress(codepipeline.CodePipelineError):
            worker.run_once(timeout=0.05)
        if not bench.emulator.ledger(operation=taken, status=200):
            bench.emulator.clock.advance(minutes=2)  # a job that was handed out to nobody comes again
    worker.stop()
    worker.run_once(timeout=1)  # takes nothing any more; what is still owed is offered once more


def strike(bench, cell, road):
    if cell.kind["by"] == "emulator":
        bench.emulator.fault(cell.kind["kind"], cell.call, times=cell.times)
    else:
        road.strike(cell.kind["kind"], cell.call, cell.before, cell.times)


def options_of(cell, bench, road, certificates):
    tls = {"ca_bundle": certificates.bundle} if cell.kind.get("tls") else {}
    if cell.kind["by"] == "emulator":
        return {"read_timeout": 0.3} if cell.kind.get("slow") else {}
    return {"endpoint_url": road.url, "s3_endpoint_url": road.url, "connect_timeout": 0.3, **tls}


def struck(bench, cell, road):
    if cell.kind["by"] == "road":
        return road.struck
    return sum(entry.get("fault") == cell.kind["kind"] for entry in bench.emulator.ledger(operation=cell.call))


@contextlib.contextmanager
def written_log():
    """All that the package logs, as text: records would keep tracebacks, and with them the worker."""
    text, logger = io.StringIO(), logging.getLogger("codepipeline")
    handler, before = logging.StreamHandler(text), (logger.propagate, logger.level)
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield text
    finally:
        logger.removeHandler(handler)
        logger.propagate, level = before
        logger.setLevel(level)


def run_cell(cell, folder, certificates, log):
    work, journal, runs, asked = folder / "work", folder / "jobs.db", [], []
    work.mkdir()
    with Workbench(folder, cell.way.get("third_party", False), repeats=cell.repeats) as bench:
        baseline = judge.Baseline()
        with Road(to(bench.emulator.url), certificates if cell.kind.get("tls") else None) as road:
            client = bench.emulator.client(**options_of(cell, bench, road, certificates))
            more = {"client_token": lambda customer: asked.append(customer) or token_of(customer)}
            more = {"third_party": True, **more} if bench.third_party else {}
            worker = codepipeline.Worker(client, poll_interval=0.01, journal=journal, work_dir=work, **more)
            worker.job(category=bench.type["category"], provider=bench.type["provider"])(
                make_handler(bench, cell.way, runs)
            )
            strike(bench, cell, road)
            drive(bench, cell, worker)
            assert struck(bench, cell, road) >= 1, "the fault never struck"
            del worker
            client.close()
        baseline.check()
        judge.check_empty(work)
        assert not judge.check_results(bench.emulator.ledger(), [journal], cell.repeats)
        judge.check_runs(runs)
        judge.check_bytes(bench.client, runs, bench.read_object)
        assert set(asked) <= {CUSTOMER}
        secrets = bench.secrets()
        for run in runs:
            secrets += run["credentials"].values()
        judge.check_secrets(secrets, [("the log", log.getvalue().encode()), *judge.read_all(folder.glob("jobs.db*"))])
        return bench.state()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    pytest.importorskip("cryptography")
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("cell", chosen(), ids=lambda cell: cell.id)
def test_a_job_ends_in_one_result_whatever_happens_to_a_call(cell, tmp_path, request):
    certificates = request.getfixturevalue("certificates") if cell.kind.get("tls") else None
    with written_log() as log:
        state = run_cell(cell, tmp_path, certificates, log)
    assert state["status"] in cell.statuses, state
    if state["status"] == "Failed" and cell.way["handler"] != "fail":
        assert state["errorDetails"]["code"] != "JobFailed", state


# ---- the same in Lua ----


def lua_cells():
    """Each kind of the emulator's, on one call after another, of custom and third-party jobs."""
    ways = [way for way in NETWORK["ways"] if way["handler"] == "succeed"]
    kinds = [kind for kind in NETWORK["kinds"] if kind["by"] == "emulator" and "slow" not in kind]
    calls = [(way, call) for way in ways for call in way["calls"]]
    cells = [Cell(number, kind, *calls[(number * 4) % len(calls)], 1 + number % 3) for number, kind in enumerate(kinds)]
    return cells if NIGHTLY else cells[1::3]


@pytest.mark.parametrize("cell", lua_cells(), ids=lambda cell: cell.id)
def test_a_worker_in_lua(cell, tmp_path):
    third_party = {"THIRD_PARTY": 1} if cell.way.get("third_party") else {}
    with Host(tmp_path, language="lua", repeats=cell.repeats, **third_party) as machine:
        strike(machine.bench, cell, machine.road)
        machine.spawn()
        machine.wait(1)
        machine.stop()
        assert struck(machine.bench, cell, machine.road)
        refused = cell.call.startswith("PollFor") and cell.kind["kind"] in ("access-denied", "expired-token")
        machine.judge((0, 1) if refused else (0,))  # 1: run() does not go on polling where it may not
        assert machine.bench.state()["status"] in cell.statuses
