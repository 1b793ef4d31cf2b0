# SPDX-License-Identifier: MIT
"""The invariants of tests/scenarios/README.md, I1 to I7, in one place: what a worker left behind is judged here."""

import base64
import contextlib
import ctypes
import gc
import itertools
import json
import os
import sqlite3
import time
import urllib.parse

DELIVERED = 5  # core/journal.h: the first state in which nothing is owed any more
SETTLE_S = 5  # sockets and threads of what was closed a moment ago need as long, at most


class Broken(AssertionError):
    """An invariant does not hold; the message begins with its number."""


def expect(condition, invariant, *what):
    if not condition:
        raise Broken(f"{invariant}: {' '.join(map(str, what))}")


# ---- I1, I2: the ledger ----


def is_result(entry):
    operation = entry.get("operation", "")
    return operation.startswith("Put") and operation.endswith("Result") and "Job" in operation


def accepted(ledger, repeats="accept"):
    """The job ids of the results that the service took. The very same one may be repeated, if it accepts that."""
    taken = [entry for entry in ledger if is_result(entry) and entry["status"] == 200]
    if repeats == "refuse":
        return [entry["job_id"] for entry in taken]
    return [id for id, _, _ in {(e["job_id"], e["operation"], e.get("continuation_token")) for e in taken}]


def acknowledged(ledger):
    names = ("AcknowledgeJob", "AcknowledgeThirdPartyJob")
    return {entry["job_id"] for entry in ledger if entry.get("operation") in names and entry["status"] == 200}


