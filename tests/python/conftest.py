# SPDX-License-Identifier: MIT
"""What the Python tests share. Every test starts without an account: no AWS_* variables, no profile files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SANITIZED = "libasan" in os.environ.get("LD_PRELOAD", "")
NIGHTLY = bool(os.environ.get("NIGHTLY"))  # all of what a normal run takes a sample of
CLEAN = "the other process has a clean environment, without the sanitizer's runtime that ours needs"


@pytest.fixture(autouse=True)
def no_account(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture(scope="session")
def root():
    """The top of the source tree."""
    return ROOT


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library of tests/shim, to be preloaded; skips without a compiler, or below a sanitizer."""
    compiler = shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler, or no Linux: nothing to preload")
    if SANITIZED:
        pytest.skip("a sanitizer has the calls that it would take")
    path = tmp_path_factory.mktemp("shim") / "faults.so"
    source = ROOT / "tests/shim/faults.c"
    flags = ["-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-D_LARGEFILE64_SOURCE"]
    subprocess.run([compiler, *flags, "-o", path, source, "-ldl"], check=True, timeout=120)
    return path


@pytest.fixture(scope="session")
def suite():
    """suite("sigv4"): a folder of third-party test data; the test is skipped where it is not there."""
    top = Path(os.environ.get("SUITES", ROOT.parent / "shared" / "suites"))

    def find(name):
        if not (top / name).exists():
            pytest.skip(f"{name}: no such folder in {top} (SUITES)")
        return top / name

    return find


@pytest.fixture
def repeats():
    """The emulator's policy for what a worker repeats; tests of delivery are parametrized by it."""
    return "refuse"


@pytest.fixture
def emulator(monkeypatch, repeats):
    """An emulator of the test's own; the environment points at it."""
    import codepipeline

    with codepipeline.Emulator(repeats=repeats) as running:
        for name, value in running.environ.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def client(emulator):
    import codepipeline

    return codepipeline.Client()


@pytest.fixture
def boto3_client(emulator):
    """boto3_client("s3"): boto3's client of a service, talking to the emulator."""
    boto3 = pytest.importorskip("boto3")

    def make(service, **options):
        return boto3.session.Session().client(service, **options)

    return make


@pytest.fixture(scope="session")
def moto_url():
    """A server that none of us wrote: moto's, in a thread of its own."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def node():
    """node("story.cjs", ...): runs a script of tests/js with the AWS SDK for JavaScript; answers what it printed."""
    modules = ROOT / ".dev" / "node" / "node_modules"
    if not modules.is_dir():
        pytest.skip("no AWS SDK for JavaScript; ./dev test installs it")

    def run(script, *arguments, timeout=120):
        done = subprocess.run(
            ["node", str(ROOT / "tests" / "js" / script), *map(str, arguments)],
            env={**os.environ, "NODE_PATH": str(modules)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
