# SPDX-License-Identifier: MIT
"""What stands between a worker and a handler: routers, hooks, parameters by name, coroutines."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import inspect
import logging
import os
import pathlib
import threading

from . import _resuming
from ._outcomes import Failure, Outcome, Result, decide
from .exceptions import ParamValidationError, SystemUnavailableFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any, TypeVar

    from ._client import Client
    from ._worker import Job

    _H = TypeVar("_H", bound=Callable[..., object])

ALONE = False  # set by _child.py: this process is there for one job, which one thread at a time may talk to
_BEAT = 0.1  # seconds after which a coroutine is told that its job was cancelled


def _function(hook: _H) -> _H:
    if not callable(hook):
        raise TypeError(f"a hook is a function, not {hook!r}")
    return hook


def told_apart(job: _H) -> _H:
    """For job() of a worker and a router: says what is missing in @worker.job without parentheses."""

    @functools.wraps(job)
    def checked(self: Any, *wrong: object, **options: Any) -> object:
        if wrong:
            name = type(self).__name__.lower()
            example = f'@{name}.job(category="Build", provider="MyBuilder", version="1")'
            raise TypeError(f"{name}.job is told which jobs, by name: {example}")
        return job(self, **options)

    return checked  # type: ignore[return-value]


class Hooks:
    """The functions that run around handlers."""

    def __init__(self) -> None:
        self.before: list[Callable[..., object]] = []
        self.after: list[Callable[..., object]] = []
        self.on_error: list[Callable[..., object]] = []


class Hooked:
    """What Worker and Router have in common. Hooks may be coroutines, and see the handlers registered before them."""

    _hooks: Hooks

    def before(self, hook: _H) -> _H:
        """A decorator: called with the job before its handler; the worker's hooks first, then the router's. What it
        answers, if not None, is the job's answer, and the handler is not called."""
        self._hooks.before.append(_function(hook))
        return hook

    def after(self, hook: _H) -> _H:
        """A decorator: called with the job and its Outcome, also when it failed, before that is sent; the router's
        hooks first, then the worker's. What it raises fails the job."""
        self._hooks.after.append(_function(hook))
        return hook

    def on_error(self, hook: _H) -> _H:
        """A decorator: called with the job and the exception that a handler or a hook before it raised; the router's
        hooks first. The first answer that is not None is the job's, in place of the failure: job.later(), for
        instance."""
        self._hooks.on_error.append(_function(hook))
        return hook


class Router(Hooked):
    """Handlers collected in one module, for a worker that another one makes.

        router = codepipeline.Router()

        @router.job(category="Build", provider="MyBuilder")
        def build(job): ...

        worker.include(router)

    Its hooks run for its handlers alone.

        >>> router = codepipeline.Router()
        >>> @router.job(category="Build", provider="DemoTool")
        ... def build(job, configuration):
        ...     return {"target": configuration["Target"]}
        >>> codepipeline.Worker(client).include(router)
    """

    def __init__(self) -> None:
        self._hooks = Hooks()
        self.routes: list[tuple[dict[str, Any] | None, Callable[..., object]]] = []

    @told_apart
    def job(self, **options: Any) -> Callable[[_H], _H]:
        """A decorator; arguments as for Worker.job, which looks at them when the router is included."""

        def register(handler: _H) -> _H:
            _Call(handler)  # a parameter nobody knows is an error here
            self.routes.append((options, handler))
            return handler

        return register

    def invoke(self, handler: _H) -> _H:
        """A decorator; see Worker.invoke."""
        _Call(handler)
        self.routes.append((None, handler))
        return handler


# ---- parameters by name ----

_ARTIFACTS = {"Path": "folder", "Input": "input", "Output": "output"}
_GIVEN: dict[str, Callable[[Any, Any], Any]] = {
    "job": lambda job, client: job,
    "configuration": lambda job, client: job.configuration,
    "parameters": lambda job, client: job.user_parameters_json(),
    "state": lambda job, client: job.state,
    "client": lambda job, client: client,
    "logger": lambda job, client: logging.LoggerAdapter(logging.getLogger("codepipeline.job"), {"job_id": job.id}),
}


