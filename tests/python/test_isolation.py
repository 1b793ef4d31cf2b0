# SPDX-License-Identifier: MIT
"""Handlers in processes of their own, and time limits; the lines between the two are tested in tests/c/t_isolate.c."""

import logging
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import codepipeline
import isolated_handlers as handlers
import isolated_hooks as hooks
from conftest import CLEAN, SANITIZED
from test_worker import World, action

pytestmark = pytest.mark.skipif(SANITIZED, reason=CLEAN)


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


def run(world, handler, outputs=(), jobs=1, worker=None, **options):
    world.start(action("Make", outputs=outputs, Target="x"))
    worker = worker or world.worker()
    worker.job(category="Build", provider="Builder", isolation="process", **options)(handler)
    return [worker.run_once(timeout=10) for _ in range(jobs)][-1]


def test_a_handler_in_a_process_does_what_one_in_a_thread_does(world):
    assert run(world, handlers.build, outputs=["One", "Two", "Three"]) == "succeeded"
    output = world.output()
    variables = output["outputVariables"]
    assert variables.pop("pid") != str(os.getpid())
    assert variables == {
        "pipeline": "p",
        "target": "x",
        "digest": "3fc4ccfe",
        "secret": "yes",
        "idle": "Summary(succeeded=0, failed=0, continued=0, unreported=0)",
    }
    assert [artifact["name"] for artifact in output["outputArtifacts"]] == ["One", "Two", "Three"]


def test_it_continues_with_its_state(world):
    assert run(world, handlers.again, jobs=2) == "succeeded"
    assert world.state()["summary"] == "ü"


def test_it_knows_its_time(world):
    assert run(world, handlers.tells_its_time, timeout=60) == "succeeded"
    assert world.output()["outputVariables"] == {"fine": "True"}


def test_a_generator_goes_on_in_the_next_process(world):
    assert run(world, handlers.goes_on, jobs=2) == "succeeded"
    assert world.output()["outputVariables"]["other"] == "True"


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("refused", "ConfigurationError", "not this"),
        ("missing", "ConfigurationError", 'INVALID the job has no input artifact "None"'),
        ("raises", "PermissionError", "no key for the door"),
        ("raw", "JobFailed", "credentials stay"),
        ("crashes", "JobFailed", "signal 11"),
        ("exits", "JobFailed", "status 7"),
    ],
)
def test_what_goes_wrong_in_it_fails_the_job_with_the_cause(world, name, code, words):
    assert run(world, getattr(handlers, name)) == "failed"
    error = world.state()["errorDetails"]
    assert (error["code"], words in error["message"]) == (code, True), error


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("hangs", {"timeout": 1.0}, "longer than its time limit of 1 seconds"),
        ("eats_memory", {"limits": {"memory": 512 << 20}}, "MemoryError"),
        ("writes_much", {"limits": {"file_size": 1 << 20}}, "File too large"),
    ],
)
def test_limits(world, name, options, words):
    started = time.monotonic()
    assert run(world, getattr(handlers, name), **options) == "failed"
    assert time.monotonic() - started < 20
    error = world.state()["errorDetails"]
    assert (error["code"], words in error["message"]) == ("JobFailed", True), error


def test_the_worker_takes_the_next_job(world):
    worker = world.worker()
    assert run(world, handlers.crashes, worker=worker) == "failed"
    world.client.retry_stage_execution(
        pipelineName="p",
        stageName="Work",
        pipelineExecutionId=world.client.list_pipeline_executions(pipelineName="p")["pipelineExecutionSummaries"][0][
            "pipelineExecutionId"
        ],
        retryMode="FAILED_ACTIONS",
    )
    assert worker.run_once(timeout=10) == "failed"


def test_it_hears_that_it_is_cancelled(world):
    worker = world.worker()
    threading.Timer(0.7, worker.cancel).start()
    assert run(world, handlers.waits, worker=worker) == "failed"
    assert world.state()["errorDetails"]["message"] == "heard it"


def test_what_it_prints_goes_to_standard_error(world, capfd):
    assert run(world, handlers.prints) == "succeeded"
    out, err = capfd.readouterr()
    assert out == ""
    assert "for people" in err and "more" in err


