# SPDX-License-Identifier: MIT
"""boto3, unmodified: third-party jobs, action types, webhooks, rollback, revisions, stage conditions and rules."""

import datetime
import hashlib
import hmac
import json
import urllib.error
import urllib.request

import pytest

from test_peer_boto3 import ROLE, action, zip_of

WORKER = {
    "type": "JobWorker",
    "configuration": {"jobWorkerExecutorConfiguration": {"pollingAccounts": ["123456789012"]}},
}
PARTNER = {"category": "Test", "owner": "ThirdParty", "provider": "Partner", "version": "1"}
MAKER = {"category": "Build", "owner": "Custom", "provider": "Maker", "version": "1"}


def declaration(*stages, **more):
    source = action("Fetch", "Source", "S3", (), ("Source",), "AWS", S3Bucket="source", S3ObjectKey="app.zip")
    source["configuration"]["PollForSourceChanges"] = "false"
    return {
        "name": "p",
        "roleArn": ROLE,
        "pipelineType": "V2",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]}, *stages],
        **more,
    }


def build(**conditions):
    return {"name": "Build", "actions": [action("Make", "Build", "Maker", ("Source",))], **conditions}


def rule(name, provider, **configuration):
    rule_type = {"category": "Rule", "owner": "AWS", "provider": provider, "version": "1"}
    return {"name": name, "ruleTypeId": rule_type, "configuration": configuration}


@pytest.fixture
def service(boto3_client):
    s3, codepipeline = boto3_client("s3"), boto3_client("codepipeline")
    s3.create_bucket(Bucket="source")
    s3.put_object(Bucket="source", Key="app.zip", Body=zip_of(**{"main.txt": "hello"}))
    details = {"minimumCount": 0, "maximumCount": 5}
    codepipeline.create_custom_action_type(
        category="Build",
        provider="Maker",
        version="1",
        inputArtifactDetails=details,
        outputArtifactDetails=details,
    )
    return codepipeline


def finish(service, success=True):
    (job,) = service.poll_for_jobs(actionTypeId=MAKER)["jobs"]
    service.acknowledge_job(jobId=job["id"], nonce=job["nonce"])
    if success:
        service.put_job_success_result(jobId=job["id"])
    else:
        service.put_job_failure_result(jobId=job["id"], failureDetails={"type": "JobFailed", "message": "broken"})
    return job["data"]["pipelineContext"]["pipelineExecutionId"]


def execution(service, run):
    return service.get_pipeline_execution(pipelineName="p", pipelineExecutionId=run)["pipelineExecution"]


def executions(service, **options):
    return service.list_pipeline_executions(pipelineName="p", **options)["pipelineExecutionSummaries"]


