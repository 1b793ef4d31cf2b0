# SPDX-License-Identifier: MIT
"""Worker.test(): handlers in unit tests, without a service; the client here points at a port where nobody is."""

import datetime
import inspect
import pathlib

import pytest

import codepipeline


@pytest.fixture
def worker():
    nowhere = "http://127.0.0.1:1"
    client = codepipeline.Client("us-east-1", endpoint_url=nowhere, s3_endpoint_url=nowhere, max_attempts=1)
    return codepipeline.Worker(client)


def test_folders_in_and_folders_out(worker, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.txt").write_text("hello")

    def build(job, configuration, Source: pathlib.Path, Binary: pathlib.Path, Log):
        (Binary / "copy.txt").write_text((Source / "main.txt").read_text() + configuration["Target"])
        Log.write(b"no archive")
        return job.succeed({"a": "b"}, summary="made", external_execution_id="x-1", percent_complete=100)

    done = worker.test(
        build, inputs={"Source": tmp_path / "src"}, outputs=["Binary", "Log"], configuration={"Target": "!"}
    )
    assert (done.outcome, done.variables, done.message) == ("succeeded", {"a": "b"}, None)
    assert (done.summary, done.external_execution_id, done.percent_complete) == ("made", "x-1", 100)
    assert (done.outputs["Binary"] / "copy.txt").read_text() == "hello!"
    assert done.outputs["Log"].read_bytes() == b"no archive"
    assert repr(done) == "<codepipeline.Rehearsal succeeded>"
    with pytest.raises(ValueError, match="it succeeded"):
        done.resume()


def test_an_archive_may_be_the_input(worker, tmp_path):
    (tmp_path / "main.txt").write_text("hello")
    codepipeline.pack(tmp_path / "main.txt", tmp_path / "app.zip")
    done = worker.test(lambda job: {"files": job.input().read()[:2].decode()}, inputs={"In": tmp_path / "app.zip"})
    assert done.variables == {"files": "PK"}
    assert (tmp_path / "app.zip").exists()


def test_continuations_are_stepped_through(worker):
    def build(job):
        step = job.state or 0
        return job.later(step + 1, after=3600, percent_complete=40) if step < 2 else {"steps": str(step)}

    first = worker.test(build)
    assert (first.outcome, first.state, first.percent_complete) == ("continued", 1, 40)
    last = first.resume().resume()
    assert (last.outcome, last.variables) == ("succeeded", {"steps": "2"})
    assert worker.test(build, state=2).outcome == "succeeded"


def fails(error):
    def handler(job):
        raise error

    return handler


@pytest.mark.parametrize(
    ("handler", "kind", "words"),
    [
        (fails(codepipeline.PermissionFailure("no key")), "PermissionError", "no key"),
        (fails(RuntimeError("broken")), "JobFailed", "RuntimeError: broken"),
        (lambda job: job.fail("no", type="SystemUnavailable"), "SystemUnavailable", "no"),
        (lambda job: {"not a name": "x"}, "ConfigurationError", 'the output variable "not a name" has a name'),
        (lambda job: {"big": "x" * 122878}, "ConfigurationError", "over the limit of 122880 bytes with"),
        (lambda job: job.later("x" * 70000), "ConfigurationError", ""),
        (lambda job, Sauce: None, "ConfigurationError", "no artifact 'Sauce'"),
    ],
)
def test_what_the_service_would_refuse_fails_here_too(worker, handler, kind, words):
    done = worker.test(handler)
    assert (done.outcome, done.failure_type) == ("failed", kind)
    assert words in done.message


def test_the_variables_may_fill_their_limit(worker):
    assert worker.test(lambda job: {"big": "x" * 122877}).outcome == "succeeded"


def test_an_output_that_was_not_staged_fails(worker):
    assert "Binary" in worker.test(lambda job: None, outputs=["Binary"]).message


def test_a_source_action_tells_its_revision(worker):
    done = worker.test(lambda job: job.succeed(revision="abc", revision_summary="fixed"))
    expected = {"revision": "abc", "changeIdentifier": "abc", "revisionSummary": "fixed"}
    assert done.answer["currentRevision"] == expected


def test_the_hooks_run_and_an_event_may_be_given(worker, tmp_path):
    told = []
    worker.before(lambda job: told.append(job.user_parameters))
    event = codepipeline.sample_event(user_parameters="{}")
    done = worker.test(lambda job: job.input().path() and None, event)
    assert told == ["{}"] and 'nothing for the input artifact "input-artifact"' in done.message
    with pytest.raises(codepipeline.SystemFailure):
        worker.test(lambda job: None, inputs={"In": tmp_path / "lost"})


# ---- handlers that are generators ----


def deploy(calls):
    def start(name):
        calls.append(name)
        return {"stack": name, "parts": [1, 2]}

    def handler(job, parameters=None):
        calls.append("begun")
        stack = job.step(start, "site")
        looked = 0
        while looked < 2:
            state = yield job.later({"looked": looked}, after=60, percent_complete=10 + looked)
            assert state == {"looked": looked} and stack == {"stack": "site", "parts": [1, 2]}
            looked += 1
        job.step(start, "clean-up")
        return {"looked": str(looked), "stack": stack["stack"]}

    return handler


def test_a_generator_goes_on_where_it_stopped_with_its_variables(worker):
    calls = []
    first = worker.test(deploy(calls))
    assert (first.outcome, first.state, first.percent_complete) == ("continued", {"looked": 0}, 10)
    second = first.resume()
    assert (second.outcome, second.state, second.percent_complete) == ("continued", {"looked": 1}, 11)
    last = second.resume()
    assert (last.outcome, last.variables) == ("succeeded", {"looked": "2", "stack": "site"})
    assert calls == ["begun", "site", "begun", "begun", "clean-up"]
    assert worker.test(deploy([])).finish().outcome == "succeeded"


def test_a_generator_that_ends_without_a_yield_is_a_handler_like_any(worker):
    def handler(job):
        if job.state:
            yield
        return job.succeed({"a": "b"})

    assert worker.test(handler).variables == {"a": "b"}


def test_it_knows_that_it_runs_again_and_what_its_last_yield_gave(worker):
    seen = []

    def handler(job):
        seen.append((job.replaying, job.state))
        yield job.later("one")
        seen.append((job.replaying, job.state))
        yield job.later("two")
        seen.append((job.replaying, job.state))

    assert worker.test(handler).finish().outcome == "succeeded"
    assert seen == [
        (False, None),
        *((True, "one"), (False, "one")),
        *((True, "two"), (True, "two"), (False, "two")),
    ]


def test_what_it_holds_is_let_go_when_it_stops(worker):
    log = []

    def handler(job):
        try:
            yield job.later()
        finally:
            log.append("let go")

    first = worker.test(handler)
    assert log == ["let go"]
    first.resume()
    assert log == ["let go"] * 2


def test_a_failure_after_a_yield_is_the_jobs(worker):
    def handler(job):
        yield job.later()
        raise codepipeline.ConfigurationFailure("no such stack")

    last = worker.test(handler).finish()
    assert (last.outcome, last.failure_type, last.message) == ("failed", "ConfigurationError", "no such stack")


class Refused(Exception):
    def __init__(self, code, text):
        super().__init__(f"{code}: {text}")


@pytest.mark.parametrize(
    "raised, caught",
    [
        (OSError("not yet"), OSError),
        (codepipeline.JobFailure("not yet"), codepipeline.JobFailure),
        (Refused(1, "not yet"), RuntimeError),  # of a class that cannot be made of a text
    ],
)
def test_a_step_that_raised_raises_again_and_the_next_one_is_tried(worker, raised, caught):
    tries = []

    def flaky():
        tries.append(1)
        if len(tries) < 2:
            raise raised
        return len(tries)

    def handler(job):
        while True:
            try:
                tried = job.step(flaky)
            except (caught, type(raised)) as error:
                assert "not yet" in str(error)
                yield job.later()
            else:
                return {"tries": str(tried)}

    assert worker.test(handler).finish().variables == {"tries": "2"}
    assert len(tries) == 2


@pytest.mark.parametrize("went", ["step", "end", "later"])
def test_a_handler_that_goes_another_way_fails_and_is_told_why(worker, went):
    turns = []

    def handler(job):
        turns.append(1)
        if len(turns) == 1:
            if went == "later":
                job.step(lambda: 1)
            yield job.later()
        elif went == "step":
            job.step(lambda: 1)
        elif went == "later":
            yield job.later()

    last = worker.test(handler).resume()
    assert last.outcome == "failed" and "the handler went another way than before" in last.message


def test_what_cannot_be_remembered_is_said(worker):
    def handler(job):
        yield job.later({1, 2})

    def stepper(job):
        job.step(lambda: object())
        yield job.later()

    assert "the state must be something JSON can hold" in worker.test(handler).message
    assert "answers must be something JSON can hold" in worker.test(stepper).message


def test_a_yield_of_something_else_is_said(worker):
    def handler(job):
        yield 3

    assert "a handler yields what job.later() answers, not int" in worker.test(handler).message


def test_a_step_of_another_handler_is_a_call(worker):
    assert worker.test(lambda job: {"n": str(job.step(max, 1, 2))}).variables == {"n": "2"}


def test_an_asynchronous_generator_is_refused(worker):
    async def handler(job):
        yield job.later()

    with pytest.raises(TypeError, match="a generator or a coroutine, not both"):
        worker.invoke(handler)


def test_hooks_see_every_job_of_a_generator(worker):
    told = []
    worker.before(lambda job: told.append(("before", job.state)))
    worker.after(lambda job, outcome: told.append(("after", outcome.name)))

    def handler(job):
        yield job.later("half")

    worker.test(handler).finish()
    assert told == [("before", None), ("after", "continued"), ("before", "half"), ("after", "succeeded")]


# ---- the clock ----


def test_what_a_handler_asks_to_wait_is_told_and_passes_at_once(worker):
    def deploy(job):
        return job.later((job.state or 0) + 1, after=1800) if (job.state or 0) < 2 else None

    first = worker.test(deploy)
    assert first.after == 1800 and first.clock.elapsed == 0
    last = first.finish()
    assert last.clock is first.clock and last.clock.elapsed == 3600 and last.after == 0


def test_a_handler_past_its_time_is_reported_failed(worker):
    clock = codepipeline.ManualClock()
    seen = []

    def build(job):
        seen.append((job.remaining, job.cancelled))
        clock.advance(minutes=1)
        seen.append((job.remaining, job.cancelled))
        return {"too": "late"}

    late = worker.test(build, clock=clock, timeout=60)
    assert seen == [(60, False), (0, True)]
    assert (late.outcome, late.failure_type, late.variables) == ("failed", "JobFailed", {})
    assert late.message == "the time limit is nearly up, and the handler has not finished"
    assert worker.test(build, clock=clock, timeout=61).outcome == "succeeded" and clock.elapsed == 120


@pytest.mark.parametrize("isolation", ["thread", "process"])
def test_the_time_it_was_registered_with_counts(worker, isolation):
    import isolated_handlers

    worker.job(category="Build", provider="B", timeout=30, isolation=isolation)(isolated_handlers.waits_a_minute)
    assert worker.test(isolated_handlers.waits_a_minute).outcome == "failed"
    assert worker.test(isolated_handlers.waits_a_minute, timeout=90).outcome == "succeeded"


def test_a_lambda_function_has_its_time_less_the_margin(worker):
    def check(job):
        return {"left": str(job.remaining)}

    assert worker.test(check, remaining=900).variables == {"left": "897.0"}
    assert worker.test(check, remaining=900, timeout=20).variables == {"left": "20.0"}
    assert worker.test(check).variables == {"left": "None"}
    assert worker.test(check, remaining=2).outcome == "succeeded"  # time stands still


def test_waiting_turns_the_clock(worker):
    told = []

    def patient(job):
        told.append(job.wait_cancelled(45))
        told.append(job.wait_cancelled(45))
        return job.later("wrapped up") if job.cancelled else None

    shut_down = worker.test(patient, cancelled_after=60)
    assert told == [False, True] and shut_down.outcome == "continued" and shut_down.clock.elapsed == 60
    told.clear()
    assert worker.test(patient).outcome == "succeeded" and told == [False, False]


def test_waiting_for_ever_is_said_and_not_done(worker):
    done = worker.test(lambda job: job.wait_cancelled())
    assert done.failure_type == "ConfigurationError" and "waits for ever" in done.message
    assert worker.test(lambda job: {"c": str(job.wait_cancelled())}, cancelled_after=5).variables == {"c": "True"}


def test_a_clock_goes_forward_for_one_job_at_a_time(worker):
    clock = codepipeline.ManualClock()
    with pytest.raises(ValueError, match="not turned back"):
        clock.advance(seconds=-1)
    nested = worker.test(lambda job: worker.test(lambda job: None, clock=clock), clock=clock)
    assert "another job under way" in nested.message
    clock.advance(days=1)
    assert repr(clock) == "<codepipeline.ManualClock at 86400 s>"


# ---- what a new user gets wrong ----


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (lambda job: 1, "TypeError: a handler returns None, a dict or what job.succeed() answers, not int"),
        (lambda job: job.fail("x", type="Nope"), "ValueError: type: 'Nope' is none of JobFailed, ConfigurationError, "),
        (lambda job: job.fail(None), "no reason was given"),
        (
            lambda job: job.fail("no", external_execution_id="x" * 1501),
            "no (failureDetails.externalExecutionId: longer",
        ),
        (lambda job: job.fail(KeyError("x")), "'x'"),
        (lambda job: job.succeed(percent_complete=200), "executionDetails.percentComplete: larger than 100"),
        (lambda job: job.later(1, after="30"), "TypeError: after: a number of seconds or a timedelta, not '30'"),
        (lambda job: job.later({1, 2}), "a value of type set cannot be sent"),
        (lambda job: job.user_parameters_json("stack"), "UserParameters: missing; the action needs a JSON object with"),
    ],
)
def test_a_handler_that_does_it_wrongly_is_told(worker, handler, message):
    done = worker.test(handler)
    assert done.outcome == "failed" and message in done.message


