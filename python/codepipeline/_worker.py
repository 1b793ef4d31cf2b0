# SPDX-License-Identifier: MIT
"""The worker: takes jobs for custom and third-party actions, runs handlers in threads, sends each job's one result."""

from __future__ import annotations

import functools
import logging
import os
import signal
import threading
import time

from . import _core, _handlers, _isolation, _resuming, _systemd
from ._artifacts import Input, Output
from ._event import decode_parameters
from ._outcomes import Failure, HandOver, Later, Outcome, Result, decide
from ._resuming import History
from .exceptions import CodePipelineError, ParamValidationError, StateError, check_failure_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import timedelta
    from types import FrameType
    from typing import Any

    from ._client import Client
    from ._handlers import _H, Bound
    from ._rehearsal import ManualClock, Rehearsal
    from ._typing import Path

IN_CHILD = False  # set by _child.py: this process is there for one handler, and its Workers are idle

_log = logging.getLogger("codepipeline")
_PATIENCE = 5.0  # seconds after which run() looks whether the service is in trouble
_LAST_WORDS = 5.0  # seconds a handler has from being cancelled until the worker answers for it
_RESULTS = ("PutJobSuccessResult", "PutThirdPartyJobSuccessResult")
_SHUT_DOWN = "the worker was shut down before the job finished"


