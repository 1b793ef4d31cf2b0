# SPDX-License-Identifier: MIT
"""The worker against the emulator, with real pipelines; what Lua shares is in tests/scenarios."""

import asyncio
import contextlib
import functools
import gc
import hashlib
import io
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import weakref
import zipfile

import pytest

import codepipeline

ROLE = "arn:aws:iam::123456789012:role/pipeline"


def action(name, provider="Builder", category="Build", inputs=("Source",), outputs=(), **configuration):
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": "Custom", "provider": provider, "version": "1"},
        "inputArtifacts": [{"name": artifact} for artifact in inputs],
        "outputArtifacts": [{"name": artifact} for artifact in outputs],
        "configuration": configuration,
    }


def source():
    return {
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": "Source"}],
    }


class World:
    """An emulator with buckets, a source revision and a Build action type, and pipelines over it."""

    def __init__(self, emulator, client, folder):
        self.client = client
        for bucket in ("source", "artifacts"):
            emulator.create_bucket(bucket)
        with zipfile.ZipFile(folder / "app.zip", "w") as archive:
            archive.writestr("main.txt", "hello")
            archive.writestr("sub/ü.txt", "deep")
        client.upload_file(folder / "app.zip", "source", "app.zip")
        self.add_type("Builder")

    def add_type(self, provider, category="Build", queryable=False):
        self.client.create_custom_action_type(
            category=category,
            provider=provider,
            version="1",
            configurationProperties=[
                {"name": "Target", "required": queryable, "key": True, "secret": False, "queryable": queryable},
                {"name": "UserParameters", "required": False, "key": False, "secret": False},
            ],
            inputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
            outputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
        )

    def start(self, *actions, name="p"):
        """Makes the pipeline, which starts it."""
        self.client.create_pipeline(
            pipeline={
                "name": name,
                "roleArn": ROLE,
                "artifactStore": {"type": "S3", "location": "artifacts"},
                "stages": [{"name": "Source", "actions": [source()]}, {"name": "Work", "actions": list(actions)}],
            }
        )

    def state(self, action="Make", name="p"):
        states = self.client.get_pipeline_state(name=name)["stageStates"][1]["actionStates"]
        return next(s["latestExecution"] for s in states if s["actionName"] == action)

    def output(self):
        """The newest action execution's output."""
        return self.client.list_action_executions(pipelineName="p")["actionExecutionDetails"][0]["output"]

    def worker(self, **options):
        return codepipeline.Worker(self.client, **{"poll_interval": 0.02, **options})

    def run_one(self, handler, **options):
        """Runs one job with this handler; the action's state afterwards."""
        worker = self.worker()
        worker.job(category="Build", provider="Builder")(handler)
        outcome = worker.run_once(timeout=10)
        return outcome, self.state()


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


# ---- what a handler is given ----


def test_a_job_tells_where_it_stands(world):
    world.start(action("Make", outputs=["Binary"], Target="x", UserParameters='{"a": 1}'))
    seen = {}

    def handler(job):
        seen["job"] = job
        seen["work_dir"] = job.work_dir
        seen["data"] = job.data
        seen["raw"] = job.raw()
        pathlib.Path(job.work_dir, "scratch").write_text("x")
        job.output().write(b"binary")

    assert world.run_one(handler)[0] == "succeeded"
    job = seen["job"]
    assert (job.category, job.provider, job.version) == ("Build", "Builder", "1")
    assert (job.pipeline, job.stage, job.action) == ("p", "Work", "Make")
    assert job.pipeline_arn.endswith(":123456789012:p") and job.account_id == "123456789012"
    assert job.configuration == {"Target": "x", "UserParameters": '{"a": 1}'}
    assert job.user_parameters == '{"a": 1}'
    assert (job.inputs, job.outputs) == (("Source",), ("Binary",))
    assert job.state is None and job.continuation_token is None
    assert job.id and job.nonce and job.execution_id and job.action_execution_id
    assert repr(job) == f"<codepipeline.Job {job.id} of p/Work/Make>"
    assert not os.path.exists(seen["work_dir"])


def test_a_job_hides_its_credentials_unless_asked(world):
    world.start(action("Make"))
    seen = {}

    def handler(job):
        seen["shown"], seen["raw"], seen["text"] = job.data, job.raw(), repr(job) + repr(vars(job))

    world.run_one(handler)
    keys = seen["raw"]["data"]["artifactCredentials"]
    assert set(keys) == {"accessKeyId", "secretAccessKey", "sessionToken"}
    assert keys["secretAccessKey"] not in str(seen["shown"]) + seen["text"]
    assert keys["sessionToken"] not in str(seen["shown"]) + seen["text"]
    assert "***" in str(seen["shown"])


