# SPDX-License-Identifier: MIT
"""The Python in README.md and docs/*.md runs: page by page, each from its top to its bottom, on an emulator."""

import ast
import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import threading
import types
import typing
import zipfile
from pathlib import Path

import pytest

import codepipeline
from conftest import ROOT

PAGES = [path for path in [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))] if "```python" in path.read_text()]


def snippets(path):
    """Each, with as many newlines before it that errors name the page's own lines."""
    text = path.read_text(encoding="utf-8")
    for match in re.finditer(r"^```python\n(.*?)^```", text, re.M | re.S):
        line = text.count("\n", 0, match.start()) + 1
        yield "\n" * line + match.group(1)


def action(name, category, provider, configuration, **artifacts):
    kind = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "actionTypeId": kind, "configuration": configuration, **artifacts}


SITE = {
    "name": "site",
    "roleArn": "arn:aws:iam::123456789012:role/pipeline",
    "artifactStore": {"type": "S3", "location": "artifacts"},
    "pipelineType": "V2",
    "variables": [{"name": "tag", "defaultValue": "latest"}],
    "stages": [
        {
            "name": "Source",
            "actions": [
                action(
                    "Fetch",
                    "Source",
                    "S3",
                    {"S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
                    outputArtifacts=[{"name": "Source"}],
                )
            ],
        },
        {
            "name": "Ship",
            "actions": [
                action(
                    "Upload",
                    "Deploy",
                    "S3",
                    {"BucketName": "live", "Extract": "true"},
                    inputArtifacts=[{"name": "Source"}],
                )
            ],
        },
    ],
}


@pytest.fixture
def world(tmp_path, monkeypatch, request):
    """What the pages take for granted: an account in eu-west-1 with a pipeline "site"."""
    monkeypatch.chdir(tmp_path)
    request.config.addinivalue_line("markers", "codepipeline_emulator: as the package's own pytest plugin has it")
    (tmp_path / "config").write_text("[profile admin]\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    Path("tests/app").mkdir(parents=True)
    Path("tests/app/app").write_text("hello")
    with codepipeline.Emulator(region="eu-west-1") as emulator:
        for name, value in emulator.environ.items():
            monkeypatch.setenv(name, value)
        client = codepipeline.Client()
        for bucket in ("source", "artifacts", "live"):
            emulator.create_bucket(bucket)
        with zipfile.ZipFile("app.zip", "w") as archive:
            archive.writestr("main.txt", "hello")
        client.upload_file("app.zip", "source", "app.zip")
        count = {"minimumCount": 0, "maximumCount": 5}
        client.create_custom_action_type(
            category="Build", provider="MyBuilder", version="1", inputArtifactDetails=count, outputArtifactDetails=count
        )
        client.create_pipeline(pipeline=SITE)
        client.run("site", poll_interval=0.02).wait(timeout=20)
        yield emulator, client


async def compile_app(source, binary, target):
    shutil.copytree(source, binary, dirs_exist_ok=True)


def given(page, emulator, client):
    """The names that a page uses and does not make."""
    statuses = []

    def status_of(stack):
        statuses.append(stack)
        return "IN_PROGRESS" if len(statuses) % 2 else "DONE"

    names = {
        "__name__": "guide", "asyncio": asyncio, "begin": lambda wanted, folder: None, "codepipeline": codepipeline,
        "compile": compile_app, "create_stack": lambda name: "s", "enough": lambda item: True,
        "job": {"id": "00000000-0000-0000-0000-000000000000"}, "json": json, "names": ["site"], "os": os,
        "Path": Path, "pytest": pytest, "status_of": status_of, "subprocess": subprocess,
        "threading": threading, "tokens": {},
        "vault": types.SimpleNamespace(read=lambda: "secret", end=lambda: None),
        "Annotated": typing.Annotated, "TypedDict": typing.TypedDict,
    }  # fmt: skip
    if importlib.util.find_spec("boto3"):
        import boto3

        names["boto3"] = boto3
    names["Required"] = getattr(typing, "Required", typing.Optional)
    names["site"] = client.pipeline("site") if page == "notebooks" else SITE
    return names


def needs_more(source):
    """The package that a snippet shows and this environment has not."""
    wanted = {"boto3.Session": "boto3", 'to_frame("polars")': "polars", "to_frame()": "pandas", "plot()": "matplotlib"}
    for word, package in wanted.items():
        if word in source and importlib.util.find_spec(package) is None:
            return package
    return None


@pytest.mark.parametrize("page", [path.stem for path in PAGES])
def test_the_python_of_the_page_runs(page, world, monkeypatch):
    emulator, client = world
    run = codepipeline.Worker.run

    def run_for_a_moment(worker):
        threading.Timer(0.2, worker.stop).start()
        return run(worker)

    monkeypatch.setattr(codepipeline.Worker, "run", run_for_a_moment)
    names = given(page, emulator, client)
    (path,) = [path for path in PAGES if path.stem == page]
    left_out = []
    for source in snippets(path):
        if package := needs_more(source):
            left_out.append(package)
            continue
        names["worker"] = codepipeline.Worker(client)
        for name, ours in (("emulator", emulator), ("client", client)):
            theirs = names.get(name)
            if type(theirs) is not type(ours) or theirs.closed:  # an earlier snippet had its own, and closed it
                names[name] = ours
        code = compile(source, str(path), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        waiting = eval(code, names)
        if waiting is not None:
            asyncio.run(waiting)
        emulator.clear()
    if left_out:
        pytest.skip(f"the page runs, but for what needs {', '.join(left_out)}")


def test_every_page_with_python_is_among_them():
    assert {path.stem for path in PAGES} >= {"README", "calling", "emulator", "lambda", "worker"}
    assert all(list(snippets(path)) for path in PAGES)
