# SPDX-License-Identifier: MIT
"""Canary secrets, in all that a worker leaves: output, logs, journal, files, children. And the judge judged."""

import base64
import json
import os
import subprocess
import threading
import urllib.parse

import pytest

import judge
from host import Host
from workbench import OWNER_SECRET, PARAMETER

PHASES = ("extracting", "running", "packaging", "PutObject", "PutJobSuccessResult", "PutThirdPartyJobSuccessResult")


class Photographer:
    """Keeps what stands on the disk, and in the worker's arguments, at each phase."""

    def __init__(self, machine):
        self.machine, self.pictures = machine, []

    def __call__(self, name, when, sender):
        if name not in PHASES or when != "before":
            return
        for path, data in judge.read_all([self.machine.disk.folder]):
            self.pictures.append((f"{path} at {name}", data))
        for pid in filter(None, (self.machine.victim.pid, sender)):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.pictures.append((f"arguments of {pid}", file.read()))


@pytest.mark.parametrize(
    ("language", "environ"),
    [
        ("python", {}),
        ("python", {"HANDLER": "raise"}),
        ("python", {"ISOLATION": 1}),
        ("python", {"THIRD_PARTY": 1}),
        ("lua", {}),
        ("lua", {"THIRD_PARTY": 1}),
    ],
    ids=["thread", "raise", "process", "third-party", "lua", "lua-third-party"],
)
def test_no_artefact_of_a_run_holds_a_secret(language, environ, tmp_path):
    with Host(tmp_path, language=language, **environ) as machine:
        photographer = machine.road.watch = Photographer(machine)
        machine.spawn()
        machine.wait(1)
        machine.stop()
        machine.judge()
        secrets = machine.secrets()
        assert len(secrets) >= (3 if environ.get("THIRD_PARTY") else 2)
        assert photographer.pictures or environ.get("HANDLER")
        judge.check_secrets(secrets, photographer.pictures)


# ---- a judge that cannot condemn is none ----


def entry(operation, status=200, id="job-1", **more):
    return {"operation": operation, "status": status, "job_id": id, **more}


ACK, DONE, FAILED = (entry(name) for name in ("AcknowledgeJob", "PutJobSuccessResult", "PutThirdPartyJobFailureResult"))


@pytest.mark.parametrize("ledger", [[ACK], [ACK, DONE, FAILED], [ACK, entry("PutJobSuccessResult", 500)], [DONE, DONE]])
def test_a_job_without_one_result_is_noticed(ledger):
    judge.check_results([ACK, DONE])
    with pytest.raises(judge.Broken, match="I1"):
        judge.check_results(ledger)


def test_a_second_start_is_noticed():
    runs = [{"id": "a", "nonce": "1"}, {"id": "a", "nonce": "2"}]
    judge.check_runs(runs)
    judge.check_runs(runs * 2, idempotent=True)
    with pytest.raises(judge.Broken, match="I2"):
        judge.check_runs([*runs, runs[0]])


class Service:
    """What a client tells of one action: that it ended so, with this output."""

    def __init__(self, status, **output):
        self.answer = {"actionName": "Make", "status": status, "output": output}

    def list_action_executions(self, pipelineName):
        return {"actionExecutionDetails": [{"actionName": "Source", "status": "Succeeded"}, self.answer]}


def made(data=b"made by a", **variables):
    artifact = {"name": "Binary", "s3location": {"bucket": "b", "key": "k"}}
    service = Service("Succeeded", outputVariables=variables, outputArtifacts=[artifact] if data else [])
    return service, lambda bucket, key: data


RUNS = [{"artifact": f"made by {id}", "variables": {"job": id}} for id in "ab"]


def test_what_no_handler_made_is_noticed():
    service, read = made(job="a")
    judge.check_bytes(service, RUNS, read)
    for service, read in (
        made(job="c"),  # other variables
        made(),  # none
        made(b"made by c", job="a"),  # another artifact
        made(b"", job="a"),  # none
        made(job="b"),  # the variables of one run, the artifact of another
    ):
        with pytest.raises(judge.Broken, match="I3: variables"):
            judge.check_bytes(service, RUNS, read)
    with pytest.raises(judge.Broken, match="I3"):  # nobody made anything
        judge.check_bytes(made(job="a")[0], [], read)