def test_an_input_can_be_had_in_three_ways(world, tmp_path):
    world.start(action("Make"))
    seen = {}

    def handler(job):
        seen["path"] = zipfile.is_zipfile(job.input("Source").path())
        seen["bytes"] = zipfile.ZipFile(io.BytesIO(job.input().read())).namelist()
        folder = pathlib.Path(job.input().extract())
        seen["texts"] = (folder / "main.txt").read_text(), (folder / "sub" / "ü.txt").read_text()
        assert job.input().extract(tmp_path / "mine") == str(tmp_path / "mine")

    assert world.run_one(handler)[0] == "succeeded"
    assert seen == {"path": True, "bytes": ["main.txt", "sub/ü.txt"], "texts": ("hello", "deep")}
    assert (tmp_path / "mine" / "main.txt").read_text() == "hello"


def test_an_unknown_artifact_fails_the_job_by_name(world):
    world.start(action("Make"))
    outcome, state = world.run_one(lambda job: job.input("Nonsense").read())
    assert (outcome, state["status"]) == ("failed", "Failed")
    assert "Nonsense" in state["errorDetails"]["message"]


def test_outputs_arrive_with_their_digest(world, tmp_path):
    world.start(action("Make", outputs=["Binary", "Report"]))
    (tmp_path / "out" / "bin").mkdir(parents=True)
    (tmp_path / "out" / "bin" / "tool").write_text("#!/bin/sh\n")
    os.chmod(tmp_path / "out" / "bin" / "tool", 0o755)
    seen = {}

    def handler(job):
        job.output("Binary").pack(tmp_path / "out")
        job.output("Report").write(bytearray(b"all well"))
        seen["digest"] = job.output("Report").digest()

    assert world.run_one(handler)[0] == "succeeded"
    files = {}
    for artifact in world.output()["outputArtifacts"]:
        location = artifact["s3location"]
        world.client.download_file(location["bucket"], location["key"], tmp_path / artifact["name"])
        files[artifact["name"]] = (tmp_path / artifact["name"]).read_bytes()
    assert files["Report"] == b"all well"
    assert seen["digest"] == hashlib.sha256(b"all well").hexdigest()
    codepipeline.extract(tmp_path / "Binary", tmp_path / "unpacked")
    assert os.access(tmp_path / "unpacked" / "bin" / "tool", os.X_OK)


KMS_KEY = "arn:aws:kms:us-east-1:123456789012:key/0e8a"


def encrypt(client, **changes):
    """A declaration of the pipeline "p" whose artifacts are encrypted with a key of the customer's."""
    pipeline = {**client.get_pipeline(name="p")["pipeline"], **changes}
    pipeline["artifactStore"]["encryptionKey"] = {"id": KMS_KEY, "type": "KMS"}
    return pipeline


@pytest.mark.parametrize("size", [10, 65 << 20])  # in one request, and in parts
def test_outputs_are_encrypted_with_the_key_that_the_job_names(world, client, size):
    world.start(action("Make", outputs=["Binary"]))
    world.run_one(lambda job: job.output("Binary").write(b"x"))
    client.update_pipeline(pipeline=encrypt(client))
    client.start_pipeline_execution(name="p")
    outcome, state = world.run_one(lambda job: job.output("Binary").write(b"x" * size))
    assert outcome == "succeeded" and state["status"] == "Succeeded"


def test_what_is_encrypted_otherwise_than_the_job_says_is_refused(world, client, boto3_client):
    world.start(action("Make", outputs=["Binary"]))
    world.run_one(lambda job: job.output("Binary").write(b"x"))
    client.create_pipeline(pipeline=encrypt(client, name="q"))
    kind = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}
    (data,) = [job["data"] for job in client.poll_for_jobs(actionTypeId=kind)["jobs"]]
    credentials, place = data["artifactCredentials"], data["outputArtifacts"][0]["location"]["s3Location"]
    s3 = boto3_client(
        "s3",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials["sessionToken"],
    )
    where = {"Bucket": place["bucketName"], "Key": place["objectKey"]}
    for algorithm, key in ((None, None), ("AES256", None), ("aws:kms", None), ("aws:kms", "e8a")):
        more = {"ServerSideEncryption": algorithm, "SSEKMSKeyId": key}
        more = {name: value for name, value in more.items() if value}
        for write in (s3.put_object, s3.create_multipart_upload):
            with pytest.raises(s3.exceptions.ClientError, match="AccessDenied"):
                write(**where, **more)
    for key in (KMS_KEY, "0e8a"):
        s3.put_object(Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId=key, **where)


