# SPDX-License-Identifier: MIT
"""examples/lambda on the emulator, with stand-ins for CloudFormation and for the command line in Lua's case."""

import json
import os
import runpy
import shutil
import subprocess
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from conftest import ROOT, SANITIZED
from test_lambda import Lambda

EXAMPLES = ROOT / "examples" / "lambda"

# What CloudFormation answers is in two files: the statuses one after the other, and why a change is refused.
AWS = """#!/bin/sh
echo "$@" >>calls
case "$2" in
describe-stacks)
    status=$(sed -n 1p statuses)
    sed -i 1d statuses
    if [ "$status" = none ]; then echo "Stack with id s does not exist"; exit 254; fi
    echo "$status" ;;
*)
    [ ! -s refusal ] || { cat refusal; exit 254; }
    echo arn:stack ;;
esac
"""

LUA = "local f = dofile(arg[1]); local outcome, err = f(io.read('a')); print(outcome or 'raised ' .. tostring(err))"


class ClientError(Exception):
    pass


class CloudFormation:
    exceptions = types.SimpleNamespace(ClientError=ClientError)

    def __init__(self, folder):
        self.folder = folder

    def run(self, verb):
        done = subprocess.run(["./aws", "cloudformation", verb], cwd=self.folder, stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            raise ClientError(done.stdout)
        return done.stdout.strip()

    def describe_stacks(self, StackName):
        return {"Stacks": [{"StackStatus": self.run("describe-stacks")}]}

    def create_stack(self, StackName, TemplateBody, Capabilities):
        assert TemplateBody == "hello"
        self.run("create-stack")

    def update_stack(self, **params):
        self.run("update-stack")


class Example(Lambda):
    """The world, and the example in one of the languages."""

    def __init__(self, emulator, client, folder, language):
        super().__init__(emulator, client, folder)
        self.folder = folder
        self.environ = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
        self.language = language
        (folder / "aws").write_text(AWS)
        (folder / "aws").chmod(0o755)

    def invoke(self, name, event):
        if self.language == "python":
            return runpy.run_path(str(EXAMPLES / f"{name}.py"))["handler"](event)
        if name == "check_page" and SANITIZED:
            # it runs a program while the core's guard minds the time
            pytest.skip("AddressSanitizer's allocator may be locked by a thread that the fork leaves behind")
        done = subprocess.run(
            ["lua5.4", self.script(), EXAMPLES / f"{name}.lua"],
            input=json.dumps(event),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def script(self):
        path = self.folder / "run.lua"
        path.write_text(LUA)
        return path

    def cloudformation(self, *statuses, refusal=""):
        (self.folder / "statuses").write_text("".join(f"{status}\n" for status in statuses))
        (self.folder / "refusal").write_text(refusal)

    def calls(self):
        return [line.split()[1] for line in (self.folder / "calls").read_text().splitlines()]

    def begin_with(self, **parameters):
        return self.begin(UserParameters=json.dumps(parameters))


@pytest.fixture(params=["python", "lua"])
def example(request, emulator, client, tmp_path, monkeypatch):
    if request.param == "lua":
        for command in ("lua5.4", "curl"):
            if shutil.which(command) is None:
                pytest.skip(f"no {command}")
    boto3 = types.ModuleType("boto3")
    boto3.client = lambda service: {"cloudformation": CloudFormation(tmp_path)}[service]
    monkeypatch.setitem(sys.modules, "boto3", boto3)
    return Example(emulator, client, tmp_path, request.param)


@pytest.fixture
def page():
    """The URL of a server with one page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()
            self.wfile.write(b"<h1>Congratulations</h1>")

        def log_message(self, *unused):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


# ---- the page ----


def test_a_page_that_says_what_it_should(example, page):
    assert example.invoke("check_page", example.begin_with(url=page, text="Congratulations")) == "succeeded"
    assert example.output()["outputVariables"] == {"bytes": "24"}


def test_a_page_that_says_something_else(example, page):
    assert example.invoke("check_page", example.begin_with(url=page, text="Welcome")) == "failed"
    assert "does not say" in example.state()["errorDetails"]["message"]


def test_a_page_that_is_not_there(example, page):
    assert example.invoke("check_page", example.begin_with(url=page + "lost")) == "failed"
    assert "404" in example.state()["errorDetails"]["message"]


def test_a_page_named_by_its_address_alone(example, page):
    assert example.invoke("check_page", example.begin(UserParameters=page)) == "succeeded"


def error_of(example):
    return example.state()["errorDetails"]


def test_a_page_nobody_named(example):
    assert example.invoke("check_page", example.begin()) == "failed"
    assert error_of(example)["code"] == "ConfigurationError"
    assert "UserParameters: missing; the action needs a JSON object with url" in error_of(example)["message"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("www.example.com", "UserParameters: not JSON: "),
        ("7", "UserParameters: not an object; "),
        ('{"stack": "s", "artifact": "Source"}', "UserParameters.file: missing; "),
        ('{"stack": "s", "artifact": "Sauce", "file": "main.txt"}', "Sauce"),
        ('{"stack": "s", "artifact": "Source", "file": "lost.yml"}', "the artifact has no file lost.yml"),
    ],
)
def test_a_stack_nobody_described(example, parameters, words):
    example.cloudformation("none")
    assert example.invoke("deploy_stack", example.begin(UserParameters=parameters)) == "failed"
    assert words in error_of(example)["message"]
    assert error_of(example)["code"] == "ConfigurationError"


# ---- the stack ----

STACK = {"stack": "s", "artifact": "Source", "file": "main.txt"}


def test_a_new_stack_is_made_and_waited_for(example):
    example.cloudformation("none")
    event = example.begin_with(**STACK)
    assert example.invoke("deploy_stack", event) == "continued"
    assert example.calls() == ["describe-stacks", "create-stack"]
    assert example.state()["status"] == "InProgress"


def test_a_stack_that_is_up_to_date_is_success(example):
    example.cloudformation("UPDATE_COMPLETE", refusal="ValidationError: No updates are to be performed.")
    assert example.invoke("deploy_stack", example.begin_with(**STACK)) == "succeeded"
    assert example.calls() == ["describe-stacks", "update-stack"]
    assert "up to date" in example.state()["summary"]


def test_a_template_that_is_refused_fails_the_job(example):
    example.cloudformation("none", refusal="ValidationError: Template format error")
    assert example.invoke("deploy_stack", example.begin_with(**STACK)) == "failed"
    assert "Template format error" in example.state()["errorDetails"]["message"]


def continued(event):
    """The event of the job that follows, when its time has come."""
    event["CodePipeline.job"]["data"]["continuationToken"] = 'cpl1:0:"begun"'
    return event


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("CREATE_IN_PROGRESS", "continued"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "continued"),
        ("CREATE_COMPLETE", "succeeded"),
        ("UPDATE_COMPLETE", "succeeded"),
        ("UPDATE_ROLLBACK_IN_PROGRESS", "failed"),
        ("ROLLBACK_COMPLETE", "failed"),
        ("none", "failed"),
    ],
)
def test_how_a_stack_goes_on(example, status, outcome):
    example.cloudformation(status)
    assert example.invoke("deploy_stack", continued(example.begin_with(**STACK))) == outcome
    assert example.calls() == ["describe-stacks"]
