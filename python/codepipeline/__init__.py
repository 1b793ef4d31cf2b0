# SPDX-License-Identifier: MIT
"""AWS CodePipeline: a client, a job worker and an offline emulator.

    client = codepipeline.Client(region="eu-west-1")
    client.get_pipeline_state(name="site")

See Client, Worker and Emulator. Everything that goes wrong is a CodePipelineError; codepipeline.exceptions has one
class for each error of the service.
"""

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import exceptions as exceptions
    from . import session as session
    from . import testing as testing
    from ._archive import extract, pack
    from ._artifacts import Input, Output
    from ._async import AsyncClient, AsyncRun
    from ._client import Client
    from ._describe import describe
    from ._doctor import doctor
    from ._emulator import Emulator
    from ._event import Event, sample_event
    from ._handlers import Router
    from ._lint import Complaint, lint
    from ._metrics import ActionMetrics, Durations, Metrics, PipelineMetrics, StageMetrics, metrics
    from ._observe import CallEvent
    from ._outcomes import Outcome, Result
    from ._rehearsal import ManualClock, Rehearsal
    from ._run import Approval, Explanation, Finding, Run, RunEvent, RunOutcome, follow
    from ._worker import EventJob, Job, Summary, Worker
    from .exceptions import (
        ArchiveError,
        CancelledError,
        ClientError,
        CodePipelineError,
        ConfigurationError,
        ConfigurationFailure,
        CredentialsError,
        JobFailure,
        NetworkError,
        ParamValidationError,
        PermissionFailure,
        ProtocolError,
        RevisionOutOfSyncFailure,
        RevisionUnavailableFailure,
        StateError,
        SystemFailure,
        SystemUnavailableFailure,
        TimeoutError,
        TooLargeError,
    )
    from .session import Config, Session, client, set_stream_logger, setup_default_session

__version__ = _core.version
DEFAULT_SESSION: "Session | None" = None  # what client() makes clients from; None: one is made when it is needed

__all__ = [
    "ActionMetrics",
    "Approval",
    "ArchiveError",
    "AsyncClient",
    "AsyncRun",
    "CallEvent",
    "CancelledError",
    "Client",
    "ClientError",
    "CodePipelineError",
    "Complaint",
    "Config",
    "ConfigurationError",
    "ConfigurationFailure",
    "CredentialsError",
    "Durations",
    "Emulator",
    "Event",
    "EventJob",
    "Explanation",
    "Finding",
    "Input",
    "Job",
    "JobFailure",
    "ManualClock",
    "Metrics",
    "NetworkError",
    "Outcome",
    "Output",
    "ParamValidationError",
    "PermissionFailure",
    "PipelineMetrics",
    "ProtocolError",
    "Rehearsal",
    "Result",
    "RevisionOutOfSyncFailure",
    "RevisionUnavailableFailure",
    "Router",
    "Run",
    "RunEvent",
    "RunOutcome",
    "Session",
    "StageMetrics",
    "StateError",
    "Summary",
    "SystemFailure",
    "SystemUnavailableFailure",
    "TimeoutError",
    "TooLargeError",
    "Worker",
    "client",
    "describe",
    "doctor",
    "exceptions",
    "extract",
    "follow",
    "lint",
    "metrics",
    "pack",
    "sample_event",
    "session",
    "set_stream_logger",
    "setup_default_session",
    "testing",
]

# Where the names live. A module is loaded when a name of it is first used, so that a script which makes one call does
# not wait for the worker. What is not listed here is in exceptions.
_MODULES = {
    "ActionMetrics": "_metrics",
    "Approval": "_run",
    "AsyncClient": "_async",
    "AsyncRun": "_async",
    "CallEvent": "_observe",
    "Client": "_client",
    "Complaint": "_lint",
    "Config": "session",
    "Durations": "_metrics",
    "Emulator": "_emulator",
    "Event": "_event",
    "EventJob": "_worker",
    "Explanation": "_run",
    "Finding": "_run",
    "Input": "_artifacts",
    "Job": "_worker",
    "Metrics": "_metrics",
    "Outcome": "_outcomes",
    "Output": "_artifacts",
    "PipelineMetrics": "_metrics",
    "ManualClock": "_rehearsal",
    "Rehearsal": "_rehearsal",
    "Result": "_outcomes",
    "Router": "_handlers",
    "Run": "_run",
    "RunEvent": "_run",
    "RunOutcome": "_run",
    "Session": "session",
    "StageMetrics": "_metrics",
    "Summary": "_worker",
    "Worker": "_worker",
    "client": "session",
    "describe": "_describe",
    "doctor": "_doctor",
    "extract": "_archive",
    "follow": "_run",
    "lint": "_lint",
    "metrics": "_metrics",
    "pack": "_archive",
    "sample_event": "_event",
    "set_stream_logger": "session",
    "setup_default_session": "session",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in __all__:
            from ._absent import absent

            raise absent(f"module {__name__!r}", name, __all__)
        home = name if name in ("exceptions", "session", "testing") else _MODULES.get(name, "exceptions")
        module = __import__(f"{__name__}.{home}", fromlist=["*"])
        value = module if name == home else getattr(module, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