def test_a_job_that_is_over_says_so(world):
    world.start(action("Make"))
    jobs = []
    world.run_one(jobs.append)
    assert jobs[0].action == "Make" and "Make" in repr(jobs[0])
    for use in (lambda job: job.data, lambda job: job.work_dir, lambda job: job.input().path()):
        with pytest.raises(codepipeline.StateError, match="the job is over"):
            use(jobs[0])


def test_a_job_is_for_one_thread_at_a_time(world):
    world.start(action("Make"))
    results = []

    def use(job):
        try:
            results.append(job.input().read()[:2])
        except codepipeline.StateError as error:
            results.append(str(error))

    def handler(job):
        threads = [threading.Thread(target=use, args=(job,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert world.run_one(handler)[0] == "succeeded"
    assert len(results) == 8 and b"PK" in results
    assert set(results) <= {b"PK", "another thread is using this job"}


# ---- what a handler may answer ----


@pytest.mark.parametrize(
    "answer",
    [
        lambda job: {"digest": "abc"},
        lambda job: codepipeline.Result({"digest": "abc"}),
        lambda job: job.succeed({"digest": "abc"}),
        lambda job: job.succeed(output_variables={"digest": "abc"}, summary="made"),
        lambda job: job.succeed({"digest": "abc"}) and None,
    ],
)
def test_output_variables_reach_the_service(world, answer):
    world.start(action("Make"))
    outcome, state = world.run_one(answer)
    assert (outcome, state["status"]) == ("succeeded", "Succeeded")
    assert world.output()["outputVariables"] == {"digest": "abc"}


def test_a_result_carries_its_details(world):
    world.start(action("Make"))
    result = codepipeline.Result(summary="all made", external_execution_id="run-7", percent_complete=100)
    assert repr(result) == "Result(summary='all made', external_execution_id='run-7', percent_complete=100)"
    state = world.run_one(lambda job: result)[1]
    assert (state["summary"], state["externalExecutionId"], state["percentComplete"]) == ("all made", "run-7", 100)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda job: {"n": 1}, "ParamValidationError: "),
        (lambda job: 7, "TypeError: a handler returns None, a dict or what job.succeed() answers, not int"),
        (lambda job: codepipeline.Result(colour="red"), "TypeError: "),
        (lambda job: job.later({"step": {1}}), "ParamValidationError: step: a value of type set cannot be sent"),
        (lambda job: job.later("x" * 2000), "TooLargeError: "),
        (lambda job: job.output("Binary").write("text"), "TypeError: "),
    ],
)
def test_an_answer_that_is_none_fails_the_job(world, answer, message):
    world.start(action("Make"))
    outcome, state = world.run_one(answer)
    assert (outcome, state["status"]) == ("failed", "Failed")
    assert state["errorDetails"]["message"].startswith(message)


def test_an_output_that_was_not_staged_fails_the_job(world):
    world.start(action("Make", outputs=["Binary"]))
    outcome, state = world.run_one(lambda job: None)
    assert (outcome, state["status"]) == ("failed", "Failed")
    assert "Binary" in state["errorDetails"]["message"]


class Quarrelsome(Exception):
    def __str__(self):
        raise RuntimeError("no text for you")


def raiser(error):
    def handler(job):
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RuntimeError("the compiler found errors"), "JobFailed", "RuntimeError: the compiler found errors"),
        (AssertionError(), "JobFailed", "AssertionError"),
        (
            codepipeline.ConfigurationError("Target is unknown"),
            "ConfigurationError",
            "ConfigurationError: Target is unknown",
        ),
        (PermissionError(13, "Permission denied"), "PermissionError", "PermissionError: [Errno 13] Permission denied"),
        (codepipeline.ClientError("no", code="AccessDenied", http_status=403), "PermissionError", "ClientError: "),
        (SystemExit(3), "JobFailed", "SystemExit: 3"),
        (OSError("\udcff"), "JobFailed", "OSError: \\udcff"),
        (Quarrelsome(), "JobFailed", "Quarrelsome: (its text cannot be had)"),
        (ValueError("x" * 6000), "JobFailed", "ValueError: xxxxxxxx"),
    ],
)
def test_an_exception_fails_the_job_with_its_type_and_text(world, caplog, error, code, message):
    world.start(action("Make"))
    outcome, state = world.run_one(raiser(error))
    assert (outcome, state["status"]) == ("failed", "Failed")
    assert state["errorDetails"]["message"].startswith(message)
    assert len(state["errorDetails"]["message"]) <= 5000
    assert state["errorDetails"]["code"] == code
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.name == "codepipeline" and record.exc_info[1] is error


