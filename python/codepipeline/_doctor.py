# SPDX-License-Identifier: MIT
"""What keeps a client from working, and where it found what it found."""

from __future__ import annotations

import sys

from . import _core
from ._client import own_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from typing_extensions import Unpack

    from ._typing import AllOptions


def doctor(*, file: TextIO | None = None, **options: Unpack[AllOptions]) -> dict[str, Any]:
    """Prints, to file or standard output, what a Client with these options would find and where each thing comes from
    (profile, region, endpoint, credentials), whether the service answers, the clock, and what is wrong; secrets masked.

    Answers the same as a dict: "healthy", "problems" (a list of texts), "text", and one entry for each finding.

        >>> codepipeline.doctor(file=io.StringIO())["healthy"]
        True
    """
    report = _core.doctor(**own_names(options))
    print(report["text"], end="", file=file or sys.stdout)
    return report
