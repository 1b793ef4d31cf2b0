# SPDX-License-Identifier: MIT
"""Routers, hooks, parameters by name, coroutines and failures, against the emulator."""

import asyncio
import pathlib
import pickle
import threading

import pytest

import codepipeline
from test_worker import World, action

BUILDER = {"category": "Build", "provider": "Builder"}


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


def message(state):
    return state["errorDetails"]["message"]


# ---- parameters by name ----


def test_a_handler_gets_what_it_names(world):
    world.start(action("Make", outputs=["Binary"], Target="x", UserParameters='{"a": 1}'))
    seen = {}

    def build(job, configuration, parameters, state, client, logger, Source, Binary, more=7):
        seen.update(locals())
        Binary.write(Source.read())

    assert world.run_one(build)[0] == "succeeded"
    assert seen["job"].action == "Make" and seen["configuration"]["Target"] == "x" and seen["parameters"] == {"a": 1}
    assert seen["state"] is None and seen["client"] is world.client and seen["more"] == 7
    assert isinstance(seen["Source"], codepipeline.Input) and isinstance(seen["Binary"], codepipeline.Output)
    assert seen["logger"].extra == {"job_id": seen["job"].id}


def test_a_path_is_a_folder_in_and_a_folder_out(world):
    world.start(action("Make", outputs=["Binary"]))

    def build(Source: pathlib.Path, Binary: "pathlib.Path"):
        (Binary / "copy.txt").write_bytes((Source / "main.txt").read_bytes())

    assert world.run_one(build)[1]["status"] == "Succeeded"


def test_a_folder_is_not_packed_for_a_failure(world):
    world.start(action("Make", outputs=["Binary"]))

    def build(job, Binary: pathlib.Path):
        return job.fail("no")

    assert message(world.run_one(build)[1]) == "no"


def test_a_parameter_nobody_knows_is_refused_at_registration(world):
    def build(job, configuratoin):
        pass

    for owner in (world.worker(), codepipeline.Router()):
        with pytest.raises(TypeError, match="nobody knows the parameter 'configuratoin'; there are job, "):
            owner.job(**BUILDER)(build)


def test_an_artifact_the_job_has_not_fails_it_and_tells_which_it_has(world):
    world.start(action("Make"))
    outcome, state = world.run_one(lambda job, Sauce: None)
    assert outcome == "failed" and state["errorDetails"]["code"] == "ConfigurationError"
    assert "no artifact 'Sauce'; it has Source" in message(state)


def test_one_parameter_of_any_name_is_the_job(world):
    world.start(action("Make"))
    assert world.run_one(lambda work: {"id": work.action})[0] == "succeeded"
    assert world.output()["outputVariables"] == {"id": "Make"}


def test_a_handler_in_a_process_of_its_own_has_no_client(world):
    with pytest.raises(ValueError, match="has no client"):
        world.worker().job(**BUILDER, isolation="process")(with_client)


def with_client(job, client):
    pass


# ---- routers and hooks ----


def test_a_router_brings_its_handlers_and_hooks(world):
    world.start(action("Make"))
    router, worker, told = codepipeline.Router(), world.worker(), []

    @router.job(**BUILDER)
    def build(job):
        told.append("handler")
        return {"a": "b"}

    for name, owner in (("worker", worker), ("router", router)):
        owner.before(lambda job, name=name: told.append(f"before {name}"))
        owner.after(lambda job, outcome, name=name: told.append(f"after {name} {outcome.name}"))
    worker.include(router)
    assert worker.run_once(timeout=10) == "succeeded"
    expected = ["before worker", "before router", "handler", "after router succeeded", "after worker succeeded"]
    assert told == expected
    assert world.output()["outputVariables"] == {"a": "b"}


def test_the_hooks_of_a_router_are_for_its_own_handlers(world):
    world.start(action("Make"))
    router, worker, told = codepipeline.Router(), world.worker(), []
    router.before(told.append)
    router.job(category="Test", provider="Other")(lambda job: None)
    worker.job(**BUILDER)(lambda job: None)
    world.add_type("Other", category="Test")
    worker.include(router)
    assert worker.run_once(timeout=10) == "succeeded"
    assert told == []


