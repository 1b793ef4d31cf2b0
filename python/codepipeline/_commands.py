# SPDX-License-Identifier: MIT
"""The commands the package installs."""

import sys

from . import _core


def emulator() -> int:
    """codepipeline-emulator; returns the exit status."""
    return _core.emulator_main(sys.argv)
