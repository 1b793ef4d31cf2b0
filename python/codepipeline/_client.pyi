# SPDX-License-Identifier: MIT
"""The client, for type checkers: its operations are made at run time, and typed in _operations.pyi (generated)."""

from types import ModuleType, TracebackType
from typing import Any

from typing_extensions import Self, TypedDict, Unpack

from . import _core, exceptions
from ._core import Path
from ._operations import Operations

class Options(TypedDict, total=False):
    """Options of Client, by our names and by boto3's; durations in seconds."""

    profile: str | None
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    endpoint_url: str | None
    s3_endpoint_url: str | None
    ca_bundle: Path | None
    user_agent_extra: str | None
    connect_timeout: float | None
    read_timeout: float | None
    total_timeout: float | None
    max_attempts: int | None
    response_limit: int | None
    region_name: str | None
    profile_name: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None

class AllOptions(Options, total=False):
    region: str | None

class Meta:
    region_name: str
    endpoint_url: str

class Client(Operations):
    _core: _core.Client
    def __init__(self, region: str | None = None, **options: Unpack[Options]) -> None: ...
    def call(self, operation: str, /, **params: Any) -> dict[str, Any]: ...
    def upload_file(self, filename: Path, bucket: str, key: str) -> None: ...
    def download_file(self, bucket: str, key: str, filename: Path) -> None: ...
    @property
    def operations(self) -> list[str]: ...
    @property
    def exceptions(self) -> ModuleType: ...
    @property
    def region(self) -> str: ...
    @property
    def endpoint_url(self) -> str: ...
    @property
    def meta(self) -> Meta: ...
    @property
    def closed(self) -> bool: ...
    def close(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...

def client(service_name: str = "codepipeline", **options: Unpack[AllOptions]) -> Client: ...
def own_names(options: AllOptions) -> dict[str, Any]: ...
