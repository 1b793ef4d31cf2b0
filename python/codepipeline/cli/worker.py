# SPDX-License-Identifier: MIT
"""codepipeline worker run module:worker."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from .session import Misuse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .session import Session


def load(target: str, what: str) -> Any:
    """What MODULE:NAME stands for; modules of the present folder are found too."""
    module_name, colon, name = target.partition(":")
    if not colon or not module_name or not name:
        raise Misuse(f'"{target}" is not MODULE:{what}')
    sys.path.insert(0, os.getcwd())
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise
        raise Misuse(f'there is no module "{module_name}" here, nor where Python looks for modules') from None
    if not hasattr(module, name):
        raise Misuse(f'module "{module_name}" has no "{name}"')
    return getattr(module, name)


def main(session: Session) -> int:
    from .. import Worker

    os.environ.update(session.environ)  # for the clients that the module makes
    worker = load(session.args.target, "WORKER")
    if not isinstance(worker, Worker):
        raise Misuse(f"{session.args.target} is a {type(worker).__name__}, not a codepipeline.Worker")
    session.out.note(f"{worker!r} runs; Ctrl-C ends it")
    summary = worker.run()
    if session.out.for_programs:
        session.out.data(vars(summary))
    else:
        session.out.note(repr(summary))
    return int(summary)
