# SPDX-License-Identifier: MIT
"""Python values on their way to the service and back."""

import collections
import datetime
import enum
import gc
import json
import sys

import pytest

import codepipeline
from servers import answering

UTC = datetime.timezone.utc


@pytest.fixture(scope="module")
def server():
    with answering() as pair:
        yield pair


@pytest.fixture
def client(server):
    server[0].say({})
    return server[1]


@pytest.fixture
def answers(server, client):
    return server[0]


def sent(answers, client, value):
    """What arrives when value is sent where a timestamp belongs."""
    client.put_action_revision(
        pipelineName="p",
        stageName="s",
        actionName="a",
        actionRevision={"revisionId": "1", "revisionChangeId": "2", "created": value},
    )
    return answers.sent["actionRevision"]["created"]


# ---- to the service ----


def test_texts_numbers_and_flags_arrive_as_they_are(answers, client):
    client.list_pipelines(nextToken='é€😀"\\\n\t/', maxResults=7)
    assert answers.sent == {"nextToken": 'é€😀"\\\n\t/', "maxResults": 7}
    client.disable_stage_transition(pipelineName="p", stageName="s", transitionType="Inbound", reason="x" * 300)
    assert answers.sent["reason"] == "x" * 300
    client.stop_pipeline_execution(pipelineName="p", pipelineExecutionId=ID, abandon=True)
    assert answers.sent["abandon"] is True


ID = "12345678-1234-1234-1234-123456789012"


def test_subclasses_of_the_json_types_are_taken(answers, client):
    class Kind(str, enum.Enum):
        INBOUND = "Inbound"

    params = collections.OrderedDict(pipelineName="p", stageName="s", transitionType=Kind.INBOUND)
    client.enable_stage_transition(**params)
    assert answers.sent == {"pipelineName": "p", "stageName": "s", "transitionType": "Inbound"}
    client.list_pipelines(maxResults=enum.IntEnum("N", {"FIVE": 5}).FIVE)
    assert answers.sent == {"maxResults": 5}


def test_tuples_are_lists(answers, client):
    client.untag_resource(resourceArn="arn:aws:codepipeline:us-east-1:123456789012:p", tagKeys=("a", "b"))
    assert answers.sent["tagKeys"] == ["a", "b"]


@pytest.mark.parametrize(
    ("moment", "seconds"),
    [
        (datetime.datetime(2026, 11, 22, 7, 0, tzinfo=UTC), 1795330800),
        (datetime.datetime(2026, 11, 22, 7, 0), 1795330800),
        (datetime.datetime(2026, 11, 22, 9, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), 1795330800),
        (datetime.datetime(2026, 11, 22, 7, 0, 0, 250000, tzinfo=UTC), 1795330800.25),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), -1),
        (1795330800, 1795330800),
        (1795330800.5, 1795330800.5),
    ],
)
def test_datetimes_arrive_as_seconds_and_naive_ones_are_utc(answers, client, moment, seconds):
    assert sent(answers, client, moment) == seconds