def post(url, event, **headers):
    data = event if isinstance(event, bytes) else json.dumps(event).encode()
    request = urllib.request.Request(url, data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


# ---- third-party jobs and the action types they are of ----


def provided(**more):
    return {
        "id": PARTNER,
        "executor": WORKER,
        "description": "tests things",
        "inputArtifactDetails": {"minimumCount": 0, "maximumCount": 1},
        "outputArtifactDetails": {"minimumCount": 0, "maximumCount": 0},
        "permissions": {"allowedAccounts": ["*"]},
        "properties": [{"name": "Suite", "optional": False, "key": True, "noEcho": False}],
        "urls": {"configurationUrl": "https://partner.example/"},
        **more,
    }


def test_a_provider_s_worker_needs_the_customer_s_token(service):
    service.update_action_type(actionType=provided())
    shown = service.get_action_type(**PARTNER)["actionType"]
    assert shown == provided()
    tests = {"name": "Test", "actions": [action("Run", "Test", "Partner", ("Source",), (), "ThirdParty", Suite="all")]}
    service.create_pipeline(pipeline=declaration(tests))
    (offered,) = service.poll_for_third_party_jobs(actionTypeId=PARTNER)["jobs"]
    assert set(offered) == {"clientId", "jobId"}
    job = {"jobId": offered["jobId"], "clientToken": "emulator-token-" + offered["clientId"]}
    with pytest.raises(service.exceptions.InvalidClientTokenException):
        service.get_third_party_job_details(**{**job, "clientToken": "guess"})
    details = service.get_third_party_job_details(**job)["jobDetails"]
    assert details["data"]["actionConfiguration"]["configuration"] == {"Suite": "all"}
    assert details["data"]["artifactCredentials"]["sessionToken"]
    with pytest.raises(service.exceptions.InvalidNonceException):
        service.acknowledge_third_party_job(**job, nonce="0")
    assert service.acknowledge_third_party_job(**job, nonce=details["nonce"])["status"] == "InProgress"
    service.put_third_party_job_success_result(**job, executionDetails={"summary": "passed"})
    with pytest.raises(service.exceptions.InvalidJobStateException):
        service.put_third_party_job_failure_result(**job, failureDetails={"type": "JobFailed", "message": "late"})
    assert executions(service)[0]["status"] == "Succeeded"


def test_action_types_of_others_cannot_be_changed(service):
    with pytest.raises(service.exceptions.RequestFailedException):
        service.update_action_type(
            actionType=provided(id={"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"})
        )
    with pytest.raises(service.exceptions.ActionTypeNotFoundException):
        service.get_action_type(category="Build", owner="AWS", provider="CodeBuild", version="1")


# ---- webhooks ----


def test_a_signed_event_starts_the_pipeline(service):
    service.create_pipeline(pipeline=declaration(build()))
    made = service.put_webhook(
        webhook={
            "name": "hook",
            "targetPipeline": "p",
            "targetAction": "Fetch",
            "filters": [{"jsonPath": "$.repository.name", "matchEquals": "{S3Bucket}"}],
            "authentication": "GITHUB_HMAC",
            "authenticationConfiguration": {"SecretToken": "hush"},
        },
        tags=[{"key": "team", "value": "tools"}],
    )["webhook"]
    body = json.dumps({"repository": {"name": "source"}}).encode()
    signature = "sha256=" + hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    assert post(made["url"], body) == 403
    assert post(made["url"], body, **{"X-Hub-Signature-256": signature[:-1] + "x"}) == 403
    assert len(executions(service)) == 1
    assert post(made["url"], body, **{"X-Hub-Signature-256": signature}) == 200
    started = executions(service)[0]["trigger"]
    assert started == {"triggerType": "Webhook", "triggerDetail": made["arn"]}
    (listed,) = service.list_webhooks()["webhooks"]
    assert listed["definition"]["authenticationConfiguration"] == {"SecretToken": "****"}
    assert isinstance(listed["lastTriggered"], datetime.datetime)
    assert listed["tags"] == [{"key": "team", "value": "tools"}]
    service.register_webhook_with_third_party(webhookName="hook")
    assert "does not register" in service.list_webhooks()["webhooks"][0]["errorMessage"]
    service.deregister_webhook_with_third_party(webhookName="hook")
    service.delete_webhook(name="hook")
    assert post(made["url"], body, **{"X-Hub-Signature-256": signature}) == 404
    with pytest.raises(service.exceptions.WebhookNotFoundException):
        service.register_webhook_with_third_party(webhookName="hook")


def test_an_address_decides_who_may_post(service):
    service.create_pipeline(pipeline=declaration(build()))
    for network, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 403)):
        webhook = service.put_webhook(
            webhook={
                "name": "hook",
                "targetPipeline": "p",
                "targetAction": "Fetch",
                "filters": [],
                "authentication": "IP",
                "authenticationConfiguration": {"AllowedIPRange": network},
            }
        )["webhook"]
        assert post(webhook["url"], {}) == status
    with pytest.raises(service.exceptions.InvalidWebhookAuthenticationParametersException):
        webhook["definition"]["authentication"] = "GITHUB_HMAC"
        service.put_webhook(webhook=webhook["definition"])


# ---- rollback and revisions ----