def test_a_message_that_no_handler_gave_is_noticed():
    def failed(message):
        return Service("Failed", executionResult={"errorDetails": {"code": "JobFailed", "message": message}})

    judge.check_bytes(failed("no good"), [{"message": "no good"}], None)
    judge.check_bytes(failed("the worker stopped"), RUNS, None)
    for message, runs in (("no goo", [{"message": "no good"}]), ("", RUNS)):
        with pytest.raises(judge.Broken, match="I3: message"):
            judge.check_bytes(failed(message), runs, None)


FORMS = [
    lambda secret: secret.encode(),
    lambda secret: secret.encode().hex().encode(),
    lambda secret: secret.encode().hex().upper().encode(),
    *(lambda secret, n=n: base64.b64encode(b"xyz"[:n] + secret.encode() + b"more") for n in range(3)),
    lambda secret: base64.urlsafe_b64encode(b"x" + secret.encode()),
    lambda secret: urllib.parse.quote(secret, safe="").encode(),
    lambda secret: urllib.parse.urlencode({"password": secret}).encode(),
    lambda secret: json.dumps({"password": secret}).encode(),
    lambda secret: json.dumps({"password": secret}).replace("/", "\\/").encode(),
    lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret).encode(),
]


@pytest.mark.parametrize("secret", [OWNER_SECRET, PARAMETER], ids=["owner", "parameter"])
@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_secret_is_found_in_every_form(secret, form):
    judge.check_secrets([secret], [("clean", b"nothing here " + secret[:-1].encode())])
    with pytest.raises(judge.Broken, match="I4: the log"):
        judge.check_secrets([secret], [("the log", b"before " + FORMS[form](secret) + b" after")])


def test_a_search_for_no_secrets_is_noticed():
    with pytest.raises(judge.Broken, match="I4"):
        judge.check_secrets([], [("the log", b"")])


def test_what_stays_open_is_noticed(monkeypatch):
    monkeypatch.setattr(judge, "SETTLE_S", 0.05)
    baseline = judge.Baseline()
    baseline.check()
    left = [os.dup(1) for _ in range(20)]  # more than others may close meanwhile
    with pytest.raises(judge.Broken, match="I6"):
        baseline.check()
    for one in left:
        os.close(one)


def test_a_thread_or_a_child_that_stays_is_noticed(monkeypatch):
    monkeypatch.setattr(judge, "SETTLE_S", 0.05)
    baseline, over = judge.Baseline(), threading.Event()
    threads = [threading.Thread(target=over.wait) for _ in range(20)]
    for thread in threads:
        thread.start()
    with pytest.raises(judge.Broken, match="I6"):
        baseline.check()
    over.set()
    for thread in threads:
        thread.join()
    with subprocess.Popen(["sleep", "60"]) as child:
        with pytest.raises(judge.Broken, match="I6"):
            baseline.check()
        child.kill()


def test_a_folder_that_stays_is_noticed(tmp_path):
    judge.check_empty(tmp_path)
    (tmp_path / "codepipeline-left").mkdir()
    with pytest.raises(judge.Broken, match="I6"):
        judge.check_empty(tmp_path)


def test_memory_that_grows_is_noticed():
    judge.check_memory([{"heap": 1000 + n * 10} for n in range(10)], 10)
    with pytest.raises(judge.Broken, match="I7"):
        judge.check_memory([{"heap": 1000 + n * 11} for n in range(10)], 10)


def test_an_end_that_may_not_be_is_noticed():
    judge.check_end(-9, b"", (0, -9))
    for status, errors in ((1, b""), *((0, b"before " + word + b" after") for word in judge.TROUBLE)):
        with pytest.raises(judge.Broken, match="I5"):
            judge.check_end(status, errors)
