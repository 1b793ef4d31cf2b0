# SPDX-License-Identifier: MIT
"""boto3 and we get the same answers from one server, and must make the same of them.

What is answered is made from botocore's own model of the service, which we share nothing with. Where we differ on
purpose the test says so, and docs/migrating-from-boto3.md does too.
"""

import datetime
import re

import pytest

import codepipeline
from servers import KEYS, answering

boto3 = pytest.importorskip("boto3")
botocore = pytest.importorskip("botocore")
pytest.importorskip("botocore.config")

UTC = datetime.timezone.utc
MODEL = boto3.session.Session().client("codepipeline", region_name="us-east-1").meta.service_model
OPERATIONS = [(name, botocore.xform_name(name)) for name in MODEL.operation_names]
METHODS = dict(OPERATIONS)


@pytest.fixture(scope="module")
def pair():
    """(answers, boto3's client, ours): three attempts each, as is the default, and one server."""
    import botocore.config

    with answering() as (answers, one):
        config = botocore.config.Config(retries={"total_max_attempts": 3, "mode": "standard"})
        theirs = boto3.session.Session().client(
            "codepipeline",
            region_name="us-east-1",
            endpoint_url=one.endpoint_url,
            aws_access_key_id="AKID",
            aws_secret_access_key="secret",
            config=config,
        )
        with codepipeline.Client("us-east-1", endpoint_url=one.endpoint_url, max_attempts=3, **KEYS) as ours:
            yield answers, theirs, ours


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *unused: 0)


# ---- documents, made from the model ----

CANDIDATES = (
    "site",
    "1",
    "12345678-1234-1234-1234-123456789012",
    "arn:aws:codepipeline:us-east-1:123456789012:site",
    "arn:aws:iam::123456789012:role/pipeline",
    "arn:aws:lambda:us-east-1:123456789012:function:build",
    "123456789012",
    "AWS",
)


def text_of(shape):
    """Text that satisfies the shape, also where botocore does not look."""
    if shape.enum:
        return shape.enum[0]
    pattern = shape.metadata.get("pattern", ".*")
    fitting = (text for text in CANDIDATES if re.fullmatch(pattern, text))
    return next(text for text in fitting if len(text) >= shape.metadata.get("min", 0))


def document(shape, full, seen=()):
    """A value of the shape with all members, or with those that are required."""
    kind = shape.type_name
    if kind == "structure":
        names = shape.members if full else shape.required_members
        below = (*seen, shape.name)
        return {n: document(shape.members[n], full, below) for n in names if shape.members[n].name not in seen}
    if kind == "list":
        return (
            [document(shape.member, full, seen)] * max(1, shape.metadata.get("min", 0))
            if full or shape.metadata
            else []
        )
    if kind == "map":
        return {text_of(shape.key): document(shape.value, full, seen)}
    if kind == "string":
        return text_of(shape)
    return {"integer": shape.metadata.get("min", 7), "boolean": True, "timestamp": 1440938160.25}[kind]


def params_of(name):
    shape = MODEL.operation_model(name).input_shape
    return document(shape, False) if shape else {}


def comparable(answer):
    """The answer with its moments as numbers (boto3 has them in local time, we have UTC), without dates of headers."""
    if isinstance(answer, dict):
        return {k: comparable(v) for k, v in answer.items() if k != "date"}
    if isinstance(answer, list):
        return [comparable(item) for item in answer]
    if isinstance(answer, datetime.datetime):
        assert answer.tzinfo is not None
        return ("moment", answer.timestamp())
    return answer


def agree(pair, name, params=None):
    """Calls both; the one answer they agree on."""
    _, theirs, ours = pair
    params = params_of(name) if params is None else params
    wanted, got = getattr(theirs, METHODS[name])(**params), getattr(ours, METHODS[name])(**params)
    assert comparable(got) == comparable(wanted)
    return got


def refusals(pair, name, params=None):
    """What both raise."""
    _, theirs, ours = pair
    params = params_of(name) if params is None else params
    raised = []
    for client in (theirs, ours):
        with pytest.raises(Exception) as info:
            getattr(client, METHODS[name])(**params)
        raised.append(info.value)
    return raised


# ---- answers ----


def test_both_have_the_same_operations(pair):
    _, theirs, ours = pair
    assert len(OPERATIONS) == 44
    assert ours.meta.service_model.operation_names == list(theirs.meta.service_model.operation_names)
    assert ours.meta.method_to_api_mapping == theirs.meta.method_to_api_mapping
    assert ours.meta.region_name == theirs.meta.region_name
    assert ours.meta.endpoint_url == theirs.meta.endpoint_url


