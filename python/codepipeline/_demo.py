# SPDX-License-Identifier: MIT
"""An emulator that has something to tell: three pipelines with a past, for the command's --emulator and notebooks."""

from __future__ import annotations

import os
import tempfile
import threading
from typing import Any

from . import Emulator, Worker, pack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self

    from . import Job, Outcome, Run

OWNER = {
    "AWS_ACCESS_KEY_ID": "AKIAEMULATOROWNER00",
    "AWS_SECRET_ACCESS_KEY": "emulator/owner/secret/key/of/no/account0",
    "AWS_SESSION_TOKEN": "",
}
ROLE = "arn:aws:iam::123456789012:role/pipeline"


def _action(name: str, category: str, owner: str, provider: str, **more: Any) -> dict[str, Any]:
    kind = {"category": category, "owner": owner, "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, **more}


def _source(key: str) -> dict[str, Any]:
    configuration = {"S3Bucket": "demo-source", "S3ObjectKey": key, "PollForSourceChanges": "false"}
    outputs = [{"name": "Source"}]
    action = _action("Fetch", "Source", "AWS", "S3", configuration=configuration, outputArtifacts=outputs)
    return {"name": "Source", "actions": [action]}


def _build(name: str, *actions: tuple[str, str, str]) -> dict[str, Any]:
    made = [
        _action(action, category, "Custom", "DemoTool", inputArtifacts=[{"name": "Source"}], configuration={"Do": what})
        for action, category, what in actions
    ]
    return {"name": name, "actions": made}


def _pipeline(name: str, *stages: dict[str, Any]) -> dict[str, Any]:
    store = {"type": "S3", "location": "demo-artifacts"}
    variables = [{"name": "tag", "defaultValue": "latest"}]
    return {
        "name": name,
        "roleArn": ROLE,
        "artifactStore": store,
        "pipelineType": "V2",
        "executionMode": "QUEUED",
        "variables": variables,
        "stages": list(stages),
    }


GATE = {
    "name": "Gate",
    "actions": [
        _action(
            "Sign",
            "Approval",
            "AWS",
            "Manual",
            configuration={"CustomData": "look twice", "ExternalEntityLink": "https://review.example/1"},
        )
    ],
}
SHIP = {
    "name": "Ship",
    "actions": [
        _action(
            "Upload",
            "Deploy",
            "AWS",
            "S3",
            inputArtifacts=[{"name": "Source"}],
            configuration={"BucketName": "demo-live", "Extract": "true"},
        )
    ],
}


class Demo:
    """emulator, with "docs", which was changed and delivered three times, "site", which waits for an approval, and
    "library", whose tests failed. Jobs that come later are done in the background, a second each.

    emulator, client  what runs, and a client of it. A context manager; leaving it ends both

        >>> with codepipeline.testing.Demo() as demo:
        ...     [pipeline["name"] for pipeline in demo.client.pipelines()]
        ['docs', 'library', 'site']
    """

    def __init__(self) -> None:
        self.emulator = Emulator()
        self.client = self.emulator.client()
        self._ended = threading.Event()
        self._pause = 0.0
        self._worker = threading.Thread(target=self._serve, daemon=True)
        self._prepare()
        self._worker.start()
        self._run()
        self._pause = 1.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def close(self) -> None:
        self._ended.set()
        self._worker.join()
        self.client.close()
        self.emulator.close()

    def _prepare(self) -> None:
        for bucket in ("demo-source", "demo-artifacts", "demo-live"):
            self.emulator.create_bucket(bucket)
        with tempfile.TemporaryDirectory() as folder:
            page = os.path.join(folder, "index.html")
            with open(page, "w", encoding="utf-8") as file:
                file.write("<h1>demo</h1>\n")
            pack(page, os.path.join(folder, "page.zip"))
            for name in ("docs", "library", "site"):
                self.client.upload_file(os.path.join(folder, "page.zip"), "demo-source", f"{name}.zip")
        for category in ("Build", "Test"):
            self.client.create_custom_action_type(
                category=category,
                provider="DemoTool",
                version="1",
                configurationProperties=[{"name": "Do", "required": True, "key": True, "secret": False}],
                inputArtifactDetails={"minimumCount": 1, "maximumCount": 1},
                outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
            )

    def _run(self) -> None:
        render, check = ("Render", "Build", "render"), ("Check", "Test", "check links")
        docs = self._start(_pipeline("docs", _source("docs.zip"), _build("Build", render), SHIP))
        self._settle(docs)
        changed = _pipeline("docs", _source("docs.zip"), _build("Build", render, check), SHIP)
        self.client.call("update_pipeline", pipeline=changed)
        for _ in range(2):
            self._settle(self.client.start("docs", poll_interval=0.01))
        build = _build("Build", ("Compile", "Build", "compile"), ("Test", "Test", "test"))
        site = self._start(_pipeline("site", _source("site.zip"), build, GATE, SHIP))
        self._settle(site)
        self.client.approvals("site")[0].approve("looks good")
        self._settle(site)
        self._settle(self.client.start("site", variables={"tag": "v2"}, poll_interval=0.01))
        tests = _build("Test", ("Unit", "Test", "fail"))
        self._settle(self._start(_pipeline("library", _source("library.zip"), tests)))

    def _start(self, pipeline: dict[str, Any]) -> Run:
        """Makes the pipeline, which starts it."""
        self.client.call("create_pipeline", pipeline=pipeline)
        return self.client.run(pipeline["name"], poll_interval=0.01)

    def _settle(self, run: Run) -> None:
        """Until it has ended, or waits for an approval."""
        for event in run.follow(30):
            if event.kind in ("approval", "end"):
                return
        raise RuntimeError(f"the demo's pipeline {run.pipeline} stands still")

    def _serve(self) -> None:
        worker = Worker(self.emulator.client(), poll_interval=0.01)

        @worker.job(category="Build", provider="DemoTool")
        @worker.job(category="Test", provider="DemoTool")
        def do(job: Job) -> Outcome:
            self._ended.wait(self._pause)
            if job.configuration["Do"] == "fail":
                return job.fail("2 of 40 tests failed: test_round_trip, test_empty_input")
            return job.succeed(summary=f"{job.configuration['Do']}: done")

        while not self._ended.is_set():
            worker.run_once(0.1)
