# SPDX-License-Identifier: MIT
"""Archives, outside a job."""

from __future__ import annotations

import os

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._typing import Path


def pack(path: Path, archive: Path) -> None:
    """Zips a folder's contents, or one file, into a new file archive; in an order that does not depend on the file
    system.

        >>> codepipeline.pack(__file__, "one.zip")
    """
    _core.pack(os.fsencode(path), os.fsencode(archive))


def extract(archive: Path, directory: Path, *, limit: int = 0) -> None:
    """Unpacks a zip, tar or tar.gz into directory.

    Raises ArchiveError when it is damaged, unpacks to more than limit bytes (0: 8 GiB), or has an entry that would
    leave the directory, which is then as it was.

        >>> codepipeline.pack(__file__, "one.zip")
        >>> directory = codepipeline.extract("one.zip", "unpacked")
    """
    _core.extract(os.fsencode(archive), os.fsencode(directory), limit)
