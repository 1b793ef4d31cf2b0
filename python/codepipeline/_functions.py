# SPDX-License-Identifier: MIT
"""Lambda functions of an emulator, run in this process: a client of Lambda's Runtime API on a thread for each."""

from __future__ import annotations

import http.client
import json
import threading
import time
import traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Handler = Callable[[dict[str, Any], "Context"], object]

_BASE = "/2018-06-01/runtime/invocation/"


class Context:
    """What a handler is told of its invocation, under the names that Lambda's own context has."""

    def __init__(self, name: str, headers: http.client.HTTPMessage) -> None:
        self.function_name = name
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = 128
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = "emulator"
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - round(time.time() * 1000))


def _failure(error: BaseException) -> dict[str, Any]:
    return {
        "errorMessage": str(error),
        "errorType": type(error).__name__,
        "stackTrace": traceback.format_tb(error.__traceback__),
    }


class Function:
    """Runs a handler for one invocation after the other until the emulator closes. A daemon thread: a handler that
    hangs does not keep the program."""

    def __init__(self, name: str, address: str, handler: Handler) -> None:
        self._name = name
        self._handler = handler
        self._connection = http.client.HTTPConnection(address)
        self._thread = threading.Thread(target=self._run, name=f"lambda-{name}", daemon=True)
        self._thread.start()

    def join(self, timeout: float) -> None:
        if self._thread is not threading.current_thread():
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while self._serve():
                pass
        except (OSError, http.client.HTTPException):
            pass  # the emulator is gone
        finally:
            self._connection.close()

    def _ask(self, method: str, path: str, body: object = None) -> tuple[http.client.HTTPResponse, bytes]:
        text = None if method == "GET" else json.dumps(body, default=str)
        self._connection.request(method, _BASE + path, text)
        response = self._connection.getresponse()
        return response, response.read()

    def _serve(self) -> bool:
        response, event = self._ask("GET", "next")
        if response.status != 200:
            return False
        context = Context(self._name, response.headers)
        try:
            answer = self._handler(json.loads(event), context)
        except BaseException as error:  # of the handler's, as in Lambda: nobody else is there to hear of it
            traceback.print_exception(type(error), error, error.__traceback__)
            self._ask("POST", f"{context.aws_request_id}/error", _failure(error))
        else:
            self._ask("POST", f"{context.aws_request_id}/response", answer)
        return True
