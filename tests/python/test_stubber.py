# SPDX-License-Identifier: MIT
"""codepipeline.testing.Stubber beside botocore's: the same answers, errors and verdicts."""

import asyncio
import contextlib
import copy
import datetime
import gc
import pickle
import unittest.mock

import pytest

import codepipeline
from codepipeline.testing import ANY, Stubber
from servers import KEYS, answering, dead_url

boto3 = pytest.importorskip("boto3")
stub = pytest.importorskip("botocore.stub")
botocore_exceptions = pytest.importorskip("botocore.exceptions")

NAIVE = datetime.datetime(2015, 1, 1)
STATE = {
    "pipelineName": "site",
    "pipelineVersion": 1,
    "stageStates": [
        {
            "stageName": "Source",
            "inboundTransitionState": {"enabled": True},
            "actionStates": [
                {
                    "actionName": "Fetch",
                    "latestExecution": {"status": "Succeeded", "lastStatusChange": "2018-03-08T14:04:55Z"},
                }
            ],
        }
    ],
}
EXECUTION = {
    "pipelineExecution": {
        "pipelineName": "site",
        "status": "what the service never says",
        "artifactRevisions": [{"name": "src", "created": NAIVE}],
    }
}
PIPELINE = {"pipeline": {"name": "x", "roleArn": "none", "stages": ({"name": "s", "actions": []},)}}


def clients():
    """(Stubber, client, exceptions) of botocore and of ours; nothing listens at their endpoint."""
    keys = {"aws_access_key_id": "AKID", "aws_secret_access_key": "secret"}
    theirs = boto3.session.Session().client("codepipeline", "us-east-1", endpoint_url=dead_url(), **keys)
    yield stub.Stubber, theirs, botocore_exceptions
    yield Stubber, codepipeline.client("codepipeline", "us-east-1", endpoint_url=dead_url()), codepipeline.exceptions


def outcome(do):
    """What came of it: an answer, or an error by its names."""
    try:
        return do()
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        names = ("ClientError", "ParamValidationError", "StubResponseError", "AssertionError", "ValueError")
        seen = [name for name in names if name in kinds]
        if "ClientError" in seen:
            return type(error).__name__, str(error), error.response["Error"], error.operation_name
        if "ParamValidationError" in seen:
            return "ParamValidationError"
        return type(error).__name__, seen


def same(do):
    """do(Stubber, client, exceptions) comes to the same with both."""
    theirs, ours = (outcome(lambda made=made: do(*made)) for made in clients())
    assert ours == theirs
    return ours


# ---- answers ----


@pytest.mark.parametrize(
    ("method", "answer", "params"),
    [
        ("get_pipeline_state", STATE, {"name": "site"}),
        ("get_pipeline_execution", EXECUTION, {"pipelineName": "site", "pipelineExecutionId": "none of the service's"}),
        ("get_pipeline", PIPELINE, {"name": "x"}),
        ("get_pipeline", {**PIPELINE, "ResponseMetadata": {"HTTPStatusCode": 200, "HostId": "h"}}, {"name": "x"}),
        ("put_job_success_result", {}, {"jobId": "test_job_id"}),
        ("delete_pipeline", {"ResponseMetadata": {}}, {"name": "x"}),
        ("list_pipelines", {}, {}),
    ],
)
def test_an_answer_comes_as_it_was_given(method, answer, params):
    before = copy.deepcopy(answer)

    def do(kind, client, exceptions):
        with kind(client) as stubber:
            stubber.add_response(method, answer, params)
            stubber.add_response(method, service_response=answer)
            got = getattr(client, method)(**params), getattr(client, method)(**params)
            stubber.assert_no_pending_responses()
        return got

    assert same(do) == (answer, answer) == (before, before)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("get_pipeline", {"pipelin": {}}),
        ("get_pipeline", {"pipeline": {"name": 1}}),
        ("get_pipeline", {"pipeline": {"name": "x"}}),
        ("get_pipeline", {"pipeline": None}),
        ("get_pipeline", {"metadata": {"created": "yesterday"}}),
        ("list_pipelines", {"pipelines": {}}),
        ("list_pipelines", {"pipelines": [{"version": 0}]}),
        ("delete_pipeline", {"name": "x"}),
        ("list_pipeline", {}),
        ("get_paginator_of", {}),
    ],
)
def test_an_answer_that_the_model_does_not_have_is_refused(method, answer):
    def do(kind, client, exceptions):
        kind(client).add_response(method, answer)

    assert same(do) is not None


