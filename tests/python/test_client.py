# SPDX-License-Identifier: MIT
"""The client: its methods, its options, its errors; against the emulator and against servers that misbehave."""

import gc
import inspect
import os
import pickle
import re
import subprocess
import sys
import threading

import pytest

import codepipeline
from codepipeline import _core, exceptions
from servers import KEYS, answering, dead_url, stalling

NAMES = [row[0] for row in _core.operations()]


def pipeline(name="p"):
    source = {
        "name": "Fetch",
        "actionTypeId": {"category": "Source", "owner": "AWS", "provider": "S3", "version": "1"},
        "configuration": {"S3Bucket": "source", "S3ObjectKey": "app.zip", "PollForSourceChanges": "false"},
        "outputArtifacts": [{"name": "Source"}],
    }
    approve = {
        "name": "Approve",
        "actionTypeId": {"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"},
    }
    return {
        "name": name,
        "roleArn": "arn:aws:iam::123456789012:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "stages": [{"name": "Source", "actions": [source]}, {"name": "Approve", "actions": [approve]}],
    }


@pytest.fixture(scope="module")
def server():
    with answering() as pair:
        yield pair


@pytest.fixture
def answers(server):
    server[0].say({})
    return server[0]


@pytest.fixture
def canned(server, answers):
    """A client of the answering server."""
    return server[1]


def at(url, **options):
    return codepipeline.Client("us-east-1", endpoint_url=url, **{"max_attempts": 1, **KEYS, **options})


# ---- calling ----


def test_every_operation_is_a_documented_method():
    assert len(NAMES) == 44
    for name, method, doc, *_ in _core.operations():
        function = getattr(codepipeline.Client, method)
        assert function.__name__ == method
        assert function.__doc__.startswith(doc) and name in function.__doc__


def test_a_pipeline_is_made_read_changed_listed_and_deleted(client):
    made = client.create_pipeline(pipeline=pipeline())
    assert made["pipeline"]["version"] == 1
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert made["ResponseMetadata"]["RequestId"]
    got = client.get_pipeline(name="p")
    assert got["metadata"]["created"].tzinfo is not None
    changed = got["pipeline"]
    changed["stages"][1]["name"] = "Ask"
    assert client.update_pipeline(pipeline=changed)["pipeline"]["version"] == 2
    assert client.get_pipeline(name="p", version=1)["pipeline"]["stages"][1]["name"] == "Approve"
    assert [p["name"] for p in client.list_pipelines()["pipelines"]] == ["p"]
    client.delete_pipeline(name="p")
    assert client.list_pipelines()["pipelines"] == []


def test_call_takes_both_names_of_an_operation(client):
    assert client.call("ListPipelines")["pipelines"] == client.call("list_pipelines", maxResults=3)["pipelines"] == []
    with pytest.raises(codepipeline.ParamValidationError, match="ListEverything"):
        client.call("ListEverything")


def test_operations_take_keyword_arguments_only(client):
    with pytest.raises(TypeError):
        client.get_pipeline("p")


def test_paginate_yields_the_items_of_all_pages(client):
    for number in range(5):
        client.create_pipeline(pipeline=pipeline(f"p{number}"))
    names = [p["name"] for p in client.paginate("list_pipelines", maxResults=2)]
    assert sorted(names) == [f"p{number}" for number in range(5)]
    assert len(list(client.paginate("ListPipelines"))) == 5


def test_paginate_refuses_what_has_no_pages(client):
    with pytest.raises(codepipeline.ParamValidationError, match='"get_pipeline" has no pages'):
        client.paginate("get_pipeline", name="p")
    meant = '"list_pipeline" is not an operation; did you mean "list_pipelines"\\?'
    with pytest.raises(codepipeline.ParamValidationError, match=meant):
        client.paginate("list_pipeline")
    with pytest.raises(TypeError, match="a hook is a function, not 3"):
        client.on("request", 3)
    with pytest.raises(codepipeline.ParamValidationError, match='"nonsense" is not an operation'):
        client.paginate("nonsense")


