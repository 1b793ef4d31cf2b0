# SPDX-License-Identifier: MIT
"""boto3, unmodified, drives the whole story against the emulator: what it parses and refuses is what we must answer."""

import datetime
import io
import zipfile

import pytest

ROLE = "arn:aws:iam::123456789012:role/pipeline"


def zip_of(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def action(name, category, provider, inputs=(), outputs=(), owner="Custom", **configuration):
    return {
        "name": name,
        "actionTypeId": {"category": category, "owner": owner, "provider": provider, "version": "1"},
        "configuration": configuration,
        "inputArtifacts": [{"name": n} for n in inputs],
        "outputArtifacts": [{"name": n} for n in outputs],
    }


def declaration(name="story"):
    source = action("Fetch", "Source", "S3", (), ("Source",), "AWS", S3Bucket="source", S3ObjectKey="app.zip")
    source["configuration"]["PollForSourceChanges"] = "false"
    return {
        "name": name,
        "roleArn": ROLE,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            {"name": "Source", "actions": [source]},
            {"name": "Build", "actions": [action("Make", "Build", "Builder", ("Source",), ("Binary",), Target="all")]},
        ],
    }


@pytest.fixture
def prepared(boto3_client):
    """Buckets, a source revision and the action type."""
    s3, codepipeline = boto3_client("s3"), boto3_client("codepipeline")
    s3.create_bucket(Bucket="source")
    s3.create_bucket(Bucket="artifacts")
    s3.put_object(Bucket="source", Key="app.zip", Body=zip_of(**{"main.txt": "hello"}))
    codepipeline.create_custom_action_type(
        category="Build",
        provider="Builder",
        version="1",
        configurationProperties=[{"name": "Target", "required": True, "key": True, "secret": False}],
        inputArtifactDetails={"minimumCount": 1, "maximumCount": 1},
        outputArtifactDetails={"minimumCount": 1, "maximumCount": 1},
    )
    return codepipeline


BUILDER = {"category": "Build", "owner": "Custom", "provider": "Builder", "version": "1"}


def poll(codepipeline):
    jobs = codepipeline.poll_for_jobs(actionTypeId=BUILDER, maxBatchSize=1)["jobs"]
    assert len(jobs) == 1
    return jobs[0]


def artifact_client(boto3_client, job):
    credentials = job["data"]["artifactCredentials"]
    return boto3_client(
        "s3",
        aws_access_key_id=credentials["accessKeyId"],
        aws_secret_access_key=credentials["secretAccessKey"],
        aws_session_token=credentials["sessionToken"],
    )


def state_of(codepipeline, stage, name="story"):
    stages = codepipeline.get_pipeline_state(name=name)["stageStates"]
    return next(s for s in stages if s["stageName"] == stage)


def test_create_start_poll_acknowledge_artifacts_result_and_state(prepared, boto3_client):
    prepared.create_pipeline(pipeline=declaration())  # which starts an execution, as the service does
    first = prepared.list_pipeline_executions(pipelineName="story")["pipelineExecutionSummaries"][0]
    assert (first["status"], first["trigger"]["triggerType"]) == ("InProgress", "CreatePipeline")

    job = poll(prepared)
    data = job["data"]
    assert data["actionTypeId"] == BUILDER
    assert data["actionConfiguration"]["configuration"] == {"Target": "all"}
    assert data["pipelineContext"]["pipelineName"] == "story"
    assert data["pipelineContext"]["stage"] == {"name": "Build"}
    assert job["accountId"] == "123456789012"
    assert prepared.acknowledge_job(jobId=job["id"], nonce=job["nonce"])["status"] == "InProgress"
    assert state_of(prepared, "Build")["actionStates"][0]["latestExecution"]["status"] == "InProgress"

    store = artifact_client(boto3_client, job)
    source = data["inputArtifacts"][0]["location"]["s3Location"]
    body = store.get_object(Bucket=source["bucketName"], Key=source["objectKey"])["Body"].read()
    assert zipfile.ZipFile(io.BytesIO(body)).read("main.txt") == b"hello"
    binary = data["outputArtifacts"][0]["location"]["s3Location"]
    store.put_object(Bucket=binary["bucketName"], Key=binary["objectKey"], Body=zip_of(out="done"))

    prepared.put_job_success_result(
        jobId=job["id"],
        executionDetails={"summary": "built", "externalExecutionId": "b-1", "percentComplete": 100},
        outputVariables={"digest": "abc"},
    )
    latest = state_of(prepared, "Build")["actionStates"][0]["latestExecution"]
    assert (latest["status"], latest["summary"], latest["externalExecutionId"]) == ("Succeeded", "built", "b-1")
    assert isinstance(latest["lastStatusChange"], datetime.datetime)

    execution = prepared.start_pipeline_execution(name="story")["pipelineExecutionId"]
    job = poll(prepared)
    assert job["data"]["pipelineContext"]["pipelineExecutionId"] == execution
    prepared.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    prepared.put_job_success_result(jobId=job["id"])
    for run in (first["pipelineExecutionId"], execution):
        status = prepared.get_pipeline_execution(pipelineName="story", pipelineExecutionId=run)
        assert status["pipelineExecution"]["status"] == "Succeeded"
    details = prepared.list_action_executions(pipelineName="story")["actionExecutionDetails"]
    assert {d["actionName"] for d in details} == {"Fetch", "Make"}
    assert any(d.get("output", {}).get("outputVariables", {}).get("digest") == "abc" for d in details)