ERRORS = [
    {"service_error_code": "PipelineNotFoundException", "service_message": "no such pipeline"},
    {"service_error_code": "ThrottlingException", "service_message": "slow down", "http_status_code": 429},
    {"service_error_code": "InternalFailure", "service_message": "m", "http_status_code": 500},
    {"service_error_code": "X", "service_message": "m", "service_error_meta": {"Type": "Sender"}},
    {"service_error_code": "ConflictException", "service_message": "m", "modeled_fields": {"message": "another"}},
    {"service_error_code": "ConflictException", "service_message": "m", "modeled_fields": {"colour": "red"}},
    {"service_error_code": "X", "service_message": "m", "response_meta": {"RequestId": "r", "RetryAttempts": 2}},
    {"service_error_code": "X", "service_message": "m", "expected_params": {"name": "other"}},
    {"service_error_code": "X", "service_message": "m", "expected_params": {"name": "x"}},
]


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_the_service_s(error):
    def do(kind, client, exceptions):
        with kind(client) as stubber:
            stubber.add_client_error("get_pipeline", **error)
            try:
                client.get_pipeline(name="x")
            except client.exceptions.ClientError as refused:
                assert refused.response["ResponseMetadata"]["HTTPStatusCode"] == error.get("http_status_code", 400)
                for name, value in error.get("response_meta", {}).items():
                    assert refused.response["ResponseMetadata"][name] == value
                for name, value in error.get("modeled_fields", {}).items():
                    assert refused.response[name] == value
                assert isinstance(refused, client.exceptions.from_code(error["service_error_code"]))
                stubber.assert_no_pending_responses()
                raise

    assert same(do) is not None


def test_an_error_without_a_code_or_message():
    for kind, client, _ in clients():
        with kind(client) as stubber:
            stubber.add_client_error("get_pipeline")
            with pytest.raises(client.exceptions.ClientError) as refused:
                client.get_pipeline(name="x")
        assert refused.value.response["Error"] == {"Message": "", "Code": ""}
    with pytest.raises(ValueError, match="http_status_code: 200"):
        Stubber(client).add_client_error("get_pipeline", http_status_code=200)


def test_an_error_of_a_stub_is_pickled_with_all_it_has():
    client = codepipeline.Client("us-east-1")
    with Stubber(client) as stubber:
        stubber.add_client_error("get_pipeline", "PipelineNotFoundException", "no", service_error_meta={"a": 1})
        with pytest.raises(client.exceptions.PipelineNotFoundException) as refused:
            client.get_pipeline(name="x")
        with pytest.raises(codepipeline.exceptions.UnStubbedResponseError) as unexpected:
            client.get_pipeline(name="x")
    for error in refused.value, unexpected.value:
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.response) == (type(error), str(error), error.response)


# ---- what is expected ----


@pytest.mark.parametrize(
    ("expected", "params"),
    [
        ({"name": "x"}, {"name": "x"}),
        ({"name": "x"}, {"name": "y"}),
        ({"name": "x"}, {"name": "x", "version": 1}),
        ({"name": "x", "version": 1}, {"name": "x"}),
        ({}, {"name": "x"}),
        (None, {"name": "y"}),
        (None, {}),
        ({"name": "x"}, {}),
        ({"name": "x"}, {"nam": "x"}),
        ({"name": stub.ANY}, {"name": "z"}),
        ({"name": ANY}, {"name": "z"}),
        ({"name": unittest.mock.ANY, "version": 2}, {"name": "z", "version": 2}),
        ({"name": stub.ANY, "version": stub.ANY}, {"name": "z"}),
    ],
)
def test_parameters_are_those_that_were_expected(expected, params):
    def do(kind, client, exceptions):
        with kind(client) as stubber:
            stubber.add_response("get_pipeline", {}, expected)
            return client.get_pipeline(**params)

    same(do)


def test_parameters_are_compared_to_their_ends():
    tags = [{"key": "k", "value": stub.ANY}]

    def do(kind, client, exceptions):
        seen = []
        with kind(client) as stubber:
            for given in ([{"key": "k", "value": "v"}], [{"key": "l", "value": "v"}], [], [*tags, *tags]):
                stubber.add_response("tag_resource", {}, {"resourceArn": "r", "tags": tags})
                given = [{**tag, "value": "v"} for tag in given]
                seen.append(outcome(lambda given=given: client.tag_resource(resourceArn="r", tags=given)))
        return seen

    assert len(same(do)) == 4
    client = codepipeline.Client("us-east-1")
    with Stubber(client) as stubber:
        stubber.add_response("put_action_revision", {}, {"pipelineName": "p", "actionRevision": {"created": NAIVE}})
        with pytest.raises(AssertionError, match="actionRevision.created: expected 1420070400, got 1420070401"):
            later = (NAIVE + datetime.timedelta(seconds=1)).replace(tzinfo=datetime.timezone.utc)
            client.put_action_revision(pipelineName="p", actionRevision={"created": later})
        with pytest.raises(ValueError, match="ANY stands for any value"):
            stubber.add_response("get_pipeline", {}, {"name": None})


def test_calls_come_in_the_order_that_was_expected():
    def do(kind, client, exceptions):
        seen = []
        stubber = kind(client)
        with stubber:
            seen.append(outcome(client.list_pipelines))
            stubber.add_response("get_pipeline", {})
            stubber.add_response("list_pipelines", {"nextToken": "t"})
            seen.append(outcome(client.list_pipelines))
            seen.append(outcome(stubber.assert_no_pending_responses))
            seen.append(client.get_pipeline(name="x"))
            seen.append(client.list_pipelines())
            seen.append(outcome(client.list_pipelines))
        stubber.assert_no_pending_responses()
        return seen

    assert same(do)[1] == ("StubResponseError", ["StubResponseError"])


