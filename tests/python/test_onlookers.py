# SPDX-License-Identifier: MIT
"""Client.on() and what runs, approvals, metrics, workers and their jobs ask for themselves."""

import asyncio
import functools
import gc
import logging
import threading
import time
import weakref

import pytest

import codepipeline
from servers import KEYS, answering
from test_run import BUILD, GATE, QUICK, work
from test_run import world as run_world  # noqa: F401 (a fixture)
from test_worker import World, action


def names(seen):
    return [event.operation for event in seen if event.stage == "response"]


def watched(client):
    seen = []
    client.on("request", seen.append)
    client.on("response", seen.append)
    return seen


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


# ---- runs ----


def test_all_that_a_run_asks_is_seen(run_world, client):  # noqa: F811
    first = run_world(GATE)
    seen = watched(client)
    run = client.run("site", first.id, **QUICK)
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.1)
    assert {"GetPipelineState", "ListPipelineExecutions"} <= set(names(seen))
    [approval] = client.approvals()
    approval.approve("fine")
    assert "PutApprovalResult" in names(seen)
    del seen[:]
    assert run.wait(timeout=10)
    assert [event.kind for event in codepipeline.follow([run])][-1] == "end"
    assert "ListActionExecutions" in names(seen)
    del seen[:]
    assert run.explain().status == "Succeeded"
    assert names(seen)
    del seen[:]
    client.start("site", **QUICK)
    assert names(seen)[0] == "StartPipelineExecution"
    del seen[:]
    codepipeline.metrics(client)
    assert {"ListPipelines", "ListPipelineExecutions"} <= set(names(seen))
    assert all(event.headers["authorization"] == "***" for event in seen if event.stage == "request")


def test_a_hook_that_raises_ends_what_the_run_was_asked_for(run_world, client):  # noqa: F811
    run = run_world(GATE)
    client.on("request", lambda event: 1 / 0)
    for ask in (lambda: client.start("site"), client.approvals, lambda: codepipeline.metrics(client), run.explain):
        with pytest.raises(ZeroDivisionError):
            ask()
    assert "division" in pytest.raises(ZeroDivisionError, run.wait, timeout=5).value.args[0]
    assert run.id  # not in use any more


def test_an_awaited_run_is_seen_too(run_world, client):  # noqa: F811
    run = run_world(GATE)
    seen = watched(client)

    async def follow():
        again = await codepipeline.AsyncClient.of(client).run("site", run.id, **QUICK)
        async for event in again.follow():
            if event.kind == "approval":
                await again.approve("Gate", "Sign")
        return event.kind

    assert asyncio.run(follow()) == "end"
    assert {"GetPipelineState", "PutApprovalResult"} <= set(names(seen))


def test_runs_of_several_clients_have_hooks_of_their_own(run_world, client):  # noqa: F811
    first = run_world(BUILD)
    view = client.with_options(read_timeout=30)
    mine, theirs = watched(client), watched(view)
    runs = [client.run("site", first.id, **QUICK), view.run("site", first.id, **QUICK)]
    work(client)
    del mine[:], theirs[:]
    assert len([event for event in codepipeline.follow(runs) if event.kind == "end"]) == 2
    assert names(mine) and names(theirs)


def test_a_client_its_hooks_and_its_runs_are_collected_together(run_world):  # noqa: F811
    made = run_world(BUILD)
    client = codepipeline.Client()
    run = client.run("site", made.id)
    worker = codepipeline.Worker(client)
    client.on("response", functools.partial(print, run, client, worker))
    gone = weakref.ref(run), weakref.ref(client)
    del client, run, worker
    gc.collect()
    assert [alive() for alive in gone] == [None, None]


# ---- workers ----


def test_all_that_a_worker_and_its_jobs_ask_is_seen(world):
    world.start(action("Make"))
    worker = world.worker()
    seen = watched(world.client)  # also when the worker is there already
    worker.job(category="Build", provider="Builder")(lambda job: {"digest": "abc"})
    assert worker.run_once(timeout=10) == "succeeded"
    assert [name for name in names(seen) if name != "PollForJobs"] == ["AcknowledgeJob", "PutJobSuccessResult"]
    assert "PollForJobs" in names(seen)
    assert len(names(seen)) * 2 == len(seen)


