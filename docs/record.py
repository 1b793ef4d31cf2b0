# SPDX-License-Identifier: MIT
"""Records a session of the codepipeline command as docs/terminal.svg: ./dev python docs/record.py [FILE]

The commands really run, against the emulator's demo data; of the live picture the last frame is kept.
"""

import io
import pathlib
import sys

import rich.live
from rich.console import Console

from codepipeline._demo import Demo
from codepipeline.cli import output, parser

TARGET = pathlib.Path(__file__).with_name("terminal.svg")
COMMANDS = ["ls", "start docs --var tag=v3 --wait", "explain library"]
WIDTH = 112


class LastFrame:
    """Stands for rich's live display: shows what it was given last."""

    def __init__(self, picture, console, **unused):
        self.picture, self.console = picture, console

    def __enter__(self):
        return self

    def update(self, picture, refresh):
        self.picture = picture

    def __exit__(self, *unused):
        self.console.print(self.picture)


def record():
    """The session as SVG."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    output.Output.console = console
    output.Output.note = lambda self, text: None
    rich.live.Live = LastFrame
    with Demo() as demo:
        for command in COMMANDS:
            console.print(f"[bold green]$[/] codepipeline {command}")
            parser.main([*command.split(), "--emulator", demo.emulator.url])
            console.print()
    return console.export_svg(title="codepipeline", unique_id="codepipeline")


if __name__ == "__main__":
    target = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    target.write_text(record().rstrip() + "\n", encoding="utf-8")