@pytest.mark.parametrize("name", METHODS)
def test_a_full_answer(pair, name):
    shape = MODEL.operation_model(name).output_shape
    body = document(shape, True) if shape else {}
    pair[0].say(body, **{"x-amz-id-2": "host", "X-Mixed-Case": "Value"})
    assert agree(pair, name).keys() - {"ResponseMetadata"} == body.keys()


@pytest.mark.parametrize("name", METHODS)
def test_a_sparse_answer(pair, name):
    shape = MODEL.operation_model(name).output_shape
    pair[0].say(document(shape, False) if shape else {})
    agree(pair, name)


ANSWERING = [name for name in METHODS if MODEL.operation_model(name).output_shape]


def nothing(shape, value):
    """The document with null for every member that is text or a number."""
    if shape.type_name == "structure":
        return {name: nothing(shape.members[name], item) for name, item in value.items()}
    if shape.type_name == "list":
        return [nothing(shape.member, item) for item in value] + [None]
    if shape.type_name == "map":
        return value
    return None


@pytest.mark.parametrize("name", ANSWERING)
def test_nulls(pair, name):
    shape = MODEL.operation_model(name).output_shape
    pair[0].say(nothing(shape, document(shape, True)))
    agree(pair, name)


def enriched(shape, value):
    """The document with a member that nobody knows in each structure."""
    if shape.type_name == "structure":
        known = {name: enriched(shape.members[name], item) for name, item in value.items()}
        return {"Unknown": [1, {"a": None}], **known, "unknown": {"name": "x"}}
    if shape.type_name == "list":
        return [enriched(shape.member, item) for item in value]
    return value


@pytest.mark.parametrize("name", ANSWERING)
def test_members_that_nobody_knows(pair, name):
    shape = MODEL.operation_model(name).output_shape
    pair[0].say(enriched(shape, document(shape, True)))
    agree(pair, name)


def test_differs_a_null_in_a_map_is_left_out(pair):
    pair[0].say({"pipeline": {"stages": [{"actions": [{"configuration": {"a": None, "b": "c"}}]}]}})
    theirs, ours = (c.get_pipeline(name="a")["pipeline"]["stages"][0]["actions"][0] for c in pair[1:])
    assert theirs == {"configuration": {"a": None, "b": "c"}}
    assert ours == {"configuration": {"b": "c"}}


@pytest.mark.parametrize(
    "moment",
    [
        0,
        -1,
        1,
        1.5,
        1440938160.123,
        1e9,
        4102444800,
        "2015-08-30T12:36:00Z",
        "2015-08-30T14:36:00.5+02:00",
        "1440938160",
        "1.5",
    ],
)
def test_moments_however_they_are_written(pair, moment):
    pair[0].say({"pipelines": [{"name": "site", "created": moment}]})
    assert isinstance(agree(pair, "ListPipelines")["pipelines"][0]["created"], datetime.datetime)


@pytest.mark.parametrize("text", ["", "\u00e9\u4e2d\U0001f600", 'a"b\\c\n\t\x01', "x" * 70000])
def test_text_of_all_kinds(pair, text):
    pair[0].say({"pipeline": {"name": text, "stages": []}})
    assert agree(pair, "GetPipeline")["pipeline"]["name"] == text


def test_an_answer_without_a_body_or_an_id(pair):
    pair[0].say(b"")
    agree(pair, "ListPipelines")
    pair[0].say({"pipelines": []})
    pair[0].headers = {}
    got, wanted = pair[2].list_pipelines(), pair[1].list_pipelines()
    assert got["ResponseMetadata"].pop("RequestId") == ""  # boto3 leaves the member out
    assert comparable(got) == comparable(wanted)


def test_what_the_service_is_sent_is_the_same(pair):
    answers, theirs, ours = pair
    answers.say({})
    for name in METHODS:
        params = (
            document(MODEL.operation_model(name).input_shape, True) if MODEL.operation_model(name).input_shape else {}
        )
        getattr(theirs, METHODS[name])(**params)
        wanted = answers.sent
        getattr(ours, METHODS[name])(**params)
        assert answers.sent == wanted, name


# ---- errors ----

# boto3 takes LimitExceededException for throttling; here it means a quota, and no waiting helps.
ERRORS = [
    (name, error.name)
    for name in METHODS
    for error in MODEL.operation_model(name).error_shapes
    if error.name != "LimitExceededException"
]


def check_refusal(pair, name, code, params=None):
    theirs, ours = refusals(pair, name, params)
    assert type(ours).__name__ == type(theirs).__name__
    assert comparable(ours.response) == comparable(theirs.response)
    assert str(ours) == str(theirs)
    assert ours.operation_name == theirs.operation_name == name
    assert isinstance(ours, pair[2].exceptions.ClientError)
    assert ours.response["Error"]["Code"] == code
    return ours