class _Call:
    """A handler's parameters, looked at once: by which names it wants what."""

    def __init__(self, handler: Callable[..., Any]) -> None:
        if not callable(handler):
            raise TypeError(f"a handler is a function, not {handler!r}")
        if inspect.isasyncgenfunction(handler):
            raise TypeError("a handler is a generator or a coroutine, not both: yield in one, await in the other")
        self.handler = handler
        self.wanted: list[tuple[str, str]] = []  # name, and how it is had: "given", or what _ARTIFACTS says
        self.plain = False
        try:
            parameters = list(inspect.signature(handler).parameters.values())
        except (TypeError, ValueError):  # some of C's functions have none
            self.plain = True
            return
        named = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        needed = [p for p in named if p.default is p.empty]
        if len(named) < len(parameters) or (len(needed) == 1 and self._how(needed[0]) is None):
            self.plain = True  # *args, or one parameter of whatever name: the job
            return
        for parameter in named:
            how = self._how(parameter)
            if how is not None:
                self.wanted.append((parameter.name, how))
            elif parameter.default is parameter.empty:
                name = getattr(handler, "__qualname__", repr(handler))
                raise TypeError(
                    f"{name}: nobody knows the parameter {parameter.name!r}; there are {', '.join(_GIVEN)}, and "
                    "artifacts, whose names begin with a capital letter or are annotated Path, Input or Output"
                )

    @staticmethod
    def _how(parameter: inspect.Parameter) -> str | None:
        if parameter.name in _GIVEN:
            return "given"
        note = parameter.annotation
        kind = note if isinstance(note, str) else getattr(note, "__name__", "")
        kind = kind.rsplit(".", 1)[-1]
        return _ARTIFACTS.get(kind) or ("any" if parameter.name[0].isupper() else None)

    def __call__(self, job: Job, client: Client | None) -> object:
        if self.plain:
            return self._answer(job, self.handler(job))
        folders: dict[str, str] = {}
        values = {
            name: _GIVEN[name](job, client) if how == "given" else _artifact(job, name, how, folders)
            for name, how in self.wanted
        }
        value = self._answer(job, self.handler(**values))
        if folders and isinstance(decide(job, value), Result):
            for name, folder in folders.items():
                job.output(name).pack(folder)
        return value

    @staticmethod
    def _answer(job: Job, value: object) -> object:
        return _resuming.run(job, value) if inspect.isgenerator(value) else _finish(job, value)


def _artifact(job: Job, name: str, how: str, folders: dict[str, str]) -> object:
    """An artifact as a handler wants it. folders: of outputs, to be packed when the handler has succeeded."""
    if name in job.inputs and how != "output":
        return pathlib.Path(job.input(name).extract()) if how == "folder" else job.input(name)
    if name in job.outputs and how != "input":
        if how != "folder":
            return job.output(name)
        folders[name] = os.path.join(job.work_dir, f"output-{name}")
        os.mkdir(folders[name])
        return pathlib.Path(folders[name])
    there = ", ".join((*job.inputs, *job.outputs)) or "none"
    kind = how if how in ("input", "output") else ""
    raise ParamValidationError(
        f"the job has no {kind + ' ' if kind else ''}artifact {name!r}; it has {there}", path=name
    )


# ---- coroutines ----


class _Loop:
    """The one thread on which coroutines run; a new one in a process that was forked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._pid, self._loop = os.getpid(), asyncio.new_event_loop()
                threading.Thread(target=_turn, args=(self._loop,), name="codepipeline-loop", daemon=True).start()
            return self._loop


def _turn(loop: asyncio.AbstractEventLoop) -> None:
    """SystemExit and KeyboardInterrupt end a loop, after the coroutine's own handler has got them; the others go on."""
    while not loop.is_closed():
        with contextlib.suppress(BaseException):
            loop.run_forever()


_loop = _Loop()


def _finish(job: Job, value: object) -> object:
    """Waits for a coroutine; any other value is itself."""
    if not inspect.iscoroutine(value):
        return value
    if ALONE:
        return asyncio.run(value)
    return _run(job, value)


def _run(job: Job, coroutine: Coroutine[Any, Any, object]) -> object:
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop.get())
    try:
        while not concurrent.futures.wait([future], _BEAT).done:
            if job.cancelled:
                future.cancel()
        return future.result()
    except concurrent.futures.CancelledError:
        raise SystemUnavailableFailure("the handler was cancelled before the job finished") from None
    finally:
        future.cancel()  # when the wait was interrupted
        del future  # or what it raised and this frame keep each other, and the worker with its journal


# ---- a handler with its hooks ----


class Bound:
    """A handler as a function of the job alone, with the hooks around it, the outermost first."""

    def __init__(self, handler: Callable[..., object], hooks: tuple[Hooks, ...], client: Client | None) -> None:
        self.handler = handler
        self.hooks = hooks
        self._call = _Call(handler)
        self._client = client
        if client is None and not ALONE and ("client", "given") in self._call.wanted:
            raise ValueError('a handler with isolation="process" has no client')

    def __call__(self, job: Job) -> object:
        return _within(job, self.hooks, lambda: self._call(job, self._client))


def _within(job: Job, hooks: tuple[Hooks, ...], call: Callable[[], object]) -> object:
    error: Exception | None = None
    try:
        try:
            value = _first(job, [hook for group in hooks for hook in group.before])
            outcome: Outcome = decide(job, call() if value is None else value)
        except Exception as raised:
            value = _first(job, [hook for group in reversed(hooks) for hook in group.on_error], raised)
            outcome = Failure.of(raised) if value is None else decide(job, value)
            error = raised if value is None else None
        for group in reversed(hooks):
            for hook in group.after:
                _finish(job, hook(job, outcome))
        if error is not None:
            raise error
        return outcome
    finally:
        error = None  # or its traceback and this frame keep each other, and the worker with its journal


def _first(job: Job, hooks: list[Callable[..., object]], *more: object) -> object:
    """The first answer of these hooks that is not None."""
    for hook in hooks:
        value = _finish(job, hook(job, *more))
        if value is not None:
            return value
    return None
