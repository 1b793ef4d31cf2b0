# SPDX-License-Identifier: MIT
"""The codepipeline command. Nothing of the package loads this; docs/cli.md is its manual.

parser.py     the commands and their options; loads nothing but argparse
session.py    the client a command works with, the emulator of --emulator, what goes wrong
output.py     JSON for programs, tables and pictures for people
view.py       a pipeline as it is drawn
call_help.py  what call says of an operation
The others hold the commands, and are loaded for the one that runs.
"""
