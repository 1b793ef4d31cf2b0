# SPDX-License-Identifier: MIT
"""What goes wrong: one class for each kind, and one for each error the service may answer.

The latter (PipelineNotFoundException and 41 more) are attributes of this module like the others; each is made when it
is first used. All of them derive from ClientError.

    >>> codepipeline.exceptions.PipelineNotFoundException.__bases__
    (<class 'codepipeline.exceptions.ClientError'>,)
"""

from __future__ import annotations

import builtins
import sys

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._service_errors import *  # noqa: F403


class CodePipelineError(Exception):
    """The base of all errors of this package. What does not apply is None, 0 or False.

    status       the kind: "INVALID", "CONFIG", "CREDENTIALS", "NETWORK", "TIMEOUT", "PROTOCOL", "TOO_LARGE", "SERVICE",
                 "CANCELLED", "STATE", "IO", "ARCHIVE" or "UNEXPECTED"
    message      what went wrong; for status SERVICE in the service's own words
    code         the service's error code, "PipelineNotFoundException"
    path         the member at fault, "pipeline.stages[0].name"
    operation    "GetPipeline"
    http_status  of the answer; 0 when none arrived
    request_id   the service's id of the request
    cloudfront_id, extended_request_id
                 more of them: x-amz-cf-id, x-amz-id-2
    attempts     how many times the request was sent
    retry_delay  seconds spent waiting between the attempts
    retryable    whether the same request may succeed later
    exhausted    whether no further attempt was allowed
    headers      of the answer, names in lower case
    members      of the error as the model has them

        >>> try:
        ...     client.get_pipeline(name="nobody")
        ... except codepipeline.CodePipelineError as error:
        ...     print(error.status, error.code, error.http_status)
        SERVICE PipelineNotFoundException 400
    """

    status = "STATE"
    _response: dict[str, Any] | None = None  # made when it is first asked for, and the script's from then on

    def __init__(
        self,
        message: str = "",
        *,
        status: str | None = None,
        code: str | None = None,
        path: str | None = None,
        operation: str | None = None,
        http_status: int = 0,
        request_id: str | None = None,
        cloudfront_id: str | None = None,
        extended_request_id: str | None = None,
        attempts: int = 0,
        retry_delay: float = 0.0,
        retryable: bool = False,
        exhausted: bool = False,
        headers: dict[str, str] | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        Exception.__init__(self, message)  # not super(): where botocore's class comes next, it wants something else
        self.message = message
        if status is not None:
            self.status = status
        self.code = code
        self.path = path
        self.operation = operation
        self.http_status = http_status
        self.request_id = request_id
        self.cloudfront_id = cloudfront_id
        self.extended_request_id = extended_request_id
        self.attempts = attempts
        self.retry_delay = retry_delay
        self.retryable = retryable
        self.exhausted = exhausted
        self.headers = headers
        self.members = members

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args), self.__dict__

    @property
    def response(self) -> dict[str, Any]:
        """The error in the shape of botocore's e.response."""
        if self._response is None:
            self._response = self._make_response()
        return self._response

    def _make_response(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {
            "RequestId": self.request_id or "",
            "HTTPStatusCode": self.http_status,
            "HTTPHeaders": self.headers or {},
            "RetryAttempts": max(self.attempts - 1, 0),
        }
        if self.exhausted:
            metadata["MaxAttemptsReached"] = True
        return {
            "Error": {"Message": self.message, "Code": self.code or type(self).__name__},
            "ResponseMetadata": metadata,
            **(self.members or {}),
        }

    @property
    def failure_type(self) -> str:
        """The FailureType under which a worker reports a job whose handler raised this."""
        return _core.failure_type(self.status, self.code, self.http_status, self.retryable)


class ClientError(CodePipelineError):
    """The service answered with an error; code says which, and a subclass where the model knows it.

    >>> try:
    ...     client.get_pipeline(name="nobody")
    ... except client.exceptions.PipelineNotFoundException as error:
    ...     print(error.operation_name, error.response["Error"]["Code"])
    GetPipeline PipelineNotFoundException
    """

    status = "SERVICE"
    _code: str | None = None

    def __init__(
        self,
        message: str | dict[str, Any] = "",
        operation_name: str | None = None,
        *,
        error_response: dict[str, Any] | None = None,
        code: str | None = None,
        **details: Any,
    ) -> None:
        given = message if error_response is None else error_response
        if not isinstance(given, str):  # as in botocore: what e.response is, for tests that raise errors of their own
            error, metadata = given.get("Error", {}), given.get("ResponseMetadata", {})
            details.setdefault("http_status", metadata.get("HTTPStatusCode", 0))
            details.setdefault("request_id", metadata.get("RequestId"))
            details.setdefault("headers", metadata.get("HTTPHeaders"))
            details.setdefault("attempts", metadata.get("RetryAttempts", -1) + 1)
            details.setdefault("exhausted", metadata.get("MaxAttemptsReached", False))
            others = {name: value for name, value in given.items() if name not in ("Error", "ResponseMetadata")}
            details.setdefault("members", others or None)
            self._response, code = given, code or error.get("Code")
            given = str(error.get("Message", "Unknown"))
        if operation_name is not None:
            details["operation"] = operation_name
        super().__init__(given, code=code or self._code, **details)
        self.args = (str(self),)  # as in botocore, and so in repr()

    def __str__(self) -> str:
        where = f" when calling the {self.operation} operation" if self.operation else ""
        tried = f" (reached max retries: {self.attempts - 1})" if self.exhausted else ""
        return f"An error occurred ({self.code or 'Unknown'}){where}{tried}: {self.message}"

    @property
    def operation_name(self) -> str | None:
        """The same as operation, by the name botocore gives it."""
        return self.operation


class ParamValidationError(CodePipelineError, ValueError):
    """An argument is wrong, found before anything was sent; path says which.

    >>> try:
    ...     client.get_pipeline(nam="site")
    ... except codepipeline.ParamValidationError as error:
    ...     print(error)
    nam: unknown member, did you mean "name"?; name: missing
    """

    status = "INVALID"


class ConfigurationError(CodePipelineError):
    """The region, the profile or the endpoint is missing or wrong.

    A handler raises it too, when its action's configuration is wrong: the job then fails as a ConfigurationError.

        >>> codepipeline.Client("nowhere/at/all")
        Traceback (most recent call last):
        codepipeline.exceptions.ConfigurationError: ...
    """

    status = "CONFIG"


class NoRegionError(ConfigurationError):
    """Nobody has said in which region the service is asked.

    >>> issubclass(codepipeline.exceptions.NoRegionError, codepipeline.ConfigurationError)
    True
    """


class ProfileNotFound(ConfigurationError):
    """The profile that was asked for is in none of the shared files.

    >>> codepipeline.Client("us-east-1", profile="nobody")
    Traceback (most recent call last):
    codepipeline.exceptions.ProfileNotFound: profile "nobody" is neither in ...
    """


class CredentialsError(CodePipelineError):
    """No usable credentials were found; the message lists where they were looked for.

    >>> codepipeline.CredentialsError("no usable credentials").failure_type
    'PermissionError'
    """

    status = "CREDENTIALS"


class NetworkError(CodePipelineError, ConnectionError):
    """The service could not be reached, or the connection broke.

    >>> try:
    ...     client.with_options(endpoint_url="http://127.0.0.1:1", max_attempts=1).list_pipelines()
    ... except codepipeline.NetworkError as error:
    ...     print(error.operation, error.retryable)
    ListPipelines True
    """

    status = "NETWORK"


class TimeoutError(CodePipelineError, builtins.TimeoutError):
    """A time limit passed.

    >>> try:
    ...     client.run("site").wait(timeout=0.05)
    ... except codepipeline.TimeoutError as error:
    ...     print(error.status)
    TIMEOUT
    """

    status = "TIMEOUT"


class ProtocolError(CodePipelineError):
    """The answer is not what the protocol allows.

    >>> codepipeline.ProtocolError("the answer is no JSON").status
    'PROTOCOL'
    """

    status = "PROTOCOL"


class TooLargeError(CodePipelineError):
    """A size limit was exceeded.

    >>> try:
    ...     client.with_options(response_limit=20).list_pipelines()
    ... except codepipeline.TooLargeError as error:
    ...     print(error.operation)
    ListPipelines
    """

    status = "TOO_LARGE"


class CancelledError(CodePipelineError):
    """A call was stopped from outside.

    >>> codepipeline.CancelledError("stopped").status
    'CANCELLED'
    """

    status = "CANCELLED"


class StateError(CodePipelineError, RuntimeError):
    """The object is closed, or not in a state that allows this.

    >>> other = codepipeline.Client()
    >>> other.close()
    >>> other.list_pipelines()
    Traceback (most recent call last):
    codepipeline.exceptions.StateError: the client is closed
    """

    status = "STATE"


class SystemFailure(CodePipelineError, OSError):
    """A file or the operating system failed: a full disk, a port in use.

    >>> codepipeline.pack("no-such-folder", "archive.zip")
    Traceback (most recent call last):
    codepipeline.exceptions.SystemFailure: ...
    """

    status = "IO"


class ArchiveError(CodePipelineError):
    """An archive is damaged or unsafe.

    >>> codepipeline.extract(__file__, "unpacked")
    Traceback (most recent call last):
    codepipeline.exceptions.ArchiveError: ...
    """

    status = "ARCHIVE"


class StubResponseError(CodePipelineError):
    """A client with a Stubber was asked for something else than its next answer is for.

    >>> with codepipeline.testing.Stubber(client) as stubber:
    ...     stubber.add_response("get_pipeline", {})
    ...     client.list_pipelines()
    Traceback (most recent call last):
    codepipeline.exceptions.StubResponseError: ListPipelines: the next answer is for GetPipeline
    """

    status = "UNEXPECTED"


class UnStubbedResponseError(StubResponseError):
    """A client with a Stubber was asked once more than there are answers.

    >>> with codepipeline.testing.Stubber(client):
    ...     client.list_pipelines()
    Traceback (most recent call last):
    codepipeline.exceptions.UnStubbedResponseError: ListPipelines: no answers are left
    """


class StubAssertionError(StubResponseError, AssertionError):
    """A client with a Stubber got other parameters than were expected; path says where they differ.

    >>> with codepipeline.testing.Stubber(client) as stubber:
    ...     stubber.add_response("get_pipeline", {}, {"name": "site"})
    ...     client.get_pipeline(name="docs")
    Traceback (most recent call last):
    codepipeline.exceptions.StubAssertionError: GetPipeline: name: expected "site", got "docs"
    """


def check_failure_type(what: str, type: str) -> str:
    if type not in FAILURE_TYPES:
        raise ValueError(f"{what}: {type!r} is none of {', '.join(FAILURE_TYPES)}")
    return type


class JobFailure(CodePipelineError):
    """Raised by a handler: its job fails with this message, and with the failure type of the class or the one given.

    external_execution_id  shown in the console; at most 1500 characters

        >>> codepipeline.JobFailure("no such commit", failure_type="RevisionUnavailable").failure_type
        'RevisionUnavailable'
    """

    _failure_type = "JobFailed"

    def __init__(
        self,
        message: str = "",
        *,
        failure_type: str | None = None,
        external_execution_id: str | None = None,
        **details: Any,
    ) -> None:
        super().__init__(message, **details)
        if failure_type is not None:
            self._failure_type = check_failure_type("failure_type", failure_type)
        self.external_execution_id = external_execution_id

    @property
    def failure_type(self) -> str:
        """As it was given."""
        return self._failure_type


class ConfigurationFailure(JobFailure):
    """Raised by a handler: the action's configuration is wrong.

    >>> codepipeline.ConfigurationFailure("why").failure_type
    'ConfigurationError'
    """

    _failure_type = "ConfigurationError"


class PermissionFailure(JobFailure):
    """Raised by a handler: a permission is missing.

    >>> codepipeline.PermissionFailure("why").failure_type
    'PermissionError'
    """

    _failure_type = "PermissionError"


class RevisionOutOfSyncFailure(JobFailure):
    """Raised by a handler: the revision is not the one that is there now.

    >>> codepipeline.RevisionOutOfSyncFailure("why").failure_type
    'RevisionOutOfSync'
    """

    _failure_type = "RevisionOutOfSync"


class RevisionUnavailableFailure(JobFailure):
    """Raised by a handler: the revision is not to be had.

    >>> codepipeline.RevisionUnavailableFailure("why").failure_type
    'RevisionUnavailable'
    """

    _failure_type = "RevisionUnavailable"


class SystemUnavailableFailure(JobFailure):
    """Raised by a handler: something that it needs is away.

    >>> codepipeline.SystemUnavailableFailure("why").failure_type
    'SystemUnavailable'
    """

    _failure_type = "SystemUnavailable"


FAILURE_TYPES = (
    "JobFailed",
    "ConfigurationError",
    "PermissionError",
    "RevisionOutOfSync",
    "RevisionUnavailable",
    "SystemUnavailable",
)

# The names of botocore's exceptions, for scripts that were written for boto3. Its BotoCoreError is not a base of its
# ClientError, as ours is: who catches both catches ClientError first.
BotoCoreError = CodePipelineError
ConfigNotFound = ConfigParseError = InvalidRegionError = ConfigurationError
NoCredentialsError = PartialCredentialsError = CredentialRetrievalError = TokenRetrievalError = CredentialsError
SSOTokenLoadError = UnauthorizedSSOTokenError = MetadataRetrievalError = CredentialsError
EndpointConnectionError = ConnectionClosedError = HTTPClientError = ProxyConnectionError = SSLError = NetworkError
ConnectTimeoutError = ReadTimeoutError = TimeoutError

_BY_STATUS = {
    kind.status: kind
    for kind in (
        ClientError,
        ParamValidationError,
        ConfigurationError,
        CredentialsError,
        NetworkError,
        TimeoutError,
        ProtocolError,
        TooLargeError,
        CancelledError,
        StateError,
        SystemFailure,
        ArchiveError,
        StubResponseError,
    )
}
_BY_PATH = {"region": NoRegionError, "profile": ProfileNotFound}  # of what is wrong with the configuration
_BY_CODE = {kind.__name__: kind for kind in (UnStubbedResponseError, StubAssertionError)}


# What botocore raises where the core's errors become these.
_THEIRS: dict[type[CodePipelineError], tuple[str, ...]] = {
    **dict.fromkeys(_BY_STATUS.values(), ("BotoCoreError",)),
    ClientError: ("ClientError",),
    ParamValidationError: ("ParamValidationError",),
    CredentialsError: ("NoCredentialsError", "PartialCredentialsError"),
    NetworkError: ("EndpointConnectionError", "ConnectionClosedError"),
    TimeoutError: ("ConnectTimeoutError", "ReadTimeoutError"),
    **{kind: (kind.__name__,) for kind in (StubResponseError, *_BY_CODE.values(), *_BY_PATH.values())},
}


def _join_botocore() -> None:
    """Once the program has loaded botocore, our classes are botocore's too: a script of which "import boto3" alone was
    changed still catches those. botocore itself is never loaded for it; docs/adr/0043 says why this way."""
    theirs = sys.modules.get("botocore.exceptions")
    for kind, names in _THEIRS.items() if theirs else ():
        # without one of them: an older botocore, or not all of it loaded yet
        found = [getattr(theirs, name) for name in names if hasattr(theirs, name)]
        ours = [base for base in kind.__bases__ if not any(issubclass(other, base) for other in found)]
        bases = (*ours, *found)  # the same, whichever thread comes first
        if bases != kind.__bases__:
            kind.__bases__ = bases


def _rebuild(kind: type[CodePipelineError], args: tuple[Any, ...]) -> CodePipelineError:
    _join_botocore()
    made = kind.__new__(kind, *args)
    made.args = args  # an OSError does without those of __new__
    return made


def from_core(*, status: str, code: str | None, path: str | None = None, **details: Any) -> CodePipelineError:
    """The exception for an error of the core, which calls this with all the details it has."""
    kind = _BY_STATUS.get(status, CodePipelineError)
    if kind is ClientError:
        kind = from_code(code)
    elif kind is StubResponseError:
        kind = _BY_CODE.get(code or "", kind)
    elif kind is ConfigurationError:
        kind = _BY_PATH.get(path or "", kind)
    _join_botocore()
    return kind(status=status, code=code, path=path, **details)


def _modelled(name: str) -> type[ClientError]:
    if name in globals():
        known: type[ClientError] = globals()[name]
        return known
    doc = f"The service answered {name}."
    made: type[ClientError] = type(name, (ClientError,), {"__doc__": doc, "__module__": __name__, "_code": name})
    first: type[ClientError] = globals().setdefault(name, made)  # another thread may have been first
    return first


def from_code(code: str | None) -> type[ClientError]:
    """The class for an error code, ClientError where the model knows none: botocore's way.

    >>> client.exceptions.from_code("JobNotFoundException").__name__
    'JobNotFoundException'
    """
    return _modelled(code) if code in _core.error_names() else ClientError


if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _core.error_names():
            from ._absent import absent

            raise absent(f"module {__name__!r}", name, __dir__())
        return _modelled(name)

    def __dir__():
        return sorted({*globals(), *_core.error_names()})
