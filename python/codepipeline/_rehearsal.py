# SPDX-License-Identifier: MIT
"""What Worker.test() answers."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pathlib
import tempfile
from typing import NamedTuple

from . import _core, _handlers, _worker
from ._outcomes import Failure, decide
from ._resuming import History
from .exceptions import ArchiveError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Union

    from ._worker import Worker

    Event = Union[dict[str, Any], str, bytes]


_folders: list[tempfile.TemporaryDirectory[str]] = []  # of outputs; removed when the program ends


def event_for(
    inputs: Mapping[str, str], outputs: tuple[str, ...], configuration: Mapping[str, str] | None, state: Any
) -> dict[str, Any]:
    """An event for a job with these artifacts."""

    def artifact(name: str) -> dict[str, Any]:
        return {"name": name, "location": {"type": "S3", "s3Location": {"bucketName": "none", "objectKey": name}}}

    data: dict[str, Any] = {
        "actionConfiguration": {"configuration": dict(configuration or {})},
        "inputArtifacts": [artifact(name) for name in inputs],
        "outputArtifacts": [artifact(name) for name in outputs],
    }
    if state is not None:
        data["continuationToken"] = f"cpl1:0:{json.dumps(state)}"
    return {"CodePipeline.job": {"id": "00000000-0000-0000-0000-000000000000", "data": data}}


class ManualClock:
    """The time of handlers in unit tests, see Worker.test(): it stands still unless it is turned.

        clock = codepipeline.ManualClock()
        monkeypatch.setattr(builds, "compile", lambda folder: clock.advance(minutes=20))
        assert worker.test(build, timeout=600, clock=clock).outcome == "failed"

    >>> clock = codepipeline.ManualClock()
    >>> clock.advance(minutes=1, seconds=5)
    >>> clock.elapsed
    65.0
    """

    def __init__(self) -> None:
        self._before = 0.0
        self._core: _core.Job | None = None  # of the job that is under way

    @property
    def elapsed(self) -> float:
        """How far it was turned, in seconds."""
        return self._before + (0.0 if self._core is None else self._core.rehearsed_time())

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Turns it forward; from any thread."""
        seconds += ((days * 24 + hours) * 60 + minutes) * 60
        if seconds < 0:
            raise ValueError("a clock is not turned back")
        if self._core is None:
            self._before += seconds
        elif seconds > 0:
            self._core.rehearse_time(seconds)

    @contextlib.contextmanager
    def _of(self, core: _core.Job) -> Iterator[None]:
        if self._core is not None:
            raise ValueError("the clock is that of another job under way")
        self._core = core
        try:
            yield
        finally:
            self._before, self._core = self.elapsed, None

    def __repr__(self) -> str:
        return f"<codepipeline.ManualClock at {self.elapsed:g} s>"


class Rehearsal:
    """How a handler did in a unit test; see Worker.test.

    outcome         "succeeded", "failed" or "continued"
    variables       the output variables, a dict of str
    message, failure_type
                    of a failure, else None
    summary, external_execution_id, percent_complete
                    what the console would show, or None
    state           of a continuation, what the handler is given next
    after           of a continuation, the seconds it asked to wait, else 0.0
    clock           a ManualClock: the time of the jobs so far
    outputs         by name: the folder that an archive was unpacked to, or the file when it is none; they live as long
                    as the program
    answer          all that would have been sent, as the service's operation calls it

        >>> worker = codepipeline.Worker(client)
        >>> worker.test(lambda job: job.later("half"), configuration={"Target": "x"}).state
        'half'
    """

    def __init__(self, core: _core.Job, clock: ManualClock, go_on: Callable[[Event], Rehearsal], event: Event) -> None:
        answer = core.rehearsed_answer()
        assert answer is not None  # a failure can always be told
        self._go_on = go_on
        self._event = event
        self.answer = answer
        self.clock = clock
        self.after = core.rehearsed_delay()
        failure = answer.get("failureDetails", {})
        details = answer.get("executionDetails", {})
        self._token: str | None = answer.get("continuationToken")
        self.outcome = "failed" if failure else "continued" if self._token is not None else "succeeded"
        self.message: str | None = failure.get("message")
        self.failure_type: str | None = failure.get("type")
        self.variables: dict[str, str] = answer.get("outputVariables", {})
        self.summary: str | None = details.get("summary")
        self.external_execution_id: str | None = details.get("externalExecutionId", failure.get("externalExecutionId"))
        self.percent_complete: int | None = details.get("percentComplete")
        self._state = core.rehearsed_state()
        self.state: Any = History(json.loads(self._state)).state if self._state else None
        self.outputs = {} if self.outcome != "succeeded" else self._collect(core)
        core.free()

    def _collect(self, core: _core.Job) -> dict[str, pathlib.Path]:
        found: dict[str, pathlib.Path] = {}
        if core.outputs:
            _folders.append(tempfile.TemporaryDirectory(prefix="codepipeline-"))
        for name in core.outputs:
            path = core.rehearsed_output(name)
            assert path is not None  # a success has them all
            found[name] = pathlib.Path(_folders[-1].name, name)
            try:
                _core.extract(path.encode(), str(found[name]).encode(), 0)
            except ArchiveError:
                found[name].write_bytes(pathlib.Path(path).read_bytes())
        return found

    def resume(self) -> Rehearsal:
        """Runs the handler for the job that follows a continuation, at once: the clock is turned by what it asked to
        wait."""
        if self._token is None:
            raise ValueError(f"the job is over: it {self.outcome}")
        self.clock.advance(seconds=self.after)
        event = copy.deepcopy(self._event)
        if not isinstance(event, dict):
            event = json.loads(event)
        event["CodePipeline.job"]["data"]["continuationToken"] = f"cpl1:0:{self._state}"  # a large one too, here
        return self._go_on(event)

    def finish(self, limit: int = 100) -> Rehearsal:
        """Goes on with resume() to the end of the last job; RuntimeError when that is not among so many."""
        last = self
        for _ in range(limit):
            if last._token is None:
                return last
            last = last.resume()
        raise RuntimeError(f"the handler has not come to an end in {limit} more jobs")

    def __repr__(self) -> str:
        return f"<codepipeline.Rehearsal {self.outcome}{': ' + self.message if self.message else ''}>"


class Plan(NamedTuple):
    """What is the same for all the jobs of one unit test."""

    handler: Callable[..., object]
    inputs: dict[str, str]
    limit: float | None
    cancelled_after: float | None


def rehearse(worker: Worker, plan: Plan, event: Event, clock: ManualClock) -> Rehearsal:
    bound = _handlers.Bound(plan.handler, (worker._hooks,), worker.client)
    core = worker._make_job(event)
    core.rehearse(plan.limit, plan.cancelled_after)
    for name, path in plan.inputs.items():
        core.rehearse_input(name, os.fsencode(path))
    job = _worker.Job(core)
    job._rehearsed = True
    with clock._of(core):
        try:
            outcome = decide(job, bound(job))
        except Exception as error:
            outcome = Failure.of(error)
        _worker._report(job, outcome)
    return Rehearsal(core, clock, lambda event: rehearse(worker, plan, event, clock), event)