def test_botocore_s_own_names_catch_what_a_stub_raises():
    client = codepipeline.Client("us-east-1")
    with Stubber(client) as stubber:
        for kind in ("UnStubbedResponseError", "StubAssertionError", "StubResponseError"):
            if kind != "UnStubbedResponseError":
                stubber.add_response("get_pipeline", {}, {"name": "y"})
            call = client.list_pipelines if kind == "StubResponseError" else lambda: client.get_pipeline(name="x")
            with pytest.raises(getattr(botocore_exceptions, kind)) as error:
                call()
            assert type(error.value) is getattr(codepipeline.exceptions, kind)
            assert isinstance(error.value, AssertionError) == (kind == "StubAssertionError")
            assert error.value.status == "UNEXPECTED" and error.value.operation


# ---- being there, and gone ----


def test_an_active_stub_answers_and_another_does_not():
    answers = {"pipelines": [{"name": "of the stub"}]}
    with answering() as (service, client):
        service.say({"pipelines": [{"name": "of the service"}]})
        paginator, view = client.get_paginator("list_pipelines"), client.with_options(read_timeout=9)
        seen, stubber = [], Stubber(client)
        client.on("request", lambda event: seen.append(event.operation))
        stubber.activate()
        stubber.activate()
        for _ in range(3):
            stubber.add_response("list_pipelines", answers)
        client.on("response", lambda event: seen.append(event.http_status))
        pages = paginator.paginate()  # which was made before
        assert [page["pipelines"][0]["name"] for page in pages] == ["of the stub"]
        assert [pipeline["name"] for pipeline in client.paginate("list_pipelines")] == ["of the stub"]
        assert client.with_options(read_timeout=3).list_pipelines()["pipelines"] == answers["pipelines"]
        assert len(service.requests) == 0
        assert view.list_pipelines()["pipelines"][0]["name"] == "of the service"
        stubber.deactivate()
        stubber.deactivate()
        assert client.list_pipelines()["pipelines"][0]["name"] == "of the service"
        assert seen == ["ListPipelines", 200] * 4
        with contextlib.suppress(ZeroDivisionError), stubber:
            raise ZeroDivisionError
        assert client.list_pipelines()["pipelines"][0]["name"] == "of the service"
        with stubber:
            client.close()
        assert client.closed


def test_a_stub_that_is_forgotten_while_it_is_active_still_answers():
    client = codepipeline.Client("us-east-1")
    stubber = Stubber(client)
    stubber.add_response("list_pipelines", {})
    stubber.activate()
    del stubber
    gc.collect()
    assert client.list_pipelines() == {}
    with pytest.raises(codepipeline.exceptions.UnStubbedResponseError):
        client.list_pipelines()


def test_calls_of_every_kind_are_answered():
    client = codepipeline.Client("us-east-1")
    with Stubber(client) as stubber:
        stubber.add_response("list_pipelines", {"pipelines": [{"name": "a"}]})
        stubber.add_client_error("get_pipeline", "PipelineNotFoundException", "no")
        assert client.submit("list_pipelines").result()["pipelines"] == [{"name": "a"}]
        with pytest.raises(client.exceptions.PipelineNotFoundException):
            client.submit("get_pipeline", name="x").result()
        with pytest.raises(codepipeline.exceptions.UnStubbedResponseError):
            client.submit("get_pipeline", name="x")
        stubber.add_response("start_pipeline_execution", {"pipelineExecutionId": "1"}, {"name": "x"})
        run = client.start("x")
        execution = {"pipelineExecutionId": "1", "status": "Succeeded", "pipelineName": "x"}
        stubber.add_response("get_pipeline_execution", {"pipelineExecution": execution})
        assert (run.id, run.status) == ("1", "Succeeded")
        stubber.assert_no_pending_responses()


def test_an_async_client_is_answered():
    async def main():
        async with codepipeline.AsyncClient("us-east-1") as client:
            with Stubber(client) as stubber:
                stubber.add_response("list_pipelines", {"pipelines": [{"name": "a"}]})
                stubber.add_client_error("get_pipeline", "PipelineNotFoundException", "no")
                assert [pipeline["name"] async for pipeline in client.paginate("list_pipelines")] == ["a"]
                with pytest.raises(client.exceptions.PipelineNotFoundException):
                    await client.get_pipeline(name="x")
                stubber.assert_no_pending_responses()

    asyncio.run(main())


def test_only_a_client_of_ours_is_stubbed():
    theirs = next(clients())[1]
    with pytest.raises(TypeError, match="a Client of this package"):
        Stubber(theirs)
    ours = codepipeline.Client("us-east-1", **KEYS)
    for use in (lambda: stub.Stubber(ours).add_response("list_pipelines", {}), lambda: stub.Stubber(ours).activate()):
        with pytest.raises(AttributeError, match="codepipeline.testing.Stubber"):
            use()
    with pytest.raises(TypeError, match="stub must be a Stub"):
        ours._core.with_stub(None)