def test_a_failure_result_fails_the_execution_with_its_message(prepared):
    prepared.create_pipeline(pipeline=declaration())
    job = poll(prepared)
    prepared.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    prepared.put_job_failure_result(
        jobId=job["id"], failureDetails={"type": "ConfigurationError", "message": "no such target"}
    )
    latest = state_of(prepared, "Build")["actionStates"][0]["latestExecution"]
    assert latest["status"] == "Failed"
    assert latest["errorDetails"]["message"] == "no such target"
    execution = prepared.list_pipeline_executions(pipelineName="story")["pipelineExecutionSummaries"][0]
    assert execution["status"] == "Failed"
    prepared.retry_stage_execution(
        pipelineName="story",
        stageName="Build",
        pipelineExecutionId=execution["pipelineExecutionId"],
        retryMode="FAILED_ACTIONS",
    )
    again = poll(prepared)
    assert again["id"] != job["id"]


def test_a_continuation_token_comes_back_in_a_new_job(prepared):
    prepared.create_pipeline(pipeline=declaration())
    first = poll(prepared)
    prepared.acknowledge_job(jobId=first["id"], nonce=first["nonce"])
    prepared.put_job_success_result(jobId=first["id"], continuationToken="step-2")
    assert state_of(prepared, "Build")["actionStates"][0]["latestExecution"]["status"] == "InProgress"
    second = poll(prepared)
    assert second["id"] != first["id"]
    assert second["data"]["continuationToken"] == "step-2"


def test_a_stale_nonce_and_a_job_nobody_has_are_modelled_errors(prepared):
    prepared.create_pipeline(pipeline=declaration())
    job = poll(prepared)
    with pytest.raises(prepared.exceptions.InvalidNonceException):
        prepared.acknowledge_job(jobId=job["id"], nonce="0")
    with pytest.raises(prepared.exceptions.JobNotFoundException):
        prepared.get_job_details(jobId="00000000-0000-0000-0000-000000000000")
    with pytest.raises(prepared.exceptions.ActionTypeNotFoundException):
        prepared.poll_for_jobs(actionTypeId={**BUILDER, "provider": "Nobody"})


def test_job_credentials_open_the_job_s_objects_and_nothing_else(prepared, boto3_client):
    prepared.create_pipeline(pipeline=declaration())
    store = artifact_client(boto3_client, poll(prepared))
    for call in (
        lambda: store.get_object(Bucket="source", Key="app.zip"),
        lambda: store.put_object(Bucket="artifacts", Key="elsewhere", Body=b"x"),
        lambda: store.list_objects_v2(Bucket="artifacts"),
    ):
        with pytest.raises(store.exceptions.ClientError) as refused:
            call()
        assert refused.value.response["Error"]["Code"] == "AccessDenied"


