# SPDX-License-Identifier: MIT
"""The offline service, in this process."""

from __future__ import annotations

import os

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self, Unpack

    from ._client import Client
    from ._typing import AllOptions, Path


class Emulator:
    """CodePipeline and the part of S3 it needs, offline, on loopback, in a thread of its own.

        with codepipeline.Emulator() as emulator:
            client = emulator.client()

    port         default 0: the system picks one
    path         a SQLite file that keeps the state; default: memory only
    host         default 127.0.0.1
    region       default us-east-1
    account_id   default 123456789012
    access_key_id, secret_access_key
                 the owner's; default: fixed test values, see environ

    Raises SystemFailure when the port is in use or the file cannot be opened. It is a context manager; leaving it stops
    it. For tests, not for the internet.

        >>> with codepipeline.Emulator() as emulator:
        ...     emulator.client().list_pipelines()["pipelines"]
        []
    """

    def __init__(
        self,
        port: int = 0,
        path: Path | None = None,
        *,
        host: str | None = None,
        region: str | None = None,
        account_id: str | None = None,
        access_key_id: str | None = None,
        secret_access_key: str | None = None,
    ) -> None:
        self._core = _core.Emulator(
            port=port,
            path=None if path is None else os.fsencode(path),
            host=host,
            region=region,
            account_id=account_id,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
        )

    @property
    def url(self) -> str:
        """Where it listens: "http://127.0.0.1:PORT"."""
        return self._core.url

    @property
    def environ(self) -> dict[str, str]:
        """A new dict of the AWS_* variables that point any AWS SDK at it: endpoints, keys, region."""
        return self._core.environ

    @property
    def closed(self) -> bool:
        return self._core.closed

    def client(self, **options: Unpack[AllOptions]) -> Client:
        """A new Client that talks to it with the owner's keys; options as for Client."""
        from ._client import Client, own_names

        environ = self.environ
        ours: dict[str, Any] = {
            "region": environ["AWS_REGION"],
            "access_key_id": environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"],
            "endpoint_url": self.url,
            "s3_endpoint_url": environ["AWS_ENDPOINT_URL_S3"],
        }
        return Client(**{**ours, **own_names(options)})

    def create_bucket(self, name: str) -> None:
        """Makes an empty bucket; nothing happens when it is there."""
        self._core.create_bucket(name)

    def close(self) -> None:
        """Stops it. A second close does nothing."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<codepipeline.Emulator {'closed' if self.closed else self.url}>"
