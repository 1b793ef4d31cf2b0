# SPDX-License-Identifier: MIT
"""The emulator inside a Python process; what it does as a service is tested in tests/c and by the peers."""

import os
import socket
import subprocess
import sys
import urllib.request

import pytest

import codepipeline


def add_type(client, provider):
    client.create_custom_action_type(
        category="Build",
        provider=provider,
        version="1",
        inputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
        outputArtifactDetails={"minimumCount": 0, "maximumCount": 1},
    )


def providers(client):
    return [t["id"]["provider"] for t in client.paginate("list_action_types", actionOwnerFilter="Custom")]


def test_it_runs_while_the_block_lasts():
    with codepipeline.Emulator() as emulator:
        assert emulator.url.startswith("http://127.0.0.1:") and emulator.url in repr(emulator)
        client = emulator.client()
        assert client.list_pipelines()["pipelines"] == []
        assert not emulator.closed
    assert emulator.closed and "closed" in repr(emulator)
    with pytest.raises(codepipeline.StateError, match="the emulator is closed"):
        emulator.client()
    emulator.close()
    with pytest.raises(codepipeline.NetworkError):
        codepipeline.Client(
            "us-east-1", endpoint_url=emulator.url, access_key_id="a", secret_access_key="b", max_attempts=1
        ).list_pipelines()
    with pytest.raises(codepipeline.StateError):
        emulator.create_bucket("late")


def test_its_environment_points_a_client_at_it(monkeypatch):
    with codepipeline.Emulator(region="eu-west-1") as emulator:
        environ = emulator.environ
        assert environ["AWS_REGION"] == "eu-west-1"
        assert environ["AWS_ENDPOINT_URL_CODEPIPELINE"].startswith(emulator.url)
        assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"} <= set(environ)
        environ.clear()
        assert emulator.environ
        for name, value in emulator.environ.items():
            monkeypatch.setenv(name, value)
        assert codepipeline.Client().list_pipelines()["pipelines"] == []


def test_two_of_them_know_nothing_of_each_other():
    with codepipeline.Emulator() as one, codepipeline.Emulator() as two:
        add_type(one.client(), "Mine")
        assert providers(one.client()) == ["Mine"]
        assert providers(two.client()) == []


def test_a_file_keeps_its_state(tmp_path):
    path = tmp_path / "state.db"
    with codepipeline.Emulator(path=path) as emulator:
        add_type(emulator.client(), "Kept")
    with codepipeline.Emulator(path=str(path)) as emulator:
        assert providers(emulator.client()) == ["Kept"]


def test_a_port_in_use_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(codepipeline.SystemFailure, match=str(port)) as caught:
            codepipeline.Emulator(port)
    assert isinstance(caught.value, OSError)


def test_a_file_that_is_not_its_own_is_refused(tmp_path):
    (tmp_path / "letter.txt").write_text("dear reader, " * 100)
    with pytest.raises(codepipeline.SystemFailure, match="letter.txt"):
        codepipeline.Emulator(path=tmp_path / "letter.txt")
    with pytest.raises(codepipeline.SystemFailure):
        codepipeline.Emulator(path=tmp_path / "no" / "such" / "folder")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"colour": 1}, TypeError),
        ({"port": "x"}, TypeError),
        ({"port": 70000}, ValueError),
        ({"port": -1}, ValueError),
        ({"repeats": "maybe"}, ValueError),
    ],
)
def test_malformed_options_are_refused(options, kind):
    with pytest.raises(kind):
        codepipeline.Emulator(**options)


def test_an_unsigned_request_is_refused(emulator):
    request = urllib.request.Request(
        emulator.url,
        data=b"{}",
        headers={
            "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Target": "CodePipeline_20150709.ListPipelines",
        },
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=10)
    assert caught.value.code in (400, 403)
    caught.value.close()


def test_a_process_that_forgets_to_close_it_ends():
    code = "import codepipeline; e = codepipeline.Emulator(); e.client().list_pipelines(); print(e.url)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0 and done.stdout.startswith("http://"), done.stderr


@pytest.mark.filterwarnings("ignore:This process")
def test_the_child_of_a_fork_does_not_take_it_along(emulator):
    client = codepipeline.Client()
    child = os.fork()
    if child == 0:
        emulator.close()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.list_pipelines()["pipelines"] == []
