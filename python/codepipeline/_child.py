# SPDX-License-Identifier: MIT
"""The program that runs one handler in a process of its own; the worker starts it (see _isolation.py).

It imports the modules of the handler and of its hooks, in which a Worker is idle, and gives the handler a Job whose
core is at the other end of two pipes: one JSON line there, one back.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import runpy
import sys
import types

from . import _handlers, _worker
from .exceptions import from_core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class RemoteJob:
    """What _core.Job is, with the work done by the worker's process."""

    expired = False
    warning = None  # the worker's process has it

    def __init__(self, read: int, write: int) -> None:
        for descriptor in (read, write):
            os.set_inheritable(descriptor, False)
        self._from = open(read, encoding="utf-8", newline="\n")
        self._to = open(write, "w", encoding="utf-8", newline="\n")
        self._told: dict[str, Any] = json.loads(self._from.readline())["job"]
        self.answered = False

    def __getattr__(self, name: str) -> Any:
        told = self.__dict__["_told"]
        if name in ("inputs", "outputs"):
            return tuple(told[name])
        if name == "state":
            return json.loads(told["state"]) if "state" in told else None
        if name.startswith("_"):
            raise AttributeError(name)
        return told.get(name)

    def _ask(self, what: str, **members: Any) -> Any:
        self._to.write(json.dumps({"do": what, **members}, allow_nan=False) + "\n")
        self._to.flush()
        line = self._from.readline()
        if not line:
            raise SystemExit("the worker is gone")
        answer = json.loads(line)
        if "error" not in answer:
            return answer["value"]
        error = {"code": None, **answer["error"]}
        error.pop("failure_type")
        raise from_core(**error)

    @property
    def progress(self) -> None:
        return None

    @progress.setter
    def progress(self, watch: object) -> None:
        raise ValueError("artifacts move in the worker's process: give progress to the Worker")

    @property
    def cancelled(self) -> bool:
        return bool(self._ask("cancelled"))

    @property
    def remaining(self) -> Any:
        return self._ask("remaining")

    def data(self, secrets: bool) -> Any:
        if secrets:
            raise ValueError('credentials stay in the worker\'s process: with isolation="process" there is no raw()')
        return self._told["data"]

    def work_dir(self) -> Any:
        return self._ask("work_dir")

    def input_path(self, name: str) -> Any:
        return self._ask("input_path", name=name)

    def input_extract(self, name: str, directory: bytes) -> Any:
        return self._ask("input_extract", name=name, directory=_path(directory))

    def output_pack(self, name: str, path: bytes) -> None:
        self._ask("output_pack", name=name, path=_path(path))

    def output_file(self, name: str, path: bytes) -> None:
        self._ask("output_file", name=name, path=_path(path))

    def output_write(self, name: str, data: bytes) -> None:
        path = os.path.join(self.work_dir(), "written")
        with open(path, "wb") as file:
            file.write(data)
        self._ask("output_file", name=name, path=path)
        os.unlink(path)

    def output_digest(self, name: str) -> Any:
        return self._ask("output_digest", name=name)

    def succeed(self, **result: Any) -> None:
        self._answer("succeed", result=result)

    def later(self, state: Any, after: float, **result: Any) -> None:
        self._answer("later", state=json.dumps(state, allow_nan=False), after=after, result=result)

    def fail(self, message: str, type: str | None, external_execution_id: str | None) -> None:
        self._answer("fail", message=message, type=type, external_execution_id=external_execution_id)

    def _answer(self, what: str, **members: Any) -> None:
        self._ask(what, **members)
        self.answered = True

    def free(self) -> None:
        """The worker removes the job's folder."""


def _path(path: bytes) -> str:
    return os.path.abspath(os.fsdecode(path)) if path else ""


@functools.lru_cache(maxsize=None)
def _load(kind: str, place: str) -> Any:
    """The module, as an object with its names."""
    if kind == "module":
        return importlib.import_module(place)
    return types.SimpleNamespace(**runpy.run_path(place, run_name="__codepipeline_child__"))


def _find(kind: str, place: str, name: str) -> Any:
    return functools.reduce(getattr, name.split("."), _load(kind, place))


def _bound(place: list[str], groups: list[dict[str, list[list[str]]]]) -> _handlers.Bound:
    """The handler and its hooks, as the worker's process has them."""
    handler = _find(*place)
    hooks = tuple(_handlers.Hooks() for _ in groups)
    for one, group in zip(hooks, groups):
        for kind, places in group.items():
            getattr(one, kind).extend(_find(*hook) for hook in places)
    return _handlers.Bound(handler, hooks, None)


def main() -> None:
    *place, hooks = sys.argv[1:]
    core: Any = RemoteJob(3, 4)
    _worker.IN_CHILD = _handlers.ALONE = True
    # what the import raises is the job's failure too
    _worker.Worker()._work(_worker.Job(core), lambda job: _bound(place, json.loads(hooks))(job))


if __name__ == "__main__":
    main()
