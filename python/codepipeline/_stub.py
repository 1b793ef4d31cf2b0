# SPDX-License-Identifier: MIT
"""Answers of one's own in the service's place: botocore's Stubber, for a Client of this package."""

from __future__ import annotations

import copy
import threading
from typing import Any

from . import _core
from .exceptions import ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from ._async import AsyncClient
    from ._client import Client

    Answer = dict[str, Any]


class _Any:
    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __repr__(self) -> str:
        return "<ANY>"


ANY = _Any()


def _expected(value: Any) -> Any:
    """Parameters as the core wants them: None where anything will do. ANY is ours, botocore's or unittest.mock's."""
    if isinstance(value, dict):
        return {name: _expected(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_expected(entry) for entry in value]
    if value is None:
        raise ValueError("expected_params: None is no parameter; ANY stands for any value")
    return None if (value == object()) is True else value


class Stubber:
    """Answers in the service's place, first in, first out, while it is active: in a with block, or from activate() to
    deactivate(). Nothing is sent, no credentials are needed, and no error is tried again.

    It is botocore's Stubber, with the same methods and arguments. Answers are checked against the model when they are
    added. Runs, approvals, submitted calls and an AsyncClient are answered too; they have ResponseMetadata in any case.

        >>> with codepipeline.testing.Stubber(client) as stubber:
        ...     stubber.add_response("start_pipeline_execution", {"pipelineExecutionId": "1"}, {"name": "site"})
        ...     stubber.add_client_error("get_pipeline", "PipelineNotFoundException", "no such pipeline")
        ...     print(client.start_pipeline_execution(name="site"))
        ...     stubber.assert_no_pending_responses()
        Traceback (most recent call last):
        AssertionError: 1 responses remaining in queue.
    """

    def __init__(self, client: Client | AsyncClient) -> None:
        self.client = client
        self._inner: Client = getattr(client, "client", None) or client  # type: ignore[assignment]
        if not isinstance(getattr(self._inner, "_core", None), _core.Client):
            raise TypeError(f"client: a Client of this package, not {type(client)}")
        self._stub = _core.Stub()
        self._given: list[Answer] = []  # what each answer was made of
        self._lock = threading.RLock()
        self._before: tuple[Any, Any] | None = None  # the client's own; None: this is not active

    def __enter__(self) -> Self:
        self.activate()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        self.deactivate()

    def activate(self) -> None:
        """From now on the client is answered by this."""
        client = self._inner
        if self._before is None:
            self._before = client._core, client._pump
            client._core = client._core.with_stub(self._stub)
            client._call, client._pump = self._call, None

    def deactivate(self) -> None:
        """From now on the client asks the service again."""
        client, stubbed = self._inner, self._inner._core
        if self._before is None:
            return
        (client._core, client._pump), self._before = self._before, None
        client._call = client._core.call
        client._core.hook = stubbed.hook  # on() may have been called meanwhile, and close()
        if stubbed.closed:
            client._core.close()

    def add_response(
        self, method: str, service_response: Answer, expected_params: dict[str, Any] | None = None
    ) -> None:
        """The answer to one call of a method. expected_params: what it must be called with; ANY in it stands for any
        value. ParamValidationError says what the model does not have."""
        answer = {name: value for name, value in service_response.items() if name != "ResponseMetadata"}
        self._add(method, 200, answer, expected_params, service_response)

    def add_client_error(
        self,
        method: str,
        service_error_code: str = "",
        service_message: str = "",
        http_status_code: int = 400,
        service_error_meta: dict[str, Any] | None = None,
        expected_params: dict[str, Any] | None = None,
        response_meta: dict[str, Any] | None = None,
        modeled_fields: dict[str, Any] | None = None,
    ) -> None:
        """The error that one call of a method ends with: client.exceptions has its class. service_error_meta goes into
        e.response["Error"], response_meta into its ResponseMetadata, modeled_fields beside them."""
        if http_status_code < 300:
            raise ValueError(f"http_status_code: {http_status_code} is none of an error")
        fields = modeled_fields or {}
        answer = {**fields, "__type": service_error_code, "message": service_message}
        error = {"Message": service_message, "Code": service_error_code, **(service_error_meta or {})}
        given = {**fields, "Error": error, "ResponseMetadata": response_meta or {}}
        self._add(method, http_status_code, answer, expected_params, given)

    def assert_no_pending_responses(self) -> None:
        """AssertionError unless every answer was asked for."""
        if self._stub.pending:
            raise AssertionError(f"{self._stub.pending} responses remaining in queue.")

    def _add(self, method: str, status: int, answer: Answer, expected: Answer | None, given: Answer) -> None:
        operation = self._inner.meta.method_to_api_mapping.get(method)
        if operation is None:
            raise ValueError(f"Client codepipeline does not have method: {method}")
        with self._lock:
            self._stub.add(operation, status, answer, None if expected is None else _expected(expected))
            self._given.append(given)

    def _call(self, operation: str, params: dict[str, Any]) -> Answer:
        """What the client calls while this is active: the core checks and judges, and what comes out is as it was
        given, to the last naive datetime."""
        with self._lock:
            at = len(self._given) - self._stub.pending
            try:
                self._inner._core.call(operation, params)
            except ClientError as error:
                given = copy.deepcopy(self._given[at])
                for name in ("Error", "ResponseMetadata"):
                    error.response[name].update(given.pop(name))
                error.response.update(given)
                raise
            return copy.deepcopy(self._given[at])
