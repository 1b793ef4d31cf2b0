# SPDX-License-Identifier: MIT
"""Credentials in the caller's hands: what Client(credentials=...) takes, as the core asks for it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Keys = tuple[bytes, bytes, bytes, int]

# An object of boto3's that renews itself is asked again after five minutes: 20 less the 15 of our renewing ahead.
_AGAIN = 20 * 60

# Our names, those of STS, of credential_process and containers, and of botocore's objects.
_NAMES = (
    ("access_key_id", "AccessKeyId", "access_key", "aws_access_key_id"),
    ("secret_access_key", "SecretAccessKey", "secret_key", "aws_secret_access_key"),
    ("session_token", "SessionToken", "Token", "token", "aws_session_token"),
    ("expires", "Expiration", "expiration", "expiry_time"),
)


def _look_up(given: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        value = given.get(name) if isinstance(given, dict) else getattr(given, name, None)
        if value is not None:
            return value
    return None


def _text(value: object, name: str) -> bytes:
    if isinstance(value, (str, bytes)):
        return value.encode() if isinstance(value, str) else value
    raise TypeError(f"{name}: a str, not a {type(value).__name__}")


def _seconds(moment: object) -> int:
    """Since 1970; 0 for never."""
    if moment is None:
        return 0
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment.replace("Z", "+00:00"))
    if isinstance(moment, datetime):
        if moment.tzinfo is None:
            raise ValueError("expires: a datetime without a zone")
        return int(moment.timestamp())
    if isinstance(moment, (int, float)):
        return int(moment)
    raise TypeError(f"expires: a datetime, text or seconds since 1970, not a {type(moment).__name__}")


def _keys_of(given: Any) -> Keys:
    """The keys in what a provider answered: a dict, an object with their names, or a tuple of two or three."""
    if isinstance(given, dict) and isinstance(given.get("Credentials"), dict):
        given = given["Credentials"]  # the answer of STS as it is
    frozen = getattr(given, "get_frozen_credentials", None)
    if frozen is not None:
        expires = getattr(given, "_expiry_time", None) or time.time() + _AGAIN
        return (*_keys_of(frozen())[:3], _seconds(expires))
    if isinstance(given, (tuple, list)) and not hasattr(given, "access_key"):
        if len(given) not in (2, 3):
            raise ValueError("a tuple of keys has two or three members")
        given = dict(zip(("access_key_id", "secret_access_key", "session_token"), given))
    if given is None:
        raise ValueError("it answered None")
    access, secret, token, expires = (_look_up(given, names) for names in _NAMES)
    if access is None or secret is None:
        raise ValueError("it answered without access_key_id or secret_access_key")
    return (
        _text(access, "access_key_id"),
        _text(secret, "secret_access_key"),
        _text(token or "", "token"),
        _seconds(expires),
    )


def source(credentials: Any, mfa_code: Callable[[str], Any] | None) -> tuple[Any, Any]:
    """(keys, mfa_code) for the core; None where the caller has nothing to say."""
    keys = code = None
    if callable(credentials):
        keys = lambda: _keys_of(credentials())  # noqa: E731
    elif credentials is not None:
        _keys_of(credentials)  # what is wrong with it is told now
        keys = lambda: _keys_of(credentials)  # noqa: E731
    if mfa_code is not None:
        if not callable(mfa_code):
            raise TypeError("mfa_code: a function that is given the device's serial and answers the code it shows")
        code = lambda serial: _text(mfa_code(serial), "the code")  # noqa: E731
    return keys, code
