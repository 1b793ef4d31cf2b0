# SPDX-License-Identifier: MIT
"""A headless Chromium for tests, spoken to through a pipe: the DevTools protocol, one JSON text and a NUL each."""

import json
import os
import shutil
import subprocess
import time

import pytest

from conftest import SANITIZED


class Browser:
    """One page. Its console's errors and what its scripts threw are in complaints."""

    def __init__(self, folder):
        self.complaints = []
        self._number = 0
        self._session = None
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        command = [
            *(shutil.which("chromium"), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--no-first-run", f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"),
        ]

        def place():
            """It reads from 3 and writes to 4; either may be the other's at first."""
            kept = os.dup(theirs_out)
            os.dup2(theirs_in, 3)
            os.dup2(kept, 4)

        self._process = subprocess.Popen(command, close_fds=False, preexec_fn=place, stderr=subprocess.DEVNULL)
        os.close(theirs_in)
        os.close(theirs_out)
        self._rest = b""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Runtime", "Log", "Page"):
            self.ask(f"{domain}.enable")

    def _receive(self):
        while b"\0" not in self._rest:
            piece = os.read(self._in, 1 << 16)
            if not piece:
                raise EOFError("the browser has ended")
            self._rest += piece
        text, self._rest = self._rest.split(b"\0", 1)
        return json.loads(text)

    def ask(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            told = self._receive()
            if told.get("id") == self._number:
                assert "error" not in told, told
                return told["result"]
            self._note(told)

    def _note(self, told):
        params = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(params["exceptionDetails"])
        elif told.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.complaints.append(params["entry"])

    def go(self, url):
        self.ask("Page.navigate", url=url)

    def run(self, script):
        """What the expression gives; promises are awaited."""
        answer = self.ask("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script, timeout=20):
        end = time.monotonic() + timeout
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not in {timeout} s: {script}\n{self.run('document.body.innerText')}"
            time.sleep(0.05)
        return value

    def click(self, text, within="document"):
        """The button of this text, once it is there."""
        find = f"[...{within}.querySelectorAll('button')].find(b => b.textContent === {json.dumps(text)})"
        self.wait(f"!!({find})")
        self.run(f"({find}).click()")

    def screenshot(self):
        return self.ask("Page.captureScreenshot")["data"]

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)


@pytest.fixture
def browser(tmp_path):
    if shutil.which("chromium") is None:
        pytest.skip("no chromium; ./dev test installs it")
    if SANITIZED:
        pytest.skip("the browser cannot run with the sanitizer's runtime in it")
    opened = Browser(tmp_path / "profile")
    yield opened
    opened.close()