def test_no_secret_of_a_job_is_seen(world, caplog):
    world.client.create_custom_action_type(
        category="Deploy",
        provider="Vault",
        version="1",
        configurationProperties=[
            {"name": "Password", "required": True, "key": False, "secret": True},
            {"name": "Place", "required": True, "key": True, "secret": False},
        ],
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 5},
    )
    world.start(action("Make", "Vault", "Deploy", Password="canary-password", Place="canary-place"))
    shown, kept = [], {}
    for stage in ("request", "response"):
        world.client.on(stage, lambda event: shown.append(f"{event} {event!r} {vars(event)}"))
    worker = world.worker()

    @worker.job(category="Deploy", provider="Vault")
    def handler(job):
        job.input().read()
        kept.update(job.raw()["data"]["artifactCredentials"])
        assert job.configuration["Password"] == "canary-password"

    with caplog.at_level(logging.DEBUG, logger="codepipeline"):
        assert worker.run_once(timeout=10) == "succeeded"
    text = "\n".join([*shown, caplog.text])
    assert len(kept) == 3
    for secret in kept.values():
        assert len(secret) > 4 and secret not in text
    assert "canary" not in text
    assert '"Password":"***"' in text and "PollForJobs" in caplog.text and "PutJobSuccessResult" in caplog.text


def test_a_hook_that_raises_ends_no_job(world, caplog):
    world.start(action("Make"))
    for stage in ("request", "response"):
        world.client.on(stage, lambda event: 1 / 0 if "Job" in event.operation else None)
    worker = world.worker()
    worker.job(category="Build", provider="Builder")(lambda job: None)
    assert worker.run_once(timeout=10) == "succeeded"
    assert world.state()["status"] == "Succeeded"
    for what in ("request PollForJobs", "response AcknowledgeJob", "request PutJobSuccessResult"):
        assert f"a hook raised, and the call goes on: {what}" in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_what_is_no_exception_ends_the_wait_and_loses_no_job(world):
    world.start(action("Make"))
    stop = [SystemExit("now")]

    def interrupt(event):
        if event.operation == "AcknowledgeJob" and stop:
            raise stop.pop()

    world.client.on("response", interrupt)
    worker = world.worker()
    worker.job(category="Build", provider="Builder")(lambda job: None)
    with pytest.raises(SystemExit, match="now"):
        worker.run_once(timeout=10)
    assert worker.run_once(timeout=10) == "succeeded"


def test_hooks_of_jobs_run_on_their_threads(world):
    world.start(*(action(f"Make{i}") for i in range(3)))
    threads = {}
    lock = threading.Lock()

    def note(event):
        with lock:
            threads.setdefault(event.operation, set()).add(threading.current_thread())

    world.client.on("response", note)
    worker = world.worker(concurrency=3)
    barrier = threading.Barrier(3, timeout=10)

    @worker.job(category="Build", provider="Builder")
    def handler(job):
        if barrier.wait() == 0:
            worker.stop()

    assert worker.run().succeeded == 3
    assert threads["PollForJobs"] == {threading.current_thread()}
    assert len(threads["PutJobSuccessResult"]) == 3
    assert threading.current_thread() not in threads["PutJobSuccessResult"]


def test_what_a_guard_reports_is_seen_on_a_thread_of_ours(world):
    world.start(action("Make"))
    seen, threads, early = watched(world.client), set(), []
    world.client.on("response", lambda event: threads.add(threading.current_thread()))
    worker = world.worker()

    @worker.job(category="Build", provider="Builder", timeout=0.05)
    def handler(job):
        end = time.monotonic() + 10
        while world.state()["status"] != "Failed" and time.monotonic() < end:
            time.sleep(0.01)
        early.append("PutJobFailureResult" in names(seen))

    assert worker.run_once(timeout=10) == "failed"
    assert early == [False]  # nobody had waited for it since
    assert names(seen).count("PutJobFailureResult") == 1
    assert threads == {threading.current_thread()}


def test_a_job_of_an_event_is_seen():
    with answering() as (_, client):
        seen = watched(client)
        with client.job(codepipeline.sample_event()) as job:
            job.fail("no")
    assert names(seen) == ["PutJobFailureResult"]


def test_each_client_of_a_worker_has_hooks_of_its_own():
    with answering() as (answers, home):
        answers.say({"jobs": []})
        other = codepipeline.Client("eu-west-1", endpoint_url=home.endpoint_url, **KEYS)
        mine, theirs = watched(home), watched(other)
        worker = codepipeline.Worker(home, poll_interval=0.02)
        for client in (None, other):
            worker.job(category="Build", provider="P", client=client)(lambda job: None)
        assert worker.run_once(timeout=0.5) is None
        other.close()
    for seen in (mine, theirs):
        assert set(names(seen)) == {"PollForJobs"}
    assert len(answers.requests) == len(names(mine)) + len(names(theirs))