def journal_rows(path):
    """{job id: state} of a journal whose worker is gone."""
    if path is None or not os.path.exists(path):
        return {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        return dict(db.execute("SELECT id, state FROM job"))


def check_results(ledger, journals=(), repeats="refuse"):
    """I1: every acknowledged job has exactly one accepted result, or stands in a journal as owed. Answers these."""
    results = accepted(ledger, repeats)
    owed = {id for path in journals for id, state in journal_rows(path).items() if state < DELIVERED}
    for id in acknowledged(ledger):
        count = results.count(id)
        expect(count <= 1, "I1", "job", id, "has", count, "accepted results")
        expect(count == 1 or id in owed, "I1", "job", id, "has no result, and no journal owes one")
    expect(len(set(results)) == len(results), "I1", "a job has two accepted results:", results)
    return owed - set(results)


def check_runs(runs, idempotent=False):
    """I2: a handler is started at most once for a job and nonce. runs: dicts with id and nonce."""
    pairs = [(run["id"], run["nonce"]) for run in runs]
    expect(idempotent or len(set(pairs)) == len(pairs), "I2", "a handler was started twice:", pairs)


# ---- I3: what arrived ----


def check_bytes(client, runs, read_object, pipeline="p"):
    """I3: variables, artifacts and messages at the service are a handler's. runs: what each noted before it ended."""
    for details in client.list_action_executions(pipelineName=pipeline)["actionExecutionDetails"]:
        output = details.get("output", {})
        if details["actionName"] == "Make" and details["status"] == "Succeeded":
            check_made(output, runs, read_object)
        elif details["actionName"] == "Make" and details["status"] == "Failed":
            check_message(output, runs)


def check_made(output, runs, read_object):
    """All that arrived for an action is of one run."""
    variables, artifacts = output.get("outputVariables", {}), {}
    for artifact in output.get("outputArtifacts", []):
        place = artifact["s3location"]
        artifacts[artifact["name"]] = read_object(place["bucket"], place["key"])
    fitting = [
        run
        for run in runs
        if run.get("variables") == variables
        and set(artifacts.values()) == ({run["artifact"].encode()} if "artifact" in run else set())
    ]
    expect(fitting, "I3", "variables", variables, "and artifacts", artifacts, "are of none of", runs)


def check_message(output, runs):
    """A handler that notes why it fails has that arrive; else the words are the worker's."""
    wanted = {run["message"] for run in runs if "message" in run}
    said = output.get("executionResult", {}).get("errorDetails", {}).get("message")
    expect(said if not wanted else said in wanted, "I3", "message", said, "is none of", wanted)


# ---- I4: secrets ----


def json_forms(secret):
    plain = json.dumps(secret)[1:-1]
    return {plain, plain.replace("/", "\\/"), "".join(f"\\u{ord(char):04x}" for char in secret)}


def forms_of(secret):
    """The bytes a secret may hide as: plain, hex, base64 at each of three shifts, percent and JSON escapes."""
    raw = secret.encode()
    forms = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for shift in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            text = encode(b"\0" * shift + raw)
            whole = (len(raw) + shift) // 3 * 4  # of what follows the padding depends on the neighbours
            forms.add(text[(0, 2, 3)[shift] : whole])
    forms |= {quote(secret, safe="").encode() for quote in (urllib.parse.quote, urllib.parse.quote_plus)}
    return forms | {form.encode() for form in json_forms(secret)}


def read_all(paths):
    """(name, bytes) of files, and of all files below folders."""
    for path in map(os.fspath, paths):
        if os.path.isdir(path):
            for folder, _, names in os.walk(path):
                yield from read_all(os.path.join(folder, name) for name in names)
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                yield path, file.read()


def check_secrets(secrets, artefacts):
    """I4: in no artefact, (name, bytes), stands a secret, in whatever form."""
    forms = {form: secret for secret in secrets for form in forms_of(secret)}
    expect(forms, "I4", "there is no secret to look for")
    for name, data in artefacts:
        for form, secret in forms.items():
            expect(form not in data, "I4", f"{name} holds {secret[:6]}..., as {form[:24]!r}")


# ---- I5: how a process ended ----

TROUBLE = (b"Sanitizer", b"Fatal Python error", b"Segmentation fault", b"core dumped", b"lua5.4: ")


def check_end(status, errors, allowed=(0,)):
    """I5: the process ended as it may, and said nothing of a crash."""
    expect(status in allowed, "I5", "ended with", status, errors[-2000:].decode(errors="replace"))
    for word in TROUBLE:
        expect(word not in errors, "I5", errors[-2000:].decode(errors="replace"))


# ---- I6, I7: what is left of it in this process ----


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def threads():
    return len(os.listdir("/proc/self/task"))


def children():
    found = []
    for task in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError), open(f"/proc/self/task/{task}/children") as file:
            found += file.read().split()
    return len(found)


class Baseline:
    """I6: descriptors, threads and children of this process are, in the end, as many as they were."""

    def __init__(self):
        self.counts = self.count()

    @staticmethod
    def count():
        return {"descriptors": descriptors(), "threads": threads(), "children": children()}

    def check(self):
        end = time.monotonic() + SETTLE_S
        for turn in itertools.count():
            now = self.count()
            if all(now[what] <= self.counts[what] for what in now):
                return
            expect(time.monotonic() < end, "I6", "before:", self.counts, "after:", now)
            if turn == 4:
                gc.collect()  # dear, and seldom needed
            time.sleep(0.005)


def check_empty(folder):
    expect(not os.listdir(folder), "I6", "left in", folder, os.listdir(folder))


def check_memory(runs, per_job):
    """I7: from half of the jobs to their end, memory grew by no more than so many bytes a job."""
    heaps = [run["heap"] for run in runs]
    jobs = len(heaps) // 2
    grown = (heaps[-1] - heaps[-1 - jobs]) / jobs
    expect(grown <= per_job, "I7", "the heap grew by", grown, "bytes a job:", heaps)


def heap_bytes():
    """What malloc has given out and not got back; None where that is not told."""

    class Mallinfo2(ctypes.Structure):
        names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
        _fields_ = [(name, ctypes.c_size_t) for name in names]

    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):
        return None
    libc.mallinfo2.restype = Mallinfo2
    gc.collect()
    info = libc.mallinfo2()
    return info.uordblks + info.hblkhd
