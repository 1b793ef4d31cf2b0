# SPDX-License-Identifier: MIT
"""What the model knows of an operation."""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def describe(operation: str) -> dict[str, Any]:
    """What an operation ("list_pipelines" or "ListPipelines") takes and answers, as a dict; nothing is sent.

    name, method, doc
    parameters  a list of members: name, required, doc, shape, type ("string", "integer", "boolean", "timestamp",
                "structure", "list" or "map"); where they apply min, max, pattern, enum, sensitive; and what is below:
                members of a structure, items of a list, keys and values of a map
    answer      the same for the answer
    errors      a list of {"code", "doc"}
    pages       {"input_token", "output_token", "result_key", "limit_key"}; absent when it has none

        >>> [p["name"] for p in codepipeline.describe("get_pipeline")["parameters"] if p["required"]]
        ['name']
    """
    return _core.describe(operation)
