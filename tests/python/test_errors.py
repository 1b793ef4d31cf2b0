# SPDX-License-Identifier: MIT
"""What errors carry, and what they and answers survive: copies, pickles, other processes, other packages' handlers."""

import copy
import datetime
import multiprocessing
import pickle
import subprocess
import sys

import pytest

import codepipeline
from conftest import CLEAN, SANITIZED
from servers import KEYS, answering, dead_url

HEADERS = {"x-amzn-RequestId": "r-1", "x-amz-cf-id": "cf-1", "x-amz-id-2": "id2-1"}
MEMBERS = (
    *("status", "code", "message", "operation", "http_status", "request_id", "cloudfront_id", "extended_request_id"),
    *("attempts", "retry_delay", "retryable", "exhausted", "headers", "members"),
)


@pytest.fixture(scope="module")
def server():
    with answering() as pair:
        yield pair


def raised(call, **params):
    with pytest.raises(codepipeline.CodePipelineError) as caught:
        call(**params)
    return caught.value


def refusal(server, code="PipelineNotFoundException", client=None):
    answers, ours = server
    answers.say({"__type": code, "message": "no"}, 400, **HEADERS)
    return raised((client or ours).get_pipeline, name="x")


def same(one, other):
    return (type(one), one.args, str(one), repr(one), vars(one)) == (
        type(other), other.args, str(other), repr(other), vars(other)
    )  # fmt: skip


def test_an_error_carries_all(server):
    error = refusal(server, "ThrottlingException", server[1].with_options(max_attempts=2))
    assert [getattr(error, name) for name in MEMBERS[:9]] == [
        "SERVICE", "ThrottlingException", "no", "GetPipeline", 400, "r-1", "cf-1", "id2-1", 2
    ]  # fmt: skip
    assert 0 < error.retry_delay < 20
    assert error.retryable
    assert error.exhausted
    assert error.headers["x-amz-id-2"] == "id2-1"
    assert repr(error) == f"ClientError({str(error)!r})"  # as botocore's
    assert error.args == (str(error),)


def every_kind(server):
    yield refusal(server)
    yield refusal(server, "NobodyKnowsThisException")
    yield raised(server[1].get_pipeline, nam="x")
    yield raised(server[1].with_options(endpoint_url=dead_url()).list_pipelines)
    yield raised(codepipeline.Client)
    yield raised(codepipeline.Client("us-east-1", endpoint_url=dead_url()).list_pipelines)
    yield codepipeline.SystemFailure("disk full")
    yield codepipeline.TimeoutError("late", operation="GetPipeline")
    yield codepipeline.JobFailure("why", failure_type="PermissionError", external_execution_id="7", operation="x")
    yield codepipeline.ConfigurationFailure("why")


def test_errors_are_copied_whole(server):
    for error in every_kind(server):
        error.__notes__ = ["seen by a test"]  # what add_note() of Python 3.11 sets
        copies = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
        for other in (*copies, copy.copy(error), copy.deepcopy(error)):
            assert same(other, error)


class OwnFailure(codepipeline.JobFailure):
    """As a program may derive one, with an argument more."""

    def __init__(self, message, ticket):
        super().__init__(message)
        self.ticket = ticket


def test_a_derived_error_keeps_what_it_has():
    error = pickle.loads(pickle.dumps(OwnFailure("why", 7)))
    assert (type(error), str(error), error.ticket, error.failure_type) == (OwnFailure, "why", 7, "JobFailed")


def ask(url, name):
    client = codepipeline.Client("us-east-1", endpoint_url=url, max_attempts=1, **KEYS)
    return client.get_pipeline(name=name)


inherited = []


def ask_inherited(name):
    return inherited[0].get_pipeline(name=name)


@pytest.mark.skipif(SANITIZED, reason=CLEAN)
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_errors_and_answers_come_back_from_other_processes(server, method):
    answers, ours = server
    answers.say({"pipeline": {"name": "x", "version": 3}, "metadata": {"created": 1.5}})
    with multiprocessing.get_context(method).Pool(1) as pool:
        answer = pool.apply(ask, (ours.endpoint_url, "x"))
        assert answer["metadata"]["created"] == datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, datetime.timezone.utc)
        assert copy.deepcopy(answer) == pickle.loads(pickle.dumps(answer)) == answer
        wanted = refusal(server)
        with pytest.raises(codepipeline.exceptions.PipelineNotFoundException) as caught:
            pool.apply(ask, (ours.endpoint_url, "x"))
    for name in set(MEMBERS) - {"headers"}:  # which has a date
        assert getattr(caught.value, name) == getattr(wanted, name)


@pytest.mark.skipif(SANITIZED, reason=CLEAN)
def test_a_client_that_was_used_is_used_after_fork(server):
    answers, ours = server
    answers.say({"pipeline": {"name": "x"}})
    ours.get_pipeline(name="x")
    inherited[:] = [ours]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert [answer["pipeline"]["name"] for answer in pool.map(ask_inherited, "xxxx")] == ["x"] * 4
    assert ours.get_pipeline(name="x")["pipeline"]["name"] == "x"


THEIRS = [
    ("ClientError", "client.get_pipeline(name='x')"),
    ("ParamValidationError", "client.get_pipeline(nam='x')"),
    ("EndpointConnectionError", "client.with_options(endpoint_url=dead_url()).list_pipelines()"),
    ("NoRegionError", "codepipeline.Client()"),
    ("ProfileNotFound", "codepipeline.Client('us-east-1', profile='nobody')"),
    ("NoCredentialsError", "codepipeline.Client('us-east-1').list_pipelines()"),
    ("BotoCoreError", "codepipeline.Client('us-east-1', endpoint_url='nowhere')"),
    ("BotoCoreError", "client.with_options(response_limit=1).list_pipelines()"),
]


@pytest.mark.parametrize(("name", "call"), THEIRS)
def test_handlers_that_catch_botocore_s_errors_catch_ours(server, name, call):
    theirs = pytest.importorskip("botocore.exceptions")
    server[0].error("PipelineNotFoundException")
    with pytest.raises(getattr(theirs, name)) as caught:
        eval(call, {"client": server[1], "dead_url": dead_url, "codepipeline": codepipeline})
    assert isinstance(caught.value, codepipeline.CodePipelineError)
    assert same(pickle.loads(pickle.dumps(caught.value)), caught.value)
    others = {"NoRegionError", "ProfileNotFound", "NoCredentialsError"} - {name}  # a script has a handler for each
    assert not any(isinstance(caught.value, getattr(theirs, other)) for other in others)
    # as in botocore, where ClientError is no BotoCoreError
    assert isinstance(caught.value, theirs.BotoCoreError) == (name != "ClientError")


def test_botocore_is_not_loaded_for_that(server):
    server[0].error("PipelineNotFoundException")
    program = f"""
import codepipeline, sys
client = codepipeline.Client("us-east-1", endpoint_url={server[1].endpoint_url!r}, **{KEYS!r})
try:
    client.get_pipeline(name="x")
except client.exceptions.PipelineNotFoundException as error:
    print(type(error).__mro__[2].__name__, "botocore" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["CodePipelineError", "False"]
