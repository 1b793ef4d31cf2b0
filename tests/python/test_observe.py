# SPDX-License-Identifier: MIT
"""Hooks, the logger, views, the doctor, and that no secret is seen in any of them."""

import io
import json
import logging
import pickle
import subprocess
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import codepipeline
from codepipeline import exceptions

CANARY = "canary"
OPTIONS = {
    "region": "eu-west-1",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": CANARY + "-secret",
    "session_token": CANARY + "-token",
}
POLL = {"category": "Build", "owner": "Custom", "provider": "P", "version": "1"}
JOBS = {
    "jobs": [
        {
            "id": "1",
            "nonce": "2",
            "data": {
                "actionConfiguration": {"configuration": {"Token": CANARY + "-configuration"}},
                "artifactCredentials": {
                    "accessKeyId": CANARY + "-key",
                    "secretAccessKey": CANARY + "-own",
                    "sessionToken": CANARY + "-session",
                },
            },
        }
    ]
}


class Service:
    """Answers every request with the next of its answers, the last one again and again."""

    def __init__(self):
        self.answers = [(200, {}, "{}")]
        self.requests = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.requests.append((dict(self.headers), body))
                status, headers, text = service.answers.pop(0) if len(service.answers) > 1 else service.answers[0]
                self.send_response(status)
                for name, value in {"Content-Length": str(len(text)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *unused):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def service():
    running = Service()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def watched(service):
    return codepipeline.Client(endpoint_url=service.url, **OPTIONS)


# ---- hooks ----


def test_hooks_see_every_attempt(service, watched):
    service.answers = [(503, {}, "{}"), (200, {"x-amzn-RequestId": "r-2"}, '{"pipelines":[{"name":"site"}]}')]
    seen = []
    assert watched.on("request", seen.append) is not None
    watched.on("response", seen.append)
    watched.list_pipelines(maxResults=5)
    assert [(e.stage, e.attempt) for e in seen] == [("request", 1), ("response", 1), ("request", 2), ("response", 2)]
    assert seen[0].operation == "ListPipelines" and seen[0].url == service.url + "/"
    assert json.loads(seen[0].text) == {"maxResults": 5}
    assert seen[0].headers["authorization"] == "***" and seen[0].headers["x-amz-security-token"] == "***"
    assert seen[1].status == "SERVICE" and seen[1].http_status == 503
    assert seen[3].status == "OK" and seen[3].request_id == "r-2" and 0 <= seen[3].duration < 5
    assert json.loads(seen[3].text) == {"pipelines": [{"name": "site"}]}
    assert seen[3].headers["x-amzn-requestid"] == "r-2"


def test_what_a_hook_raises_stops_the_call(service, watched):
    def refuse(event):
        raise KeyError(event.operation)

    watched.on("request", refuse)
    with pytest.raises(KeyError, match="ListPipelines"):
        watched.list_pipelines()
    assert service.requests == []


def test_what_a_hook_raises_after_the_answer_comes_out_too(service, watched):
    def refuse(event):
        raise KeyError(event.stage)

    watched.on("response", refuse)
    service.answers = [(400, {}, '{"__type":"ValidationException"}')]
    with pytest.raises(KeyError, match="response"):
        watched.list_pipelines()
    assert len(service.requests) == 1


def test_stages_are_named(watched):
    with pytest.raises(ValueError, match="'before'"):
        watched.on("before", print)


# ---- logging ----


def test_the_logger_gets_every_attempt_at_debug(service, watched, caplog):
    with caplog.at_level(logging.INFO, logger="codepipeline"):
        watched.list_pipelines()
    assert caplog.records == []
    with caplog.at_level(logging.DEBUG, logger="codepipeline"):
        watched.list_pipelines(maxResults=7)
    first, second = [record.getMessage() for record in caplog.records]
    assert first == f'request ListPipelines attempt=1 url={service.url}/ params={{"maxResults":7}}'
    assert second.startswith("response ListPipelines attempt=1 status=OK http_status=200 duration=")
    assert caplog.records[0].name == "codepipeline" and caplog.records[0].levelno == logging.DEBUG


def test_logging_is_not_imported_for_a_call(service):
    code = (
        "import sys, codepipeline\n"
        f"codepipeline.Client(endpoint_url={service.url!r}, **{OPTIONS!r}).list_pipelines()\n"
        "assert 'logging' not in sys.modules and 'codepipeline._observe' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# ---- secrets ----


def test_no_secret_is_seen_anywhere(service, watched, caplog):
    service.answers = [(200, {}, json.dumps(JOBS)), (400, {}, '{"__type":"ValidationException","message":"no"}')]
    seen = []
    watched.on("request", lambda event: seen.append(f"{event} {event!r} {event.__dict__}"))
    watched.on("response", lambda event: seen.append(f"{event} {event!r} {event.__dict__}"))
    with caplog.at_level(logging.DEBUG, logger="codepipeline"):
        answer = watched.poll_for_jobs(actionTypeId=POLL)
        keys = answer["jobs"][0]["data"]["artifactCredentials"]
        assert keys["accessKeyId"] == CANARY + "-key" and f"{keys['secretAccessKey']}" == CANARY + "-own"
        assert json.loads(json.dumps(keys)) == pickle.loads(pickle.dumps(keys)) == keys
        assert repr(keys) == "{'accessKeyId': '***', 'secretAccessKey': '***', 'sessionToken': '***'}"
        with pytest.raises(exceptions.ValidationException) as caught:
            watched.put_webhook(
                webhook={
                    "name": "hook",
                    "targetPipeline": "site",
                    "targetAction": "a",
                    "filters": [{"jsonPath": "$.ref"}],
                    "authentication": "GITHUB_HMAC",
                    "authenticationConfiguration": {"SecretToken": CANARY + "-hook"},
                }
            )
    shown = [*seen, caplog.text, repr(watched), repr(caught.value), str(caught.value), str(caught.value.response)]
    shown.append("".join(traceback.format_exception_only(type(caught.value), caught.value)))
    report = codepipeline.doctor(file=io.StringIO(), endpoint_url=service.url, **OPTIONS)
    shown.append(str(report))
    assert len(seen) == 4 and "SecretToken" in caplog.text
    for text in shown:
        assert CANARY not in text


# ---- views ----


def test_a_view_has_other_options_and_the_same_hooks(service, watched):
    seen = []
    watched.on("request", seen.append)
    view = watched.with_options(region="us-west-2", access_key_id="AKIDOTHER", secret_access_key="x", read_timeout=3)
    assert view.region == "us-west-2" and watched.region == "eu-west-1" and view.endpoint_url == service.url
    view.list_pipelines()
    assert "=AKIDOTHER/" in service.requests[0][0]["authorization"]
    assert "/us-west-2/" in service.requests[0][0]["authorization"]
    view.on("request", seen.append)
    watched.list_pipelines()
    view.list_pipelines()
    assert len(seen) == 1 + 1 + 2
    with pytest.raises(exceptions.ParamValidationError) as caught:
        watched.with_options(profile="x")
    assert caught.value.path == "profile"
    watched.close()
    with pytest.raises(exceptions.StateError):
        view.list_pipelines()


# ---- options and errors ----


def test_an_error_has_every_id(service, watched):
    headers = {"x-amzn-RequestId": "r", "x-amz-cf-id": "c", "x-amz-id-2": "e"}
    service.answers = [(400, headers, '{"__type":"PipelineNotFoundException","message":"no"}')]
    with pytest.raises(exceptions.PipelineNotFoundException) as caught:
        watched.get_pipeline(name="x")
    error = caught.value
    assert (error.request_id, error.cloudfront_id, error.extended_request_id) == ("r", "c", "e")
    assert (error.attempts, error.retry_delay, error.http_status) == (1, 0.0, 400)


def test_every_option_reaches_the_client(service):
    options = {**OPTIONS, "retry_mode": "adaptive", "app_id": "my app", "use_fips_endpoint": False, "proxy": "none"}
    codepipeline.Client(endpoint_url=service.url, max_attempts=2, response_limit=1000, **options).list_pipelines()
    assert " app/my-app" in service.requests[0][0]["user-agent"]
    assert service.requests[0][0]["amz-sdk-request"] == "attempt=1; max=2"
    assert codepipeline.Client(region="us-gov-west-1", use_fips_endpoint=True).endpoint_url == (
        "https://codepipeline-fips.us-gov-west-1.amazonaws.com"
    )
    with pytest.raises(exceptions.ConfigurationError):
        codepipeline.Client(region="eu-west-1", retry_mode="eager")
    with pytest.raises(TypeError, match="'regoin' is an invalid keyword argument"):
        codepipeline.Client(regoin="eu-west-1")
    with pytest.raises(ValueError, match="max_attempts"):
        codepipeline.Client(region="eu-west-1", max_attempts=-1)
    with pytest.raises(TypeError, match="'regoin' .* there are region, profile, .*client_key.* and mfa_code"):
        codepipeline.Client(regoin="eu-west-1")
    for name, value in (("region", 5), ("read_timeout", "5"), ("max_attempts", "3"), ("response_limit", 1.5)):
        with pytest.raises(TypeError, match=f"^{name}: expected .*, got <class '{type(value).__name__}'>"):
            codepipeline.Client(**{"region": "eu-west-1", name: value})
    made = codepipeline.Client(region="eu-west-1")
    for ask in (made.run, made.start):
        with pytest.raises(TypeError, match="^pipeline: expected its name, got <class 'int'>"):
            ask(5)
    with pytest.raises(TypeError, match="client must be a Client"):
        codepipeline.Worker("x")
    with pytest.raises(TypeError, match="get_pipeline\\(\\) takes keyword arguments alone"):
        codepipeline.Client(region="eu-west-1").get_pipeline("site")


# ---- the doctor ----


def test_the_doctor_prints_and_returns(service, capsys):
    report = codepipeline.doctor(endpoint_url=service.url, **OPTIONS)
    assert report["healthy"] is True and report["problems"] == []
    assert report["region"] == {"value": "eu-west-1", "source": "argument"}
    assert report["credentials"]["source"] == "arguments"
    assert capsys.readouterr().out == report["text"] and report["text"].endswith("all is well\n")


def test_the_doctor_of_an_emulator(emulator, capsys):
    report = codepipeline.doctor()
    assert report["healthy"] is True, report["problems"]
    assert report["endpoint"]["source"] == "AWS_ENDPOINT_URL_CODEPIPELINE"
    assert abs(report["clock"]["offset"]) <= 2


def test_the_doctor_finds_what_is_wrong(capsys):
    report = codepipeline.doctor()
    assert report["healthy"] is False and report["problems"][0].startswith("no region")
    assert "PROBLEM" in capsys.readouterr().out