def test_before_may_answer_in_the_handlers_place(world):
    world.start(action("Make"))
    worker = world.worker()
    worker.before(lambda job: job.fail("closed on Sundays"))
    worker.job(**BUILDER)(lambda job: pytest.fail("must not run"))
    assert worker.run_once(timeout=10) == "failed"
    assert message(world.state()) == "closed on Sundays"


def test_on_error_may_answer_in_the_failures_place(world, caplog):
    world.start(action("Make"))
    worker, told = world.worker(), []

    @worker.on_error
    def again(job, error):
        told.append(str(error))
        return job.later("again") if job.state is None else None

    worker.after(lambda job, outcome: told.append(outcome.name))

    @worker.job(**BUILDER)
    def build(job):
        raise RuntimeError("flaky")

    assert [worker.run_once(timeout=10) for _ in range(2)] == ["continued", "failed"]
    assert told == ["flaky", "continued", "flaky", "failed"]
    assert message(world.state()) == "RuntimeError: flaky"


def test_a_hook_that_raises_fails_the_job(world):
    world.start(action("Make"))
    worker = world.worker()

    @worker.after
    def broken(job, outcome):
        raise RuntimeError("the hook is broken")

    worker.job(**BUILDER)(lambda job: None)
    assert worker.run_once(timeout=10) == "failed"
    assert message(world.state()) == "RuntimeError: the hook is broken"


def test_one_function_for_two_action_types_is_one_handler_for_lambda(world):
    worker = world.worker()

    def build(job):
        pass

    worker.job(**BUILDER)(build)
    worker.job(category="Test", provider="Other")(build)
    assert worker._handler_for_lambda().handler is build


# ---- coroutines ----


def test_coroutines_run_on_one_loop_side_by_side(world):
    world.start(action("One"), action("Two"))
    worker, seen = world.worker(concurrency=2), []
    both = asyncio.Event()

    @worker.job(**BUILDER)
    async def build(job, Source: pathlib.Path):
        seen.append((job.action, threading.get_ident(), (Source / "main.txt").read_text()))
        if len(seen) == 2:
            both.set()
            worker.stop()
        await asyncio.wait_for(both.wait(), 20)
        return {"a": "b"}

    assert worker.run().succeeded == 2
    assert sorted(name for name, _, _ in seen) == ["One", "Two"]
    assert len({thread for _, thread, _ in seen}) == 1 and {text for _, _, text in seen} == {"hello"}


def test_a_coroutine_is_cancelled_with_its_job(world):
    world.start(action("Make"))
    worker = world.worker()

    @worker.job(**BUILDER)
    async def build(job):
        worker.cancel()
        await asyncio.sleep(600)

    assert worker.run_once(timeout=10) == "failed"
    assert message(world.state()) == "the handler was cancelled before the job finished"
    assert world.state()["errorDetails"]["code"] == "SystemUnavailable"


# ---- failures ----


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (codepipeline.JobFailure("why"), "JobFailed"),
        (codepipeline.PermissionFailure("why"), "PermissionError"),
        (codepipeline.ConfigurationFailure("why"), "ConfigurationError"),
        (codepipeline.SystemUnavailableFailure("why"), "SystemUnavailable"),
        (codepipeline.JobFailure("why", failure_type="RevisionUnavailable"), "RevisionUnavailable"),
        (codepipeline.RevisionOutOfSyncFailure("why", external_execution_id="x-1"), "RevisionOutOfSync"),
    ],
)
def test_a_failure_is_raised_with_its_type(world, error, code):
    world.start(action("Make"))

    def build(job):
        raise error

    outcome, state = world.run_one(build)
    assert outcome == "failed" and state["errorDetails"] == {"code": code, "message": "why"}
    assert state.get("externalExecutionId") == error.external_execution_id


def test_a_failure_knows_its_types_and_can_be_pickled():
    with pytest.raises(ValueError, match="'Broken' is none of JobFailed, "):
        codepipeline.JobFailure("why", failure_type="Broken")
    copy = pickle.loads(pickle.dumps(codepipeline.JobFailure("why", failure_type="RevisionOutOfSync")))
    assert (copy.message, copy.failure_type) == ("why", "RevisionOutOfSync")
