# SPDX-License-Identifier: MIT
"""Every public object says what it is by an example, and the example is true: each runs against the demo's emulator."""

import asyncio
import datetime
import doctest
import io
import logging
import operator
import os
import unittest

import pytest

import codepipeline
from codepipeline._demo import Demo


@pytest.fixture(scope="module")
def demo():
    with Demo() as running:
        yield running


@pytest.fixture
def own_logger(monkeypatch):
    """An example may set up the package's log, which every test after it would have."""
    logger = logging.getLogger("codepipeline")
    monkeypatch.setattr(logger, "handlers", list(logger.handlers))
    level = logger.level
    yield
    logger.setLevel(level)  # as a method: what isEnabledFor() remembers goes with it


TESTING = ["testing.Demo", "testing.EmulatorTestCase", "testing.environment", "testing.ledger_end"]


@pytest.mark.parametrize("name", [*codepipeline.__all__, *TESTING])
def test_the_example_of(name, demo, monkeypatch, tmp_path, own_logger):
    for variable, value in demo.emulator.environ.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(codepipeline, "DEFAULT_SESSION", None)
    thing = operator.attrgetter(name)(codepipeline)
    names = {"codepipeline": codepipeline, "client": demo.client, "__file__": os.path.abspath(__file__)}
    names.update(asyncio=asyncio, datetime=datetime, io=io, unittest=unittest)
    found = doctest.DocTestParser().get_doctest(thing.__doc__ or "", names, name, None, 0)
    assert found.examples, f"{name} has no example"
    told = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(found, out=told.append)
    assert not told, "".join(told)
