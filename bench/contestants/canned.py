# SPDX-License-Identifier: MIT
"""The answers the web server gives: shaped like the service's, and the same bytes every time."""

import json
import random
import uuid

CONSOLE = "https://console.aws.amazon.com/codebuild/home?region=us-east-1#/builds/site-build:"


class Maker:
    """Numbers and names that look drawn by chance and never change."""

    def __init__(self):
        self.random = random.Random(44)

    def id(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def time(self):
        return 1_760_000_000 + self.random.randrange(10_000_000) + self.random.randrange(1000) / 1000

    def sha(self):
        return f"{self.random.getrandbits(160):040x}"


def list_pipelines(make):
    return {
        "pipelines": [
            {
                "name": f"service-{i:02}-release",
                "version": make.random.randrange(1, 60),
                "pipelineType": "V2",
                "executionMode": "QUEUED",
                "created": make.time(),
                "updated": make.time(),
            }
            for i in range(10)
        ]
    }


def action_state(make, stage, number):
    state = {
        "actionName": f"{stage}-{number}",
        "latestExecution": {
            "actionExecutionId": make.id(),
            "status": "Succeeded",
            "summary": 'Deployment Succeeded: 3 of 3 instances "healthy" after the roll-out',
            "lastStatusChange": make.time(),
            "externalExecutionId": f"site-build:{make.id()}",
            "externalExecutionUrl": f"{CONSOLE}{make.id()}/view/new",
        },
        "entityUrl": "https://console.aws.amazon.com/codebuild/home?region=us-east-1#/projects/site-build/view",
    }
    if stage == "Source":
        state["currentRevision"] = {"revisionId": make.sha(), "revisionChangeId": make.id(), "created": make.time()}
        state["revisionUrl"] = f"https://github.com/example/site/commit/{make.sha()}"
    return state


def get_pipeline_state(make):
    return {
        "pipelineName": "service-00-release",
        "pipelineVersion": 17,
        "stageStates": [
            {
                "stageName": stage,
                "inboundTransitionState": {"enabled": True},
                "actionStates": [action_state(make, stage, i) for i in range(2)],
                "latestExecution": {"pipelineExecutionId": make.id(), "status": "Succeeded"},
            }
            for stage in ("Source", "Build", "Test", "Deploy")
        ],
        "created": make.time(),
        "updated": make.time(),
    }


def artifact(make, name):
    return {"name": name, "s3location": {"bucket": "artifacts-us-east-1", "key": f"site/{name}/{make.sha()[:7]}"}}


def action_execution(make, number):
    stage = make.random.choice(["Source", "Build", "Deploy"])
    configuration = {"ProjectName": "site-build", "PrimarySource": "Source"}
    return {
        "pipelineExecutionId": make.id(),
        "actionExecutionId": make.id(),
        "pipelineVersion": 17,
        "stageName": stage,
        "actionName": f"{stage}-action-{number % 4}",
        "startTime": make.time(),
        "lastUpdateTime": make.time(),
        "updatedBy": "arn:aws:sts::123456789012:assumed-role/Admin/operator",
        "status": make.random.choice(["Succeeded", "Failed", "InProgress"]),
        "input": {
            "actionTypeId": {"category": "Build", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
            "configuration": {**configuration, "EnvironmentVariables": '[{"name":"STAGE","value":"prod"}]'},
            "resolvedConfiguration": configuration,
            "roleArn": "arn:aws:iam::123456789012:role/codepipeline-action",
            "region": "us-east-1",
            "inputArtifacts": [artifact(make, "Source")],
            "namespace": "BuildVariables",
        },
        "output": {
            "outputArtifacts": [artifact(make, "Binary")],
            "executionResult": {
                "externalExecutionId": f"site-build:{make.id()}",
                "externalExecutionSummary": "Build succeeded: 214 tests",
                "externalExecutionUrl": f"{CONSOLE}{make.id()}/view/new",
                "logStreamARN": f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/codebuild/site:{make.id()}",
            },
            "outputVariables": {"COMMIT_ID": make.sha(), "IMAGE_TAG": f"v1.7.{number}"},
        },
    }


def list_action_executions(make):
    return {"actionExecutionDetails": [action_execution(make, i) for i in range(100)], "nextToken": make.sha() * 4}


def answers():
    """{operation: bytes}"""
    make = Maker()
    documents = {
        "ListPipelines": list_pipelines(make),
        "GetPipelineState": get_pipeline_state(make),
        "ListActionExecutions": list_action_executions(make),
    }
    return {name: json.dumps(document, separators=(",", ":")).encode() for name, document in documents.items()}
