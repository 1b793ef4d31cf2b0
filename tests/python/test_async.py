# SPDX-License-Identifier: MIT
"""Calls that nobody waits for at once: futures and asyncio, one thread for all of a client's."""

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed, wait

import pytest

import codepipeline
from servers import KEYS, answering, dead_url, stalling
from test_run import BUILD, GATE, QUICK, world

__all__ = ["world"]  # the fixture


@pytest.fixture
def aclient(client):
    return codepipeline.AsyncClient.of(client)


def settle(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def pumps():
    return [thread for thread in threading.enumerate() if thread.name == "codepipeline-calls"]


@pytest.fixture(autouse=True)
def no_thread_of_another_test():
    settle(lambda: not pumps())


# ---- futures ----


def test_a_future_has_the_answer_and_tells_who_asked_for_it(client):
    told = []
    future = client.submit("list_action_types", actionOwnerFilter="AWS")
    future.add_done_callback(lambda done: told.append(done.result()["actionTypes"]))
    assert future.result(10)["ResponseMetadata"]["HTTPStatusCode"] == 200
    settle(lambda: told)
    assert told[0]


def test_hundreds_are_under_way_on_one_thread_that_ends_when_idle(client):
    futures = [client.submit("ListActionTypes") for _ in range(300)]
    assert len(pumps()) == 1
    assert len({id(future.result(30)) for future in as_completed(futures, 30)}) == 300
    settle(lambda: not pumps())
    assert client.submit("list_pipelines").result(10)["pipelines"] == []  # and comes back


def test_what_is_wrong_with_the_parameters_is_raised_at_once(client):
    with pytest.raises(codepipeline.ParamValidationError, match="name: missing") as caught:
        client.submit("get_pipeline")
    assert caught.value.path == "name"
    with pytest.raises(codepipeline.ParamValidationError, match="get_lost"):
        client.submit("get_lost")
    assert not pumps()


def test_an_error_of_the_service_is_the_futures(client):
    error = client.submit("get_pipeline", name="nowhere").exception(10)
    assert type(error) is client.exceptions.PipelineNotFoundException
    assert error.response["Error"]["Code"] == "PipelineNotFoundException" and error.request_id


def test_errors_of_the_network_are_too():
    with codepipeline.Client("us-east-1", endpoint_url=dead_url(), max_attempts=1, **KEYS) as client:
        assert isinstance(client.submit("list_pipelines").exception(10), codepipeline.NetworkError)
    with answering() as (answers, client):
        answers.say({"pipelines": []})
        answers.cut = 5
        assert "shorter than announced" in str(client.submit("list_pipelines").exception(10))
        answers.cut = 0
        answers.say(b"no json")
        assert isinstance(client.submit("list_pipelines").exception(10), codepipeline.ProtocolError)


def test_a_silent_service_is_a_timeout_and_holds_up_nobody(client):
    with stalling() as url:
        slow = client.with_options(endpoint_url=url, read_timeout=0.3, max_attempts=1)
        late, soon = slow.submit("list_pipelines"), client.submit("list_pipelines")
        assert soon.result(10)["pipelines"] == []
        assert isinstance(late.exception(10), codepipeline.TimeoutError)


def test_a_cancelled_call_is_given_up():
    with stalling() as url:
        with codepipeline.Client("us-east-1", endpoint_url=url, **KEYS) as client:
            futures = [client.submit("list_pipelines") for _ in range(3)]
            assert futures[0].cancel() and futures[0].cancelled()
            with pytest.raises(CancelledError):
                futures[0].result()
            assert wait(futures[1:], 0.2).not_done
            assert all(future.cancel() for future in futures[1:])
            settle(lambda: not pumps())


def test_a_call_that_has_ended_cannot_be_cancelled(client):
    future = client.submit("list_pipelines")
    future.result(10)
    assert not future.cancel()


def test_closing_lets_what_was_submitted_finish_and_refuses_more(emulator):
    client = emulator.client()
    futures = [client.submit("list_action_types") for _ in range(20)]
    client.close()
    assert all(future.result(10)["actionTypes"] for future in futures)
    with pytest.raises(codepipeline.StateError):
        client.submit("list_pipelines")


def test_hooks_look_on_and_what_they_raise_ends_their_call_alone(client):
    seen = []

    def hook(event):
        seen.append(event.operation)
        if event.operation == "ListWebhooks":
            raise KeyError("no webhooks today")

    client.on("request", hook)
    good, bad = client.submit("list_pipelines"), client.submit("list_webhooks")
    assert good.result(10)["pipelines"] == []
    assert isinstance(bad.exception(10), KeyError)
    assert sorted(seen) == ["ListPipelines", "ListWebhooks"]


def test_logging_tells_of_them(client, caplog):
    caplog.set_level("DEBUG", "codepipeline")
    client.submit("list_pipelines").result(10)
    settle(lambda: "response ListPipelines" in caplog.text)


SCRIPT = """
import codepipeline, sys, threading
client = codepipeline.Client()
assert "asyncio" not in sys.modules and "concurrent" not in sys.modules
client.submit("list_pipelines").add_done_callback(lambda done: print("told", len(done.result()["pipelines"])))
"""


def test_a_program_that_ends_waits_for_what_it_submitted(emulator):
    done = subprocess.run([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (0, "told 0\n")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_after_fork_submits_on_a_thread_of_its_own(client):
    client.submit("list_pipelines").result(10)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if client.submit("list_pipelines").result(10)["pipelines"] == [] else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---- asyncio ----


def test_five_hundred_awaited_calls_need_one_thread(aclient):
    async def main():
        before = threading.active_count()
        tasks = [asyncio.ensure_future(aclient.list_action_types()) for _ in range(500)]
        await asyncio.sleep(0)
        during = threading.active_count() - before
        return during, await asyncio.gather(*tasks)

    during, answers = asyncio.run(main())
    assert during == 1 and len(answers) == 500 and all(answer["actionTypes"] for answer in answers)


def test_every_operation_is_there_and_documented(client):
    for name in client.operations:
        method = getattr(codepipeline.AsyncClient, name)
        assert asyncio.iscoroutinefunction(method) and method.__doc__ == getattr(codepipeline.Client, name).__doc__


def test_awaited_errors_are_those_of_the_client(aclient):
    async def main():
        with pytest.raises(aclient.exceptions.PipelineNotFoundException):
            await aclient.get_pipeline(name="nowhere")
        with pytest.raises(codepipeline.ParamValidationError, match="name: missing"):
            await aclient.get_pipeline()

    asyncio.run(main())


def test_a_cancelled_task_gives_its_call_up():
    async def main(url):
        async with codepipeline.AsyncClient("us-east-1", endpoint_url=url, **KEYS) as client:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.list_pipelines(), 0.2)

    with stalling() as url:
        asyncio.run(main(url))
    settle(lambda: not pumps())


def test_one_client_serves_several_loops(aclient):
    async def main():
        return (await aclient.list_pipelines())["pipelines"]

    assert [asyncio.run(main()) for _ in range(3)] == [[], [], []]


def test_a_loop_that_ended_before_the_answer_harms_nobody(aclient):
    async def leave():
        asyncio.ensure_future(aclient.list_pipelines())
        await asyncio.sleep(0)

    asyncio.run(leave())
    assert aclient.client.submit("list_pipelines").result(10)["pipelines"] == []


def test_pages_and_items(aclient):
    async def main():
        types = [item async for item in aclient.paginate("list_action_types")]
        few = aclient.paginate("list_action_types", max_items=3)
        first = [item async for item in few]
        rest = [item async for item in aclient.paginate("list_action_types", starting_token=few.resume_token)]
        assert len(first) == 3 and first + rest == types
        full = await aclient.paginate("list_action_types", max_items=3).pages().build_full_result()
        assert full["actionTypes"] == first and full["NextToken"] == few.resume_token
        with pytest.raises(codepipeline.ParamValidationError, match="has no pages"):
            aclient.paginate("get_pipeline")

    asyncio.run(main())


def test_a_run_is_awaited_followed_explained_and_approved(world, aclient):
    world(GATE)

    async def main():
        run = await aclient.run("site", **QUICK)
        with pytest.raises(codepipeline.TimeoutError, match="after 0.2 s, .*approval"):
            await run.wait(0.2)
        assert "Sign" in str(await run.explain())
        events = []
        async for event in run.follow():
            events.append(event.kind)
            if event.kind == "approval":
                await run.approve("Gate", "Sign", "fine")
        assert events[-1] == "end"
        assert (await run.wait()).status == await run.status() == "Succeeded"

    asyncio.run(main())


def test_a_run_that_is_given_up_keeps_no_thread_for_long(world, aclient):
    world(BUILD)

    async def main():
        run = await aclient.run("site", **QUICK)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(run.wait(), 0.1)
        assert "Make" in str(await run.explain())  # it is free again

    start = time.monotonic()
    asyncio.run(main())  # waits for the executor's threads
    assert time.monotonic() - start < 10


def test_runs_that_are_followed_together_keep_no_thread(world, aclient):
    world(GATE)

    async def main():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        runs = [await aclient.run("site", **QUICK) for _ in range(20)]

        async def follow(run):
            kinds = []
            async for event in run.follow():
                kinds.append(event.kind)
                if event.kind == "approval" and run is runs[0]:
                    await run.approve("Gate", "Sign")
            return kinds

        told = await asyncio.wait_for(asyncio.gather(*map(follow, runs)), 30)
        assert told == [told[0]] * 20 and told[0][-1] == "end"

    asyncio.run(main())


def test_the_paginator_of_boto3_has_pages_to_await(world, aclient):
    world(BUILD)

    async def main():
        assert aclient.can_paginate("list_action_types") and not aclient.can_paginate("get_pipeline")
        paginator = aclient.get_paginator("list_action_types")
        pages = paginator.paginate(PaginationConfig={"MaxItems": 3})
        assert [len(page["actionTypes"]) async for page in pages] == [3]
        assert pages.resume_token

    asyncio.run(main())


# ---- many runs ----


def test_many_runs_are_followed_in_one_thread(world, client):
    first = world(GATE)
    second = client.start("site", **QUICK)  # waits behind the first, or overtakes it
    first = client.run("site", first.id, **QUICK)
    ends = {}
    for event in codepipeline.follow([first, second]):
        if event.kind == "approval":
            event.run.approve("Gate", "Sign")
        if event.kind == "end":
            ends[event.run.id] = event.status
    assert set(ends) == {first.id, second.id} and set(ends.values()) <= {"Succeeded", "Superseded"}
    assert list(codepipeline.follow([])) == []


def test_following_ends_when_nothing_happens_and_refuses_a_run_that_is_given_twice(world, client):
    world(GATE)
    run = client.run("site", **QUICK)
    kinds = [event.kind for event in codepipeline.follow([run], timeout=0.2)]
    assert kinds[-1] == "approval"
    with pytest.raises(codepipeline.StateError, match="given twice"):
        next(codepipeline.follow([run, run]))
    assert list(codepipeline.follow([run], timeout=0.1)) == []  # and it is free again


# ---- when there is no thread, or it breaks ----


def test_a_call_for_which_no_thread_can_be_had_is_refused(client, monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="new thread"):
            client.submit("list_pipelines")
    assert client.submit("list_pipelines").result(10)["pipelines"] == []


def test_a_thread_that_breaks_leaves_no_future_waiting(client, monkeypatch):
    from codepipeline._submit import Pump

    def broken(self):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Pump, "_move", broken)
        assert isinstance(client.submit("list_pipelines").exception(10), MemoryError)
    assert client.submit("list_pipelines").result(10)["pipelines"] == []
