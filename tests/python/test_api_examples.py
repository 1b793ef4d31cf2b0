# SPDX-License-Identifier: MIT
"""The documentation's examples of requests and answers: each goes through us and comes out as it was."""

import datetime
import json
import urllib.error
import urllib.request

import pytest

import codepipeline
from test_differential import METHODS, MODEL, agree, document, pair  # noqa: F401 (pair is a fixture)

# ---- what each is of ----

REQUESTS = {
    "awscli.create-custom-action-type.0": "CreateCustomActionType",
    "awscli.delete-custom-action-type.0": "DeleteCustomActionType",
    "awscli.poll-for-jobs.0": "PollForJobs",
    "userguide.action-types.7": "UpdateActionType",
    "userguide.action-types.8": "UpdateActionType",
    "userguide.actions-retry.5": "RetryStageExecution",
    "userguide.appendix-github-oauth.12": "PutWebhook",
    "userguide.appendix-github-oauth.2": "PutWebhook",
    "userguide.approvals-approve-or-reject.2": "PutApprovalResult",
}
ANSWERS = {
    "awscli.get-job-details.0": "GetJobDetails",
    "awscli.get-pipeline-state.0": "GetPipelineState",
    "awscli.list-action-executions.0": "ListActionExecutions",
    "awscli.list-action-executions.1": "ListActionExecutions",
    "awscli.list-action-types.0": "ListActionTypes",
    "awscli.list-pipelines.0": "ListPipelines",
    "awscli.poll-for-jobs.1": "PollForJobs",
    "awscli.start-pipeline-execution.0": "StartPipelineExecution",
    "userguide.action-types.7": "GetActionType",
    "userguide.actions-create-custom-action.2": "CreateCustomActionType",
    "userguide.actions-retry.2": "RetryStageExecution",
    "userguide.appendix-github-oauth.4": "PutWebhook",
    "userguide.pipelines-rerun-manually.1": "StartPipelineExecution",
    "userguide.pipelines-view-cli.3": "ListPipelineExecutions",
    "userguide.pipelines-view-cli.5": "GetPipelineExecution",
}
NEITHER = {
    "userguide.approvals-json-format.0": "what an approval publishes to a topic of SNS",
    "userguide.reference-integrations.2": "a job as partners saw it before: no operation has its actionCredentials",
}
# Requests that are refused as they stand, by us and by the emulator: where, and with what. The guide has placeholders.
REFUSED = {
    "userguide.action-types.7": (
        "actionType.executor.configuration.lambdaExecutorConfiguration.lambdaFunctionArn",
        "ValidationException",
    ),
    "userguide.action-types.8": ("actionType.properties", "SerializationException"),  # an object, and no list
    "userguide.actions-retry.5": ("pipelineExecutionId", "ValidationException"),
    "userguide.approvals-approve-or-reject.2": ("token", "ValidationException"),
}


@pytest.fixture
def example(suite):
    def read(name):
        found = json.loads((suite("payloads") / "api-examples" / f"{name}.json").read_text())
        if "list-action-executions" in name:  # the CLI's documentation shows one item alone
            return {"actionExecutionDetails": [found]}
        return found

    return read


def test_no_example_is_left_out(suite):
    names = {path.stem for path in (suite("payloads") / "api-examples").glob("*.json")}
    assert names == {*REQUESTS, *ANSWERS, *NEITHER}


# ---- answers ----


def known(shape, value):
    """What the model knows of a document, in Python's types."""
    if shape.type_name == "structure":
        members = {name: item for name, item in value.items() if name in shape.members and item is not None}
        return {name: known(shape.members[name], item) for name, item in members.items()}
    if shape.type_name == "list":
        return [known(shape.member, item) for item in value]
    if shape.type_name == "timestamp":
        return datetime.datetime.fromtimestamp(value, datetime.timezone.utc)
    return value


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read_whole_and_as_boto3_reads_it(pair, example, name):  # noqa: F811
    operation, said = ANSWERS[name], example(name)
    pair[0].say(said)
    answer = agree(pair, operation)
    del answer["ResponseMetadata"]
    assert answer == known(MODEL.operation_model(operation).output_shape, said)


# ---- requests ----


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in REFUSED])
def test_a_request_is_sent_as_it_is(pair, example, emulator, name):  # noqa: F811
    operation, params = REQUESTS[name], example(name)
    shape = MODEL.operation_model(operation).output_shape
    pair[0].say(document(shape, False) if shape else {})
    getattr(pair[2], METHODS[operation])(**params)
    assert pair[0].sent == params
    with emulator.client() as client:
        try:
            getattr(client, METHODS[operation])(**params)
        except codepipeline.ClientError as refused:  # there is no such pipeline; but it was understood
            assert refused.response["Error"]["Code"] != "SerializationException"
            assert "validation error" not in str(refused)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_sent_is_refused_by_its_path_here_and_there(example, emulator, name):
    method, params = METHODS[REQUESTS[name]], example(name)
    path, code = REFUSED[name]
    with emulator.client() as client, pytest.raises(codepipeline.ParamValidationError) as refused:
        getattr(client, method)(**params)
    assert path in str(refused.value)
    body = json.dumps({"operation": REQUESTS[name], "input": params}).encode()
    request = urllib.request.Request(emulator.url + "/_emulator/call", body, {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as answered:
        urllib.request.urlopen(request, timeout=10)
    with answered.value as answer:
        told = json.load(answer)
    assert told["__type"] == code and path in told["message"]
