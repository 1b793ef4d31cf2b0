# SPDX-License-Identifier: MIT
"""Programs of the shapes that people write for boto3, each run with it and with this package, before emulators in the
same state: what they answer is the same. And what boto3 has and this package has not says what to write instead."""

import json
import re

import pytest

import codepipeline
from servers import KEYS, answering

boto3 = pytest.importorskip("boto3")
BotoConfig = pytest.importorskip("botocore.config").Config

# Each defines main(boto3, ClientError), and answers what it saw.
SCRIPTS = {
    "a Lambda function that reports": """
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    def handler(event, context):
        job = event["CodePipeline.job"]["id"]
        try:
            client.put_job_success_result(jobId=job)
        except Exception as error:
            client.put_job_failure_result(jobId=job, failureDetails={
                "type": "JobFailed", "message": f"{error.__class__.__name__}: {error}"})
    try:
        handler({"CodePipeline.job": {"id": "11111111-2222-3333-4444-555555555555"}}, None)
    except client.exceptions.JobNotFoundException as error:
        metadata = error.response["ResponseMetadata"]
        return error.response["Error"]["Code"], error.operation_name, metadata["HTTPStatusCode"]
""",
    "a state, walked through": """
def main(boto3, ClientError):
    client = boto3.session.Session().client("codepipeline")
    seen = []
    for stage in client.get_pipeline_state(name="site")["stageStates"]:
        seen.append((stage["stageName"], stage.get("latestExecution", {}).get("status")))
        for action in stage["actionStates"]:
            seen.append((action["actionName"], "latestExecution" in action, action.get("entityUrl")))
        if stage.get("inboundTransitionState"):
            seen.append(stage["inboundTransitionState"]["enabled"])
    return seen
""",
    "a pipeline, changed and copied": """
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    answer = client.get_pipeline(name="site")
    pipeline = answer.get("pipeline", {})
    for stage in pipeline["stages"]:
        for action in stage["actions"]:
            action.setdefault("configuration", {})
    changed = client.update_pipeline(pipeline=pipeline)
    assert changed["ResponseMetadata"]["HTTPStatusCode"] == 200
    pipeline["name"] = "site-copy"
    pipeline["version"] = 1
    client.create_pipeline(pipeline=pipeline, tags=[{"key": "of", "value": "site"}])
    arn = client.get_pipeline(name="site-copy")["metadata"]["pipelineArn"]
    tags = [page["tags"] for page in client.get_paginator("list_tags_for_resource").paginate(resourceArn=arn)]
    try:
        client.create_pipeline(pipeline=pipeline)
    except client.exceptions.PipelineNameInUseException as error:
        taken = str(error)
    client.delete_pipeline(name="site-copy")
    return changed["pipeline"], tags, taken
""",
    "all executions of all pipelines": """
def main(boto3, ClientError):
    client = boto3.client("codepipeline", region_name="us-east-1")
    seen = {}
    for page in client.get_paginator("list_pipelines").paginate(PaginationConfig={"PageSize": 2}):
        for pipeline in page["pipelines"]:
            def runs():
                return client.get_paginator("list_pipeline_executions").paginate(
                    pipelineName=pipeline["name"], PaginationConfig={"MaxItems": 7, "PageSize": 3})
            seen[pipeline["name"]] = [run["status"] for page in runs() for run in page["pipelineExecutionSummaries"]]
            found = runs().search("pipelineExecutionSummaries[?status == 'Failed'].trigger.triggerType")
            seen[pipeline["name"]].append(list(found))
    return seen
""",
    "executions, with one's own loop over tokens": """
def main(boto3, ClientError):
    client, options, count = boto3.client("codepipeline"), {"pipelineName": "site", "maxResults": 5}, 0
    while True:
        page = client.list_pipeline_executions(**options)
        count += len(page["pipelineExecutionSummaries"])
        if "nextToken" not in page:
            return {"executions": count}
        options["nextToken"] = page["nextToken"]
""",
    "times and JSON": """
import datetime, json
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    runs = client.list_pipeline_executions(pipelineName="site", maxResults=9)["pipelineExecutionSummaries"]
    runs = sorted(runs, key=lambda run: run["startTime"], reverse=True)
    took = [(run["lastUpdateTime"] - run["startTime"]).total_seconds() for run in runs]
    old = [run["startTime"] < datetime.datetime.now(datetime.timezone.utc) for run in runs]
    zone = {str(run["startTime"].utcoffset()) for run in runs if run["startTime"].tzinfo is not None}
    text = json.dumps(runs, default=str, indent=2)
    return took, old, zone, sorted(runs[0]), len(text), runs[0]["startTime"].strftime("%Y")
""",
    "an approval": """
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    for pipeline in client.list_pipelines()["pipelines"]:
        for stage in client.get_pipeline_state(name=pipeline["name"])["stageStates"]:
            for action in stage["actionStates"]:
                token = action.get("latestExecution", {}).get("token")
                if token:
                    client.put_approval_result(
                        pipelineName=pipeline["name"], stageName=stage["stageName"], actionName=action["actionName"],
                        result={"summary": "by a script", "status": "Approved"}, token=token)
                    try:
                        client.put_approval_result(
                            pipelineName=pipeline["name"], stageName=stage["stageName"],
                            actionName=action["actionName"], result={"summary": "", "status": "Approved"}, token=token)
                    except ClientError as error:
                        return pipeline["name"], error.response["Error"]["Code"]
""",
    "transitions": """
def main(boto3, ClientError):
    client, seen = boto3.client("codepipeline"), []
    stage = client.get_pipeline(name="site")["pipeline"]["stages"][1]["name"]
    for change, more in (("disable", {"reason": "a freeze"}), ("enable", {})):
        answer = getattr(client, f"{change}_stage_transition")(
            pipelineName="site", stageName=stage, transitionType="Inbound", **more)
        state = client.get_pipeline_state(name="site")["stageStates"][1]["inboundTransitionState"]
        seen.append((answer["ResponseMetadata"]["HTTPStatusCode"], state["enabled"], state.get("disabledReason")))
    return seen
""",
    "an execution, started and waited for": """
import time
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    begun = client.start_pipeline_execution(name="docs", clientRequestToken="once")["pipelineExecutionId"]
    again = client.start_pipeline_execution(name="docs", clientRequestToken="once")["pipelineExecutionId"]
    for _ in range(100):
        try:
            execution = client.get_pipeline_execution(pipelineName="docs", pipelineExecutionId=begun)
        except client.exceptions.PipelineExecutionNotFoundException:
            continue
        if execution["pipelineExecution"]["status"] not in ("InProgress",):
            break
        time.sleep(0.01)
    return begun == again, execution["pipelineExecution"]["pipelineName"]
""",
    "refusals, by class and by code": """
def main(boto3, ClientError):
    client, seen = boto3.client("codepipeline"), []
    for call, params in (("get_pipeline", {"name": "nobody"}), ("stop_pipeline_execution",
            {"pipelineName": "site", "pipelineExecutionId": "11111111-2222-3333-4444-555555555555"})):
        try:
            getattr(client, call)(**params)
        except client.exceptions.PipelineNotFoundException as error:
            seen.append(("class", str(error), error.response["Error"]))
        except ClientError as error:
            if error.response["Error"]["Code"] == "ValidationException":
                raise
            seen.append(("code", error.response["Error"]["Code"], error.args[0] == str(error)))
    try:
        client.get_pipeline()
    except Exception as error:
        seen.append(type(error).__name__)
    return seen
""",
    "a worker for a custom action": """
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    type_id = {"category": "Test", "owner": "Custom", "provider": "Checker", "version": "1"}
    made = client.create_custom_action_type(
        category="Test", provider="Checker", version="1",
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 0})
    jobs = client.poll_for_jobs(actionTypeId=type_id, maxBatchSize=1).get("jobs", [])
    try:
        client.acknowledge_job(jobId="11111111-2222-3333-4444-555555555555", nonce="1")
    except client.exceptions.JobNotFoundException:
        jobs.append("unknown")
    listed = client.list_action_types(actionOwnerFilter="Custom")["actionTypes"]
    client.delete_custom_action_type(category="Test", provider="Checker", version="1")
    return made["actionType"]["id"], jobs, [row["id"] for row in listed]
""",
    "every pipeline at once": """
from concurrent.futures import ThreadPoolExecutor
def main(boto3, ClientError):
    client = boto3.client("codepipeline")
    names = [pipeline["name"] for pipeline in client.list_pipelines()["pipelines"]]
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda name: client.get_pipeline(name=name)["pipeline"]["version"], names))
""",
    "whatever operation has pages": """
def main(boto3, ClientError):
    client, seen = boto3.client("codepipeline"), {}
    for method, operation in sorted(client.meta.method_to_api_mapping.items()):
        if client.can_paginate(method) and method in ("list_webhooks", "list_action_types", "list_pipelines"):
            full = client.get_paginator(method).paginate().build_full_result()
            seen[operation] = {key: len(value) for key, value in full.items()}
    model = client.meta.service_model
    return seen, model.service_name, model.api_version, model.signing_name, model.service_id, model.endpoint_prefix
""",
    "a session with the keys of a role": """
def main(boto3, ClientError):
    import os
    keys = {"AccessKeyId": os.environ["AWS_ACCESS_KEY_ID"], "SecretAccessKey": os.environ["AWS_SECRET_ACCESS_KEY"]}
    session = boto3.Session(
        aws_access_key_id=keys["AccessKeyId"], aws_secret_access_key=keys["SecretAccessKey"], region_name="us-east-1")
    return session.region_name, len(session.client(service_name="codepipeline").list_pipelines()["pipelines"])
""",
    "a scanner of regions": """
from concurrent.futures import ThreadPoolExecutor
def main(boto3, ClientError):
    session, clients, found = boto3.Session(), {}, {}
    for region in session.get_available_regions("codepipeline")[:0] + ["us-east-1"]:
        clients[region] = session.client("codepipeline", region_name=region)
        clients[region].region = region
    def look(client):
        for page in client.get_paginator("list_pipelines").paginate():
            for pipeline in page["pipelines"]:
                found[f"{client.region}:{pipeline['name']}"] = client
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(look, clients.values()))
    seen = []
    for arn in [*sorted(found)[:2], "us-east-1:nobody"]:
        try:
            source = clients[arn[:9]].get_pipeline(name=arn[10:])["pipeline"]["stages"][0]["actions"][0]
            seen.append((arn, source["actionTypeId"]["provider"]))
        except ClientError as error:
            seen.append(f"{error.__class__.__name__}[{error.__traceback__.tb_lineno}]: {error.response['Error']}")
    return seen
""",
    "a unit test with mocks": """
from unittest import mock
def main(boto3, ClientError):
    client, seen = boto3.client("codepipeline"), []
    double = mock.create_autospec(client)
    double.get_pipeline.return_value = {"pipeline": {"name": "x"}}
    seen.append(double.get_pipeline(name="a"))
    double = mock.MagicMock(spec=client)
    seen.append(hasattr(double, "list_pipelines") and not hasattr(double, "list_everything"))
    refusal = {"Error": {"Code": "PipelineNotFoundException", "Message": "no", "Type": "Sender"}}
    with mock.patch.object(client, "get_pipeline", autospec=True) as get_pipeline:
        get_pipeline.side_effect = client.exceptions.PipelineNotFoundException(refusal, "GetPipeline")
        try:
            client.get_pipeline(name="z")
        except client.exceptions.PipelineNotFoundException as error:
            seen.append((str(error), error.response, error.response is refusal))
            error.response["Error"]["Code"] = "another"
            seen.append(error.response["Error"])
    with mock.patch.object(boto3, "client") as make, mock.patch.object(boto3, "Session") as session:
        seen.append((boto3.client("s3") is make(), boto3.Session().client("s3") is session().client()))
    client.get_pipeline = lambda **params: "a lambda's"
    seen.append(client.get_pipeline(name="site"))
    del client.get_pipeline
    return seen, client.get_pipeline(name="site")["pipeline"]["name"]
""",
    "tags by an address made by hand": """
def main(boto3, ClientError):
    from botocore.config import Config
    session = boto3.session.Session()
    client = session.client("codepipeline", config=Config(retries={"max_attempts": 25, "mode": "standard"}))
    partition = session.get_partition_for_region(session.region_name)
    seen = {}
    for page in client.get_paginator("list_pipelines").paginate():
        for pipeline in page["pipelines"]:
            arn = f"arn:{partition}:codepipeline:{session.region_name}:123456789012:{pipeline['name']}"
            client.tag_resource(resourceArn=arn, tags=[{"key": "managed_by", "value": "us"}])
            seen[arn] = {tag["key"]: tag["value"] for tag in client.list_tags_for_resource(resourceArn=arn)["tags"]}
    return seen
""",
    "a session of a profile": """
def main(boto3, ClientError):
    session = boto3.session.Session(profile_name="build")
    client = session.client("codepipeline")
    return session.profile_name, client.meta.region_name, len(client.list_pipelines()["pipelines"])
""",
}

VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.\d]*(\+00:00|Z)?"), "<time>"),
)


def told(value):
    """As text, without what differs from one emulator to the next."""
    text = json.dumps(value, default=str, sort_keys=True)
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return text


def run(script, module, error, monkeypatch, tmp_path):
    scope = {}
    exec(script, scope)
    with codepipeline.Emulator(demo=True) as emulator:
        for name, value in emulator.environ.items():
            monkeypatch.setenv(name, value)
        keys = "".join(f"{name.lower()} = {emulator.environ[name]}\n" for name in
                       ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))  # fmt: skip
        (tmp_path / "config").write_text(f"[profile build]\nregion = us-east-1\n{keys}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
        return told(scope["main"](module, error))


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("errors", ["botocore.exceptions", "codepipeline.exceptions"])
def test_a_script_answers_the_same(name, errors, monkeypatch, tmp_path):
    theirs = pytest.importorskip("botocore.exceptions").ClientError
    ours = theirs if errors.startswith("botocore") else codepipeline.exceptions.ClientError
    wanted = run(SCRIPTS[name], boto3, theirs, monkeypatch, tmp_path)
    assert run(SCRIPTS[name], codepipeline, ours, monkeypatch, tmp_path) == wanted
    assert len(wanted) > 4  # not null


# ---- what is not there ----

CLIENT, META = "'Client' object has no attribute ", "'Meta' object has no attribute "
ABSENT = [
    ("client.list_pipeline()", AttributeError, 'did you mean "list_pipelines"?'),
    ("client.start_pipeline", AttributeError, CLIENT),
    ("codepipeline.AsyncClient('us-east-1').list_pipeline", AttributeError, 'did you mean "list_pipelines"?'),
    ("codepipeline.AsyncClient('us-east-1').submit", AttributeError, "client.client.submit"),
    ("client.call('list_pipeline')", codepipeline.ParamValidationError, 'did you mean "list_pipelines"?'),
    ("client.submit('ListPipeline')", codepipeline.ParamValidationError, 'did you mean "ListPipelines"?'),
    ("client.get_paginator('list_pipeline')", codepipeline.ParamValidationError, 'did you mean "list_pipelines"?'),
    ("client.paginate('list_rule_types')", codepipeline.ParamValidationError, "has no pages"),
    ("client.exceptions.PipelineNotFound", AttributeError, "has no attribute"),
    ("client.exceptions.PipelineNotFoundExcepton", AttributeError, 'did you mean "PipelineNotFoundException"?'),
    ("client.exceptions.WaiterError", AttributeError, "run.wait()"),
    ("client.generate_presigned_url('list_pipelines')", AttributeError, "signed as they are sent"),
    ("client._endpoint.host", AttributeError, "here: client.endpoint_url"),
    ("client._client_config", AttributeError, "codepipeline.doctor()"),
    ("client._make_api_call('ListPipelines', {})", AttributeError, "client.call(operation"),
    ("client._request_signer", AttributeError, "credentials are not shown"),
    ("client.meta.events.register('before-call.codepipeline', print)", AttributeError, 'client.on("request", f)'),
    ("client.meta.config.retries", AttributeError, "here: client.region"),
    ("client.meta.region", AttributeError, META),
    ("client.meta.service_model.operation_model('ListPipelines')", AttributeError, "codepipeline.testing.Stubber"),
    ("stub.Stubber(client).add_response('list_pipelines', {'pipelines': []})", AttributeError, "codepipeline.testing"),
    ("stub.Stubber(client).activate()", AttributeError, "no handlers by name"),
    ("codepipeline.Session().get_credentials()", AttributeError, "codepipeline.doctor()"),
    ("codepipeline.Session().resource('s3')", AttributeError, "keep boto3"),
    ("codepipeline.Session().available_profiles", AttributeError, "codepipeline.doctor()"),
    ("codepipeline.resource('s3')", AttributeError, "keep boto3"),
    ("codepipeline._get_default_session()", AttributeError, "codepipeline.DEFAULT_SESSION"),
    ("codepipeline.client('s3')", ValueError, "boto3 has 's3'"),
    ("codepipeline.client('codepipeline', verify=False)", ValueError, "always verified"),
    ("codepipeline.Config(conect_timeout=3)", TypeError, 'did you mean "connect_timeout"?'),
    ("codepipeline.client('codepipeline', config=BotoConfig(proxies_config={'proxy_ca_bundle': 'x'}))", ValueError,
     "ca_bundle"),
    ("codepipeline.client('codepipeline', config=codepipeline.Config(proxies_config={'proxy_ca_bundle': 'x'}))",
     ValueError, "ca_bundle"),
    ("client.get_pipeline('site')", TypeError, "keyword arguments alone"),
]  # fmt: skip


@pytest.mark.parametrize(("expression", "kind", "said"), ABSENT)
def test_what_is_not_there_says_what_to_write(expression, kind, said):
    import botocore.stub

    with answering() as (_answers, client):
        scope = {"client": client, "codepipeline": codepipeline, "stub": botocore.stub, "BotoConfig": BotoConfig}
        with pytest.raises(kind) as refused:
            eval(expression, scope)
    assert said in str(refused.value)


def test_names_that_are_no_names_are_not_guessed():
    client = codepipeline.Client("us-east-1", **KEYS)
    for name in ("a\0b", "\udc80", "", "é" * 100, "x" * 1000):
        assert not hasattr(client, name)


def test_options_of_a_configuration_without_a_meaning_here_are_taken():
    options = {"defaults_mode": "standard", "user_agent": "mine/1", "tcp_keepalive": True, "inject_host_prefix": False,
               "request_checksum_calculation": "when_required"}  # fmt: skip
    with answering() as (answers, client):
        answers.say({"pipelines": []})
        for kind in (BotoConfig, codepipeline.Config):
            seen = []
            made = codepipeline.client("codepipeline", "eu-west-1", None, True, None, client.endpoint_url,
                                       "AKID", "secret", "token", kind(**options))  # fmt: skip
            made.on("request", lambda event, seen=seen: seen.append(event.headers))
            made.list_pipelines()
            assert seen[0]["user-agent"].endswith(" mine/1")
            assert "x-amz-security-token" in seen[0]


def test_a_session_knows_partitions():
    for region in ("eu-west-1", "cn-north-1", "us-gov-west-1"):
        theirs, ours = (module.Session().get_partition_for_region(region) for module in (boto3, codepipeline))
        assert ours == theirs
