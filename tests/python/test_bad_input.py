# SPDX-License-Identifier: MIT
"""What a worker is given that it cannot work with: the job fails with the type the service has for that, the message
says what to do, and the worker takes the next job. tests/lua/transfer_spec.lua has the same table."""

import logging

import pytest

import codepipeline
from test_worker import World, action


@pytest.fixture
def world(emulator, client, tmp_path):
    return World(emulator, client, tmp_path)


def fetch(job):
    job.input().path()


def unpack(job):
    job.input().extract()


def variables(**named):
    return lambda job: {name.replace("SPACE", " "): value for name, value in named.items()}


# name: what goes wrong, the handler, the FailureType, words of the message
ROWS = {
    "the artifact is gone": (
        {"fault": ("not-found", "GetObject")},
        fetch,
        "ConfigurationError",
        ['the input artifact "Source"', "s3://artifacts/", "lifecycle rule", "release the change again"],
    ),
    "the bucket says no": (
        {"fault": ("access-denied", "GetObject")},
        unpack,
        "PermissionError",
        ['the input artifact "Source"', "s3://artifacts/", "policies of the bucket and of its key"],
    ),
    "the bucket says no to the output": (
        {"fault": ("access-denied", "PutObject"), "outputs": ["Binary"]},
        lambda job: job.output().write(b"made"),
        "PermissionError",
        ['the output artifact "Binary"', "s3://artifacts/", "policies of the bucket and of its key"],
    ),
    "the artifact is no archive": (
        {"source": b"this is a text, and no archive\n" * 100},
        unpack,
        "ConfigurationError",
        ['the input artifact "Source"', "neither a zip, a tar nor a tar.gz", "as a file it can be had"],
    ),
    "the archive is damaged": (
        {"source": b"PK\3\4" + b"\0" * 300},
        unpack,
        "ConfigurationError",
        ['the input artifact "Source"', "the zip file is damaged"],
    ),
    "the user parameters are not JSON": (
        {"configuration": {"UserParameters": "{level: 3}"}},
        lambda job: job.user_parameters_json(),
        "ConfigurationError",
        ["UserParameters", "JSON"],
    ),
    "an output variable has an illegal name": (
        {},
        variables(naSPACEme="x"),
        "ConfigurationError",
        ['the output variable "na me"', "A-Z a-z 0-9 @ - _"],
    ),
    "an output variable is no text": ({}, variables(size=3), "ConfigurationError", ['"size" is not a string']),
    "there is too much in the output variables": (
        {},
        variables(small="x", big="x" * 122880),
        "ConfigurationError",
        ["over the limit of 122880 bytes", '"big"'],
    ),
    "an artifact has another name": (
        {},
        lambda job: job.input("Sauce").path(),
        "ConfigurationError",
        ['no input artifact "Sauce"', 'it has "Source"'],
    ),
    "an output was forgotten": (
        {"outputs": ["Binary"]},
        lambda job: None,
        "ConfigurationError",
        ['the output artifact "Binary"', "neither packed nor written"],
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_job_with_bad_input_fails_and_the_worker_goes_on(emulator, world, tmp_path, name):
    wrong, handler, kind, words = ROWS[name]
    if "source" in wrong:
        (tmp_path / "source").write_bytes(wrong["source"])
        world.client.upload_file(tmp_path / "source", "source", "app.zip")
    options = {"outputs": wrong.get("outputs", ()), **wrong.get("configuration", {})}
    world.start(action("Make", **options), name="bad")
    worker = world.worker()
    handlers = [handler]
    worker.job(category="Build", provider="Builder")(lambda job: handlers[-1](job))
    if "fault" in wrong:
        emulator.fault(*wrong["fault"])
    assert worker.run_once(timeout=10) == "failed"
    error = world.state(name="bad")["errorDetails"]
    assert error["code"] == kind
    for word in words:
        assert word in error["message"]
    handlers.append(lambda job: {"fine": "yes"})
    world.start(action("Make"), name="good")
    assert worker.run_once(timeout=10) == "succeeded"
    assert world.state(name="good")["status"] == "Succeeded"


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"na me": "x"}, 'outputVariables["na me"]'),
        ({"fine": "x", "": "y"}, 'outputVariables[""]'),
        ({"size": 3}, "outputVariables.size"),
        ({"small": "x", "big": "x" * 122880}, "outputVariables.big"),
    ],
)
def test_the_error_of_an_output_variable_has_its_path(client, given, path):
    job = client.job(codepipeline.sample_event())
    job.succeed(given)
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        job.report()
    assert caught.value.path == path
    job.close()


def test_an_unknown_action_type_leaves_the_others_alone(world, caplog):
    world.start(action("Make"))
    worker = world.worker()
    worker.job(category="Build", provider="Typo")(print)
    worker.job(category="Build", provider="Builder")(lambda job: None)
    with caplog.at_level(logging.WARNING, "codepipeline"):
        assert worker.run_once(timeout=10) == "succeeded"
    assert "the action type Build/Typo/1 does not exist in us-east-1; create it, or correct the handler" in caplog.text
    world.add_type("Typo")  # and from then on its jobs are taken, too
    world.start(action("Make", provider="Typo"), name="late")
    assert worker.run_once(timeout=10) == "succeeded"


def test_a_worker_that_knows_unknown_action_types_alone_says_so(world):
    worker = world.worker()
    for provider in ("Typo", "Slip"):
        worker.job(category="Build", provider=provider)(print)
    with pytest.raises(codepipeline.exceptions.ActionTypeNotFoundException, match="create it, or correct"):
        worker.run_once(timeout=10)
