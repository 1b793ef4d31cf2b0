# SPDX-License-Identifier: MIT
"""docs/cli.md and the manual page tell of the command that there is."""

import argparse
import os
import re
import runpy
import shlex
import subprocess
import sys

import pytest

import codepipeline
import test_cli
from codepipeline.cli import parser
from conftest import ROOT

cli = test_cli.cli

PAGE = (ROOT / "docs/cli.md").read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, flags=re.M | re.S)
    for line in block.splitlines()
    if line.startswith("codepipeline ")
]
RUN = [line for line in LINES if "# exit" in line]


def commands():
    (of,) = [action for action in parser.make()._actions if isinstance(action, argparse._SubParsersAction)]
    return of.choices


def test_every_line_is_one_that_the_command_takes():
    for line in LINES:
        words = shlex.split(line, comments=True)[1:]
        if words[0] not in ("emulator", "event") and "--help" not in words:  # which ends the program
            known, rest = parser.make().parse_known_args(parser._with_emulator(words))
            assert not rest or known.command == "call", line


def test_every_command_and_every_option_is_told_of():
    told = PAGE + (ROOT / "docs/codepipeline.1").read_text(encoding="utf-8").replace("\\-", "-")
    for name, command in commands().items():
        assert any(re.match(rf"codepipeline (--emulator )?{name}\b", line) for line in LINES), name
        for action in command._actions:
            for option in action.option_strings:
                assert option in told, (name, option)


@pytest.mark.parametrize("line", RUN)
def test_what_the_page_lets_a_newcomer_try_ends_as_it_says(cli, line):
    status, out, err = cli(*shlex.split(line, comments=True)[1:])
    assert status == int(re.search(r"# exit (\d)", line).group(1)), out + err


def test_the_manual_page_is_fresh():
    pytest.importorskip("argparse_manpage")
    made = runpy.run_path(str(ROOT / "docs/make_manual.py"))
    assert made["text"]() == made["TARGET"].read_text(encoding="utf-8"), "run ./dev python docs/make_manual.py"


def test_the_recording_of_the_readme_can_be_made_again(tmp_path):
    pytest.importorskip("rich")
    command = [sys.executable, str(ROOT / "docs/record.py"), str(tmp_path / "terminal.svg")]
    path = os.path.dirname(os.path.dirname(codepipeline.__file__))
    subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=True, timeout=60)

    def words(file):
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", file.read_text("utf-8"))
        return set(re.findall(r">([^<>]*(?:docs|Succeeded|Failed|tests)[^<>]*)</text>", text))

    made, kept = words(tmp_path / "terminal.svg"), words(ROOT / "docs/terminal.svg")
    assert made and made == kept


def test_the_exit_statuses_are_those_of_the_help():
    rows = re.findall(r"^\| (\d+) \|", PAGE, flags=re.M)
    assert re.findall(r"^  (\d+) ", parser.EPILOG, flags=re.M) == rows