def test_a_job_can_be_failed_without_raising(world, caplog):
    world.start(action("Make"))
    outcome, state = world.run_one(lambda job: job.fail("not today", type="SystemUnavailable"))
    assert (outcome, state["status"]) == ("failed", "Failed")
    assert state["errorDetails"] == {"code": "SystemUnavailable", "message": "not today"}
    assert not caplog.records


def test_a_job_goes_on_later_with_its_state(world):
    world.start(action("Make"))
    seen = []

    def handler(job):
        seen.append((job.id, job.state))
        if len(seen) == 1:
            return job.later({"step": 1, "names": ["ä", None]}, after=0.2, percent_complete=40)
        return None

    begin = time.monotonic()
    outcome, state = world.run_one(handler)
    assert (outcome, state["status"]) == ("continued", "InProgress")
    assert world.run_one(handler)[0] == "succeeded"
    assert time.monotonic() - begin >= 0.2
    assert [state for _, state in seen] == [None, {"step": 1, "names": ["ä", None]}]
    assert seen[0][0] != seen[1][0]


def test_an_exception_after_succeed_is_a_failure(world):
    world.start(action("Make"))

    def handler(job):
        job.succeed(summary="too early")
        raise RuntimeError("after all")

    assert world.run_one(handler)[1]["status"] == "Failed"


def test_a_job_whose_result_nobody_takes_is_logged_and_the_worker_lives(world, caplog):
    world.start(action("Make"))

    def handler(job):
        world.client.put_job_failure_result(jobId=job.id, failureDetails={"type": "JobFailed", "message": "meddled"})

    outcome, state = world.run_one(handler)
    assert outcome == "unreported"
    assert state["errorDetails"]["message"] == "meddled"
    assert "could not be sent" in caplog.text


def cancelling(world):
    """A worker that is told to end while its one job runs, so that it does not wait for a result to get through."""
    world.start(action("Make"))
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        worker.cancel()

    return worker


def test_a_run_ends_with_0_when_a_result_got_through_in_the_end(world, emulator):
    emulator.fault("reset", "PutJobSuccessResult", times=3)  # what the client tries by itself
    summary = cancelling(world).run()
    assert (int(summary), summary.succeeded, summary.unreported) == (0, 1, 0)
    assert world.state()["status"] == "Succeeded"


def test_a_run_ends_with_1_when_a_result_is_still_owed(world, emulator):
    emulator.fault("reset", "PutJobSuccessResult", times=None)
    summary = cancelling(world).run()
    assert (int(summary), summary.succeeded, summary.unreported) == (1, 0, 1)


def test_a_run_ends_with_0_when_somebody_else_has_answered(world):
    world.start(action("Make"))
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        world.client.put_job_failure_result(jobId=job.id, failureDetails={"type": "JobFailed", "message": "meddled"})
        worker.stop()

    assert repr(worker.run()) == "Summary(succeeded=0, failed=0, continued=0, unreported=0)"


def test_a_handler_cannot_take_its_thread_along(world):
    """A thread less, and the next job would be handed to nobody."""
    world.start(action("One"), action("Two"))
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        if job.action == "One":
            raise KeyboardInterrupt("of its own")
        worker.stop()

    summary = worker.run()
    assert (summary.succeeded, summary.failed, int(summary)) == (1, 1, 0)


def test_a_job_whose_guard_cannot_be_had_is_given_up_and_the_next_one_runs(world, monkeypatch):
    world.start(action("One"))
    worker, refused = world.worker(), []

    @worker.job(category="Build", provider="Builder", timeout=60)
    def handler(job):
        worker.stop()

    def watch(job):
        if not refused:
            refused.append(job.id)
            world.client.start_pipeline_execution(name="p")
            raise MemoryError("no thread")

    monkeypatch.setattr(worker, "_watch", watch)
    summary = worker.run()
    assert (summary.succeeded, summary.failed, int(summary)) == (1, 1, 0)


def raise_in(kind, job):
    raise kind("no")


async def raise_later(kind, job):
    raise kind("no")


