# SPDX-License-Identifier: MIT
"""python -m codepipeline is the codepipeline command."""

import sys

from .cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
