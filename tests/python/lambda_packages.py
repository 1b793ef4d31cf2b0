# SPDX-License-Identifier: MIT
"""Packages of Lambda functions in C, as examples/lambda/build-c makes them."""

import functools
import os
import shutil
import subprocess
import tempfile

import pytest

import codepipeline
from conftest import ROOT, SANITIZED


@functools.lru_cache(maxsize=None)
def package(source):
    """The folder that the package of a function in C was unpacked to, once a run; see examples/lambda/build-c."""
    if shutil.which("cc") is None or shutil.which("pkg-config") is None:
        pytest.skip("no compiler")
    if SANITIZED:
        pytest.skip("the package is not built with the sanitizer")
    folder = tempfile.mkdtemp(prefix="codepipeline-package-")
    environ = {**os.environ, "CFLAGS": "-Wall -Wextra -Werror"}
    command = [ROOT / "examples/lambda/build-c", ROOT / source, f"{folder}/function.zip"]
    subprocess.run(command, check=True, timeout=300, env=environ)
    codepipeline.extract(f"{folder}/function.zip", f"{folder}/function")  # keeps what may be run
    return f"{folder}/function"
