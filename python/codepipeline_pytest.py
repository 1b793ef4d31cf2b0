# SPDX-License-Identifier: MIT
"""The pytest plugin: fixtures. A module of its own, so that a test run without them loads nothing of ours."""

from __future__ import annotations

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from codepipeline import Client, Emulator

_FIXTURE = "codepipeline_emulator"


@pytest.fixture
def codepipeline_emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """An emulator of the test's own. While it runs, the AWS_* variables are its own and no others, so every client of
    any AWS SDK goes there. Arguments: @pytest.mark.codepipeline_emulator(region="eu-west-1")."""
    from codepipeline import Emulator, testing

    marker = request.node.get_closest_marker(_FIXTURE)
    with Emulator(**(marker.kwargs if marker else {})) as emulator, testing.environment(emulator):
        yield emulator


@pytest.fixture
def codepipeline_client(codepipeline_emulator: Emulator) -> Iterator[Client]:
    """A client of the test's emulator."""
    with codepipeline_emulator.client() as client:
        yield client


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{_FIXTURE}(**options): what the fixture's Emulator is made with")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, None]:
    """A test that failed shows what its emulator was asked last."""
    outcome = yield
    report = outcome.get_result()
    emulator = getattr(item, "funcargs", {}).get(_FIXTURE)
    if report.when != "call" or not report.failed or emulator is None or emulator.closed:
        return
    from codepipeline import testing

    report.sections.append(("the emulator's last requests", testing.ledger_end(emulator)))
