# SPDX-License-Identifier: MIT
"""The "sources" of faults/network.json: the worker's own credentials are not to be had when a result is due."""

import datetime
import itertools
import json
import time

import pytest

import codepipeline
import judge
from conftest import NIGHTLY
from road import Road
from test_faults_network import NETWORK, written_log
from workbench import Workbench

STS = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>{AccessKeyId}"
    "</AccessKeyId><SecretAccessKey>{SecretAccessKey}</SecretAccessKey><SessionToken></SessionToken>"
    "<Expiration>{Expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
    "</AssumeRoleWithWebIdentityResponse>"
)


def all_cells():
    for source, kind, times in itertools.product(NETWORK["sources"], NETWORK["source_kinds"], (1, 4)):
        for call in source["calls"]:
            yield source["source"], call, kind, times


def chosen():
    cells = list(all_cells())
    return cells if NIGHTLY else cells[3::28]


def issuer(environ):
    """A server of all three kinds, whose credentials are the emulator's owner's and end while the handler runs."""
    keys = {"AccessKeyId": environ["AWS_ACCESS_KEY_ID"], "SecretAccessKey": environ["AWS_SECRET_ACCESS_KEY"]}

    def answer(method, path, headers, body):
        until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
        document = {**keys, "Token": "", "Code": "Success", "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ")}
        if path == "/latest/api/token":
            return 200, [("x-aws-ec2-metadata-token-ttl-seconds", "1")], b"token"
        if path.endswith("security-credentials/"):
            return 200, [], b"role"
        return 200, [], (STS.format(**document) if method == "POST" else json.dumps(document)).encode()

    return answer


def point_at(source, url, folder, monkeypatch):
    (folder / "web-identity").write_text("who we are")
    variables = {
        "web-identity": {
            "AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/worker",
            "AWS_WEB_IDENTITY_TOKEN_FILE": folder / "web-identity",
            "AWS_ENDPOINT_URL_STS": url,
        },
        "container": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/credentials"},
        "instance": {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url, "AWS_EC2_METADATA_DISABLED": "false"},
    }
    for name, value in variables[source].items():
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize("cell", chosen(), ids=lambda cell: "-".join(map(str, cell)))
def test_a_result_waits_for_credentials(cell, tmp_path, monkeypatch):
    source, call, kind, times = cell
    with Workbench(tmp_path) as bench, Road(issuer(bench.emulator.environ)) as road, written_log() as log:
        point_at(source, road.url, tmp_path, monkeypatch)
        client = codepipeline.Client("us-east-1", endpoint_url=bench.emulator.url, s3_endpoint_url=bench.emulator.url)
        worker = codepipeline.Worker(client, poll_interval=0.01, journal=tmp_path / "jobs.db")
        runs = []

        @worker.job(category="Build", provider="Builder")
        def build(job):
            runs.append({"id": job.id, "nonce": job.nonce, "artifact": "made", "variables": {"job": job.id}})
            job.output().write(b"made")
            time.sleep(1.2)
            road.strike(kind, call, times=times)
            return {"job": job.id}

        end = time.monotonic() + 60
        while not judge.accepted(bench.emulator.ledger()):
            judge.expect(time.monotonic() < end, "I5", "no result within a minute", log.getvalue()[-800:])
            worker.run_once(timeout=0.05)  # raises nothing: what worked once is trouble that passes
        assert road.struck
        judge.check_results(bench.emulator.ledger())
        judge.check_runs(runs)
        judge.check_bytes(bench.client, runs, bench.read_object)
        judge.check_secrets(bench.secrets(), [("the log", log.getvalue().encode())])
        assert bench.state()["status"] == "Succeeded"
        client.close()
