# SPDX-License-Identifier: MIT
"""The commands the package installs."""

import sys

from . import _core


def emulator() -> int:
    """codepipeline-emulator; returns the exit status."""
    return _core.emulator_main(sys.argv)


def event() -> int:
    """codepipeline-event; returns the exit status."""
    return _core.event_main(sys.argv)
