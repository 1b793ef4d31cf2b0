# SPDX-License-Identifier: MIT
"""Names for type checkers; there is no such module at run time."""

import os
from collections.abc import Callable
from typing import Union

from typing_extensions import TypeAlias, TypedDict

Path: TypeAlias = Union[str, bytes, os.PathLike[str], os.PathLike[bytes]]

class Options(TypedDict, total=False):
    """Options of Client, by our names and by boto3's; durations in seconds."""

    profile: str | None
    access_key_id: str | None
    secret_access_key: str | None
    session_token: str | None
    credentials: object
    mfa_code: Callable[[str], str] | None
    endpoint_url: str | None
    s3_endpoint_url: str | None
    ca_bundle: Path | None
    user_agent_extra: str | None
    connect_timeout: float | None
    read_timeout: float | None
    total_timeout: float | None
    max_attempts: int | None
    response_limit: int | None
    retry_mode: str | None
    app_id: str | None
    use_fips_endpoint: bool | None
    use_dualstack_endpoint: bool | None
    ignore_configured_endpoint_urls: bool | None
    proxy: str | None
    client_cert: Path | None
    client_key: Path | None
    region_name: str | None
    profile_name: str | None
    aws_access_key_id: str | None
    aws_secret_access_key: str | None
    aws_session_token: str | None

class AllOptions(Options, total=False):
    region: str | None