@pytest.mark.parametrize(
    ("ending", "kind"),
    [(raise_in, ValueError), (raise_in, SystemExit), (raise_in, KeyboardInterrupt), (raise_later, ValueError)],
)
def test_a_worker_that_nobody_has_any_more_lets_go_of_its_journal(world, tmp_path, monkeypatch, ending, kind):
    """At once, and not when the garbage collector comes: an exception and the frame it is kept in keep each other."""
    world.start(action("Make"))
    worker = world.worker(journal=tmp_path / "jobs.db")
    worker.job(category="Build", provider="Builder")(functools.partial(ending, kind))
    monkeypatch.setattr(logging.getLogger("codepipeline"), "disabled", True)  # what pytest keeps of it has tracebacks
    gc.collect()
    gc.disable()
    try:
        with contextlib.suppress(KeyboardInterrupt):  # and not within an assert, which would keep the worker
            worker.run_once(timeout=10)
        gone = weakref.ref(worker)
        del worker
        assert gone() is None
        world.worker(journal=tmp_path / "jobs.db")
    finally:
        gc.enable()
    assert world.state()["status"] == "Failed"


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_coroutine_that_would_end_the_program_ends_its_job_alone(world, kind):
    """asyncio lets both end its loop, which is that of all coroutines."""
    world.start(action("One"), action("Two"), action("Three"))
    worker, begun = world.worker(concurrency=3), set()

    @worker.job(category="Build", provider="Builder")
    async def handler(job):
        begun.add(job.action)
        if job.action == "One":
            raise kind("of its own")
        if job.action == "Two":
            await asyncio.gather(raise_later(kind, job))  # in a task of its own
        while len(begun) < 3 or worker._core.running > 1:
            await asyncio.sleep(0.01)
        worker.stop()

    summary = worker.run()
    assert (summary.succeeded, summary.failed, int(summary)) == (1, 2, 0)


def test_a_handler_that_forks_is_answered_for_by_the_first_process_alone(world):
    world.start(action("Make"))
    here, worker = os.getpid(), world.worker()

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        path = pathlib.Path(job.work_dir, "mine")
        path.write_text("x")
        child = os.fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            assert path.exists()  # with the child's copy of the job it did not go
        return {"by": "the first" if child else "the second"}

    outcome = worker.run_once(timeout=10)
    if os.getpid() != here:
        os._exit(outcome != "unreported")
    assert outcome == "succeeded"
    assert world.output()["outputVariables"] == {"by": "the first"}


# ---- many jobs ----


def test_handlers_run_side_by_side(world):
    world.start(*[action(f"Make{number}") for number in range(4)])
    worker = world.worker(concurrency=4)
    together = threading.Barrier(4, timeout=20)
    done = []

    @worker.job(category="Build", provider="Builder")
    def build(job):
        together.wait()
        done.append(job.action)
        if len(done) == 4:
            worker.stop()

    summary = worker.run()
    assert summary == 0 and (summary.succeeded, summary.failed) == (4, 0)
    assert sorted(done) == [f"Make{number}" for number in range(4)]


def test_each_action_type_has_its_handler(world):
    world.add_type("Tester", "Test")
    world.start(action("Make"), action("Check", "Tester", "Test"))
    worker = world.worker()
    done = {}

    @worker.job(category="Build", provider="Builder")
    def build(job):
        done[job.action] = "build"

    @worker.job(category="Test", provider="Tester", version="1")
    def check(job):
        done[job.action] = "test"
        raise RuntimeError("found a fault")

    assert {worker.run_once(timeout=10), worker.run_once(timeout=10)} == {"succeeded", "failed"}
    assert done == {"Make": "build", "Check": "test"}
    with pytest.raises(codepipeline.ParamValidationError):
        worker.job(category="Build", provider="Builder")(build)


def test_a_query_takes_only_the_jobs_it_names(world):
    world.add_type("Chooser", queryable=True)
    world.start(action("A", "Chooser", Target="a"), action("B", "Chooser", Target="b"))
    worker = world.worker()
    taken = []
    worker.job(category="Build", provider="Chooser", query={"Target": "b"})(lambda job: taken.append(job.action))
    assert worker.run_once(timeout=10) == "succeeded"
    assert worker.run_once(timeout=0.3) is None
    assert taken == ["B"]
    with pytest.raises(ValueError, match="one property"):
        worker.job(category="Build", provider="Builder", query={})


def test_no_job_within_the_time_is_none(world):
    worker = world.worker()
    worker.job(category="Build", provider="Builder")(print)
    begin = time.monotonic()
    assert worker.run_once(timeout=0.3) is None
    assert 0.25 < time.monotonic() - begin < 5
    worker.stop()
    assert worker.run_once() is None


