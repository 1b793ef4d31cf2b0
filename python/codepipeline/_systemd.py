# SPDX-License-Identifier: MIT
"""What systemd wants to hear from a service of Type=notify. Elsewhere, without NOTIFY_SOCKET, nothing is said."""

from __future__ import annotations

import logging
import os
import time

_log = logging.getLogger("codepipeline")


class Notices:
    """READY=1, WATCHDOG=1 twice within the unit's WatchdogSec, STOPPING=1."""

    def __init__(self) -> None:
        self._path = os.environ.get("NOTIFY_SOCKET", "")
        self._interval = _watchdog_interval()
        self._last = 0.0

    def ready(self) -> None:
        self._send("READY=1")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        if self._interval and time.monotonic() - self._last >= self._interval / 2:
            self._last = time.monotonic()
            self._send("WATCHDOG=1")

    def patience(self, seconds: float) -> float:
        """seconds, or less when alive() is to be called sooner."""
        return min(seconds, self._interval) if self._interval else seconds

    def _send(self, text: str) -> None:
        if not self._path:
            return
        import socket

        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.sendto(text.encode(), address)
        except OSError as error:
            _log.warning("systemd cannot be told %s: %s", text, error)
            self._path = ""


def _watchdog_interval() -> float:
    """Seconds between two signs of life, half of what systemd allows; 0 when it watches somebody else, or nobody."""
    text = os.environ.get("WATCHDOG_USEC", "")
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    return int(text) / 2e6 if text.isdigit() else 0.0
