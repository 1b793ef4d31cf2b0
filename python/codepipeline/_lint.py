# SPDX-License-Identifier: MIT
"""The service's rules for a pipeline, without the service."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Complaint:
    """What the service would refuse a pipeline for: path ("pipeline.stages[0].name"), message, line and column in the
    text, and code, the error that it would answer.

        >>> complaint = codepipeline.lint('{"name": "site",\\n "stages": []}')[0]
        >>> complaint.line, complaint.path, complaint.message
        (1, 'roleArn', 'missing')
    """

    def __init__(self, details: dict[str, Any]) -> None:
        self.path: str = details["path"]
        self.code: str = details["code"]
        self.message: str = details["message"]
        self.line: int = details["line"]
        self.column: int = details["column"]

    def __str__(self) -> str:
        return ": ".join(text for text in (self.path, self.message) if text)

    def __repr__(self) -> str:
        return f"<codepipeline.Complaint line={self.line} {str(self)!r}>"


def lint(pipeline: str | dict[str, Any], *, region: str | None = None) -> list[Complaint]:
    """What the service would refuse a pipeline for, without asking it; an empty list when all is well.

    pipeline  JSON text or a dict: what create_pipeline takes, or the pipeline alone
    region    where it is to be; default: wherever it fits

    Action types that are not of AWS are taken on trust.

        >>> codepipeline.lint({"name": "site", "stages": []})
        [<codepipeline.Complaint line=1 'roleArn: missing'>]
    """
    if not isinstance(pipeline, str):
        import json

        pipeline = json.dumps(pipeline)
    return [Complaint(details) for details in _core.lint(pipeline, region)]