def test_the_worker_outlives_a_service_that_is_away(world, emulator, caplog):
    nowhere = codepipeline.Client(endpoint_url="http://127.0.0.1:1", max_attempts=1)
    worker = codepipeline.Worker(nowhere, poll_interval=0.02)
    worker.job(category="Build", provider="Builder")(print)
    assert worker.run_once(timeout=0.5) is None
    assert caplog.text.count("trouble with the service") == 1


def test_a_result_outlasts_a_restart_of_the_service(tmp_path):
    path = tmp_path / "state.db"
    running = [codepipeline.Emulator(path=path)]
    port = int(running[0].url.rsplit(":", 1)[1])
    world = World(running[0], running[0].client(max_attempts=1), tmp_path)
    world.start(action("Make"))

    def handler(job):
        running.pop().close()
        threading.Timer(0.7, lambda: running.append(codepipeline.Emulator(port, path))).start()
        return {"kept": "yes"}

    outcome, state = world.run_one(handler)
    assert (outcome, state["status"]) == ("succeeded", "Succeeded")
    assert world.output()["outputVariables"] == {"kept": "yes"}
    running.pop().close()


def test_an_error_that_will_not_pass_ends_the_run(world):
    worker = codepipeline.Worker(codepipeline.Client(secret_access_key="wrong", access_key_id="AKIDWRONG"))
    worker.job(category="Build", provider="Builder")(print)
    with pytest.raises(codepipeline.ClientError):
        worker.run()


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"concurrency": 0}, ValueError),
        ({"poll_interval": -1}, ValueError),
        ({"artifact_limit": -1}, ValueError),
        ({"colour": 1}, TypeError),
    ],
)
def test_malformed_options_are_refused(client, options, kind):
    with pytest.raises(kind):
        codepipeline.Worker(client, **options)


def test_a_worker_without_a_handler_does_not_wait_for_ever(client):
    with pytest.raises(codepipeline.StateError, match="no handler") as caught:
        codepipeline.Worker(client).run()
    assert caught.value.__context__ is None  # its farewell does not say so once more


def test_a_malformed_action_type_is_refused(client):
    worker = codepipeline.Worker(client)
    with pytest.raises(codepipeline.ParamValidationError):
        worker.job(category="Bake", provider="Builder")(print)


# ---- the end ----

DRAIN = """
import codepipeline, sys, time
worker = codepipeline.Worker(poll_interval=0.02)

@worker.job(category="Build", provider="Builder")
def build(job):
    print("running", flush=True)
    time.sleep(1)
    return {"finished": "yes"}

sys.exit(worker.run())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_finish(world, number):
    world.start(action("Make"), {**action("Next"), "runOrder": 2})
    with subprocess.Popen([sys.executable, "-c", DRAIN], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        rest = process.communicate(timeout=20)[0]
    assert process.returncode == 0
    assert rest == ""
    assert world.state()["status"] == "Succeeded"
    assert world.state("Next")["status"] == "InProgress"


def test_a_third_ctrl_c_does_what_it_did_before(world):
    world.start(action("Make"))
    with subprocess.Popen(
        [sys.executable, "-c", DRAIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout.readline() == "running\n"
        for _ in range(2):
            p.send_signal(signal.SIGINT)
            time.sleep(0.2)
        p.send_signal(signal.SIGINT)
        errors = p.communicate(timeout=20)[1]
    assert "KeyboardInterrupt" in errors and p.returncode != 0


def test_a_worker_runs_outside_the_main_thread(world):
    world.start(action("Make"))
    worker = world.worker()
    worker.job(category="Build", provider="Builder")(lambda job: worker.stop())
    results = []
    thread = threading.Thread(target=lambda: results.append(worker.run()))
    thread.start()
    thread.join(20)
    assert [summary.succeeded for summary in results] == [1]


def test_jobs_leak_nothing(world):
    world.start(*[action(f"Make{number}", outputs=[f"Out{number}"]) for number in range(12)])
    worker = world.worker()

    @worker.job(category="Build", provider="Builder")
    def build(job):
        job.input().extract()
        job.output().write(b"x" * 1000)
        return {"a": "b"}

    for _ in range(4):
        assert worker.run_once(timeout=10) == "succeeded"
    before = sys.getallocatedblocks()
    for _ in range(8):
        assert worker.run_once(timeout=10) == "succeeded"
    assert sys.getallocatedblocks() - before < 200