def test_paginate_stops_when_a_page_repeats_its_token(canned, answers):
    answers.say({"pipelines": [{"name": "p"}], "nextToken": "t"})
    with pytest.raises(codepipeline.ProtocolError, match="repeated a page token"):
        list(canned.paginate("list_pipelines"))


def test_the_idempotency_token_is_filled_in(canned, answers):
    answers.say({"pipelineExecutionId": "1"})
    canned.start_pipeline_execution(name="p")
    first = answers.sent["clientRequestToken"]
    canned.start_pipeline_execution(name="p")
    assert first and answers.sent["clientRequestToken"] != first
    canned.start_pipeline_execution(name="p", clientRequestToken="mine")
    assert answers.sent["clientRequestToken"] == "mine"


# ---- arguments that are wrong ----


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        (lambda p: p["stages"][0]["actions"][0].pop("actionTypeId"), "stages[0].actions[0].actionTypeId", "missing"),
        (lambda p: p.update(name=None), "name", "null"),
        (lambda p: p.update(stages={}), "stages", "list"),
        (lambda p: p.update(version="1"), "version", "integer"),
        (lambda p: p.update(colour="red"), "colour", ""),
    ],
)
def test_a_bad_parameter_is_named_and_nothing_is_sent(canned, answers, change, path, text):
    wrong = pipeline()
    change(wrong)
    before = len(answers.requests)
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        canned.create_pipeline(pipeline=wrong)
    assert len(answers.requests) == before
    assert caught.value.path == "pipeline." + path
    assert str(caught.value).startswith(f"pipeline.{path}: ")
    assert text in str(caught.value)
    assert caught.value.operation == "CreatePipeline"


def test_the_third_action_is_counted_from_zero(canned):
    wrong = pipeline()
    actions = wrong["stages"][0]["actions"]
    actions += [dict(actions[0], name=f"a{i}", actionTypeId=dict(actions[0]["actionTypeId"])) for i in range(2)]
    actions[2]["actionTypeId"]["version"] = "1234567890"
    with pytest.raises(codepipeline.ParamValidationError) as caught:
        canned.create_pipeline(pipeline=wrong)
    assert str(caught.value) == "pipeline.stages[0].actions[2].actionTypeId.version: longer than 9"


# ---- errors of the service ----


def test_an_error_carries_all_that_came_with_it(client):
    with pytest.raises(client.exceptions.PipelineNotFoundException) as caught:
        client.get_pipeline(name="nowhere")
    error = caught.value
    assert isinstance(error, codepipeline.ClientError) and isinstance(error, codepipeline.CodePipelineError)
    assert error.status == "SERVICE"
    assert error.code == "PipelineNotFoundException"
    assert error.operation == error.operation_name == "GetPipeline"
    assert error.http_status == 400
    assert error.attempts == 1 and error.retryable is False
    assert "nowhere" in error.message
    assert str(error) == (
        f"An error occurred (PipelineNotFoundException) when calling the GetPipeline operation: {error.message}"
    )
    assert error.response["Error"] == {"Code": error.code, "Message": error.message}
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert error.response["ResponseMetadata"]["RequestId"] == error.request_id != ""


@pytest.mark.parametrize("code", _core.error_names())
def test_each_modelled_error_has_its_class(canned, answers, code):
    answers.error(code, "because")
    with pytest.raises(getattr(exceptions, code)) as caught:
        canned.list_pipelines()
    assert type(caught.value).__name__ == code
    assert type(caught.value) is getattr(canned.exceptions, code)
    assert caught.value.message == "because"
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is type(caught.value) and vars(copy) == vars(caught.value) and str(copy) == str(caught.value)


def test_an_error_the_model_lacks_is_a_client_error(canned, answers):
    answers.error("AccessDeniedException", "not you", 403)
    with pytest.raises(codepipeline.ClientError) as caught:
        canned.list_pipelines()
    assert type(caught.value) is codepipeline.ClientError
    assert (caught.value.code, caught.value.http_status) == ("AccessDeniedException", 403)
    assert caught.value.failure_type == "PermissionError"


