# SPDX-License-Identifier: MIT
"""./dev as its callers see it: what it runs, where, with which status."""

import os
import subprocess

import pytest

from conftest import ROOT

pytestmark = pytest.mark.slow


def dev(*arguments, cwd=None, text=None):
    return subprocess.run(
        [ROOT / "dev", *arguments], cwd=cwd, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_python_runs_this_tree_where_the_caller_stands(tmp_path):
    (tmp_path / "script.py").write_text(
        "import codepipeline, os, sys\nprint(codepipeline.__file__, os.getcwd(), *sys.argv[1:])\nsys.exit(7)\n"
    )
    done = dev("python", "script.py", "a b", "-c", cwd=tmp_path)
    assert done.stdout.split(" ", 2)[1:] == [str(tmp_path), "a b -c\n"]
    assert done.stdout.startswith(str(ROOT / "python"))
    assert done.returncode == 7


def test_lua_runs_this_tree_where_the_caller_stands(tmp_path):
    (tmp_path / "script.lua").write_text(
        'local path = package.searchpath("codepipeline.core", package.cpath)\n'
        'print(path, require("codepipeline")._VERSION, ...)\nos.exit(7)\n'
    )
    done = dev("lua", "script.lua", "a b", cwd=tmp_path)
    path, version, argument = done.stdout.rstrip("\n").split("\t")
    assert path.startswith(str(ROOT)) and version and argument == "a b"
    assert done.returncode == 7


def test_standard_input_reaches_the_interpreters():
    assert dev("python", "-", text="print(6 * 7)").stdout == "42\n"
    assert dev("lua", "-", text="print(6 * 7)").stdout == "42\n"


def test_the_emulator_command_is_on_the_path_of_what_dev_runs():
    call = (
        "import shutil, subprocess; print(subprocess.run([shutil.which('codepipeline-emulator'), '--help']).returncode)"
    )
    done = dev("python", "-c", call)
    assert done.stdout.endswith("\n0\n") or done.stdout == "0\n", done.stderr
    assert dev("emulator", "--help").returncode == 0
    assert dev("event", "--account-id", "210987654321").stdout.count("210987654321") == 1


def test_a_command_nobody_knows_is_status_2_with_the_list():
    done = dev("frobnicate")
    assert done.returncode == 2 and "./dev COMMAND" in done.stderr and done.stdout == ""
    assert dev("help").stdout == done.stderr
    assert dev("test", "frobnicate").returncode == 1


def test_it_works_through_a_relative_path_and_writes_nothing_beside_its_own_folders(tmp_path):
    relative = os.path.relpath(ROOT / "dev", tmp_path)
    done = subprocess.run([relative, "python", "-c", "print(1)"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert done.stdout == "1\n"
    assert list(tmp_path.iterdir()) == []
