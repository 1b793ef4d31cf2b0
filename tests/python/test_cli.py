# SPDX-License-Identifier: MIT
"""The codepipeline command as a new user tries it, wrongly as well as rightly, against the emulator."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

import codepipeline
import test_run
from codepipeline._demo import OWNER
from codepipeline.cli import parser, view
from test_run import BUILD, GATE, work

world = test_run.world


@pytest.fixture
def cli(capsys, monkeypatch):
    """cli("ls"): the exit status, and what stood on standard output and on standard error."""
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments):
        try:
            status = parser.main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = end.code
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def site(world, client):
    """The pipeline "site" with a build and an approval, which it waits for."""

    def make(*stages, fail=None):
        run = world(*(stages or (BUILD, GATE)))
        for event in run.follow(2):
            if event.action == "Make" and event.status == "InProgress":
                work(client, fail)
            if event.kind in ("approval", "end"):
                break
        return run

    return make


# ---- looking ----


def test_ls_lists_pipelines_and_how_they_are(cli, site):
    assert cli("ls") == (0, "", "no pipelines in us-east-1\n")
    site()
    status, out, _ = cli("ls")
    assert status == 0 and out.splitlines()[0].split() == ["NAME", "STATUS", "STARTED", "TYPE", "MODE"]
    assert out.splitlines()[1].split()[:2] == ["site", "InProgress"]
    status, out, _ = cli("ls", "--json")
    assert json.loads(out)[0]["latestExecution"]["status"] == "InProgress"
    assert cli("ls", "--query", "[0].name") == (0, "site\n", "")
    assert cli("--query", "[].name", "ls")[1] == '[\n  "site"\n]\n'


def test_show_draws_the_pipeline(cli, site):
    site()
    status, out, _ = cli("show", "site")
    assert status == 0
    assert "\x1b" not in out  # no terminal, no colours
    lines = out.splitlines()
    assert lines[0] == "site  V2 · SUPERSEDED · version 1"
    assert [line.split()[:3] for line in lines[1:3]] == [["✓", "Source", "Succeeded"], ["│", "✓", "Fetch"]]
    assert any("● Sign" in line and "codepipeline approve site" in line for line in lines)
    assert json.loads(cli("show", "site", "--json")[1])["state"]["pipelineName"] == "site"


def test_actions_side_by_side_are_held_by_a_bracket_and_held_stages_say_why(monkeypatch):
    actions = [{"name": name, "actionTypeId": {"provider": "P"}} for name in ("One", "Two", "Three")]
    late = {"name": "Late", "runOrder": 2, "actionTypeId": {"provider": "P"}}
    drawn = view.View({"name": "site", "stages": [{"name": "Build", "actions": [late, *actions]}]})
    drawn.held["Build"] = "freeze"
    texts = ["".join(text for text, _ in line) for line in drawn.lines()]
    assert "transition off: freeze" in texts[1]
    assert [text[2:7] for text in texts[3:]] == ["┌ ○ O", "├ ○ T", "└ ○ T", "  ○ L"]
    assert "0/4 actions" in "".join(text for text, _ in drawn.progress())
    monkeypatch.setattr(sys, "stdout", open(os.devnull, "w", encoding="ascii"))
    assert all(text.isascii() for line in drawn.lines() for text, _ in line)


def test_history_and_explain(cli, site):
    run = site(BUILD, fail="the compiler is ill")
    assert run.wait().status == "Failed"
    out = cli("history", "site")[1]
    assert run.id in out and "Failed" in out
    assert cli("history", "site", "-n", 0)[0] == parser.USAGE
    status, out, _ = cli("explain", "site")
    assert status == 0 and "the compiler is ill" in out
    found = json.loads(cli("explain", "site", run.id, "--json")[1])
    assert found["findings"][0]["kind"] == "failed_action"
    assert cli("explain", "site", "nonsense")[0] == 4


def test_diff_compares_versions(cli, site, client):
    site()
    assert cli("diff", "site")[0] == parser.USAGE
    pipeline = client.get_pipeline(name="site")["pipeline"]
    pipeline["stages"][1]["actions"][0]["name"] = "Compile"
    client.update_pipeline(pipeline=pipeline)
    status, out, _ = cli("diff", "site", 1, 2)
    assert status == 1
    assert '-          "name": "Make",' in out and '+          "name": "Compile",' in out
    assert cli("diff", "site")[1] == out
    assert cli("diff", "site", 2, 2) == (0, "", "versions 2 and 2 of site say the same\n")
    status, _, err = cli("diff", "site", 1, 7)
    assert status == 4 and err.endswith("the latest version is 2\n")


def test_metrics(cli, site):
    site()
    status, out, _ = cli("metrics", "--since", "1d")
    assert status == 0 and "site" in out and "Make" in out
    report = json.loads(cli("metrics", "site", "--json")[1])
    assert report["total"]["executions"] == 1
    assert report["since"] < report["until"] and report["until"].endswith("Z")
    assert cli("metrics", "--since", "soon")[0] == parser.USAGE


# ---- acting ----


def test_start_tells_the_execution_and_wait_answers_with_its_status(cli, site, client):
    site(GATE)
    client.approvals()[0].reject("no")
    status, out, err = cli("start", "site", "--var", "nonsense")
    assert status == parser.USAGE and "NAME=VALUE" in err
    status, out, err = cli("start", "site")
    assert status == 0 and f"codepipeline watch site {out.strip()}" in err
    status, out, err = cli("start", "site", "--wait", "--timeout", 0.3, "--interval", 0.02)
    assert status == 3 and "Source/Fetch: Succeeded" in out and "goes on" in err
    status, out, err = cli("start", "site", "--wait", "--timeout", 0.3, "--interval", 0.02, "--json")
    execution = json.loads(out)["pipelineExecutionId"]
    assert (status, json.loads(out)["status"]) == (3, "InProgress")
    assert f"codepipeline explain site {execution} says" in err


@contextlib.contextmanager
def approve_soon(client):
    """Approves whatever waits, from another thread, which has ended with the block."""
    over = threading.Event()

    def wait():
        while not (found := client.approvals()):
            if over.wait(0.02):
                return
        found[0].approve("yes")

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_watch_follows_to_the_end(cli, site, client):
    run = site(GATE)
    with approve_soon(client):
        status, out, _ = cli("watch", "--interval", 0.02, "--timeout", 10)
    assert status == 0 and "Gate/Sign: waits for approval: look twice" in out
    assert out.splitlines()[-1].endswith("Succeeded")
    assert cli("watch")[0] == parser.USAGE
    found = json.loads(cli("watch", "site", run.id, "--json")[1])
    assert found["status"] == "Succeeded" and found["explanation"]["findings"] == []


def test_a_failure_a_retry_and_a_stop_have_statuses_of_their_own(cli, site, client):
    site(BUILD, fail="no")
    status, out, _ = cli("watch", "site")
    assert status == 1 and 'action "Make" of stage "Build" failed' in out
    status, out, _ = cli("retry", "site")
    assert status == 0
    status, out, _ = cli("stop", "site", "--reason", "tired", "--abandon", "--wait", "--interval", 0.02)
    assert status == 2 and "tired" in out
    assert cli("retry", "site", "Nowhere")[0] == 4


def test_approve_lists_what_waits_and_never_decides_unasked(cli, site, client):
    site(GATE)
    status, out, err = cli("approve")
    assert status == parser.USAGE and "look twice" in out and "--yes" in err
    status, out, err = cli("approve", "--json")
    assert status == parser.USAGE and json.loads(out)[0]["action"] == "Sign" and "--yes" in err
    assert cli("approve", "--stage", "Nowhere")[0] == 1
    status, out, _ = cli("approve", "site", "--yes", "-m", "fine", "--json")
    assert status == 0 and json.loads(out)["status"] == "Approved"
    assert cli("reject", "site")[::2] == (1, "nothing waits for approval in site\n")
    action = client.get_pipeline_state(name="site")["stageStates"][1]["actionStates"][0]
    assert action["latestExecution"]["summary"] == "fine"


def test_reject(cli, site, client):
    run = site(GATE)
    assert cli("reject", "--yes")[0] == 0
    assert run.wait().status == "Failed"


def test_rollback_goes_to_the_execution_before(cli, site, client):
    first = site(BUILD)
    status, _, err = cli("rollback", "site", "Build")
    assert status == 4 and "no earlier execution of version 1 of pipeline" in err
    second = client.start("site", poll_interval=0.01)
    list(second.follow(0.1))
    work(client)
    assert second.wait()
    status, out, err = cli("rollback", "site", "Build")
    assert status == 0 and first.id in err
    assert client.list_pipeline_executions(pipelineName="site")["pipelineExecutionSummaries"][0]["rollbackMetadata"]
    status, _, err = cli("rollback", "site", "Build", "--to", "nonsense")
    assert status == 4 and "did" not in err and "codepipeline history site" in err
    status, _, err = cli("rollback", "site", "Nowhere")
    assert status == 4 and 'has no stage "Nowhere"' in err and "its stages: Source, Build" in err
    client.update_pipeline(pipeline=client.get_pipeline(name="site")["pipeline"])
    status, _, err = cli("rollback", "site", "Build")  # the service goes back to the present version alone
    assert status == 4 and "of version 2" in err


def test_transitions_are_switched_with_a_reason(cli, site):
    site(GATE)
    assert cli("transition", "off", "site", "Gate")[0] == parser.USAGE
    assert cli("transition", "off", "site", "Gate", "--reason", "freeze")[0] == 0
    assert "transition off: freeze" in cli("show", "site")[1]
    assert cli("transition", "on", "site", "Gate", "--json")[0] == 0
    assert "transition off" not in cli("show", "site")[1]


def test_revisions_are_completed_from_the_pipeline(cli, site, client):
    site(GATE)
    objects = client.list_pipeline_executions(pipelineName="site")["pipelineExecutionSummaries"]
    version = objects[0]["sourceRevisions"][0]["revisionId"]
    assert cli("start", "site", "--revision", version)[0] == 0
    assert cli("start", "site", "--revision", f"Fetch=S3_OBJECT_VERSION_ID:{version}")[0] == 0
    status, _, err = cli("start", "site", "--revision", f"Other={version}")
    assert status == parser.USAGE and "there is Fetch" in err


# ---- what goes wrong ----


def test_what_goes_wrong_says_what_to_do(cli, site):
    site(GATE)
    status, _, err = cli("show", "sites")
    assert status == 4 and "did you mean site?" in err
    assert "did you mean codepipeline call list-pipelines?" in cli("list-pipelines")[2]
    assert "did you mean --json?" in cli("ls", "--output", "json")[2]
    assert cli("shwo", "site") == (parser.USAGE, "", 'codepipeline: "shwo" is no command; did you mean show?\n')
    assert "COMMAND" in cli()[2]
    status, _, err = cli("ls", "--colour")
    assert status == parser.USAGE and "--colour" in err
    assert "not a number of seconds above 0" in cli("watch", "site", "--timeout", "-1")[2]
    assert cli("watch", "site", "--timeout", "-1")[2].startswith(
        "usage: codepipeline watch [OPTION]... [NAME] [EXECUTION]"
    )
    status, _, err = cli("transition", "on", "site", "Gat")
    assert status == 4 and err.splitlines()[-1] == "codepipeline: its stages: Source, Gate"
    status, _, err = cli("ls", "--query", "][")
    assert status == parser.USAGE and "--query" in err
    assert "codepipeline ls lists those there are" in cli("show", "nosuch")[2]
    assert "did you mean --json?" in cli("ls", "--jsn")[2]
    assert "codepipeline ls --help" in cli("ls", "--colour")[2]
    status, _, err = cli("explain", "site", "12")
    assert status == 4 and err.splitlines()[-1].startswith("codepipeline: codepipeline history site lists")
    status, _, err = cli("explain", "site", "0c1f6a52-8f5e-4b0e-9c0b-1d5f1c2b3a4d")
    assert status == 4 and "codepipeline history site lists" in err
    status, _, err = cli("watch", "site", "--timeout", "0.1")
    assert status == 3 and "codepipeline explain site " in err
    assert cli("--emulator", "localhost:80", "ls")[2].endswith("did you mean --emulator http://localhost:80?\n")
    assert "-n/--limit: not a whole number: 'x'" in cli("history", "site", "-n", "x")[2]
    assert "required: on|off, NAME, STAGE" in cli("transition")[2]
    assert "Unknown function: f()" in cli("ls", "--query", "f(@)")[2]


def test_help_is_a_command_as_well(cli):
    assert cli("help") == cli("--help") and cli("help", "show") == cli("show", "--help")
    assert cli("help", "shwo")[0] == parser.USAGE


def test_credentials_that_the_service_does_not_know_lead_to_the_doctor(cli, emulator, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    status, _, err = cli("ls")
    assert status == 4 and "(InvalidSignatureException)" in err and "codepipeline doctor" in err


def test_a_call_that_takes_too_long_is_no_wait_that_did(cli, emulator, monkeypatch):
    def late(client, name):
        raise codepipeline.TimeoutError("no answer within 60 s")

    monkeypatch.setattr(codepipeline.Client, "get_pipeline", late)
    status, _, err = cli("show", "site")
    assert status == 4 and "codepipeline doctor" in err


def test_control_characters_of_others_do_not_reach_the_terminal(cli, site, client):
    site(GATE)
    client.approvals()[0].reject("no\x1b]0;mine\x07 \x9b31m")
    for command in (["show", "site"], ["explain", "site"], ["watch", "site"]):
        _, out, _ = cli(*command)
        assert "no\\x1b]0;mine\\x07 \\x9b31m" in out and "\x1b" not in out, command
        status, out = on_a_terminal(command)
        assert "no\\x1b]0;mine\\x07 \\x9b31m" in out and "\x1b]" not in out and "\x9b" not in out, command


def run_command(emulator, *arguments, **more):
    """The command in a process of its own: its status, and what it said."""
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    env = {**os.environ, **emulator.environ, "PYTHONPATH": path, **more.pop("env", {})}
    command = [sys.executable, "-m", "codepipeline.cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, timeout=30, check=False, **more)


def test_a_terminal_that_knows_no_unicode_is_told_in_its_own_letters(emulator, site, client):
    site(GATE)
    client.approvals()[0].reject("n\xe4ye \u65e5")
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    told = run_command(emulator, "explain", "site", env=ascii_only)
    assert told.returncode == 0 and b"n\\xe4ye \\u65e5" in told.stdout
    told = run_command(emulator, "explain", "site", "--json", env=ascii_only)
    assert json.loads(told.stdout)["findings"][0]["message"] == "n\xe4ye \u65e5"


def test_python_m_codepipeline_is_the_command(emulator):
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    env = {**os.environ, **emulator.environ, "PYTHONPATH": path}
    for module in ("codepipeline", "codepipeline.cli"):
        command = [sys.executable, "-m", module, "ls", "--json"]
        told = subprocess.run(command, env=env, capture_output=True, timeout=30, check=False)
        assert (told.returncode, json.loads(told.stdout)) == (0, []), told.stderr


def test_streams_that_are_closed_or_full_make_no_traceback(emulator):
    for stream in (0, 1, 2):
        told = run_command(emulator, "ls", preexec_fn=lambda stream=stream: os.close(stream))
        assert told.returncode == 0 and b"Traceback" not in told.stderr, stream
    with open("/dev/full", "wb") as full:
        path = os.path.dirname(os.path.dirname(codepipeline.__file__))
        command = [sys.executable, "-m", "codepipeline.cli", "ls", "--json"]
        env = {**os.environ, **emulator.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": ""}
        told = subprocess.run(command, env=env, stdout=full, stderr=subprocess.PIPE, timeout=30, check=False)
    assert (told.returncode, told.stderr) == (1, b"codepipeline: No space left on device\n")


def test_the_emulators_own_commands_have_the_same_exit_statuses(capfd):
    assert parser.main(["event", "--nonsense"]) == parser.USAGE
    assert parser.main(["emulator", "--port", "x"]) == parser.USAGE
    assert parser.main(["event", "--help"]) == 0
    assert "--port" in capfd.readouterr().err
    for command in ("event", "emulator"):
        with pytest.raises(SystemExit) as end:
            parser.main(["--region", "x", command])
        assert end.value.code == parser.USAGE
        assert f"{command} stands first" in capfd.readouterr().err


def test_without_an_account_it_says_what_is_missing(cli):
    status, _, err = cli("ls")
    assert status == 4 and "no region" in err and "--emulator" in err
    status, _, err = cli("ls", "--region", "eu-west-1")
    assert status == 4 and "codepipeline doctor" in err
    status, out, _ = cli("doctor", "--region", "eu-west-1")
    assert status == 1 and "credentials" in out


def test_doctor_finds_an_emulator_healthy(cli, emulator):
    assert cli("doctor")[0] == 0
    assert json.loads(cli("doctor", "--json")[1])["healthy"] is True


def test_the_emulator_is_one_flag_away(cli, monkeypatch):
    status, out, _ = cli("--emulator", "ls")
    assert status == 0 and [line.split()[:2] for line in out.splitlines()[2:]] == [
        ["docs", "Succeeded"],
        ["library", "Failed"],
        ["payments", "InProgress"],
        ["site", "InProgress"],
    ]
    assert out.splitlines()[1].startswith("assets")  # which is under way
    with codepipeline.Emulator() as running:
        assert {name: running.environ[name] for name in OWNER} == OWNER
        assert cli("ls", "--emulator", running.url)[2] == "no pipelines in us-east-1\n"
    status, _, err = cli("ls", "--emulator", running.url)
    assert status == 4 and "codepipeline emulator starts one" in err


def test_ctrl_c_ends_a_wait_and_says_that_the_execution_goes_on(site):
    site(GATE)
    command = [sys.executable, "-m", "codepipeline.cli", "watch", "site", "--interval", "0.05"]
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    env = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=env, text=True, **pipes) as child:
        while "waits for approval" not in child.stdout.readline():
            pass
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
    assert child.returncode == 130 and err == "codepipeline: interrupted; what runs at the service goes on\n"


# ---- on a terminal ----


def on_a_terminal(arguments, answers=b"", **environ):
    """What the command writes to a terminal of its own, and its status."""
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminals here: {error}")
    command = [sys.executable, "-m", "codepipeline.cli", *arguments]
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    env = {**os.environ, "PYTHONPATH": path, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "50", **environ}
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    os.write(ours, answers)
    said = b""
    end = time.monotonic() + 20
    while time.monotonic() < end and select.select([ours], [], [], 20)[0]:
        try:
            said += os.read(ours, 65536)
        except OSError:  # how Linux tells that the other side is closed
            break
    os.close(ours)
    return child.wait(20), said.decode()


def test_colours_are_for_terminals_and_no_color_is_heard(site):
    pytest.importorskip("rich")
    site(GATE)
    status, out = on_a_terminal(["ls"])
    assert status == 0 and "\x1b[36m" in out
    plain = on_a_terminal(["ls"], NO_COLOR="1")[1]
    assert "\x1b[36m" not in plain and "site" in plain
    assert "\x1b" not in on_a_terminal(["ls", "--json"])[1]


def test_a_narrow_terminal_shows_names_and_how_it_goes(site):
    pytest.importorskip("rich")
    run = site(BUILD)
    out = on_a_terminal(["history", "site"], COLUMNS="40")[1]
    assert run.id in out
    out = re.sub(r"\x1b\[[\d;]*m", "", on_a_terminal(["show", "site"], COLUMNS="40")[1])
    assert "│   ✓ Make     Succeeded" in out and "Maker" not in out
    assert max(map(len, on_a_terminal(["watch", "site"], COLUMNS="40", NO_COLOR="1")[1].split("\r\n"))) < 200


def test_watch_redraws_in_place(site, client):
    pytest.importorskip("rich")
    site(GATE)
    with approve_soon(client):
        status, out = on_a_terminal(["watch", "site", "--interval", "0.05"])
    assert status == 0 and "2/2 actions" in out and "Sign" in out


def test_approve_asks_on_a_terminal(site, client):
    site(GATE)
    status, out = on_a_terminal(["approve"], b"n\n")
    assert status == 1 and "approve Gate/Sign of site? [y/N]" in out and "nothing was decided" in out
    assert on_a_terminal(["approve"], b"y\n")[0] == 0
    assert client.approvals() == []