@pytest.mark.parametrize(
    ("value", "path", "text"),
    [
        ({"a", "b"}, "", "a value of type set cannot be sent"),
        (b"x", "", "a value of type bytes cannot be sent"),
        (object(), "", "a value of type object cannot be sent"),
        (datetime.date(2026, 1, 1), "", "a value of type date cannot be sent"),
        (2**63, "", "an integer of more than 64 bits cannot be sent"),
        (float("nan"), "", "a number that is not finite cannot be sent"),
        (float("-inf"), "", "a number that is not finite cannot be sent"),
        ("\udc80", "", "text with half a surrogate pair cannot be sent"),
        ({1: 2}, "", "a key of type int cannot be sent"),
        ({"\ud800": 2}, "", "text with half a surrogate pair cannot be sent"),
        ({"x": [1, 2, {"y": set()}]}, ".x[2].y", "a value of type set cannot be sent"),
        (({}, [[b""]]), "[1][0][0]", "a value of type bytes cannot be sent"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(answers, client, value, path, text):
    before = len(answers.requests)
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        client.list_pipelines(nextToken=value)
    assert caught.value.path == "nextToken" + path
    assert str(caught.value) == f"nextToken{path}: {text}"
    assert isinstance(caught.value, ValueError)
    assert len(answers.requests) == before


def test_endless_nesting_is_refused(client):
    endless = []
    endless.append(endless)
    with pytest.raises(codepipeline.ParamValidationError, match="nesting of more than 64 levels"):
        client.list_pipelines(nextToken=endless)


def test_a_list_that_shrinks_while_it_is_sent_is_harmless(client):
    values = [None, "x", "y"]

    class Zone(datetime.tzinfo):
        def utcoffset(self, moment):
            values.clear()
            return datetime.timedelta(0)

    values[0] = datetime.datetime(2026, 1, 1, tzinfo=Zone())
    with pytest.raises(codepipeline.ParamValidationError):
        client.list_pipelines(nextToken=values)


def test_an_error_in_foreign_code_is_passed_on(client):
    class Zone(datetime.tzinfo):
        def utcoffset(self, moment):
            raise KeyError("no such zone")

    with pytest.raises(KeyError, match="no such zone"):
        client.list_pipelines(nextToken=datetime.datetime(2026, 1, 1, tzinfo=Zone()))


# ---- from the service ----


def test_answers_are_dicts_with_response_metadata(answers, client):
    answers.say({"pipelines": [{"name": "p", "version": 3}], "nextToken": "t"}, **{"X-Some-Header": "é"})
    answer = client.list_pipelines()
    metadata = answer.pop("ResponseMetadata")
    assert answer == {"pipelines": [{"name": "p", "version": 3}], "nextToken": "t"}
    assert metadata["RequestId"] == "request-1"
    assert metadata["HTTPStatusCode"] == 200
    assert metadata["RetryAttempts"] == 0
    assert metadata["HTTPHeaders"]["x-amzn-requestid"] == "request-1"
    assert metadata["HTTPHeaders"]["x-some-header"] == "é"


def test_timestamps_are_aware(answers, client):
    answers.say(b'{"pipelines":[{"name":"p","created":1795330800.25,"updated":1.795330800E9}]}')
    [pipeline] = client.list_pipelines()["pipelines"]
    assert pipeline["created"] == datetime.datetime(2026, 11, 22, 7, 0, 0, 250000, tzinfo=UTC)
    assert pipeline["updated"].utcoffset() == datetime.timedelta(0)


def test_timestamps_are_those_of_fromtimestamp_to_the_microsecond(answers, client):
    import random

    dice = random.Random(7)
    times = [0, 0.5, -0.5, 1e-7, -1e-7, 0.9999999, -1.9999995, 1.5e-6, 2.5e-6, 1760000000.123456, 1760000000.9999996]
    times += [951782399.9, 951782400, 951868800, 4107542400, -62135596800, 253402300799, -2208988800.25]
    times += [dice.uniform(-6e10, 2.5e11) for _ in range(2000)] + [dice.uniform(0, 2e9) for _ in range(2000)]
    answers.say({"pipelines": [{"name": "p", "created": time} for time in times]})
    got = [row["created"] for row in client.list_pipelines()["pipelines"]]
    assert got == [datetime.datetime.fromtimestamp(time, UTC) for time in times]
    assert all(moment.tzinfo is UTC for moment in got)


def test_timestamps_are_right_though_somebody_holds_what_they_are_made_of(answers, client):
    held = []

    def hold(phase, info):
        young = gc.get_objects(generation=0)
        held.extend(one for one in young if type(one) is tuple and len(one) == 2 and one[1] is UTC)

    answers.say({"pipelines": [{"name": "p", "created": n, "updated": n + 0.5} for n in range(300)]})
    often = gc.get_threshold()
    gc.callbacks.append(hold)
    gc.set_threshold(1)
    try:
        pipelines = client.list_pipelines()["pipelines"]
    finally:
        gc.set_threshold(*often)
        gc.callbacks.remove(hold)
    assert [p["created"].timestamp() for p in pipelines] == list(range(300))
    assert [p["updated"].timestamp() for p in pipelines] == [n + 0.5 for n in range(300)]
    assert len(held) > 10 or sys.version_info >= (3, 12)  # which collects between instructions alone


def test_a_timestamp_no_calendar_has_is_a_protocol_error(answers, client):
    answers.say(b'{"pipelines":[{"name":"p","created":1e20}]}')
    with pytest.raises(codepipeline.ProtocolError, match="years 1 to 9999"):
        client.list_pipelines()


def test_texts_keep_every_character(answers, client):
    text = 'é€😀\u2028"\\/\b\f\n\r\t' + "x" * 5000
    answers.say({"pipeline": {"name": text, "roleArn": ""}})
    assert client.get_pipeline(name="p")["pipeline"] == {"name": text, "roleArn": ""}
    answers.say(json.dumps({"pipeline": {"name": text}}, ensure_ascii=False).encode())
    assert client.get_pipeline(name="p")["pipeline"]["name"] == text


def test_unknown_members_and_nulls_are_left_out_as_boto3_does(answers, client):
    answers.say({"pipelines": [{"name": "p", "version": None, "unheardOf": {"a": [1, {}]}}], "nextToken": None})
    assert client.list_pipelines()["pipelines"] == [{"name": "p"}]
    assert "nextToken" not in client.list_pipelines()


def test_keys_of_maps_are_kept_whatever_they_are(answers, client):
    configuration = {"name": "1", "Ünknown": "2", "": "3"}
    answers.say({"pipeline": {"stages": [{"name": "s", "actions": [{"name": "a", "configuration": configuration}]}]}})
    [stage] = client.get_pipeline(name="p")["pipeline"]["stages"]
    assert stage["actions"][0]["configuration"] == configuration


@pytest.mark.parametrize(
    "body",
    [
        b"<html>",
        b'{"pipelines":[',
        b'{"pipelines":[]}}',
        b'{"a":"\xff"}',
        b"[" * 1000,
        b'{"a" 1}',
        b"{'a':1}",
        b"[]",
        b"1",
    ],
)
def test_what_is_not_json_is_a_protocol_error(answers, client, body):
    answers.say(body)
    with pytest.raises(codepipeline.ProtocolError, match="the answer is") as caught:
        client.list_pipelines()
    error = caught.value
    assert (error.operation, error.http_status, error.request_id, error.attempts) == (
        "ListPipelines",
        200,
        "request-1",
        1,
    )


def test_equal_keys_are_one_object_across_answers(answers, client):
    answers.say({"pipelines": [{"name": "a"}, {"name": "b"}]})
    pipelines = client.list_pipelines()["pipelines"] + client.list_pipelines()["pipelines"]
    keys = [key for pipeline in pipelines for key in pipeline]
    assert len(keys) == 4 and all(key is keys[0] for key in keys)