@pytest.mark.parametrize(("name", "code"), ERRORS)
def test_each_error_of_each_operation(pair, name, code):
    pair[0].error(code, f"about {name}")
    error = check_refusal(pair, name, code)
    assert type(error) is getattr(pair[2].exceptions, code)
    assert isinstance(error, codepipeline.ClientError)


@pytest.mark.parametrize("spelling", ["{}", "com.amazonaws.codepipeline#{}", "{}:http://internal/coral", "a#{}:b"])
def test_spellings_of_a_code(pair, spelling):
    code = "PipelineNotFoundException"
    pair[0].say({"__type": spelling.format(code), "Message": "none"}, 400, **{"x-amz-id-2": "host"})
    check_refusal(pair, "GetPipeline", code)


@pytest.mark.parametrize("code", ["AccessDeniedException", "UnrecognizedClientException", "SomethingNew"])
def test_an_error_that_is_not_modelled(pair, code):
    pair[0].error(code, "no")
    check_refusal(pair, "GetPipeline", code)


@pytest.mark.parametrize(
    ("status", "code"), [(400, "ThrottlingException"), (500, "InternalFailure"), (503, "SlowDown")]
)
def test_attempts_are_made_and_counted_alike(pair, status, code):
    pair[0].error(code, "slower", status)
    before = len(pair[0].requests)
    error = check_refusal(pair, "GetPipeline", code)
    assert error.response["ResponseMetadata"]["RetryAttempts"] == 2
    assert "(reached max retries: 2)" in str(error)
    assert len(pair[0].requests) == before + 6


def test_a_gateway_s_page_has_the_status_as_its_code(pair):
    pair[0].say(b"<html><h1>502 Bad Gateway</h1></html>", 502)
    theirs, ours = refusals(pair, "ListPipelines")
    assert type(ours).__name__ == type(theirs).__name__ == "ClientError"
    assert ours.response["Error"]["Code"] == theirs.response["Error"]["Code"] == "502"
    assert ours.response["ResponseMetadata"]["HTTPStatusCode"] == 502
    assert "Bad Gateway" in str(theirs)
    assert "502" in str(ours) and "<h1>" in str(ours)  # we show what came


def test_differs_a_quota_is_not_tried_again(pair):
    pair[0].error("LimitExceededException", "too many pipelines")
    theirs, ours = refusals(pair, "CreatePipeline")
    assert type(ours).__name__ == type(theirs).__name__ == "LimitExceededException"
    assert theirs.response["ResponseMetadata"]["RetryAttempts"] == 2
    assert ours.response["ResponseMetadata"]["RetryAttempts"] == 0


def test_differs_a_successful_last_attempt_is_like_any_other(pair):
    """boto3 marks it with MaxAttemptsReached."""
    answered = []

    def answer(request):
        answered.append(request)
        return {} if len(answered) % 3 == 0 else (500, {"__type": "InternalFailure", "message": "no"})

    pair[0].answer = answer
    theirs, ours = (client.list_pipelines()["ResponseMetadata"] for client in pair[1:])
    pair[0].answer = None
    assert theirs["RetryAttempts"] == ours["RetryAttempts"] == 2
    assert theirs["MaxAttemptsReached"] and "MaxAttemptsReached" not in ours


def test_differs_an_operation_without_an_answer_passes_on_what_comes(pair):
    pair[0].say({"unexpected": 1})
    assert pair[1].delete_pipeline(name="a").keys() == {"ResponseMetadata"}
    assert pair[2].delete_pipeline(name="a").keys() == {"unexpected", "ResponseMetadata"}


def test_differs_an_error_without_a_message_says_so(pair):
    pair[0].say({"__type": "JobNotFoundException"}, 400)
    theirs, ours = refusals(pair, "GetJobDetails")
    assert type(ours).__name__ == type(theirs).__name__
    assert theirs.response["Error"]["Message"] == ""
    assert ours.response["Error"]["Message"] == "the service answered 400 without a message"


def test_differs_an_answer_that_is_no_json_is_an_error(pair):
    pair[0].say(b"<html>welcome to the hotel</html>")
    assert pair[1].list_pipelines().keys() == {"ResponseMetadata"}
    with pytest.raises(codepipeline.ProtocolError):
        pair[2].list_pipelines()


# ---- parameters ----

