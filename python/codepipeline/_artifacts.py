# SPDX-License-Identifier: MIT
"""A job's artifacts, as its handler has them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import _core
    from ._typing import Path


class Input:
    """An input artifact. It is fetched once, when first asked for, with the job's own credentials.

    >>> job = client.job(codepipeline.sample_event(user_parameters='{"level": 3}'))
    >>> [job.input(name) for name in job.inputs]
    [<codepipeline.Input 'input-artifact'>]
    """

    def __init__(self, core: _core.Job, name: str) -> None:
        self._core = core
        self.name = name

    def path(self) -> str:
        """Where the artifact lies as it came, usually a zip file. Lives as long as the job."""
        return self._core.input_path(self.name)

    def extract(self, directory: Path | None = None) -> str:
        """Unpacks it into directory, or into a new folder of the job's own; the folder's path.

        An archive with entries that would leave the directory is ArchiveError, and the directory stays as it was.
        """
        return self._core.input_extract(self.name, os.fsencode(directory) if directory is not None else b"")

    def read(self) -> bytes:
        """The artifact's bytes as they came."""
        with open(self.path(), "rb") as file:
            return file.read()

    def __repr__(self) -> str:
        return f"<codepipeline.Input {self.name!r}>"


class Output:
    """An output artifact. What is staged here is sent before the job's result.

    >>> job = client.job(codepipeline.sample_event(user_parameters='{"level": 3}'))
    >>> job.output().write(b"bytes")
    >>> len(job.output().digest())
    64
    """

    def __init__(self, core: _core.Job, name: str) -> None:
        self._core = core
        self.name = name

    def pack(self, path: Path) -> None:
        """Stages a zip of a folder's contents, or of one file."""
        self._core.output_pack(self.name, os.fsencode(path))

    def file(self, path: Path) -> None:
        """Stages a file's bytes as they are, an archive of the handler's own making for instance."""
        self._core.output_file(self.name, os.fsencode(path))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Stages the bytes themselves."""
        self._core.output_write(self.name, data if isinstance(data, bytes) else memoryview(data).tobytes())

    def digest(self) -> str:
        """SHA-256 of what is staged, in hexadecimal."""
        return self._core.output_digest(self.name)

    def __repr__(self) -> str:
        return f"<codepipeline.Output {self.name!r}>"