def test_a_program_is_its_own_module(world, emulator, tmp_path):
    """The child runs the program's file under another name, and the Worker in it is idle."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import codepipeline
        worker = codepipeline.Worker(codepipeline.Client(region="us-east-1"), poll_interval=0.02, journal="jobs.db")

        @worker.job(category="Build", provider="Builder", isolation="process")
        def build(job):
            worker.stop() if __name__ == "__main__" else None
            return {"name": __name__.strip("_")}

        if __name__ == "__main__":
            print(worker.run_once(timeout=10))
        """)
    )
    world.start(action("Make"))
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False
    )
    assert done.stdout == "succeeded\n", done.stderr
    assert world.output()["outputVariables"] == {"name": "codepipeline_child"}


def test_options_are_checked(client):
    worker = codepipeline.Worker(client)

    def local(job):
        pass

    for options in (
        {"isolation": "cage"},
        {"limits": {"memory": 1}},
        {"isolation": "process", "limits": {"disk": 1}},
        {"isolation": "process"},
    ):
        with pytest.raises(ValueError, match=r"isolation|limit"):
            worker.job(category="Build", provider="Builder", **options)(local)


# ---- in a thread ----


def test_a_thread_that_takes_too_long_is_reported_at_its_timeout(world, caplog):
    world.start(action("Make"))
    worker = world.worker()
    reported = []

    @worker.job(category="Build", provider="Builder", timeout=0.3)
    def build(job):
        assert job.wait_cancelled(10)
        deadline = time.monotonic() + 5
        while world.state()["status"] != "Failed" and time.monotonic() < deadline:
            time.sleep(0.01)
        reported.append(world.state())

    with caplog.at_level(logging.ERROR, "codepipeline"):
        assert worker.run_once(timeout=10) == "failed"
    assert "time limit" in reported[0]["errorDetails"]["message"]


def test_a_thread_that_is_in_time_has_its_own_result(world):
    world.start(action("Make"))
    worker = world.worker()
    worker.job(category="Build", provider="Builder", timeout=30)(lambda job: {"a": "b"})
    assert worker.run_once(timeout=10) == "succeeded"


@pytest.mark.parametrize(
    ("name", "variables"), [("names", {"target": "x", "from": "Source"}), ("pauses", {"waited": "yes"})]
)
def test_parameters_by_name_and_coroutines_work_there_too(world, name, variables):
    assert run(world, getattr(handlers, name)) == "succeeded"
    assert world.output()["outputVariables"] == variables


# ---- hooks ----


def hooked(world, handler, jobs=1, **hooks):
    """Runs jobs with hooks of a worker and of a router: before_of_router=[...] and the like."""
    world.start(action("Make", Target="x"))
    worker, router = world.worker(), codepipeline.Router()
    router.job(category="Build", provider="Builder", isolation="process")(handler)
    worker.include(router)
    for name, functions in hooks.items():
        kind, _, owner = name.rpartition("_of_")
        for function in functions:
            getattr({"worker": worker, "router": router}[owner], kind)(function)
    return [worker.run_once(timeout=20) for _ in range(jobs)]


def test_hooks_run_around_it_in_the_order_they_would_here(world):
    around = {name: [getattr(hooks, name)] for name in dir(hooks) if "_of_" in name}
    assert hooked(world, handlers.quiet, **around) == ["succeeded"]
    assert world.state()["summary"] == "worker, router, router succeeded, worker succeeded"
    assert hooks.told == []  # not in this process


def test_a_hook_answers_in_its_place(world):
    assert hooked(world, handlers.raises, before_of_worker=[hooks.answers]) == ["succeeded"]
    assert world.output()["outputVariables"] == {"instead": "Make"}


def test_a_hook_that_raises_fails_its_job(world):
    assert hooked(world, handlers.quiet, after_of_router=[hooks.breaks]) == ["failed"]
    assert world.state()["errorDetails"]["message"] == "RuntimeError: the hook is broken"


def test_an_error_becomes_another_answer(world):
    assert hooked(world, handlers.raises, jobs=2, on_error_of_router=[hooks.tries_again]) == ["continued", "failed"]
    assert world.state()["errorDetails"]["message"] == "PermissionError: no key for the door"


def test_a_hook_that_no_other_process_has_is_an_error_at_once(world):
    worker = world.worker()
    worker.job(category="Build", provider="Builder", isolation="process")(handlers.quiet)
    worker.after(lambda job, outcome: None)
    for run_it in (worker.run, worker.run_once):
        with pytest.raises(ValueError, match=r"a hook \(after\) of a handler with isolation=\"process\" is a function"):
            run_it()