def test_the_exceptions_module_lists_its_classes():
    assert {"ClientError", "PipelineNotFoundException"} <= set(dir(exceptions))
    assert issubclass(exceptions.StageNotFoundException, exceptions.ClientError)
    assert exceptions.StageNotFoundException("gone").code == "StageNotFoundException"
    with pytest.raises(AttributeError):
        exceptions.NoSuchException  # noqa: B018


def test_every_kind_of_error_survives_pickling():
    for name in ("ParamValidationError", "NetworkError", "TimeoutError", "SystemFailure", "StateError"):
        error = getattr(codepipeline, name)("text", path="a.b", attempts=2)
        copy = pickle.loads(pickle.dumps(error))
        assert type(copy) is type(error) and vars(copy) == vars(error) and str(copy) == "text"


# ---- a network that misbehaves ----


def test_a_dead_endpoint_is_a_network_error():
    with pytest.raises(codepipeline.NetworkError) as caught:
        at(dead_url(), max_attempts=2).list_pipelines()
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.attempts == 2 and caught.value.retryable and caught.value.retry_delay > 0
    assert caught.value.http_status == 0


def test_a_silent_server_is_a_timeout():
    with stalling() as url, pytest.raises(codepipeline.TimeoutError) as caught:
        at(url, read_timeout=0.2).list_pipelines()
    assert isinstance(caught.value, TimeoutError)


def test_a_body_cut_short_is_an_error_not_an_answer(canned, answers):
    answers.say({"pipelines": [{"name": "p"}]})
    answers.cut = 5
    try:
        with pytest.raises((codepipeline.NetworkError, codepipeline.ProtocolError)):
            canned.list_pipelines()
    finally:
        answers.cut = 0


def test_an_answer_above_the_limit_is_refused(canned, answers):
    answers.say({"pipelines": [{"name": "p" * 100}] * 100})
    with codepipeline.Client("us-east-1", endpoint_url=canned.endpoint_url, response_limit=5000, **KEYS) as small:
        with pytest.raises(codepipeline.TooLargeError):
            small.list_pipelines()


def test_a_failed_attempt_is_repeated(canned, answers):
    answers.error("ThrottlingException", "slow down")
    patient = at(canned.endpoint_url, max_attempts=2)
    with pytest.raises(codepipeline.ClientError) as caught:
        patient.list_pipelines()
    assert caught.value.attempts == 2 and caught.value.retryable


# ---- options ----


def test_a_region_is_needed():
    with pytest.raises(codepipeline.ConfigurationError, match="region"):
        codepipeline.Client()


def test_keys_are_needed_for_a_call_and_come_in_pairs():
    keyless = codepipeline.Client("us-east-1", endpoint_url="http://127.0.0.1:1")
    with pytest.raises(codepipeline.CredentialsError):
        keyless.list_pipelines()
    with pytest.raises(codepipeline.ParamValidationError):
        codepipeline.Client("us-east-1", access_key_id="AKID")


def test_a_wrong_secret_is_refused(emulator):
    with pytest.raises(codepipeline.ClientError) as caught:
        emulator.client(secret_access_key="wrong").list_pipelines()
    assert caught.value.code == "InvalidSignatureException"
    assert "wrong" not in str(caught.value)


def test_the_names_of_boto3_are_understood(emulator):
    environ = emulator.environ
    client = codepipeline.client(
        "codepipeline",
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
        aws_session_token=None,
        endpoint_url=emulator.url,
    )
    assert client.list_pipelines()["pipelines"] == []
    assert client.meta.region_name == client.region == environ["AWS_REGION"]
    with pytest.raises(TypeError, match="region"):
        codepipeline.Client("us-east-1", region_name="us-east-1")
    with pytest.raises(ValueError, match="s3"):
        codepipeline.client("s3")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"colour": "red"}, TypeError),
        ({"region": 1}, TypeError),
        ({"read_timeout": 0}, ValueError),
        ({"read_timeout": -1}, ValueError),
        ({"connect_timeout": float("nan")}, ValueError),
        ({"total_timeout": "long"}, TypeError),
        ({"max_attempts": -1}, ValueError),
        ({"response_limit": -1}, ValueError),
        ({"endpoint_url": "not a url"}, codepipeline.ConfigurationError),
        ({"region": "eu west"}, codepipeline.ConfigurationError),
        ({"access_key_id": "a\r\nb", "secret_access_key": "c"}, ValueError),
    ],
)
def test_a_malformed_option_is_refused(options, kind):
    with pytest.raises(kind):
        codepipeline.Client(**{"region": "us-east-1", **options})


