# SPDX-License-Identifier: MIT
"""Handlers that are generators: they stop at ``yield job.later(...)`` and go on there with the next job.

The next job may come to another process, so no generator is kept. The token carries what happened: what each yield gave
and each job.step() answered. The next job runs the handler again from its start, and all that is in that history is
answered from it, until the handler gets to where it stopped. See docs/adr/0021-handlers-run-again.md.
"""

from __future__ import annotations

import json
import sys

from ._outcomes import Later

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from ._worker import Job

_KEY = "codepipeline.history"  # the only member of such a state
_LATER, _STEP, _RAISED = "later", "step", "raised"  # what was given, answered; the class and text of what a step raised


def _as_json(what: str, value: Any) -> Any:
    """The value as it will come back from a token."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{what} must be something JSON can hold: {error}") from None


class History:
    """What a job's handler did in the jobs before, and in this one so far; made of any job's state."""

    def __init__(self, state: Any) -> None:
        ours = isinstance(state, dict) and set(state) == {_KEY}
        self._entries: list[list[Any]] = state[_KEY] if ours else []  # [kind, value]
        self._plain = None if ours else state
        self._at = 0
        self.active = False  # a generator is being run

    @property
    def replaying(self) -> bool:
        return self.active and self._at < len(self._entries)

    @property
    def state(self) -> Any:
        """What the last yield gave; without one, the state as it came."""
        for kind, value in reversed(self._entries):
            if kind == _LATER:
                return value
        return self._plain

    def document(self) -> dict[str, Any]:
        return {_KEY: self._entries}

    def again(self, called: str) -> tuple[str, Any]:
        """The next thing that happened, which must have come of this call."""
        kind, value = self._entries[self._at]
        happened = _STEP if kind == _RAISED else kind
        if happened != called:
            raise self.astray(f"job.{happened}() comes next, and it called job.{called}()")
        self._at += 1
        return kind, value

    def add(self, kind: str, value: Any) -> None:
        self._entries.append([kind, value])
        self._at += 1

    def astray(self, how: str) -> RuntimeError:
        return RuntimeError(
            f"the handler went another way than before: {how}. What a handler does between its yields must not depend "
            "on time, chance or the world, unless it is in a job.step()"
        )


def _raised(error: Exception) -> dict[str, str]:
    kind = type(error)
    return {"module": kind.__module__, "class": kind.__qualname__, "message": str(error)[:200]}


def _raise_again(raised: dict[str, str]) -> None:
    """The exception of a step, as near as it can be had: its class if that is loaded, made of its text."""
    name, text = raised.get("class", "the step raised"), raised["message"]
    kind = getattr(sys.modules.get(raised.get("module", "")), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise RuntimeError(f"{name}: {text}")
    try:
        error = kind(text)
    except Exception:  # wants other arguments
        error = RuntimeError(f"{name}: {text}")
    raise error


def step(history: History, function: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    if history.replaying:
        kind, value = history.again(_STEP)
        if kind == _RAISED:
            _raise_again(value)
        return value
    if not history.active:
        return function(*args, **named)
    try:
        value = function(*args, **named)
    except Exception as error:
        history.add(_RAISED, _raised(error))
        raise
    value = _as_json(f"what {getattr(function, '__qualname__', function)} answers", value)
    history.add(_STEP, value)
    return value


def run(job: Job, handler: Generator[Any, Any, object]) -> object:
    """Runs a handler to its end, or to the first yield that did not happen before; what it answers then."""

    history = job._history
    history.active = True
    value: Any = None
    try:
        while True:
            asked = handler.send(value)
            if not isinstance(asked, Later):
                raise TypeError(f"a handler yields what job.later() answers, not {type(asked).__name__}")
            if not history.replaying:
                history.add(_LATER, _as_json("the state", asked.state))
                return Later(history.document(), asked.after, asked.result)
            value = history.again(_LATER)[1]
    except StopIteration as end:
        if history.replaying:
            raise history.astray("it ended before it got to where it was") from None
        job.outcome = None if isinstance(job.outcome, Later) else job.outcome  # of a yield that is long past
        return end.value
    finally:
        history.active = False
        handler.close()
