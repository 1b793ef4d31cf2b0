# SPDX-License-Identifier: MIT
"""All 44 operations, and every error the emulator has for them, with boto3 and the AWS SDK for JavaScript, unmodified.

The calls stand in tests/scenarios/operations.json, once for both; tests/scenarios/README.md says how they are written.
"""

import datetime
import json
import re
import urllib.request

import pytest

from conftest import ROOT
from test_peer_boto3 import zip_of

TABLE = json.loads((ROOT / "tests/scenarios/operations.json").read_text())
UTC = datetime.timezone.utc


# ---- the table's notation ----


def read(value, path):
    """What stands at "jobs.0.id"; None: nothing."""
    for step in path.split("."):
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def fill(value, names):
    """The value with "${name}" replaced, and the $-objects made."""
    if isinstance(value, str):
        whole = re.fullmatch(r"\$\{([^}]*)\}", value)
        if whole:
            return fill(names[whole.group(1)], names)
        return re.sub(r"\$\{([^}]*)\}", lambda match: str(names[match.group(1)]), value)
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if not isinstance(value, dict):
        return value
    if "$list" in value:
        return [fill(value["of"], {**names, "i": i}) for i in range(value["$list"])]
    if "$text" in value:
        return "x" * value["$text"]
    if "$time" in value:
        return datetime.datetime.fromtimestamp(value["$time"], UTC)
    return {key: fill(item, names) for key, item in value.items()}


def turn(url, knob, body):
    """Something of the emulator's own, past any SDK."""
    request = urllib.request.Request(url + "/_emulator" + knob, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 200


# ---- an answer, against botocore's own model ----

KINDS = {"string": (str,), "boolean": (bool,), "integer": (int,), "long": (int,), "timestamp": (int, float)}


def check_structure(shape, value, path):
    assert isinstance(value, dict), path
    for name in shape.required_members:
        assert name in value, f"{path}.{name} is required"
    for name, item in value.items():
        assert name in shape.members, f"{path}.{name} is in no model"
        check_answer(shape.members[name], item, f"{path}.{name}")


def check_answer(shape, value, path):
    """That a JSON answer has what the model says, and nothing else: parsers drop what they do not know."""
    if shape.type_name == "structure":
        check_structure(shape, value, path)
    elif shape.type_name == "list":
        for i, item in enumerate(value):
            check_answer(shape.member, item, f"{path}[{i}]")
    elif shape.type_name == "map":
        for key, item in value.items():
            check_answer(shape.key, key, f"{path} key")
            check_answer(shape.value, item, f"{path}.{key}")
    else:
        assert type(value) in KINDS[shape.type_name], f"{path}: {value!r}"
        assert not getattr(shape, "enum", None) or value in shape.enum, f"{path}: {value!r}"


# ---- the runs ----


def boto3_calls(client, url):
    """Every call of the table; answers {operation: what came of it}, "" for success."""
    import botocore

    seen, names = {}, dict(TABLE["let"])

    def check(http_response, model, **_):
        if http_response.status_code == 200 and model.output_shape:
            check_answer(model.output_shape, json.loads(http_response.content), model.name)

    def call(name, given, error):
        method = getattr(client, botocore.xform_name(name))
        if error is None:
            return method(**given)
        with pytest.raises(getattr(client.exceptions, error)) as refused:
            method(**given)
        answer = refused.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (error, 400)
        assert answer["Error"]["Message"] and answer["ResponseMetadata"]["RequestId"]
        return answer

    client.meta.events.register("after-call.codepipeline", check)
    for name, given, *rest in TABLE["calls"]:
        options = rest[0] if rest else {}
        for i in range(options.get("times", 1)):
            scope = {**names, **options.get("with", {}), "i": i}
            if name.startswith("/"):
                turn(url, name, fill(given, scope))
                continue
            answer = call(name, fill(given, scope), options.get("error"))
        if name.startswith("/"):
            continue
        seen.setdefault(name, set()).add(options.get("error", ""))
        names.update({key: read(answer, path) for key, path in options.get("keep", {}).items()})
        for path, value in options.get("expect", {}).items():
            assert read(answer, path) == fill(value, names), f"{name}: {path}"
    return seen


def prepare(boto3_client):
    s3 = boto3_client("s3")
    for bucket in ("source", "site"):
        s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket="source", Key="app.zip", Body=zip_of(**{"main.txt": "hello"}))


def errors_of(model, operation):
    return {shape.name for shape in model.operation_model(operation).error_shapes}


def test_boto3_names_every_answer_and_every_error(emulator, boto3_client):
    import botocore.config

    prepare(boto3_client)
    careless = botocore.config.Config(parameter_validation=False, retries={"total_max_attempts": 1})
    client = boto3_client("codepipeline", config=careless)
    seen = boto3_calls(client, emulator.url)
    model = client.meta.service_model
    assert sorted(seen) == sorted(model.operation_names) and len(seen) == 44
    unreachable = {(name, entry["error"]) for entry in TABLE["unreachable"] for name in entry["operations"]}
    assert all(entry["why"] for entry in TABLE["unreachable"])
    for name, outcomes in seen.items():
        missing = {error for error in errors_of(model, name) if (name, error) not in unreachable}
        assert outcomes == {""} | missing, name
        assert len(outcomes) > 1, f"{name}: no error at all"
        unreachable -= {(name, error) for error in errors_of(model, name)}
    assert unreachable == set(), "these are no errors of these operations"


def test_the_javascript_sdk_names_every_answer_and_every_error(emulator, boto3_client, node):
    prepare(boto3_client)
    seen = json.loads(node("operations.cjs", ROOT / "tests/scenarios/operations.json", emulator.url))
    expected = {}
    for name, _, *rest in TABLE["calls"]:
        if not name.startswith("/"):
            expected.setdefault(name, set()).add(rest[0].get("error", "") if rest else "")
    assert {name: set(outcomes) for name, outcomes in seen.items()} == expected


# ---- the errors that the emulator never gives ----


def test_no_error_is_called_unreachable_that_the_emulator_has_words_for():
    """A code that stands nowhere in its sources cannot be raised; one that does must be raised by the table."""
    sources = "".join(path.read_text() for path in (ROOT / "core/emulator").glob("*.c"))
    raised = {rest[0]["error"] for _, _, *rest in TABLE["calls"] if rest and "error" in rest[0]}
    for entry in TABLE["unreachable"]:
        assert entry["error"] in raised or f'"{entry["error"]}"' not in sources, entry["error"]
