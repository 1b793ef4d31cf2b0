# SPDX-License-Identifier: MIT
"""An emulator that has something to tell, and a worker for it: for the command's --emulator and notebooks."""

from __future__ import annotations

import threading

from . import Emulator, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

    from . import Job, Outcome

OWNER = {
    "AWS_ACCESS_KEY_ID": "AKIAEMULATOROWNER00",
    "AWS_SECRET_ACCESS_KEY": "emulator/owner/secret/key/of/no/account0",
    "AWS_SESSION_TOKEN": "",
}


class Demo:
    """Emulator(demo=True), and a worker that does its jobs in the background, a second each: "docs", "library", whose
    tests failed, "payments", which a closed transition holds, "site", which waits for an approval, and "assets", which
    runs.

    emulator, client  what runs, and a client of it. A context manager; leaving it ends both

        >>> with codepipeline.testing.Demo() as demo:
        ...     [pipeline["name"] for pipeline in demo.client.pipelines()]
        ['assets', 'docs', 'library', 'payments', 'site']
    """

    def __init__(self) -> None:
        self.emulator = Emulator(demo=True)
        self.client = self.emulator.client()
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._serve, daemon=True)
        self._worker.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker, then the emulator."""
        self._ended.set()
        self._worker.join()
        self.client.close()
        self.emulator.close()

    def _serve(self) -> None:
        worker = Worker(self.emulator.client(), poll_interval=0.01)

        @worker.job(category="Build", provider="DemoTool")
        @worker.job(category="Test", provider="DemoTool")
        def do(job: Job) -> Outcome:
            self._ended.wait(1.0)
            return job.succeed(summary=f"{job.configuration['Do']}: done")

        while not self._ended.is_set():
            worker.run_once(0.1)
