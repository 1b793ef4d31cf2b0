# SPDX-License-Identifier: MIT
"""ours.py once | peak | calls OPERATION:COUNT... | clients COUNT | work COUNT: our Python package."""

import sys

import codepipeline

PARAMS = {
    "ListPipelines": {},
    "GetPipelineState": {"name": "service-00-release"},
    "ListActionExecutions": {"pipelineName": "service-00-release", "maxResults": 100},
}


def once():
    answer = codepipeline.Client().list_pipelines()
    assert len(answer["pipelines"]) == 10


def peak():
    """Before the exit: what libraries tidy up there is not what a program has to live with."""
    once()
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmHWM:"))
    print(f'{{"kb": {line.split()[1]}}}')


def calls(*wanted):
    import json
    import time

    client = codepipeline.Client()
    for operation, count in (item.split(":") for item in wanted):
        method = getattr(client, "".join("_" + c.lower() if c.isupper() else c for c in operation)[1:])
        params = PARAMS[operation]
        for _ in range(50):
            method(**params)
        begin = time.process_time()
        for _ in range(int(count)):
            method(**params)
        print(json.dumps({"op": operation, "cpu_us": (time.process_time() - begin) / int(count) * 1e6}))


def resident_kb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def clients(count):
    first = codepipeline.Client()
    first.list_pipelines()
    before = resident_kb()
    made = [codepipeline.Client() for _ in range(int(count))]
    after = resident_kb()
    for client in made:
        client.list_pipelines()
    print(f'{{"made_kb": {after - before}, "used_kb": {resident_kb() - before}}}')


def work(count):
    worker = codepipeline.Worker(codepipeline.Client(), concurrency=8)
    left = int(count)

    @worker.job(category="Build", provider="Bench", version="1")
    def handle(job):
        nonlocal left
        left -= 1
        if left == 0:
            worker.stop()

    worker.run()


if __name__ == "__main__":
    {"once": once, "peak": peak, "calls": calls, "clients": clients, "work": work}[sys.argv[1]](*sys.argv[2:])
