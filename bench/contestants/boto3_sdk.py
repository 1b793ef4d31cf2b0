# SPDX-License-Identifier: MIT
"""boto3_sdk.py once | calls OPERATION:COUNT... | work COUNT: the AWS SDK for Python, used as people use it."""

import sys

import boto3

PARAMS = {
    "ListPipelines": {},
    "GetPipelineState": {"name": "service-00-release"},
    "ListActionExecutions": {"pipelineName": "service-00-release", "maxResults": 100},
}


def once():
    answer = boto3.client("codepipeline").list_pipelines()
    assert len(answer["pipelines"]) == 10


def calls(*wanted):
    import json
    import time

    client = boto3.client("codepipeline")
    for operation, count in (item.split(":") for item in wanted):
        method = getattr(client, "".join("_" + c.lower() if c.isupper() else c for c in operation)[1:])
        params = PARAMS[operation]
        for _ in range(20):
            method(**params)
        begin = time.process_time()
        for _ in range(int(count)):
            method(**params)
        print(json.dumps({"op": operation, "cpu_us": (time.process_time() - begin) / int(count) * 1e6}))


def work(count):
    from concurrent.futures import ThreadPoolExecutor

    client = boto3.client("codepipeline")
    kind = {"category": "Build", "owner": "Custom", "provider": "Bench", "version": "1"}

    def handle(job):
        answer = client.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
        if answer["status"] == "InProgress":
            client.put_job_success_result(jobId=job["id"])

    left = int(count)
    with ThreadPoolExecutor(8) as pool:
        while left > 0:
            jobs = client.poll_for_jobs(actionTypeId=kind, maxBatchSize=8)["jobs"]
            left -= len(list(pool.map(handle, jobs)))


if __name__ == "__main__":
    {"once": once, "calls": calls, "work": work}[sys.argv[1]](*sys.argv[2:])