class Job:
    """One job of one action, for the handler's thread. The attributes stay readable when the job is over.

    id, nonce, account_id           of the job
    category, provider, version     of the action type
    pipeline, pipeline_arn, stage, action
                                    the names of where it stands
    execution_id, action_execution_id
                                    of the pipeline's and of the action's execution
    configuration                   the action's configuration, a dict of str
    user_parameters                 the configuration's UserParameters, or None; user_parameters_json() decodes them
    continuation_token              as the service gave it, or None
    inputs, outputs                 names of the artifacts, tuples
    outcome                         what succeed(), fail() or later() was called with last, else None

    What the service did not tell is None; of a job that came as a Lambda event that is the nonce, and all about the
    action type and the pipeline.

    A handler returns None (success), a dict of output variables, or what succeed(), fail() or later() answers; or it
    calls one of these and returns nothing. It may be a generator, which stops at ``state = yield job.later(...)`` and
    goes on there with the next job; see step().

        >>> job = client.job(codepipeline.sample_event(user_parameters='{"level": 3}'))
        >>> job.user_parameters_json()
        {'level': 3}
    """

    _rehearsed = False

    def __init__(self, core: _core.Job) -> None:
        self._core = core
        self._undelivered: Exception | None = None  # what kept the result from a service that still waits for it
        self.outcome: Outcome | None = None
        self.id = core.id
        self.nonce = core.nonce
        self.account_id = core.account_id
        self.category = core.category
        self.provider = core.provider
        self.version = core.version
        self.pipeline = core.pipeline
        self.pipeline_arn = core.pipeline_arn
        self.stage = core.stage
        self.action = core.action
        self.execution_id = core.execution_id
        self.action_execution_id = core.action_execution_id
        self.configuration = core.configuration
        self.user_parameters = core.user_parameters
        self.continuation_token = core.continuation_token
        self.inputs = core.inputs
        self.outputs = core.outputs
        if not core.state_is_stored:
            self._history = History(core.state)

    @functools.cached_property
    def _history(self) -> History:
        return History(self._core.state)

    @property
    def state(self) -> Any:
        """What later() was given before this job, or None; of a generator, its last yield's. A large one is fetched
        from the artifact store when it is first asked for."""
        return self._history.state

    @property
    def replaying(self) -> bool:
        """Of a handler that is a generator: whether it has not got yet to where it stopped in the job before."""
        return self._history.replaying

    @property
    def data(self) -> dict[str, Any]:
        """The whole job as the service gave it; its credentials read "***"."""
        return self._core.data(False)

    def raw(self) -> dict[str, Any]:
        """The same with the credentials in the clear. Do not log it."""
        return self._core.data(True)

    def user_parameters_json(self, *needed: str) -> Any:
        """The user parameters decoded; None when there are none. ParamValidationError, which makes the failure a
        ConfigurationError, when they are not JSON, or have no member of a name that is needed."""
        return decode_parameters(self.user_parameters, needed)

    @property
    def work_dir(self) -> str:
        """A folder of the job's own, made on first use and removed with the job."""
        return self._core.work_dir()

    @property
    def progress(self) -> Callable[[str, int, int | None], object] | None:
        """A function of an artifact's name, the bytes done and the bytes in all (None while they are not known). It is
        called now and then while an artifact comes or goes, and at its end; what it raises stops that."""
        return self._core.progress

    @progress.setter
    def progress(self, watch: Callable[[str, int, int | None], object] | None) -> None:
        self._core.progress = watch

    def input(self, name: str | None = None) -> Input:
        """The input artifact of that name; without a name the only one."""
        return Input(self._core, name or "")

    def output(self, name: str | None = None) -> Output:
        """The output artifact of that name; without a name the only one."""
        return Output(self._core, name or "")

    @property
    def cancelled(self) -> bool:
        """Whether the handler should come to an end: the worker is being shut down, and its grace is over."""
        return self._core.cancelled

    @property
    def remaining(self) -> float | None:
        """Seconds until the job is reported failed because its time is up: the handler's timeout, or what a Lambda
        function has left less the worker's margin. None: there is no limit."""
        return self._core.remaining

    def wait_cancelled(self, timeout: float | None = None) -> bool:
        """Waits until the job is cancelled, for at most timeout seconds; whether it is. In place of time.sleep().
        In Worker.test() it turns the clock and does not wait."""
        if self._rehearsed:
            return self._core.cancelled if timeout == 0 else self._core.rehearse_wait(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        while not self._core.cancelled:
            left = 0.05 if end is None else min(0.05, end - time.monotonic())
            if left <= 0:
                return False
            time.sleep(left)
        return True

    def succeed(self, output_variables: Mapping[str, str] | None = None, **details: Any) -> Outcome:
        """Success; arguments as for Result. Sent, after the staged outputs, when the handler has returned."""
        self.outcome = Result(output_variables, **details)
        return self.outcome

    def fail(self, message: object, type: str = "JobFailed", external_execution_id: str | None = None) -> Outcome:
        """Failure without raising; sent when the handler has returned. message is cut to 5000 characters.

        type: "JobFailed", "ConfigurationError", "PermissionError", "RevisionOutOfSync", "RevisionUnavailable" or
        "SystemUnavailable".
        """
        self.outcome = Failure(message, check_failure_type("type", type), external_execution_id)
        return self.outcome

    def later(self, state: Any = None, after: float | timedelta = 0.0, **details: Any) -> Outcome:
        """Goes on later; sent when the handler has returned. After so many seconds or more the handler is called with
        a new job, whose .state is what was given here: anything JSON can hold, at most 1 MiB of it. More than 1900
        bytes are kept in the artifact store, where an output artifact of the job will lie. details: members of a
        Result (summary, percent_complete, ...)."""
        seconds: Any = getattr(after, "total_seconds", lambda: after)()
        if not isinstance(seconds, (int, float)):
            raise TypeError(f"after: a number of seconds or a timedelta, not {after!r}")
        self.outcome = Later(state, seconds, Result(**details))
        return self.outcome

    def step(self, function: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """function(*args, **named), once: for handlers that are generators, which run again from their start with each
        new job. What it answered, something JSON can hold, is in the continuation token, and comes from there then.

            def deploy(job):
                stack = job.step(create_stack, job.user_parameters)
                while (yield job.later({"waits for": stack}, after=30)) and not ready(stack):
                    pass
        """
        return _resuming.step(self._history, function, args, named)

    def __repr__(self) -> str:
        place = f" of {self.pipeline}/{self.stage}/{self.action}" if self.pipeline else ""
        return f"<codepipeline.Job {self.id}{place}>"


class EventJob(Job):
    """A job that came as a Lambda event, made by Client.job(); for programs that do without a Worker.

        with client.job(event) as job:
            job.output().write(data)
            job.succeed(summary="made")

    When the block ends the outcome is sent: what succeed(), fail() or later() was called with last, success when none
    was, and a failure when the block raised. The exception goes on; so does what kept the result from being sent.

        >>> job = client.job(codepipeline.sample_event(user_parameters='{"level": 3}'))
        >>> job.close()
    """

    def guard(self, seconds: float) -> None:
        """Unless the job is answered by then, a thread of the core reports it failed after so many seconds, whatever
        this one is doing."""
        self._core.guard(seconds)

    def report(self, value: object = None) -> str:
        """Sends the outcome, which is what a handler returned; "succeeded", "failed" or "continued"."""
        outcome = decide(self, value)
        outcome.send(self._core)
        return outcome.name

    def close(self) -> None:
        """Removes the job's folder. Says nothing to the service."""
        _free(self)

    def __enter__(self) -> EventJob:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            if error is None:
                self.report()
            else:
                _report(self, Failure.of(error))
        except CodePipelineError as trouble:
            if not _is_settled(trouble):
                _report(self, Failure.of(trouble))
            raise
        finally:
            self.close()


class Summary(int):
    """What Worker.run() did. As a number an exit status: 0, or 1 when the service has no result of a job at the end.

    succeeded, failed, continued: how many results the service accepted, those that got through late or were left in the
    journal by an earlier worker too. unreported: how many jobs it got none of; what the journal has of them the next
    start sends. Jobs that somebody else has by now count nowhere.

        >>> int(codepipeline.Summary({"succeeded": 3, "failed": 0, "continued": 0, "unreported": 1}))
        1
    """

    def __new__(cls, counts: dict[str, int]) -> Summary:
        self = super().__new__(cls, 1 if counts["unreported"] else 0)
        self.__dict__.update(counts)
        return self

    def __repr__(self) -> str:
        return f"Summary({', '.join(f'{name}={count}' for name, count in self.__dict__.items())})"


class Worker(_handlers.Hooked):
    """Takes jobs for custom or third-party actions and runs a handler for each.

        worker = codepipeline.Worker(client, concurrency=8)

        @worker.job(category="Build", provider="MyBuilder", version="1")
        def build(job):
            source = job.input("Source").extract()
            ...
            job.output("Binary").pack(folder)
            return {"digest": digest}

        worker.run()

    A handler may be a coroutine; all run on one loop thread. With several parameters it gets them by name: job,
    configuration, parameters (UserParameters decoded), state, client, logger, and artifacts by their own names:
    annotated Path an input is a folder it was unpacked to, and an output a folder that is packed when the handler
    succeeds; otherwise they are Input and Output objects. An unknown name is a TypeError at registration.

    A handler returns None (success), a dict of output variables, or what job.succeed(), job.fail() or job.later()
    answers. An exception is a failure with the exception's text, is logged to the logger "codepipeline", and the worker
    goes on. The failure's type is the exception's failure_type if it has one (all errors of this package do),
    PermissionError for a PermissionError, and JobFailed otherwise.

    client          default: Client()
    concurrency     how many handlers run at once, each in a thread; default 1
    poll_interval   seconds between polls that found nothing, growing to ten times it; default 1
    work_dir        where jobs get their folders; default: TMPDIR or /tmp
    artifact_limit  bytes an artifact may unpack to; default 8 GiB
    journal         a file that remembers the jobs taken and the results owed, for the next start after a crash;
                    default: memory only. One worker at a time: StateError when another has it open
    grace           seconds that handlers have after stop() or the first signal, until job.cancelled; default: no limit
    on_shutdown     what becomes of a job whose handler does not end when it was cancelled: "fail" (default), or
                    "continue", which hands it on with the state it had
    regions         also polls these regions, with views of the client; default: the client's own region alone
    third_party     the action types are of owner ThirdParty, whose jobs come from customers' pipelines; needs
    client_token    called with a customer's id (the clientId of third-party jobs), answers the client token they were
                    given when they connected their pipeline, or None; called again when the service refuses it
    margin          seconds of a Lambda function's time kept for reporting that it was not enough; default 3
    progress        called as progress(job, artifact, done, total) while artifacts come and go; see Job.progress

    In a Lambda function the same worker is ``handler = worker.lambda_handler``.

        >>> worker = codepipeline.Worker(client)
        >>> @worker.job(category="Build", provider="DemoTool")
        ... def build(job):
        ...     return {"greeting": "hello"}
        >>> worker.run_once(timeout=0.1)  # the outcome of a job, when there was one
    """

    def __init__(
        self,
        client: Client | None = None,
        *,
        concurrency: int = 1,
        poll_interval: float | None = None,
        work_dir: Path | None = None,
        artifact_limit: int | None = None,
        journal: Path | None = None,
        grace: float | None = None,
        on_shutdown: str = "fail",
        regions: Iterable[str] = (),
        third_party: bool = False,
        client_token: Callable[[str], str | None] | None = None,
        margin: float = 3.0,
        progress: Callable[[Job, str, int, int | None], object] | None = None,
    ) -> None:
        if not isinstance(concurrency, int) or concurrency < 1:
            raise ValueError(f"concurrency: a whole number from 1 on, not {concurrency!r}")
        if on_shutdown not in ("fail", "continue"):
            raise ValueError('on_shutdown is "fail" or "continue"')
        if third_party and client_token is None:
            raise ValueError("third-party jobs need a client_token: a function that answers a customer's client token")
        self._handlers: list[Bound] = []  # by the index the core gave the action type in a region
        self._plans: dict[int, _isolation.Plan] = {}  # by the same, of those with processes of their own
        self._timeouts: dict[int, float] = {}
        self._hooks = _handlers.Hooks()
        self._invoked: Bound | None = None
        self._on_shutdown = on_shutdown
        self._unanswered: dict[str, Job] = {}  # by id: whoever takes a job out answers it
        self._lock = threading.Lock()
        self.progress = progress
        if IN_CHILD:
            return
        if client is None:
            from ._client import Client

            client = Client()
        self.client = client
        self._clients = [client] + [client.with_options(region=name) for name in regions if name != client.region]
        self._third_party = third_party
        self._client_token = client_token
        self._concurrency = concurrency
        folder = None if work_dir is None else os.fsencode(work_dir)
        limit = artifact_limit or 0
        inner: Any = getattr(client, "_core", client)  # what is no client is refused by its name
        self._core = _core.Worker(
            inner,
            concurrency=concurrency,
            poll_interval=poll_interval,
            work_dir=folder,
            artifact_limit=limit,
            journal=None if journal is None else os.fsencode(journal),
            grace=0.001 if grace == 0 else grace,  # to the core 0 is no limit
        )
        self._forgetful = journal is None
        self._make_job = functools.partial(_core.job_from_event, client._core, work_dir=folder, artifact_limit=limit)
        self._margin = margin
        self._trouble: str | None = None  # the last that was logged

    @_handlers.told_apart
    def job(
        self,
        *,
        category: str,
        provider: str,
        version: str = "1",
        query: Mapping[str, str] | None = None,
        idempotent: bool = False,
        client: Client | None = None,
        timeout: float | None = None,
        isolation: str = "thread",
        limits: Mapping[str, int] | None = None,
        environ: Iterable[str] = (),
        _hooks: tuple[_handlers.Hooks, ...] = (),
    ) -> Callable[[_H], _H]:
        """A decorator: the function handles the jobs of this action type.

        category is Source, Build, Test, Deploy or Invoke. query takes only jobs whose queryable configuration property
        has a value: {"Project": "site"}. idempotent: a job whose worker was killed while it ran is run again by the
        next worker with the same journal, up to three times, and not reported failed. client: of another
        region, to poll with instead of the worker's own and its regions.

        timeout: after so many seconds the job is reported failed, and job.cancelled is true; the thread is free again
        when the handler returns. isolation="process": each job runs in a process of its own, which imports the
        handler's module, and is killed at the timeout; then also limits, {"memory": bytes, "file_size": bytes, "cpu":
        seconds, "open_files": count}, and environ, more environment variables: names to pass on, or "NAME=value".

        ParamValidationError when the type has a handler already.
        """
        if query is not None and len(query) != 1:
            raise ValueError("query takes one property and its value")
        for name, text in (("category", category), ("provider", provider), ("version", version)):
            if not isinstance(text, str):
                raise TypeError(f"{name}: a str, not {text!r}")
        if timeout is not None and not timeout > 0:
            raise ValueError(f"timeout: a number of seconds above 0, not {timeout!r}")
        pair = next(iter(query.items())) if query else (None, None)
        hooks = (self._hooks, *_hooks)
        _isolation.check(isolation, limits, environ)

        def register(handler: _H) -> _H:
            if IN_CHILD:
                return handler
            bound = _handlers.Bound(handler, hooks, None if isolation == "process" else self.client)
            plan = None
            if isolation == "process":
                plan = _isolation.Plan(handler, timeout, limits, environ, self._on_shutdown == "continue")
            for one in self._clients if client is None else [client]:
                more: dict[str, Any] = {"third_party": self._third_party, "client": one._core}
                index = self._core.add(category, provider, version, *pair, idempotent=idempotent, **more)
                self._handlers.append(bound)
                if plan is not None:
                    self._plans[index] = plan
                elif timeout is not None:
                    self._timeouts[index] = timeout
            return handler

        return register

    def invoke(self, handler: _H) -> _H:
        """A decorator: the function handles what lambda_handler is given. One with job() does, when it is the only one;
        so this is for functions that are never polled for, and for workers with several."""
        self._invoke(handler, ())
        return handler

    def _invoke(self, handler: Callable[..., object], hooks: tuple[_handlers.Hooks, ...]) -> None:
        if self._invoked is not None:
            raise ValueError("the worker has a handler for Lambda already")
        self._invoked = _handlers.Bound(handler, (self._hooks, *hooks), None if IN_CHILD else self.client)

    def include(self, router: _handlers.Router) -> None:
        """Takes over the handlers of a Router, which keep its hooks."""
        for options, handler in router.routes:
            if options is None:
                self._invoke(handler, (router._hooks,))
            else:
                self.job(**options, _hooks=(router._hooks,))(handler)

    def lambda_handler(self, event: dict[str, Any] | str | bytes, context: object = None) -> str:
        """The function for Lambda: ``handler = worker.lambda_handler``.

        Runs the handler for the job in the event, reports its result, and answers "succeeded", "failed" or "continued"
        ("unreported" when somebody else has answered the job). The handler's exceptions are failures of the job and not
        raised here, or Lambda would invoke the function once more; what is raised is what kept the result from the
        service. A continuation that comes before its time is put off.

        When context.get_remaining_time_in_millis() comes down to the worker's margin, the job is reported failed, even
        while the handler hangs. An event that is malformed fails its job too, as far as the job's id is known.
        """
        handler = self._handler_for_lambda()
        try:
            core = self._make_job(event)
        except ParamValidationError as error:
            return self._refuse(event, error)
        left = getattr(context, "get_remaining_time_in_millis", None)
        if left is not None:
            core.guard(max(left() / 1000 - self._margin, 0.001))
        job = EventJob(core)
        self._watch(job)
        if core.put_off():
            _log.info("%r came early and is put off", job)
            return "continued"
        name = self._work(job, handler)
        if job._undelivered is not None:
            raise job._undelivered
        return name

    def test(
        self,
        handler: Callable[..., object],
        event: dict[str, Any] | str | bytes | None = None,
        *,
        inputs: Mapping[str, Path] | None = None,
        outputs: Iterable[str] = (),
        configuration: Mapping[str, str] | None = None,
        state: Any = None,
        timeout: float | None = None,
        remaining: float | None = None,
        cancelled_after: float | None = None,
        clock: ManualClock | None = None,
    ) -> Rehearsal:
        """Runs a handler once, with the worker's hooks, for a unit test: nothing goes to the network.

        inputs: folders or archives by the names of the artifacts; outputs: names. In place of outputs, configuration
        and state an event may be given. What the handler answers is checked as ever; see Rehearsal for what is told.

        Time is that of clock (default: one of its own), which stands still: job.wait_cancelled(seconds) turns it, and
        whatever the test has the handler call may. timeout: the handler's, default: what it was registered with.
        remaining: seconds that a Lambda function would have; the margin goes off. cancelled_after: seconds until the
        worker is shut down and the job cancelled.
        """
        from . import _rehearsal

        if isinstance(outputs, str):
            raise TypeError(f"outputs: a list of names, not {outputs!r}")
        files = {name: os.fsdecode(path) for name, path in (inputs or {}).items()}
        given = _rehearsal.event_for(files, tuple(outputs), configuration, state) if event is None else event
        limits = [self._timeout_of(handler) if timeout is None else timeout]
        if remaining is not None:
            limits.append(max(remaining - self._margin, 0.001))
        plan = _rehearsal.Plan(handler, files, min((x for x in limits if x is not None), default=None), cancelled_after)
        return _rehearsal.rehearse(self, plan, given, _rehearsal.ManualClock() if clock is None else clock)

    def _timeout_of(self, handler: Callable[..., object]) -> float | None:
        for index, bound in enumerate(self._handlers):
            if bound.handler is handler:
                plan = self._plans.get(index)
                return self._timeouts.get(index) if plan is None else plan.timeout
        return None

    def _handler_for_lambda(self) -> Bound:
        if self._invoked is not None:
            return self._invoked
        handlers = {bound.handler: bound for bound in self._handlers}
        if len(handlers) == 1:
            return self._handlers[0]
        count = len(handlers) or "no"
        raise StateError(f"the worker has {count} handlers; tell with invoke() which one is for Lambda")

    def _refuse(self, event: dict[str, Any] | str | bytes, error: ParamValidationError) -> str:
        """Fails the job of a malformed event."""
        id = _core.refuse_event(self.client._core, event, str(error))
        if id is None:
            raise error
        _log.error("job %s: the event is malformed: %s", id, error)
        return "failed"

    def run(self) -> Summary:
        """Takes jobs until stop(), SIGTERM or Ctrl-C, then lets what runs finish, and answers a Summary.

        A second signal cancels the jobs, as the end of the grace does; handlers that do not end within five seconds
        more are answered for, see on_shutdown. A third does what it did before run(). What an earlier worker left open
        in the journal comes first. Polls that fail for a reason that passes are logged and repeated; another error is
        raised, after what runs has finished and what was not begun was given back.
        """
        if IN_CHILD:
            return Summary(dict.fromkeys(("succeeded", "failed", "continued", "unreported"), 0))
        self._check()
        threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self._concurrency)]
        notices = _systemd.Notices()
        if self._core.warning:
            _log.warning("%s", self._core.warning)
        elif self._forgetful:
            _log.warning("no journal is named: what runs or is owed is forgotten if this process is killed")
        with _StopOnSignal(self.stop, self.cancel):
            for thread in threads:
                thread.start()
            notices.ready()
            try:
                while not self._core.stopping:
                    self._ask(self._core.feed, notices.patience(_PATIENCE))
                    notices.alive()
            finally:
                notices.stopping()
                self._core.dismiss(len(threads))
                self._drain(threads, notices)
                self._ask(self._core.farewell, _PATIENCE)
        return Summary(self._core.tally())

    def run_once(self, timeout: float | None = None) -> str | None:
        """Takes at most one job and runs its handler in this thread; for tests and for loops of one's own.

        Answers the job's outcome ("succeeded", "failed", "continued" or "unreported"), or None when no job came within
        timeout seconds (None: no limit).
        """
        self._check()
        core = None if IN_CHILD else self._ask(self._core.next, timeout)
        return None if core is None else self._handle(core)

    def stop(self) -> None:
        """Ends polling, for good; from any thread, or from a handler."""
        self._core.stop()

    def cancel(self) -> None:
        """stop(), and tells the running jobs that they should end."""
        self._core.cancel()

    def _drain(self, threads: list[threading.Thread], notices: _systemd.Notices) -> None:
        """Waits for the handlers; for those that do not hear that they are cancelled, not for ever."""
        end = None
        while alive := [thread for thread in threads if thread.is_alive()]:
            if end is None and self._core.cancelled:
                end = time.monotonic() + _LAST_WORDS
            if end is not None and time.monotonic() >= end:
                self._answer_for_all()
                return
            alive[0].join(0.05)
            notices.alive()

    def _answer_for_all(self) -> None:
        with self._lock:
            jobs = list(self._unanswered.values())
        for job in jobs:
            if not self._claim(job):
                continue
            if self._on_shutdown == "continue":
                self._settle(job, HandOver())
            else:
                self._settle(job, Failure(_SHUT_DOWN, "SystemUnavailable"))

    def _claim(self, job: Job) -> bool:
        with self._lock:
            return self._unanswered.pop(job.id, None) is not None

    def _settle(self, job: Job, outcome: Outcome) -> str:
        name = _report(job, outcome)
        _log.info("%r %s", job, name)
        return name

    def _check(self) -> None:
        if not self._handlers:
            raise StateError("the worker has no handler; give it one with job()")
        for index in self._plans:
            _isolation.hook_places(self._handlers[index].hooks)  # one that cannot be had there is an error here

    def _ask(
        self, ask: Callable[[float | None], tuple[_core.Job | None, CodePipelineError | None]], timeout: float | None
    ) -> _core.Job | None:
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            core, error = ask(timeout)
            trouble = None if error is None else str(error)
            if trouble and trouble != self._trouble:
                _log.warning("trouble with the service, will try again: %s", trouble)
            self._trouble = trouble
            if core is not None or not self._tell_token():
                return core
            timeout = None if end is None else max(end - time.monotonic(), 0.001)

    def _tell_token(self) -> bool:
        """Tells the core the client token it asks for, if it does."""
        customer = self._core.token_wanted()
        if customer is None:
            return False
        token = None
        try:
            if self._client_token is not None:
                token = self._client_token(customer)
            self._core.give_token(customer, token)
        except Exception:
            _log.exception("no client token of the customer %s: their jobs wait", customer)
            self._core.give_token(customer, None)
        return True

    def _serve(self) -> None:
        """A thread's part of run(). Nothing ends it but dismissal: the next job might be handed to nobody."""
        while (core := self._core.take()) is not None:
            try:
                self._handle(core)
            except BaseException:
                _log.exception("a job's thread goes on with the next one")
                core.free()  # if nobody has: it is reported as given up

    def _handle(self, core: _core.Job) -> str:
        job = Job(core)
        self._watch(job)
        plan = self._plans.get(core.action_type)
        if plan is not None:
            return self._run_plan(job, plan)
        timeout = self._timeouts.get(core.action_type)
        if timeout is not None:
            core.guard(timeout)
        return self._work(job, self._handlers[core.action_type])

    def _watch(self, job: Job) -> None:
        if self.progress is not None:
            job.progress = functools.partial(self.progress, job)

    def _run_plan(self, job: Job, plan: _isolation.Plan) -> str:
        """Runs the handler in a process of its own; raises nothing but KeyboardInterrupt."""
        name = "unreported"
        _log.info("%r started", job)
        try:
            name = plan.run(job._core, self._handlers[job._core.action_type].hooks)
            if job._core.warning:
                _log.warning("%r: %s", job, job._core.warning)
        except BaseException as error:
            _log.exception("%r: the handler's process", job)
            if not job._core.answered and not _is_settled(error):
                name = _report(job, Failure.of(error))
            if isinstance(error, KeyboardInterrupt):
                raise
        finally:
            _log.info("%r %s", job, name)
            _free(job)
        return name

    def _work(self, job: Job, handler: Callable[[Job], object]) -> str:
        """Runs the handler and sends the outcome; raises nothing but KeyboardInterrupt."""
        with self._lock:
            self._unanswered[job.id] = job
        _log.info("%r started", job)
        try:
            outcome = decide(job, handler(job))
        except BaseException as error:  # kept in no variable: its traceback would keep the worker, and its journal
            _log.exception("%r: the handler failed", job)
            name = self._finish(job, Failure.of(error))
            if isinstance(error, KeyboardInterrupt):
                raise
            return name
        return self._finish(job, outcome)

    def _finish(self, job: Job, outcome: Outcome) -> str:
        name = self._settle(job, outcome) if self._claim(job) else "unreported"
        _free(job)
        return name

    def __repr__(self) -> str:
        return f"<codepipeline.Worker with {len(self._handlers)} handlers, {self._core.running} jobs running>"


