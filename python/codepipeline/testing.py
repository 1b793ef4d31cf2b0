# SPDX-License-Identifier: MIT
"""For tests of those who use this package: an emulator for each test, and a Stubber for answers of one's own.

With pytest the fixtures codepipeline_emulator and codepipeline_client are there by themselves; this is for unittest,
and what both have in common.

    class DeployTest(codepipeline.testing.EmulatorTestCase):
        def test_it(self):
            self.client.list_pipelines()

    >>> issubclass(codepipeline.testing.EmulatorTestCase, unittest.TestCase)
    True
"""

from __future__ import annotations

import contextlib
import os
import unittest
from typing import Any

from ._demo import Demo as Demo
from ._emulator import Emulator
from ._stub import ANY as ANY
from ._stub import Stubber as Stubber

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._client import Client

_SHOWN = ("operation", "status", "code", "fault", "job_id")


@contextlib.contextmanager
def environment(emulator: Emulator) -> Iterator[None]:
    """The AWS_* variables of this process are the emulator's, and no others, until the block ends: every client made
    in it, of any AWS SDK and in any child, goes there.

    >>> with codepipeline.Emulator() as emulator, codepipeline.testing.environment(emulator):
    ...     codepipeline.Client().endpoint_url == emulator.url
    True
    """
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    os.environ.update(emulator.environ)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            del os.environ[name]
        os.environ.update(before)


def ledger_end(emulator: Emulator, count: int = 20) -> str:
    """The last requests the emulator got, one a line, for the report of a test that failed.

    >>> with codepipeline.Emulator() as emulator:
    ...     answer = emulator.client().list_pipelines()
    ...     print(codepipeline.testing.ledger_end(emulator))
    1  operation=ListPipelines status=200
    """
    entries = emulator.ledger()[-count:]
    return "\n".join(
        f"{entry['seq']}  " + " ".join(f"{name}={entry[name]}" for name in _SHOWN if entry.get(name) is not None)
        for entry in entries
    )


class EmulatorTestCase(unittest.TestCase):
    """For unittest: each test has self.emulator, self.client, and an environment that points there. A failing test's
    message ends with the last requests. emulator_options are the arguments of its Emulator.

    >>> class DeployTest(codepipeline.testing.EmulatorTestCase):
    ...     def test_it(self):
    ...         self.assertEqual(self.client.list_pipelines()["pipelines"], [])
    >>> unittest.TextTestRunner(io.StringIO()).run(DeployTest("test_it")).wasSuccessful()
    True
    """

    emulator_options: dict[str, Any] = {}
    emulator: Emulator
    client: Client

    def setUp(self) -> None:
        super().setUp()
        self.emulator = Emulator(**self.emulator_options)
        self.addCleanup(self.emulator.close)
        surroundings = environment(self.emulator)
        surroundings.__enter__()
        self.addCleanup(surroundings.__exit__, None, None, None)
        self.client = self.emulator.client()
        self.addCleanup(self.client.close)

    def _formatMessage(self, msg: str | None, standardMsg: str) -> str:
        message: str = super()._formatMessage(msg, standardMsg)
        if self.emulator.closed or not (end := ledger_end(self.emulator)):
            return message
        return f"{message}\n\nthe emulator's last requests:\n{end}"
