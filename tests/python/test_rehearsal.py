# SPDX-License-Identifier: MIT
"""Worker.test(): handlers in unit tests, without a service; the client here points at a port where nobody is."""

import pathlib

import pytest

import codepipeline


@pytest.fixture
def worker():
    nowhere = "http://127.0.0.1:1"
    client = codepipeline.Client("us-east-1", endpoint_url=nowhere, s3_endpoint_url=nowhere, max_attempts=1)
    return codepipeline.Worker(client)


def test_folders_in_and_folders_out(worker, tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.txt").write_text("hello")

    def build(job, configuration, Source: pathlib.Path, Binary: pathlib.Path, Log):
        (Binary / "copy.txt").write_text((Source / "main.txt").read_text() + configuration["Target"])
        Log.write(b"no archive")
        return job.succeed({"a": "b"}, summary="made", external_execution_id="x-1", percent_complete=100)

    done = worker.test(
        build, inputs={"Source": tmp_path / "src"}, outputs=["Binary", "Log"], configuration={"Target": "!"}
    )
    assert (done.outcome, done.variables, done.message) == ("succeeded", {"a": "b"}, None)
    assert (done.summary, done.external_execution_id, done.percent_complete) == ("made", "x-1", 100)
    assert (done.outputs["Binary"] / "copy.txt").read_text() == "hello!"
    assert done.outputs["Log"].read_bytes() == b"no archive"
    assert repr(done) == "<codepipeline.Rehearsal succeeded>"
    with pytest.raises(ValueError, match="it succeeded"):
        done.resume()


def test_an_archive_may_be_the_input(worker, tmp_path):
    (tmp_path / "main.txt").write_text("hello")
    codepipeline.pack(tmp_path / "main.txt", tmp_path / "app.zip")
    done = worker.test(lambda job: {"files": job.input().read()[:2].decode()}, inputs={"In": tmp_path / "app.zip"})
    assert done.variables == {"files": "PK"}
    assert (tmp_path / "app.zip").exists()


def test_continuations_are_stepped_through(worker):
    def build(job):
        step = job.state or 0
        return job.later(step + 1, after=3600, percent_complete=40) if step < 2 else {"steps": str(step)}

    first = worker.test(build)
    assert (first.outcome, first.state, first.percent_complete) == ("continued", 1, 40)
    last = first.resume().resume()
    assert (last.outcome, last.variables) == ("succeeded", {"steps": "2"})
    assert worker.test(build, state=2).outcome == "succeeded"


def fails(error):
    def handler(job):
        raise error

    return handler


@pytest.mark.parametrize(
    ("handler", "kind", "words"),
    [
        (fails(codepipeline.PermissionFailure("no key")), "PermissionError", "no key"),
        (fails(RuntimeError("broken")), "JobFailed", "RuntimeError: broken"),
        (lambda job: job.fail("no", type="SystemUnavailable"), "SystemUnavailable", "no"),
        (lambda job: {"not a name": "x"}, "ConfigurationError", 'the output variable "not a name" has a name'),
        (lambda job: {"big": "x" * 122878}, "ConfigurationError", "over the limit of 122880 bytes with"),
        (lambda job: job.later("x" * 70000), "ConfigurationError", ""),
        (lambda job, Sauce: None, "ConfigurationError", "no artifact 'Sauce'"),
    ],
)
def test_what_the_service_would_refuse_fails_here_too(worker, handler, kind, words):
    done = worker.test(handler)
    assert (done.outcome, done.failure_type) == ("failed", kind)
    assert words in done.message


def test_the_variables_may_fill_their_limit(worker):
    assert worker.test(lambda job: {"big": "x" * 122877}).outcome == "succeeded"


def test_an_output_that_was_not_staged_fails(worker):
    assert "Binary" in worker.test(lambda job: None, outputs=["Binary"]).message


def test_a_source_action_tells_its_revision(worker):
    done = worker.test(lambda job: job.succeed(revision="abc", revision_summary="fixed"))
    expected = {"revision": "abc", "changeIdentifier": "abc", "revisionSummary": "fixed"}
    assert done.answer["currentRevision"] == expected


def test_the_hooks_run_and_an_event_may_be_given(worker, tmp_path):
    told = []
    worker.before(lambda job: told.append(job.user_parameters))
    event = codepipeline.sample_event(user_parameters="{}")
    done = worker.test(lambda job: job.input().path() and None, event)
    assert told == ["{}"] and 'nothing for the input artifact "input-artifact"' in done.message
    with pytest.raises(codepipeline.SystemFailure):
        worker.test(lambda job: None, inputs={"In": tmp_path / "lost"})