def test_pipelines_are_created_read_by_version_updated_listed_and_deleted(prepared):
    prepared.create_pipeline(pipeline=declaration())
    changed = declaration()
    changed["stages"][1]["actions"][0]["configuration"]["Target"] = "fast"
    assert prepared.update_pipeline(pipeline=changed)["pipeline"]["version"] == 2
    old = prepared.get_pipeline(name="story", version=1)["pipeline"]
    assert old["stages"][1]["actions"][0]["configuration"]["Target"] == "all"
    assert [(p["name"], p["version"]) for p in prepared.list_pipelines()["pipelines"]] == [("story", 2)]
    with pytest.raises(prepared.exceptions.PipelineVersionNotFoundException):
        prepared.get_pipeline(name="story", version=9)
    with pytest.raises(prepared.exceptions.PipelineNameInUseException):
        prepared.create_pipeline(pipeline=declaration())
    prepared.delete_pipeline(name="story")
    with pytest.raises(prepared.exceptions.PipelineNotFoundException):
        prepared.get_pipeline(name="story")


def test_all_pages_are_there(prepared):
    for i in range(7):
        prepared.create_pipeline(pipeline=declaration(f"p{i}"))
    pages = prepared.get_paginator("list_pipelines").paginate(PaginationConfig={"PageSize": 3})
    sizes = [len(page["pipelines"]) for page in pages]
    assert sizes == [3, 3, 1]


def test_a_transition_holds_the_execution_until_it_is_enabled(prepared):
    prepared.create_pipeline(pipeline=declaration("held"))
    drain = poll(prepared)
    prepared.acknowledge_job(jobId=drain["id"], nonce=drain["nonce"])
    prepared.put_job_success_result(jobId=drain["id"])
    prepared.disable_stage_transition(pipelineName="held", stageName="Build", transitionType="Inbound", reason="freeze")
    prepared.start_pipeline_execution(name="held")
    build = state_of(prepared, "Build", "held")
    assert build["inboundTransitionState"]["enabled"] is False
    assert build["inboundTransitionState"]["disabledReason"] == "freeze"
    assert prepared.poll_for_jobs(actionTypeId=BUILDER)["jobs"] == []
    prepared.enable_stage_transition(pipelineName="held", stageName="Build", transitionType="Inbound")
    assert poll(prepared)


def test_an_approval_needs_its_token(prepared):
    pipeline = declaration("approved")
    pipeline["stages"].insert(
        1, {"name": "Gate", "actions": [action("Ask", "Approval", "Manual", owner="AWS", CustomData="ok?")]}
    )
    prepared.create_pipeline(pipeline=pipeline)
    waiting = state_of(prepared, "Gate", "approved")["actionStates"][0]["latestExecution"]
    assert waiting["status"] == "InProgress"
    verdict = {"summary": "fine", "status": "Approved"}
    where = {"pipelineName": "approved", "stageName": "Gate", "actionName": "Ask", "result": verdict}
    with pytest.raises(prepared.exceptions.InvalidApprovalTokenException):
        prepared.put_approval_result(**where, token="00000000-0000-0000-0000-000000000000")
    approved = prepared.put_approval_result(**where, token=waiting["token"])
    assert isinstance(approved["approvedAt"], datetime.datetime)
    assert poll(prepared)


def test_a_wrong_secret_key_is_refused(boto3_client, emulator):
    key = emulator.environ["AWS_ACCESS_KEY_ID"]
    stranger = boto3_client("codepipeline", aws_access_key_id=key, aws_secret_access_key="wrong")
    with pytest.raises(stranger.exceptions.ClientError) as refused:
        stranger.list_pipelines()
    assert refused.value.response["Error"]["Code"] == "InvalidSignatureException"
    nobody = boto3_client("codepipeline", aws_access_key_id="AKIANOBODY", aws_secret_access_key="x")
    with pytest.raises(nobody.exceptions.ClientError) as refused:
        nobody.list_pipelines()
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_what_is_not_emulated_says_so(boto3_client):
    s3 = boto3_client("s3")
    s3.create_bucket(Bucket="plain")
    with pytest.raises(s3.exceptions.ClientError) as refused:
        s3.get_bucket_policy(Bucket="plain")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_a_large_object_goes_up_and_down_in_parts(boto3_client, tmp_path):
    s3 = boto3_client("s3")
    s3.create_bucket(Bucket="large")
    body = bytes(range(256)) * (80 * 1024)  # 20 MiB: boto3 makes three parts of it
    path = tmp_path / "large"
    path.write_bytes(body)
    s3.upload_file(str(path), "large", "key with spaces & ünïcode")
    s3.download_file("large", "key with spaces & ünïcode", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == body