STAGES = [
    {
        "name": "s",
        "actions": [
            {"name": "a", "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"}}
        ],
    }
] * 2
PIPELINE = {"name": "p", "roleArn": "arn:aws:iam::123456789012:role/r", "stages": STAGES}
ACTION_TYPE = {"category": "Build", "owner": "Custom", "provider": "P", "version": "1"}
JOB = "12345678-1234-1234-1234-123456789012"
REVISION = {"revision": "r", "changeIdentifier": "c"}
REFUSED_BY_BOTH = [
    ("GetPipeline", {}),
    ("GetPipeline", {"name": None}),
    ("GetPipeline", {"name": 1}),
    ("GetPipeline", {"name": ["a"]}),
    ("GetPipeline", {"name": b"a"}),
    ("GetPipeline", {"name": ""}),
    ("GetPipeline", {"name": "a", "nmae": "b"}),
    ("GetPipeline", {"name": "a", "version": "1"}),
    ("GetPipeline", {"name": "a", "version": None}),
    ("GetPipeline", {"name": "a", "version": 1.5}),
    ("GetPipeline", {"name": "a", "version": 0}),
    ("CreatePipeline", {"pipeline": "p"}),
    ("CreatePipeline", {"pipeline": {}}),
    ("CreatePipeline", {"pipeline": {**PIPELINE, "stages": {}}}),
    ("CreatePipeline", {"pipeline": {**PIPELINE, "stages": [{"name": "s"}]}}),
    ("CreatePipeline", {"pipeline": {**PIPELINE, "stages": [{"name": "s", "actions": [{}]}]}}),
    ("CreatePipeline", {"pipeline": {**PIPELINE, "extra": 1}}),
    ("CreatePipeline", {"pipeline": {**PIPELINE, "stages": STAGES[0]}}),
    ("PollForJobs", {"actionTypeId": {**ACTION_TYPE, "version": ""}}),
    ("PollForJobs", {"actionTypeId": ACTION_TYPE, "maxBatchSize": 0}),
    ("PollForJobs", {"actionTypeId": ACTION_TYPE, "queryParam": []}),
    ("PollForJobs", {"actionTypeId": ACTION_TYPE, "queryParam": {"k": 1}}),
    ("PutJobSuccessResult", {"jobId": JOB, "currentRevision": {**REVISION, "created": "yesterday"}}),
    ("PutJobSuccessResult", {"jobId": JOB, "currentRevision": {**REVISION, "created": []}}),
    ("DisableStageTransition", {"pipelineName": "p", "stageName": "s", "transitionType": "Inbound"}),
    ("TagResource", {"resourceArn": "arn:aws:codepipeline:r:123456789012:p", "tags": [{"key": "k"}]}),
    ("StartPipelineExecution", {"name": "p", "variables": []}),
]
REFUSED_BY_US = [
    ("GetPipeline", {"name": "x" * 101}),  # longer than the service takes
    ("GetPipeline", {"name": "a b"}),  # a pattern
    ("GetPipeline", {"name": "a", "version": True}),  # a bool is not an integer
    ("PollForJobs", {"actionTypeId": {**ACTION_TYPE, "category": "Bake"}}),  # not one of the enumeration
    ("ListPipelines", {"maxResults": 1001}),  # above the maximum
]


@pytest.mark.parametrize(("name", "params"), REFUSED_BY_BOTH)
def test_bad_parameters_are_refused_by_both(pair, name, params):
    pair[0].say({})
    before = len(pair[0].requests)
    theirs, ours = refusals(pair, name, params)
    assert type(ours).__name__ == type(theirs).__name__ == "ParamValidationError"
    assert len(pair[0].requests) == before


@pytest.mark.parametrize(("name", "params"), REFUSED_BY_US)
def test_differs_what_the_service_would_refuse_is_not_sent(pair, name, params):
    pair[0].say({})
    getattr(pair[1], METHODS[name])(**params)
    with pytest.raises(codepipeline.ParamValidationError) as refused:
        getattr(pair[2], METHODS[name])(**params)
    assert refused.value.path


@pytest.mark.parametrize(("name", "params"), [("GetPipeline", {"name": "a", "version": 2.0})])
def test_differs_a_whole_number_may_be_a_float(pair, name, params):
    pair[0].say({})
    with pytest.raises(botocore.exceptions.ParamValidationError):
        getattr(pair[1], METHODS[name])(**params)
    getattr(pair[2], METHODS[name])(**params)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.datetime(2015, 8, 30, 12, 36),
        datetime.datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
        datetime.datetime(2015, 8, 30, 14, 36, 0, 250000, tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        1440938160.5,
        "2015-08-30T14:36:00.250+02:00",
        1440938160,
        "2015-08-30T12:36:00Z",
        "2015-08-30",
        "1440938160",
    ],
)
def test_moments_are_sent_alike(pair, moment):
    answers, theirs, ours = pair
    answers.say({})
    params = {"jobId": JOB, "currentRevision": {**REVISION, "created": moment}}
    theirs.put_job_success_result(**params)
    wanted = answers.sent
    ours.put_job_success_result(**params)
    assert answers.sent == wanted