def test_a_repr_shows_where_it_goes_and_no_secret():
    text = repr(at("http://127.0.0.1:1", secret_access_key="hidden", session_token="token"))
    assert "us-east-1" in text and "http://127.0.0.1:1" in text
    assert "hidden" not in text and "token" not in text


def test_a_region_that_is_a_name_for_fips_is_the_region_with_fips():
    client = codepipeline.Client("fips-us-east-1", **KEYS)
    assert client.meta.region_name == "us-east-1"
    assert client.meta.endpoint_url == "https://codepipeline-fips.us-east-1.amazonaws.com"
    view = client.with_options(region="us-west-2-fips", use_fips_endpoint=False)
    assert view.meta.endpoint_url == "https://codepipeline-fips.us-west-2.amazonaws.com"


# ---- life of a client ----


def test_a_closed_client_refuses_calls(canned):
    client = at(canned.endpoint_url)
    client.list_pipelines()
    client.close()
    client.close()
    assert client.closed
    with pytest.raises(codepipeline.StateError):
        client.list_pipelines()
    with at(canned.endpoint_url) as other:
        other.list_pipelines()
    assert other.closed


def test_threads_share_a_client(client):
    client.create_pipeline(pipeline=pipeline())
    wrong = []

    def work():
        for _ in range(40):
            if client.get_pipeline(name="p")["pipeline"]["name"] != "p":
                wrong.append("name")
            try:
                client.get_pipeline(name="nowhere")
            except client.exceptions.PipelineNotFoundException as error:
                if error.operation != "GetPipeline":
                    wrong.append("operation")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.filterwarnings("ignore:This process")
def test_a_client_survives_fork(client):
    client.list_pipelines()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.list_pipelines()["pipelines"] == [] else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert client.list_pipelines()["pipelines"] == []


def growth(function, times):
    """Blocks of memory that so many calls leave behind, at the best of five: caches fill once, a leak never ends."""
    found = []
    for _ in range(5):
        before = sys.getallocatedblocks()
        for _ in range(times):
            function()
        gc.collect()
        found.append(sys.getallocatedblocks() - before)
    return min(found)


def test_calls_and_errors_leak_nothing(canned, answers):
    def calls():
        answers.say({"pipelines": [{"name": "p", "created": 1.5, "version": 1}], "nextToken": "t"})
        canned.list_pipelines(nextToken="x", maxResults=5)
        for wrong in ({"nextToken": {"a": set()}}, {"maxResults": 2**80}, {"maxResults": "x"}):
            with pytest.raises(codepipeline.ParamValidationError):
                canned.list_pipelines(**wrong)
        answers.error("InvalidNextTokenException")
        with pytest.raises(codepipeline.ClientError):
            canned.list_pipelines()
        at(canned.endpoint_url).close()
        answers.requests.clear()

    assert growth(calls, 100) < 50


# ---- the package ----


def python(code, *options, **environ):
    command = [sys.executable, *options, "-c", code]
    return subprocess.run(command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=60)


def test_importing_the_package_loads_nothing_heavy():
    done = python(
        "import sys; before = set(sys.modules); import codepipeline; codepipeline.Client; "
        "print(*sorted({n.split('.')[0] for n in set(sys.modules) - before}))"
    )
    assert done.stdout.split() == ["codepipeline"], done.stderr