def _report(job: Job, outcome: Outcome) -> str:
    """Sends the outcome. What cannot be sent that way (an output missing, an upload refused) fails the job instead."""
    try:
        outcome.send(job._core)
    except Exception as error:
        if job._core.expired and job._core.answered:
            _log.error("%r: %s", job, error)
            return Failure.name
        _log.exception("%r: the result could not be sent", job)
        if isinstance(outcome, Failure) and isinstance(error, ParamValidationError) and not outcome.plain:
            return _report(job, Failure(f"{outcome.message} ({error})", "JobFailed"))
        if isinstance(outcome, Failure) or job._core.answered or _is_settled(error):
            if job._core.expired or not isinstance(error, StateError):
                job._undelivered = error
            return "unreported"
        return _report(job, Failure.of(error))
    if job._core.warning:
        _log.warning("%r: %s", job, job._core.warning)
    return outcome.name


def _is_settled(error: BaseException) -> bool:
    """Somebody else has the job; or its result did not arrive, stays with it and is sent again by the worker."""
    if not isinstance(error, CodePipelineError):
        return False
    return isinstance(error, StateError) or (error.retryable and error.operation in _RESULTS)


def _free(job: Job) -> None:
    try:
        job._core.free()
    except CodePipelineError:
        _log.exception("%r is still in use", job)


class _StopOnSignal:
    """Within it the first SIGTERM or Ctrl-C calls stop; the second calls cancel and puts the previous handlers back.
    Python allows signal handlers in the main thread only; elsewhere this does nothing."""

    def __init__(self, stop: Callable[[], None], cancel: Callable[[], None]) -> None:
        self._steps = [cancel, stop]
        self._previous: dict[int, Any] = {}

    def _restore(self) -> None:
        while self._previous:
            number, handler = self._previous.popitem()
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._steps.pop()()
        if not self._steps:
            self._restore()

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                if signal.getsignal(number) is not None:  # None: not Python's to put back
                    self._previous[number] = signal.signal(number, self._on_signal)

    def __exit__(self, *unused: object) -> None:
        self._restore()
