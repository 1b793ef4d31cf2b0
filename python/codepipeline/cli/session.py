# SPDX-License-Identifier: MIT
"""What a command works with, and what becomes of what goes wrong."""

from __future__ import annotations

import os
import sys

from .. import exceptions
from .output import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from typing_extensions import Self

    from .._client import Client
    from .._demo import Demo

REFUSED = 4
TIMED_OUT = 3
UNTRUSTED = (
    "AccessDeniedException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "UnrecognizedClientException",
)
STATUSES = {"Succeeded": 0, "Failed": 1, "Stopped": 2, "Superseded": 2, "Cancelled": 2}


class TimedOut(Exception):
    """--timeout passed; a call that takes too long is another matter."""


class Misuse(Exception):
    """The command line makes no sense, in a way that the parser cannot see."""


class Session:
    """args (what the parser read), out, and client, which is made when first used; a context manager."""

    def __init__(self, args: Namespace) -> None:
        self.args = args
        self.out = Output(getattr(args, "json", False), getattr(args, "query", None))
        self._client: Client | None = None
        self._demo: Demo | None = None

    @property
    def emulated(self) -> bool:
        """It is an emulator that is talked to."""
        return getattr(self.args, "emulator", None) is not None

    @property
    def options(self) -> dict[str, Any]:
        """Of the client."""
        if self.emulated:
            return self._emulator_options()
        names = ("region", "profile", "endpoint_url")
        return {name: getattr(self.args, name) for name in names if getattr(self.args, name, None) is not None}

    def _emulator_options(self) -> dict[str, Any]:
        environ = self.environ
        return {
            "region": environ["AWS_REGION"],
            "endpoint_url": environ["AWS_ENDPOINT_URL_CODEPIPELINE"],
            "s3_endpoint_url": environ["AWS_ENDPOINT_URL_S3"],
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
        }

    @property
    def environ(self) -> dict[str, str]:
        """The variables that make other clients do as this command was told."""
        args = self.args
        if self.emulated and not args.emulator:
            return self._started().emulator.environ
        if self.emulated:
            from .._demo import OWNER

            region = getattr(args, "region", None) or "us-east-1"
            url = {"AWS_ENDPOINT_URL_CODEPIPELINE": args.emulator, "AWS_ENDPOINT_URL_S3": args.emulator}
            return {**url, **OWNER, "AWS_REGION": region, "AWS_DEFAULT_REGION": region}
        wanted = {
            "AWS_REGION": getattr(args, "region", None),
            "AWS_PROFILE": getattr(args, "profile", None),
            "AWS_ENDPOINT_URL_CODEPIPELINE": getattr(args, "endpoint_url", None),
        }
        return {name: value for name, value in wanted.items() if value}

    def _started(self) -> Demo:
        if self._demo is None:
            from .._demo import Demo

            self._demo = Demo()
        return self._demo

    @property
    def client(self) -> Client:
        if self._client is None:
            from .._client import Client

            self._client = Client(**self.options, app_id="codepipeline-cli")
        return self._client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        if self._client is not None:
            self._client.close()
        if self._demo is not None:
            self._demo.close()


def read(path: str) -> str:
    """The text of a file; - is the standard input."""
    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise Misuse(f'"{path}": {error.strerror}') from None
    except UnicodeDecodeError:
        raise Misuse(f'"{path}" is no text in UTF-8') from None


def _similar(session: Session) -> str:
    """Names that the one that was not found may have been meant for."""
    import difflib

    try:
        names = [item["name"] for item in session.client.paginate("list_pipelines")]
    except exceptions.CodePipelineError:
        return ""
    close = difflib.get_close_matches(getattr(session.args, "name", None) or "", names, 3, 0.5)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "codepipeline ls lists those there are"


def _hint(session: Session, error: exceptions.CodePipelineError) -> str:
    """What to do next."""
    if error.code == "PipelineNotFoundException" and session.args.command != "call":
        return _similar(session)
    no_stage = isinstance(error, exceptions.ParamValidationError) and error.path == "stage"
    if (no_stage or error.code == "StageNotFoundException") and getattr(session.args, "stage", None):
        state = session.client.get_pipeline_state(name=session.args.name)
        return f"its stages: {', '.join(stage['stageName'] for stage in state['stageStates'])}"
    if isinstance(error, exceptions.ConfigurationError) and ("region" in str(error) or "profile" in str(error)):
        return "--region and --profile say it for this command; --emulator needs neither"
    unreached = isinstance(error, (exceptions.NetworkError, exceptions.TimeoutError))
    if unreached and session.emulated:
        return "is an emulator running there? codepipeline emulator starts one, and says where"
    no_id = isinstance(error, exceptions.ParamValidationError) and error.path == "pipelineExecutionId"
    if no_id or error.code == "PipelineExecutionNotFoundException":
        return f"codepipeline history {getattr(session.args, 'name', None) or 'NAME'} lists executions with their ids"
    if error.code == "PipelineVersionNotFoundException" and session.args.command == "diff":
        latest = session.client.get_pipeline(name=session.args.name)["pipeline"]["version"]
        return f"the latest version is {latest}"
    if unreached or isinstance(error, exceptions.CredentialsError):
        return "codepipeline doctor says what was looked for, and where"
    if error.code == "ActionTypeNotFoundException" and session.args.command == "worker":
        return f"codepipeline action-type register {session.args.target.partition(':')[0]}:HANDLER creates it"
    if error.code in UNTRUSTED:
        return "codepipeline doctor says which credentials these are, and where they are from"
    return ""


def _let_go_of_output() -> None:
    """What is buffered and cannot be written goes nowhere, and does not fail once more at the program's end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(command: Callable[[Session], int | None], args: Namespace) -> int:
    """Runs a command; answers the exit status."""
    from .parser import USAGE

    with Session(args) as session:
        try:
            status = command(session) or 0
            sys.stdout.flush()
            return status
        except Misuse as error:
            return session.out.complain(str(error), USAGE)
        except exceptions.CodePipelineError as error:
            told = f"{error.message} ({error.code})" if error.code else str(error)
            return session.out.complain(told, REFUSED, _hint(session, error))
        except OSError as error:
            _let_go_of_output()
            if isinstance(error, BrokenPipeError):  # whoever read has seen enough
                return 0
            return session.out.complain(error.strerror or str(error), 1)
