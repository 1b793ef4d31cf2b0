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
    from ._archive import extract, pack
    from ._client import Client, client
    from ._doctor import doctor
    from ._emulator import Emulator
    from ._event import Event, sample_event
    from ._observe import CallEvent
    from ._worker import EventJob, Input, Job, Outcome, Output, Result, Summary, Worker
    from .exceptions import (
        ArchiveError,
        CancelledError,
        ClientError,
        CodePipelineError,
        ConfigurationError,
        CredentialsError,
        NetworkError,
        ParamValidationError,
        ProtocolError,
        StateError,
        SystemFailure,
        TimeoutError,
        TooLargeError,
    )

__version__ = _core.version

__all__ = [
    "ArchiveError",
    "CallEvent",
    "CancelledError",
    "Client",
    "ClientError",
    "CodePipelineError",
    "ConfigurationError",
    "CredentialsError",
    "Emulator",
    "Event",
    "EventJob",
    "Input",
    "Job",
    "NetworkError",
    "Outcome",
    "Output",
    "ParamValidationError",
    "ProtocolError",
    "Result",
    "StateError",
    "Summary",
    "SystemFailure",
    "TimeoutError",
    "TooLargeError",
    "Worker",
    "client",
    "doctor",
    "exceptions",
    "extract",
    "pack",
    "sample_event",
]

# Where the names live. A module is loaded when a name of it is first used, so that a script which makes one call does
# not wait for the worker. What is not listed here is in exceptions.
_MODULES = {
    "CallEvent": "_observe",
    "Client": "_client",
    "client": "_client",
    "doctor": "_doctor",
    "Emulator": "_emulator",
    "Event": "_event",
    "EventJob": "_worker",
    "Input": "_worker",
    "Job": "_worker",
    "Outcome": "_worker",
    "Output": "_worker",
    "Result": "_worker",
    "Summary": "_worker",
    "Worker": "_worker",
    "extract": "_archive",
    "pack": "_archive",
    "sample_event": "_event",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = __import__(f"{__name__}.{_MODULES.get(name, 'exceptions')}", fromlist=["*"])
        value = module if name == "exceptions" else getattr(module, name)
        globals()[name] = value
        return value

    def __dir__():
        return sorted({*globals(), *__all__})