def test_a_stage_is_rolled_back_to_an_execution_that_succeeded(service):
    service.create_pipeline(pipeline=declaration(build()))
    good = finish(service)
    service.start_pipeline_execution(name="p")
    finish(service, success=False)
    where = {"pipelineName": "p", "stageName": "Build"}
    rollback = service.rollback_stage(**where, targetPipelineExecutionId=good)["pipelineExecutionId"]
    assert finish(service) == rollback
    done = execution(service, rollback)
    assert (done["status"], done["executionType"]) == ("Succeeded", "ROLLBACK")
    assert done["rollbackMetadata"] == {"rollbackTargetPipelineExecutionId": good}
    with pytest.raises(service.exceptions.UnableToRollbackStageException):
        service.rollback_stage(**where, targetPipelineExecutionId=rollback)
    service.update_pipeline(pipeline=declaration(build()))
    with pytest.raises(service.exceptions.PipelineExecutionOutdatedException):
        service.rollback_stage(**where, targetPipelineExecutionId=good)


def test_a_revision_that_is_put_starts_an_execution_once(service):
    service.create_pipeline(pipeline=declaration(build()))
    revision = {"revisionId": "r1", "revisionChangeId": "c1", "created": datetime.datetime(2026, 1, 1)}
    where = {"pipelineName": "p", "stageName": "Source"}
    first = service.put_action_revision(**where, actionName="Fetch", actionRevision=revision)
    again = service.put_action_revision(**where, actionName="Fetch", actionRevision=revision)
    assert first["newRevision"] and not again["newRevision"]
    assert first["pipelineExecutionId"] == again["pipelineExecutionId"]
    with pytest.raises(service.exceptions.ActionNotFoundException):
        service.put_action_revision(**where, actionName="Other", actionRevision=revision)


# ---- conditions and rules ----


def test_a_condition_holds_an_execution_until_it_is_overridden(service):
    closed = rule("Never", "DeploymentWindow", Cron="* * * ? * * 1970")
    entry = {"conditions": [{"result": "FAIL", "rules": [closed]}]}
    service.create_pipeline(pipeline=declaration(build(beforeEntry=entry)))
    run = executions(service)[0]["pipelineExecutionId"]
    state = service.get_pipeline_state(name="p")["stageStates"][1]["beforeEntryConditionState"]
    assert state["latestExecution"]["status"] == "Failed"
    held = {"pipelineName": "p", "stageName": "Build", "pipelineExecutionId": run}
    with pytest.raises(service.exceptions.ConditionNotOverridableException):
        service.override_stage_condition(**held, conditionType="ON_SUCCESS")
    service.override_stage_condition(**held, conditionType="BEFORE_ENTRY")
    assert finish(service) == run
    assert execution(service, run)["status"] == "Succeeded"
    (looked,) = service.list_rule_executions(pipelineName="p")["ruleExecutionDetails"]
    assert (looked["ruleName"], looked["status"]) == ("Never", "Failed")
    assert looked["input"]["configuration"] == {"Cron": "* * * ? * * 1970"}


def test_a_failure_is_retried_once_and_then_rolled_back_by_the_next(service):
    retry = {"result": "RETRY", "retryConfiguration": {"retryMode": "FAILED_ACTIONS"}}
    service.create_pipeline(pipeline=declaration(build(onFailure=retry)))
    assert finish(service, success=False) == finish(service)
    service.update_pipeline(pipeline=declaration(build(onFailure={"result": "ROLLBACK"})))
    service.start_pipeline_execution(name="p")
    good = finish(service)
    service.start_pipeline_execution(name="p")
    finish(service, success=False)
    newest = executions(service)[0]
    assert newest["trigger"]["triggerType"] == "AutomatedRollback"
    assert newest["rollbackMetadata"]["rollbackTargetPipelineExecutionId"] == good
    succeeded = executions(service, filter={"succeededInStage": {"stageName": "Build"}})
    assert [run["pipelineExecutionId"] for run in succeeded][0] == good


def test_rule_types_and_deploy_targets_are_listed(service):
    providers = {t["id"]["provider"] for t in service.list_rule_types()["ruleTypes"]}
    assert {"DeploymentWindow", "VariableCheck", "CloudWatchAlarm", "LambdaInvoke"} <= providers
    with pytest.raises(service.exceptions.ActionExecutionNotFoundException):
        service.list_deploy_action_execution_targets(actionExecutionId="00000000-0000-4000-8000-000000000000")
    with pytest.raises(service.exceptions.InvalidNextTokenException):
        service.list_webhooks(NextToken="garbage")
