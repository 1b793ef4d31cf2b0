# SPDX-License-Identifier: MIT
"""Our client against a server none of us wrote: moto's."""

import hashlib
import os

import pytest

import codepipeline

boto3 = pytest.importorskip("boto3")

KEYS = {"aws_access_key_id": "AKIAMOTO", "aws_secret_access_key": "secret"}


@pytest.fixture
def client(moto_url):
    made = codepipeline.Client(region="us-east-1", endpoint_url=moto_url, s3_endpoint_url=moto_url, **KEYS)
    yield made
    made.close()
    reset(moto_url)


def reset(url):
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(url + "/moto-api/reset", method="POST")).close()


@pytest.fixture
def role(moto_url):
    """moto looks whether the role exists and may be assumed by CodePipeline."""
    iam = boto3.client("iam", endpoint_url=moto_url, region_name="us-east-1", **KEYS)
    trust = '{"Statement": [{"Effect": "Allow", "Principal": {"Service": "codepipeline.amazonaws.com"}}]}'
    return iam.create_role(RoleName="pipeline", AssumeRolePolicyDocument=trust)["Role"]["Arn"]


def declaration(role, name="mine"):
    def stage(stage_name, category, provider, **more):
        type_id = {"category": category, "owner": "AWS", "provider": provider, "version": "1"}
        return {"name": stage_name, "actions": [{"name": stage_name, "actionTypeId": type_id, **more}]}

    return {
        "name": name,
        "roleArn": role,
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [
            stage(
                "Source",
                "Source",
                "S3",
                configuration={"S3Bucket": "source", "S3ObjectKey": "key"},
                outputArtifacts=[{"name": "Source"}],
            ),
            stage("Gate", "Approval", "Manual"),
        ],
    }


def test_pipelines_are_created_read_updated_listed_and_deleted(client, role):
    created = client.create_pipeline(pipeline=declaration(role), tags=[{"key": "team", "value": "a"}])
    assert created["pipeline"]["version"] == 1
    changed = declaration(role)
    changed["stages"][1]["name"] = "Door"
    assert client.update_pipeline(pipeline=changed)["pipeline"]["version"] == 2
    assert client.get_pipeline(name="mine")["pipeline"]["stages"][1]["name"] == "Door"
    assert [p["name"] for p in client.list_pipelines()["pipelines"]] == ["mine"]
    client.delete_pipeline(name="mine")
    with pytest.raises(codepipeline.exceptions.PipelineNotFoundException):
        client.get_pipeline(name="mine")


def test_tags_are_added_listed_and_taken_away(client, role):
    client.create_pipeline(pipeline=declaration(role), tags=[{"key": "team", "value": "a"}])
    arn = client.get_pipeline(name="mine")["metadata"]["pipelineArn"]
    client.tag_resource(resourceArn=arn, tags=[{"key": "stage", "value": "beta"}])
    tags = client.list_tags_for_resource(resourceArn=arn)["tags"]
    assert {t["key"]: t["value"] for t in tags} == {"team": "a", "stage": "beta"}
    client.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert [t["key"] for t in client.list_tags_for_resource(resourceArn=arn)["tags"]] == ["stage"]


def test_errors_of_a_foreign_server_are_typed(client):
    with pytest.raises(codepipeline.exceptions.PipelineNotFoundException) as raised:
        client.get_pipeline(name="nobody")
    assert raised.value.code == "PipelineNotFoundException"
    assert raised.value.http_status == 400


@pytest.mark.parametrize("size", [0, 1, 1_000_000, 70_000_000])
def test_objects_go_up_and_come_back_whole(client, moto_url, tmp_path, size):
    """70 MB is more than one part."""
    s3 = boto3.client("s3", endpoint_url=moto_url, region_name="us-east-1", **KEYS)
    s3.create_bucket(Bucket="files")
    sent, back = tmp_path / "sent", tmp_path / "back"
    sent.write_bytes(os.urandom(size))
    client.upload_file(str(sent), "files", "folder/a key + ünïcode")
    assert s3.head_object(Bucket="files", Key="folder/a key + ünïcode")["ContentLength"] == size
    client.download_file("files", "folder/a key + ünïcode", str(back))
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (sent, back)]
    assert digests[0] == digests[1]


def test_a_missing_object_leaves_no_file(client, moto_url, tmp_path):
    boto3.client("s3", endpoint_url=moto_url, region_name="us-east-1", **KEYS).create_bucket(Bucket="files")
    with pytest.raises(codepipeline.ClientError) as raised:
        client.download_file("files", "nothing", str(tmp_path / "back"))
    assert raised.value.code == "NoSuchKey"
    assert list(tmp_path.glob("back*")) == []
