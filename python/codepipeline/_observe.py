# SPDX-License-Identifier: MIT
"""Those who look on while a client calls: hooks, and the logger "codepipeline". Loaded when the first of them comes."""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Hook = Callable[["CallEvent"], Any]

_logger = logging.getLogger("codepipeline")
_STAGES = ("request", "response")


class CallEvent:
    """One attempt of a call: before it is sent (stage "request") or after it ended ("response").

    stage, operation, url
    attempt      from 1
    text         the parameters, or the answer, as JSON; what is secret is "***", what is long ends in "..."
    headers      sent or received; credentials are "***"

    Of a response:

    status       how the attempt ended: "OK", "SERVICE", "NETWORK", ...; another one may follow
    http_status  0 when no answer arrived
    duration     of the attempt, in seconds
    request_id, code, message

        >>> watched = codepipeline.Client()
        >>> tell = watched.on("response", lambda event: print(event.operation, event.status, event.http_status))
        >>> answer = watched.list_pipelines()
        ListPipelines OK 200
    """

    stage: str
    operation: str
    url: str
    attempt: int
    text: str
    headers: dict[str, str]
    status: str | None
    http_status: int
    duration: float
    request_id: str | None
    code: str | None
    message: str | None

    def __init__(self, fields: dict[str, Any]) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        return f"<codepipeline.CallEvent {self}>"

    def __str__(self) -> str:
        start = f"{self.stage} {self.operation} attempt={self.attempt}"
        if self.stage == "request":
            return f"{start} url={self.url} params={self.text}"
        parts = [start, f"status={self.status}", f"http_status={self.http_status}", f"duration={self.duration:.3f}"]
        parts += [f"request_id={self.request_id}"] if self.request_id else []
        parts += [f"code={self.code}"] if self.code else []
        parts.append(f"message={self.message}" if self.message else f"answer={self.text}")
        return " ".join(parts)


def logging_is_on() -> bool:
    return _logger.isEnabledFor(logging.DEBUG)


def tell(hook: Hook | None, fields: dict[str, Any]) -> None:
    """What the extension module calls for each event; an exception stops the call and comes out of it."""
    event = CallEvent(fields)
    if _logger.isEnabledFor(logging.DEBUG):
        _logger.debug("%s", event)
    if hook is not None:
        hook(event)


def tell_firmly(hook: Hook | None, fields: dict[str, Any]) -> None:
    """The same for the calls of workers and their jobs, which must not end as somebody's hook does."""
    try:
        tell(hook, fields)
    except Exception:
        _logger.exception("a hook raised, and the call goes on: %s %s", fields["stage"], fields["operation"])


class Hooks:
    """The functions that were given to Client.on(), in their order."""

    def __init__(self, others: Hooks | None = None) -> None:
        self._functions: dict[str, tuple[Hook, ...]] = dict(others._functions) if others else {}

    def added(self, stage: str, function: Hook) -> Hooks:
        """Others with one more; these may be in use."""
        if stage not in _STAGES:
            raise ValueError(f'a call has the stages "request" and "response", not {stage!r}')
        if not callable(function):
            raise TypeError(f"a hook is a function, not {function!r}")
        more = Hooks(self)
        more._functions[stage] = (*self._functions.get(stage, ()), function)
        return more

    def __call__(self, event: CallEvent) -> None:
        for function in self._functions.get(event.stage, ()):
            function(event)
