# SPDX-License-Identifier: MIT
"""What becomes of a job."""

from __future__ import annotations

from .exceptions import FAILURE_TYPES, JobFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from . import _core
    from ._worker import Job


class Outcome:
    """What becomes of a job: made by job.succeed(), job.fail() and job.later(), sent when the handler has returned.

    >>> job = client.job(codepipeline.sample_event(user_parameters='{"level": 3}'))
    >>> isinstance(job.fail("no"), codepipeline.Outcome)
    True
    """

    name: str

    def send(self, core: _core.Job) -> None:
        """Answers the job with it; the worker does that."""
        raise NotImplementedError


class Result(Outcome):
    """Success; what a handler may return when a dict of output variables says too little.

    output_variables       a dict of str, for later actions
    summary                shown in the console; cut to 2048 characters
    external_execution_id  shown in the console; at most 1500 characters
    percent_complete       1 to 100
    revision, change_identifier, revision_summary
                           Source actions: the revision that was found

        >>> codepipeline.Result({"digest": "1b2c"}, summary="made")
        Result(output_variables={'digest': '1b2c'}, summary='made')
    """

    name = "succeeded"

    def __init__(
        self,
        output_variables: Mapping[str, str] | None = None,
        *,
        summary: str | None = None,
        external_execution_id: str | None = None,
        percent_complete: int | None = None,
        revision: str | None = None,
        change_identifier: str | None = None,
        revision_summary: str | None = None,
    ) -> None:
        details = {
            "output_variables": output_variables,
            "summary": summary,
            "external_execution_id": external_execution_id,
            "percent_complete": percent_complete,
            "revision": revision,
            "change_identifier": change_identifier,
            "revision_summary": revision_summary,
        }
        self.details = {name: value for name, value in details.items() if value is not None}

    def send(self, core: _core.Job) -> None:
        core.succeed(**self.details)

    def __repr__(self) -> str:
        return f"Result({', '.join(f'{name}={value!r}' for name, value in self.details.items())})"


class Later(Outcome):
    name = "continued"

    def __init__(self, state: Any, after: float, result: Result) -> None:
        self.state = state
        self.after = after
        self.result = result

    def send(self, core: _core.Job) -> None:
        core.later(self.state, self.after, **self.result.details)


class HandOver(Outcome):
    """Goes on elsewhere, as it came."""

    name = "continued"

    def send(self, core: _core.Job) -> None:
        core.hand_over()


class Failure(Outcome):
    name = "failed"

    def __init__(self, message: object, type: str, external_execution_id: str | None = None) -> None:
        self.message = "" if message is None else str(message)
        self.type = type
        self.external_execution_id = external_execution_id

    @property
    def plain(self) -> bool:
        """Nothing of it can be refused."""
        return self.type == "JobFailed" and not self.external_execution_id

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        kind = type(error).__name__
        try:
            text = str(error).encode("utf-8", "backslashreplace").decode()
        except Exception:  # a handler's own exception class may do anything
            text = "(its text cannot be had)"
        default = "PermissionError" if isinstance(error, PermissionError) else "JobFailed"
        if isinstance(error, JobFailure) and text:
            return cls(text, error.failure_type, error.external_execution_id)
        told = getattr(error, "failure_type", default)  # an exception of the handler's own may say anything
        return cls(f"{kind}: {text}" if text else kind, told if told in FAILURE_TYPES else default)

    def send(self, core: _core.Job) -> None:
        core.fail(self.message, self.type, self.external_execution_id)


def decide(job: Job, value: object) -> Outcome:
    """What a handler's return value means."""
    if value is None:
        return job.outcome or Result()
    if isinstance(value, Outcome):
        return value
    if isinstance(value, dict):
        return Result(value)
    raise TypeError(f"a handler returns None, a dict or what job.succeed() answers, not {type(value).__name__}")
