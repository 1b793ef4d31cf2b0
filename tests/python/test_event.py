# SPDX-License-Identifier: MIT
"""The event in which Lambda gets a job."""

import json
import subprocess
import sys

import pytest

import codepipeline
from conftest import ROOT

CASES = json.loads((ROOT / "tests/vectors/events/cases.json").read_text(encoding="utf-8"))


def named(kind):
    return [pytest.param(case, id=case["name"]) for case in CASES[kind]]


def values(artifact):
    return {name: value for name, value in vars(artifact).items() if value is not None}


@pytest.mark.parametrize("case", named("refused"))
def test_a_malformed_event_is_refused_with_the_path_of_the_fault(case):
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        codepipeline.Event(case.get("text", case.get("event")))
    assert (caught.value.path or "") == case["path"]
    assert case["message"] in str(caught.value)
    assert caught.value.failure_type == "ConfigurationError"


@pytest.mark.parametrize("case", named("accepted"))
@pytest.mark.parametrize("form", [lambda event: event, json.dumps, lambda event: json.dumps(event).encode()])
def test_an_event_is_read_whatever_it_lacks(case, form):
    event = codepipeline.Event(form(case["event"]))
    assert event.id == event.correlation_id == case["id"]
    for name in ("account_id", "function_name", "user_parameters", "continuation_token", "encryption_key"):
        assert getattr(event, name) == case.get(name)
    assert [values(artifact) for artifact in event.input_artifacts] == case["inputs"]
    assert [values(artifact) for artifact in event.output_artifacts] == case["outputs"]
    assert (event.credentials and event.credentials.access_key_id) == case.get("access_key_id")
    assert event.raw == case["event"]


def test_events_of_other_projects_are_read(suite):
    paths = sorted((suite("payloads") / "job-events").glob("*.json"))
    assert paths
    for path in paths:
        text = path.read_text(encoding="utf-8")
        event = codepipeline.Event(text)
        data = json.loads(text)["CodePipeline.job"]["data"]
        assert event.credentials.secret_access_key == data["artifactCredentials"]["secretAccessKey"]
        assert event.continuation_token == data.get("continuationToken")
        assert len(event.input_artifacts) == 1


def test_secrets_are_not_shown():
    event = codepipeline.Event(CASES["accepted"][2]["event"])
    assert event.credentials.secret_access_key == "canary-secret"
    assert event.credentials.session_token == "canary-token"
    for thing in (event, event.credentials, event.input_artifacts, event.output_artifacts):
        assert "canary" not in repr(thing) + str(thing)


def test_user_parameters_are_decoded_when_asked():
    def parameters(text):
        return codepipeline.Event(codepipeline.sample_event(user_parameters=text)).user_parameters_json()

    assert parameters('{"stack": "s", "file": null}') == {"stack": "s", "file": None}
    assert parameters(None) is None
    with pytest.raises(codepipeline.ParamValidationError, match="UserParameters: not JSON"):
        parameters("some-input-such-as-a-URL")


def test_what_is_no_event_at_all_is_a_type_error_or_refused():
    for nothing in (None, 5, ["x"], object()):
        with pytest.raises((TypeError, codepipeline.ParamValidationError)):
            codepipeline.Event(nothing)
    with pytest.raises(TypeError):
        codepipeline.sample_event(colour="red")
    with pytest.raises(TypeError):
        codepipeline.sample_event(account_id=1)


# ---- samples ----

OPTIONS = {
    "id": "j-1",
    "account_id": "210987654321",
    "function_name": "f",
    "user_parameters": 'say "hi"\n',
    "input_bucket": "ib",
    "input_key": "ik",
    "output_bucket": "ob",
    "output_key": "ok",
    "continuation_token": "t",
    "encryption_key": "arn:aws:kms:eu-west-1:123456789012:key/1",
}


def test_a_sample_has_what_was_asked_for():
    event = codepipeline.Event(codepipeline.sample_event(**OPTIONS))
    artifacts = {
        "input_bucket": event.input_artifacts[0].bucket,
        "input_key": event.input_artifacts[0].key,
        "output_bucket": event.output_artifacts[0].bucket,
        "output_key": event.output_artifacts[0].key,
    }
    assert {name: artifacts.get(name) or getattr(event, name) for name in OPTIONS} == OPTIONS
    assert event.output_artifacts[0].revision is None


def test_a_sample_of_nothing_is_as_sam_has_it():
    event = codepipeline.Event(codepipeline.sample_event())
    assert event.account_id == "123456789012"
    assert (event.input_artifacts[0].bucket, event.input_artifacts[0].key) == ("example-bucket", "test/key")
    assert (event.output_artifacts[0].bucket, event.output_artifacts[0].key) == ("example-bucket2", "test/key2")
    assert event.user_parameters is event.continuation_token is event.encryption_key is None


def command(*arguments):
    code = "import sys; from codepipeline._commands import event; sys.argv[0] = 'codepipeline-event'; sys.exit(event())"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)


def test_the_command_prints_the_same_sample():
    done = command()
    assert done.returncode == 0 and json.loads(done.stdout) == codepipeline.sample_event()
    assert done.stdout.startswith('{\n  "CodePipeline.job": {\n    "id":')
    options = [text for name, value in OPTIONS.items() for text in ("--" + name.replace("_", "-"), value)]
    assert json.loads(command(*options).stdout) == codepipeline.sample_event(**OPTIONS)


def test_the_command_explains_itself_and_refuses_what_it_does_not_know():
    done = command("--help")
    assert done.returncode == 0
    assert all("--" + name.replace("_", "-") in done.stdout for name in OPTIONS)
    assert command("--version").stdout == f"codepipeline-event {codepipeline.__version__}\n"
    for wrong in (["--colour", "red"], ["job"], ["--id"]):
        done = command(*wrong)
        assert done.returncode == 2 and "usage: codepipeline-event" in done.stderr and done.stdout == ""
