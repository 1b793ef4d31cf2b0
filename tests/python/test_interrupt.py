# SPDX-License-Identifier: MIT
"""Ctrl-C and other signals while the core waits."""

import os
import signal
import subprocess
import sys
import time

import pytest

import codepipeline
from servers import stalling

PRELUDE = """
import codepipeline, signal, sys, time
client = codepipeline.Client("us-east-1", endpoint_url=sys.argv[1], access_key_id="AKID", secret_access_key="secret")
def ready():
    print("ready", flush=True)
"""


def interrupted(code, url, *signals):
    """Runs code until it is ready, sends the signals; what it printed after that, and the moment of the last signal."""
    command = [sys.executable, "-c", PRELUDE + code, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        for number in signals:
            time.sleep(0.3)  # long enough that the core is waiting
            moment = time.monotonic()
            process.send_signal(number)
        output = process.communicate(timeout=20)[0]
    return process.returncode, output, moment


CALL = """
ready()
try:
    client.list_pipelines()
except KeyboardInterrupt:
    print(time.monotonic())
"""
POLL = """
worker = codepipeline.Worker(client)
worker.job(category="Build", provider="B")(print)
ready()
try:
    worker.run_once()
except KeyboardInterrupt:
    print(time.monotonic())
"""
THREADED = """
import threading
thread = threading.Thread(target=lambda: client.list_pipelines(), daemon=True)
ready()
try:
    thread.start()
    thread.join()
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
    import os; os._exit(0)
"""


@pytest.mark.parametrize("code", [CALL, POLL, THREADED])
def test_ctrl_c_ends_a_wait_within_200_ms(code):
    with stalling() as url:
        status, output, moment = interrupted(code, url, signal.SIGINT)
    assert status == 0
    assert float(output) - moment < 0.2


def test_a_handler_that_returns_lets_the_call_go_on():
    code = """
signal.signal(signal.SIGUSR1, lambda *unused: print("handled", flush=True))
ready()
try:
    client.list_pipelines()
except KeyboardInterrupt:
    print("interrupted")
"""
    with stalling() as url:
        status, output, _ = interrupted(code, url, signal.SIGUSR1, signal.SIGUSR1, signal.SIGINT)
    assert (status, output) == (0, "handled\nhandled\ninterrupted\n")


def test_what_a_handler_raises_comes_out_of_the_call_and_the_client_stays_usable():
    code = """
class Alarm(Exception): pass
def ring(*unused): raise Alarm("wake up")
signal.signal(signal.SIGALRM, ring)
ready()
for _ in range(2):
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        client.list_pipelines()
    except Alarm as error:
        print(error)
"""
    with stalling() as url:
        status, output, _ = interrupted(code, url, 0)
    assert (status, output) == (0, "wake up\nwake up\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_idle_worker_ends_at_a_signal(emulator, number):
    code = """
worker = codepipeline.Worker(codepipeline.Client(), poll_interval=5)
worker.job(category="Build", provider="B")(print)
ready()
before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
print(repr(worker.run()), time.monotonic())
assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
"""
    client = codepipeline.Client()
    client.create_custom_action_type(
        category="Build",
        provider="B",
        version="1",
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
    )
    status, output, moment = interrupted(code, "http://127.0.0.1:1", number)
    summary, ended = output.rsplit(" ", 1)
    assert status == 0
    assert summary == "Summary(succeeded=0, failed=0, continued=0, unreported=0)"
    assert float(ended) - moment < 0.5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_emulator_command_ends_at_a_signal(number):
    code = "import sys; from codepipeline._commands import emulator; sys.exit(emulator())"
    command = [sys.executable, "-c", code, "--port", "0"]
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) as process:
        line = process.stdout.readline()
        assert "http://127.0.0.1:" in line
        process.send_signal(number)
        process.communicate(timeout=10)
    assert process.returncode == 0