LOADED = "{l.split()[-1] for l in open('/proc/self/maps') if '.so' in l}"


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="there is no /proc")
def test_libraries_are_loaded_when_they_are_first_needed():
    done = python(
        f"import codepipeline; imported = {LOADED}; client = codepipeline.Client(region_name='us-east-1')\n"
        f"made = {LOADED}; emulator = codepipeline.Emulator(); started = {LOADED}\n"
        "for names in (imported, made - imported, started - made): print(*names)"
    )
    assert done.returncode == 0, done.stderr
    imported, made, started = done.stdout.splitlines()
    for name in ("libcurl", "libgnutls", "libmicrohttpd", "libarchive", "libsqlite"):
        assert name not in imported
    assert "libcrypto" in imported
    assert "libcurl" in made and "libmicrohttpd" not in made
    assert "libmicrohttpd" in started and "libsqlite" not in started and "libarchive" not in started


@pytest.mark.parametrize(
    "called, files, code",
    [
        ("libcurl", ["libcurl.so.4", "libcurl-gnutls.so.4"], "codepipeline.Client(region_name='us-east-1')"),
        ("libmicrohttpd", ["libmicrohttpd.so.12"], "codepipeline.Emulator()"),
        ("SQLite", ["libsqlite3.so.0"], "codepipeline.Emulator(path='kept.db')"),
        ("libarchive", ["libarchive.so.13"], "codepipeline.pack('.', 'x.zip')"),
    ],
)
def test_a_library_that_cannot_be_loaded_is_named_where_it_is_needed(tmp_path, called, files, code):
    for name in files:
        (tmp_path / name).touch()
    done = python(
        f"import codepipeline, os; os.chdir({str(tmp_path)!r})\n"
        "for _ in range(2):\n"
        f"    try: {code}\n"
        "    except codepipeline.CodePipelineError as err: print(err.status, err)\n",
        LD_LIBRARY_PATH=str(tmp_path),
    )
    assert done.returncode == 0, done.stderr
    for line in done.stdout.splitlines():
        assert re.match(rf"IO .*{called} cannot be loaded: .*{files[0]}", line)
    assert len(done.stdout.splitlines()) == 2


def test_the_package_works_under_a_checking_allocator(emulator):
    code = (
        "import codepipeline\n"
        "client = codepipeline.Client()\n"
        "for _ in range(20):\n"
        "    client.list_pipelines()\n"
        "    try: client.get_pipeline(name='x')\n"
        "    except client.exceptions.PipelineNotFoundException: pass\n"
        "    try: client.get_pipeline(name=1)\n"
        "    except codepipeline.ParamValidationError: pass\n"
        "del client\n"
    )
    done = python(code, "-X", "dev", PYTHONMALLOC="debug")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_package_can_be_loaded_again_and_again():
    code = (
        "import gc, sys\n"
        "for _ in range(5):\n"
        "    import codepipeline\n"
        "    with codepipeline.Emulator() as emulator:\n"
        "        assert emulator.client().list_pipelines()['pipelines'] == []\n"
        "    del codepipeline, emulator\n"
        "    for name in [name for name in sys.modules if name.startswith('codepipeline')]:\n"
        "        del sys.modules[name]\n"
        "    gc.collect()\n"
    )
    done = python(code, PYTHONMALLOC="debug")
    assert (done.returncode, done.stderr) == (0, "")


def test_every_public_name_is_there_and_documented():
    for name in codepipeline.__all__:
        assert getattr(codepipeline, name).__doc__, name
        assert name in dir(codepipeline)
    with pytest.raises(AttributeError):
        codepipeline.nonsense  # noqa: B018
    assert codepipeline.__version__ == _core.version


def test_every_public_member_of_a_class_is_documented():
    """In its class, or in one that it is inherited from."""
    bare = []
    classes = [getattr(codepipeline, name) for name in codepipeline.__all__] + [codepipeline.testing.Demo]
    for kind in filter(inspect.isclass, classes):
        for name, member in vars(kind).items():
            if not name.startswith("_") and (callable(member) or isinstance(member, (property, classmethod))):
                if not inspect.getdoc(getattr(kind, name)):
                    bare.append(f"{kind.__name__}.{name}")
    assert bare == []


def test_handles_of_the_core_cannot_be_made_by_hand():
    with pytest.raises(TypeError):
        _core.Job()
    with pytest.raises(TypeError):
        _core.Worker(object())
