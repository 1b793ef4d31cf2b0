# SPDX-License-Identifier: MIT
"""Makes docs/codepipeline.1 from the parser of the command: ./dev python docs/make_manual.py"""

import os
import pathlib
import re

os.environ["COLUMNS"] = "80"

from argparse_manpage.manpage import Manpage

from codepipeline.cli import parser

TARGET = pathlib.Path(__file__).with_name("codepipeline.1")


def text():
    """The page; the date is left out, so that it changes only when the command does."""
    made = parser.make()
    made.man_short_description = "AWS CodePipeline from the terminal"
    made._manpage = []
    page = str(Manpage(made, format="pretty"))
    page = re.sub(r"^\.TH .*$", '.TH CODEPIPELINE "1" "" "codepipeline" "User commands"', page, flags=re.M)
    return page.rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
