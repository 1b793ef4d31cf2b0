# SPDX-License-Identifier: MIT
"""codepipeline worker run module:worker."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from importlib import import_module

from .session import Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console
    from rich.progress import TaskID

    from .._worker import Job
    from .session import Session

_FORGOTTEN = 60.0  # seconds without news after which a bar goes: its transfer failed


def _unloadable(module_name: str, error: Exception) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    aside = (ours, "<frozen", import_module.__code__.co_filename)
    lines = traceback.format_list([frame for frame in frames if not frame.filename.startswith(aside)])
    lines += traceback.format_exception_only(type(error), error)
    return f'module "{module_name}" cannot be loaded:\n' + "".join(lines).rstrip()


def load(session: Session, what: str) -> Any:
    """What MODULE:NAME stands for; modules of the present folder are found too. The clients that the module makes do as
    this command was told."""
    target = session.args.target
    os.environ.update(session.environ)
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise Misuse(f'"{target}" is not MODULE:{what}')
    sys.path.insert(0, os.getcwd())
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise Misuse(_unloadable(module_name, error)) from None
        raise Misuse(f'there is no module "{module_name}" here, nor where Python looks for modules') from None
    except Exception as error:  # its own fault: told as Python tells it, from its own file on
        raise Misuse(_unloadable(module_name, error)) from None
    if not hasattr(module, name):
        raise Misuse(f'module "{module_name}" has no "{name}"')
    return getattr(module, name)


class Bars:
    """A bar for each artifact that comes or goes; what a Worker's progress is set to, on a terminal."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self.picture = Progress(*columns, console=console, transient=True)
        self._tasks: dict[tuple[str, str], tuple[TaskID, float]] = {}
        self._lock = threading.Lock()

    def __call__(self, job: Job, name: str, done: int, total: int | None) -> None:
        now = time.monotonic()
        key = (job.id, name)
        with self._lock:
            if key not in self._tasks:
                where = f"{job.pipeline}/{job.stage}/{job.action}" if job.pipeline else job.id
                self._tasks[key] = self.picture.add_task(f"{where} {name}", total=None), now
            task, _ = self._tasks[key]
            self._tasks[key] = task, now
            self.picture.update(task, completed=done, total=total)
            over = {other for other, (_, seen) in self._tasks.items() if now - seen > _FORGOTTEN}
            for other in over | ({key} if done == total else set()):
                self.picture.remove_task(self._tasks.pop(other)[0])


def main(session: Session) -> int:
    from .. import Worker

    worker = load(session, "WORKER")
    if not isinstance(worker, Worker):
        raise Misuse(f"{session.args.target} is a {type(worker).__name__}, not a codepipeline.Worker")
    session.out.note(f"{worker!r} runs; Ctrl-C ends it")
    with contextlib.ExitStack() as stack:
        if worker.progress is None and session.out.console is not None and not session.out.for_programs:
            worker.progress = bars = Bars(session.out.console)
            stack.enter_context(bars.picture)
        summary = worker.run()
    if session.out.for_programs:
        session.out.data(vars(summary))
    else:
        session.out.note(repr(summary))
    return int(summary)
