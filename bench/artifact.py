# SPDX-License-Identifier: MIT
"""A large artifact through a job: fetched, unpacked, packed and sent, beside `curl`, `unzip` and `zip` doing the same.

    ./dev bench artifact.py                      256 MB
    ARTIFACT_MB=512 ./dev bench artifact.py      half a gigabyte: the most that the emulator holds

The service is the emulator in this process; the worker has a process of its own, as curl and the others have. They take
turns; memory is the growth of the worker's peak over the job.
"""

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import codepipeline

ROUNDS = 2
KIND = {"category": "Build", "provider": "Bench", "version": "1"}


def write_tree(folder, megabytes):
    """Files of 64 MB; a quarter is noise, the rest are words: the emulator holds no object of more than 512 MB."""
    source = random.Random(4711)
    words = [source.randbytes(4).hex() for _ in range(4096)]
    blocks = [source.randbytes(1 << 18) + " ".join(source.choices(words, k=90000)).encode() for _ in range(8)]
    blocks = [block[: 1 << 20] for block in blocks]
    os.mkdir(folder)
    for number in range(max(1, megabytes // 64)):
        with open(f"{folder}/part-{number:03}", "wb") as file:
            for block in range(64):
                file.write(number.to_bytes(8, "big") + blocks[(block + number) % 8])


def make_pipeline(client):
    artifacts = {"minimumCount": 1, "maximumCount": 1}
    client.create_custom_action_type(**KIND, inputArtifactDetails=artifacts, outputArtifactDetails=artifacts)
    source = {
        "name": "Source",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "source", "S3ObjectKey": "app.zip"},
        "outputArtifacts": [{"name": "App"}],
    }
    build = {
        "name": "Build",
        "actionTypeId": {"owner": "Custom", **KIND},
        "inputArtifacts": [{"name": "App"}],
        "outputArtifacts": [{"name": "Binary"}],
    }
    client.create_pipeline(
        pipeline={
            "name": "bench",
            "roleArn": "arn:aws:iam::123456789012:role/bench",
            "artifactStore": {"type": "S3", "location": "artifacts"},
            "stages": [{"name": "Source", "actions": [source]}, {"name": "Build", "actions": [build]}],
        }
    )


def forget_peak():
    """A process starts with the peak of the one it was forked from."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def peak_kb():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


def through_a_job(client):
    """In a process of its own, for its peak of memory: seconds, and KB above what it had before."""
    worker = codepipeline.Worker(client)
    took = {}

    @worker.job(**KIND)
    def handle(job):
        forget_peak()
        took["before"] = peak_kb()
        took["from"] = time.monotonic()
        job.output("Binary").pack(job.input("App").extract())

    worker.run_once(timeout=60)
    print(json.dumps({"s": time.monotonic() - took["from"], "kb": peak_kb() - took["before"]}))


def with_curl(url, folder):
    keys = f"{os.environ['AWS_ACCESS_KEY_ID']}:{os.environ['AWS_SECRET_ACCESS_KEY']}"
    curl = ["curl", "-sS", "--fail", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", keys]
    curl += ["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]
    begin = time.monotonic()
    subprocess.run([*curl, "-o", f"{folder}/in.zip", f"{url}/source/app.zip"], check=True)
    subprocess.run(["unzip", "-q", f"{folder}/in.zip", "-d", f"{folder}/tree"], check=True)
    subprocess.run(["zip", "-q", "-r", f"{folder}/out.zip", "."], cwd=f"{folder}/tree", check=True)
    subprocess.run([*curl, "-T", f"{folder}/out.zip", f"{url}/artifacts/out.zip"], check=True)
    return time.monotonic() - begin


def rounds(client, url, folder):
    ours, theirs = [], []
    for _ in range(ROUNDS):
        if ours:
            client.start_pipeline_execution(name="bench")
        done = subprocess.run([sys.executable, __file__, "job"], check=True, stdout=subprocess.PIPE, text=True)
        ours.append(json.loads(done.stdout.splitlines()[-1]))
        os.mkdir(f"{folder}/curl")
        theirs.append(with_curl(url, f"{folder}/curl"))
        shutil.rmtree(f"{folder}/curl")
    seconds, other = statistics.median(o["s"] for o in ours), statistics.median(theirs)
    print(
        f"through a job: {seconds:.1f} s; curl, unzip, zip, curl: {other:.1f} s; ratio {seconds / other:.2f} (<= 1.3)"
    )
    print(f"memory growth: {max(o['kb'] for o in ours) / 1024:.1f} MB (<= 32)")


def main():
    folder = tempfile.mkdtemp()
    try:
        write_tree(f"{folder}/made", int(os.environ.get("ARTIFACT_MB", "256")))
        codepipeline.pack(f"{folder}/made", f"{folder}/app.zip")
        shutil.rmtree(f"{folder}/made")
        with codepipeline.Emulator() as emulator:
            os.environ.update(emulator.environ)
            client = codepipeline.Client()
            for bucket in ("source", "artifacts"):
                emulator.create_bucket(bucket)
            client.upload_file(f"{folder}/app.zip", "source", "app.zip")
            make_pipeline(client)
            rounds(client, emulator.url, folder)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:] == ["job"]:
        through_a_job(codepipeline.Client())
    else:
        main()
