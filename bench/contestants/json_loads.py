# SPDX-License-Identifier: MIT
"""json_loads.py FILE COUNT: what Python's own parser, the one in C, takes for the same bytes."""

import json
import sys
import time

with open(sys.argv[1], "rb") as file:
    text = file.read()
count = int(sys.argv[2])
json.loads(text)
begin = time.process_time()
for _ in range(count):
    json.loads(text)
print(json.dumps({"cpu_us": (time.process_time() - begin) / count * 1e6}))
