# SPDX-License-Identifier: MIT
"""Calls that nobody waits for at once: futures, moved by one thread for each client that submits."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from typing import Any

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ._client import Client

    Answer = dict[str, Any]

_LINGER = 0.25  # seconds that the thread stays when nothing is under way
_birth = threading.Lock()  # of pumps


class Call(Future["Answer"]):
    """A call under way: a concurrent.futures.Future whose result is the operation's answer.

    cancel() gives it up. Whether the service has heard of it by then, nobody knows.
    """

    def __init__(self, operation: str, drop: Callable[[Call], None]) -> None:
        super().__init__()
        self.operation = operation
        self._drop = drop

    def cancel(self) -> bool:
        """False when it has ended already."""
        if not super().cancel():
            return False
        self._drop(self)
        return True


class Pump:
    """Moves the calls of one client, on a thread that starts with the first of them and ends soon after the last.

    It is no daemon: a program that ends waits for what it has submitted, as it does for a ThreadPoolExecutor.
    """

    def __init__(self, client: _core.Client) -> None:
        self.pid = os.getpid()
        self._queue = _core.Queue(client)
        self._lock = threading.Lock()
        self._calls: dict[int, Call] = {}  # guarded by the lock, as is running
        self._ids: dict[Call, int] = {}
        self._running = False

    def submit(self, operation: str, params: dict[str, Any]) -> Call:
        call = Call(operation, self._drop)
        with self._lock:
            number = self._queue.submit(operation, params)
            self._calls[number] = call
            self._ids[call] = number
            if not self._running:
                self._start(number)
        return call

    def _start(self, number: int) -> None:
        self._running = True
        try:
            threading.Thread(target=self._run, name="codepipeline-calls").start()
        except BaseException:  # no thread to be had: nobody would ever move the call
            self._running = False
            self._queue.cancel(number)
            del self._ids[self._calls.pop(number)]
            raise

    def _drop(self, call: Call) -> None:
        with self._lock:
            number = self._ids.get(call)
        if number is not None:
            self._queue.cancel(number)

    def _run(self) -> None:
        try:
            self._move()
        except BaseException as error:  # out of memory, say: who waits must not wait for ever
            with self._lock:
                self._running = False
                numbers = list(self._calls)
            for number in numbers:
                self._queue.cancel(number)
                self._hand_out(number, None, error)

    def _move(self) -> None:
        while True:
            done = self._queue.next(_LINGER)
            if done is not None:
                self._hand_out(*done)
                continue
            with self._lock:
                if not self._calls:
                    self._running = False
                    return

    def _hand_out(self, number: int, answer: Answer | None, error: BaseException | None) -> None:
        with self._lock:
            call = self._calls.pop(number, None)
            if call is None:  # given up when its thread could not be had, or broke
                return
            del self._ids[call]
        if not call.set_running_or_notify_cancel():
            return
        if error is not None:
            call.set_exception(error)
        else:
            assert answer is not None
            call.set_result(answer)


def submit(client: Client, operation: str, params: dict[str, Any]) -> Call:
    """Through the client's pump, which is made here; a child after fork makes its own."""
    with _birth:
        pump = client._pump
        if pump is None or pump.pid != os.getpid():
            pump = client._pump = Pump(client._core)
    return pump.submit(operation, params)
