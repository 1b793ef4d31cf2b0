# SPDX-License-Identifier: MIT
"""A large artifact through a job: fetched, unpacked, packed and sent, beside `curl`, `unzip` and `zip` doing the same.

    ./dev bench artifact.py                      256 MB
    ARTIFACT_MB=512 ./dev bench artifact.py      half a gigabyte: the most that the emulator holds
    ARTIFACT_MB=2048 ./dev bench artifact.py     2 GB, from and to a bucket on disk, in this process; without curl

The service is the emulator in this process; the worker has a process of its own, as curl and the others have. They take
turns; memory is the growth of the worker's peak over the job.
"""

import base64
import http.server
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zlib

from contestants import tables

import codepipeline

ROUNDS = 2
MEGABYTES = int(os.environ.get("ARTIFACT_MB", "256"))
EMULATED_MB = 512  # the emulator holds objects in memory
BLOCK = 1 << 20
KIND = {"category": "Build", "provider": "Bench", "version": "1"}


def write_tree(folder, megabytes):
    """Files of 64 MB; a quarter is noise, the rest are words: the emulator holds no object of more than 512 MB. Larger
    ones are noise alone, so that the archive is as large."""
    source = random.Random(4711)
    words = [source.randbytes(4).hex() for _ in range(4096)]
    blocks = [source.randbytes(1 << 18) + " ".join(source.choices(words, k=90000)).encode() for _ in range(8)]
    if megabytes > EMULATED_MB:
        blocks = [source.randbytes(BLOCK) for _ in range(8)]
    blocks = [block[:BLOCK] for block in blocks]
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

    worker.run_once(timeout=3600)
    print(json.dumps({"s": time.monotonic() - took["from"], "kb": peak_kb() - took["before"]}))


class Bucket(http.server.BaseHTTPRequestHandler):
    """Of S3 as much as a job needs: one object, in ranges, with its checksum; uploads, in parts, are counted."""

    protocol_version = "HTTP/1.1"
    path_on_disk = ""
    crc32 = ""
    received = 0

    def log_message(self, *unused):
        pass

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        size = os.path.getsize(self.path_on_disk)
        first, last = 0, size - 1
        headers = {"ETag": '"whole-1"', "x-amz-checksum-crc32": self.crc32}
        if "Range" in self.headers:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            headers = {"ETag": '"whole-1"', "Content-Range": f"bytes {first}-{last}/{size}"}
        self.answer(206 if "Content-Range" in headers else 200, {**headers, "Content-Length": str(last + 1 - first)})
        with open(self.path_on_disk, "rb") as file:
            file.seek(first)
            try:
                while first <= last:
                    first += self.wfile.write(file.read(min(BLOCK, last + 1 - first)))
            except OSError:  # what is wanted of a plain GET is its beginning
                self.close_connection = True

    def do_PUT(self):
        left = int(self.headers["Content-Length"])
        type(self).received += left
        while left > 0:
            left -= len(self.rfile.read(min(BLOCK, left)))
        self.answer(200, {"ETag": '"part"'})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        ids = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
        self.answer(200, {}, ids if "uploads" in self.path else b"<CompleteMultipartUploadResult/>")


def growth_goal(kb):
    return f"{MEGABYTES} MB through a job: growth of memory, MB", 32, 16, kb / 1024, False


def crc32_of(path):
    crc = 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            crc = zlib.crc32(block, crc)
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def from_disk(client, path):
    """The job alone: its artifacts are in a Bucket."""
    Bucket.path_on_disk, Bucket.crc32 = path, crc32_of(path)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bucket)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environ = {**os.environ, "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_address[1]}"}
    done = subprocess.run([sys.executable, __file__, "job"], check=True, stdout=subprocess.PIPE, text=True, env=environ)
    server.shutdown()
    ours = json.loads(done.stdout.splitlines()[-1])
    state = client.get_pipeline_state(name="bench")["stageStates"][1]["latestExecution"]["status"]
    print(f"an artifact of {os.path.getsize(path) >> 20} MB through a job: {state}, {ours['s']:.1f} s")
    print(f"sent: {Bucket.received >> 20} MB")
    tables.goals([growth_goal(ours["kb"])])


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
    print(f"through a job: {seconds:.1f} s; curl, unzip, zip, curl: {other:.1f} s")
    time_goal = f"{MEGABYTES} MB through a job: ours / curl, unzip, zip, curl", 1.3, 1.0, seconds / other, False
    tables.goals([time_goal, growth_goal(max(o["kb"] for o in ours))])


def main():
    folder = tempfile.mkdtemp()
    try:
        write_tree(f"{folder}/made", MEGABYTES)
        codepipeline.pack(f"{folder}/made", f"{folder}/app.zip")
        shutil.rmtree(f"{folder}/made")
        with codepipeline.Emulator() as emulator:
            os.environ.update(emulator.environ)
            client = codepipeline.Client()
            for bucket in ("source", "artifacts"):
                emulator.create_bucket(bucket)
            source = f"{folder}/app.zip" if MEGABYTES <= EMULATED_MB else __file__
            client.upload_file(source, "source", "app.zip")
            make_pipeline(client)
            if MEGABYTES <= EMULATED_MB:
                rounds(client, emulator.url, folder)
            else:
                from_disk(client, f"{folder}/app.zip")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    if sys.argv[1:] == ["job"]:
        through_a_job(codepipeline.Client())
    else:
        main()
