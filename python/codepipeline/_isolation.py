# SPDX-License-Identifier: MIT
"""Handlers in processes of their own, from the worker's side: what is run, and with which limits."""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from . import _core
    from ._handlers import Hooks

_LIMITS = ("memory", "file_size", "cpu", "open_files")


def _find_main() -> tuple[str, str]:
    """How a child comes by the program's main module: by name when it was started with -m, else by its file."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return "module", spec.name.removesuffix(".__main__") if spec.name.count(".") else spec.name
    file = getattr(main, "__file__", None)
    if file is None:
        raise ValueError('a handler with isolation="process" cannot be defined in an interactive session')
    return "file", os.path.abspath(file)


def _place(function: Callable[..., Any], what: str) -> tuple[str, str, str]:
    """How a child comes by a function: a module by its name or its file, and the name in it."""
    name = getattr(function, "__qualname__", repr(function))
    module = getattr(function, "__module__", None)
    if module is None or "<" in name:
        raise ValueError(f'{what} with isolation="process" is a function of a module, which {name} is not')
    kind, place = _find_main() if module == "__main__" else ("module", module)
    return kind, place, name


def hook_places(groups: tuple[Hooks, ...]) -> list[dict[str, list[tuple[str, str, str]]]]:
    """The same for the hooks of each group."""
    return [
        {kind: [_place(hook, f"a hook ({kind}) of a handler") for hook in hooks] for kind, hooks in vars(group).items()}
        for group in groups
    ]


def check(isolation: str, limits: Mapping[str, int] | None, environ: Iterable[str]) -> None:
    if isolation not in ("thread", "process"):
        raise ValueError('isolation is "thread" or "process"')
    if isolation == "thread" and (limits or environ):
        raise ValueError('limits and environ are for isolation="process"')


class Plan:
    """How the jobs of one handler are run: a process for each, which imports it and its hooks, and calls them."""

    def __init__(
        self,
        handler: Callable[..., Any],
        timeout: float | None,
        limits: Mapping[str, int] | None,
        environ: Iterable[str],
        hand_over: bool,
    ) -> None:
        place = _place(handler, "a handler")
        limits = dict(limits or {})
        for key in limits:
            if key not in _LIMITS:
                raise ValueError(f"there is no limit {key!r}; there are {', '.join(_LIMITS)}")
        self._command = [sys.executable, "-m", "codepipeline._child", *place]
        self._environ = [f"PYTHONPATH={os.pathsep.join(path or os.getcwd() for path in sys.path)}", *environ]
        self.timeout = timeout
        self._options: dict[str, Any] = {"timeout": timeout, "hand_over": hand_over, **limits}

    def run(self, core: _core.Job, hooks: tuple[Hooks, ...]) -> str:
        """Runs the handler and answers the job; "succeeded", "failed" or "continued"."""
        command = [*self._command, json.dumps(hook_places(hooks))]
        return core.run(command, self._environ, **self._options)