def test_an_exception_may_have_a_failure_type_of_its_own_and_not_any(worker):
    class Trouble(Exception):
        failure_type = "Nope"

    def build(job):
        raise Trouble("it broke")

    done = worker.test(build)
    assert (done.failure_type, done.message) == ("JobFailed", "Trouble: it broke")
    Trouble.failure_type = "RevisionUnavailable"
    assert worker.test(build).failure_type == "RevisionUnavailable"


def test_after_may_be_a_timedelta(worker):
    assert worker.test(lambda job: job.later(after=datetime.timedelta(minutes=2))).after == 120


def test_job_without_its_parentheses_says_how_it_is_written(worker):
    for name, owner in (("worker", worker), ("router", codepipeline.Router())):
        with pytest.raises(
            TypeError, match=rf'{name}.job is told which jobs, by name: @{name}.job\(category="Build", '
        ):

            @owner.job
            def build(job):
                pass

        with pytest.raises(TypeError, match="is told which jobs"):
            owner.job("Build", "MyBuilder")
    assert "category" in inspect.signature(worker.job).parameters and "decorator" in worker.job.__doc__


def test_concurrency_is_a_whole_number():
    for wrong in (0, "3", 2.5, None):
        with pytest.raises(ValueError, match="concurrency: a whole number from 1 on"):
            codepipeline.Worker(concurrency=wrong)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("build",), TypeError, "a handler is a function, not 'build'"),
        ((lambda job, configuratoin: None,), TypeError, "nobody knows the parameter 'configuratoin'"),
        ((print, {"Records": []}), codepipeline.ParamValidationError, 'the event has no "CodePipeline.job"'),
        ((print, "hello"), codepipeline.ParamValidationError, "not JSON"),
    ],
)
def test_a_test_that_cannot_be_is_refused(worker, arguments, error, message):
    with pytest.raises(error, match=message):
        worker.test(*arguments)
    with pytest.raises(TypeError, match="outputs: a list of names, not 'Binary'"):
        worker.test(print, outputs="Binary")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"version": 1}, TypeError, "version: a str, not 1"),
        ({"timeout": 0}, ValueError, "timeout: a number of seconds above 0, not 0"),
        ({"category": "build"}, codepipeline.ParamValidationError, "not one of Source, Build"),
    ],
)
def test_a_registration_that_cannot_be_is_refused(worker, options, error, message):
    with pytest.raises(error, match=message):
        worker.job(**{"category": "Build", "provider": "B", **options})(print)
    for hooked in (worker, codepipeline.Router()):
        with pytest.raises(TypeError, match="a hook is a function, not 'x'"):
            hooked.before("x")
