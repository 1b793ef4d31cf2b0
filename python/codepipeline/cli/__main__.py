# SPDX-License-Identifier: MIT
import sys

from .parser import main

sys.exit(main())
