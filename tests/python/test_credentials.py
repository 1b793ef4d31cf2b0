# SPDX-License-Identifier: MIT
"""Credentials in the caller's hands: providers, codes of a device, none at all; and a clock that is wrong."""

import contextlib
import datetime
import gc
import threading
import time
import weakref
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import codepipeline
from servers import KEYS

DAY = 24 * 3600
STS_ANSWER = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ROLEKEY</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>{}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
STS_LATE = """<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>
<Message>Signature expired</Message></Error></ErrorResponse>"""


class Service:
    """CodePipeline and STS at once: keeps the headers of requests; its clock is off seconds away from ours."""

    def __init__(self):
        self.requests = []  # (is STS, headers, body)
        self.off = 0
        self.status = 200

    def now(self):
        return time.time() + self.off

    def answer(self, sts, headers):
        """(status, body) by the rules of the service's clock."""
        sent = datetime.datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ") if "X-Amz-Date" in headers else None
        late = sent and abs(sent.replace(tzinfo=datetime.timezone.utc).timestamp() - self.now()) > 300
        if sts:
            until = datetime.datetime.fromtimestamp(self.now() + 3600, datetime.timezone.utc)
            return (403, STS_LATE) if late else (200, STS_ANSWER.format(until.strftime("%Y-%m-%dT%H:%M:%SZ")))
        if late:
            return 400, '{"__type": "InvalidSignatureException", "message": "Signature expired"}'
        return 200, '{"pipelines": []}'

    def keys(self):
        return [headers["authorization"].split("=")[1].split("/")[0] for sts, headers, _ in self.requests if not sts]


@pytest.fixture
def service():
    running = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sts = "X-Amz-Target" not in self.headers
            running.requests.append((sts, {name.lower(): value for name, value in self.headers.items()}, body))
            status, text = running.answer(sts, self.headers)
            self.send_response_only(status)
            self.send_header("Date", formatdate(running.now(), usegmt=True))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *unused):
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128  # as many as connect at once

    server = Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    running.url = f"http://127.0.0.1:{server.server_port}"
    yield running
    server.shutdown()
    server.server_close()


@pytest.fixture
def client_of(service):
    with contextlib.ExitStack() as stack:

        def make(**options):
            client = codepipeline.Client("us-east-1", endpoint_url=service.url, **options)
            return stack.enter_context(client)

        yield make


def in_minutes(count):
    return datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=count)


class Frozen:
    access_key, secret_key, token = "FROZEN", "s", None


class Renewing:
    def get_frozen_credentials(self):
        return Frozen()


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (lambda: {"access_key_id": "OURS", "secret_access_key": "s"}, "OURS"),
        (lambda: {"Credentials": {"AccessKeyId": "STS", "SecretAccessKey": "s", "SessionToken": "t"}}, "STS"),
        (lambda: ("TUPLE", "s", "t"), "TUPLE"),
        (Frozen, "FROZEN"),
        (Renewing(), "FROZEN"),
        ({"access_key_id": "DICT", "secret_access_key": "s", "expires": "2099-01-01T00:00:00Z"}, "DICT"),
    ],
)
def test_a_provider_answers_in_many_forms(service, client_of, given, key):
    client_of(credentials=given).list_pipelines()
    assert service.keys() == [key]


@pytest.mark.parametrize(
    "minutes", [5, 60, None]
)  # when it is asked again, tests/c/t_creds_refresh.c turns the clock for
def test_a_provider_is_not_asked_at_every_call(service, client_of, minutes):
    calls = []

    def provider():
        calls.append(1)
        expires = None if minutes is None else in_minutes(minutes)
        return {"access_key_id": f"K{len(calls)}", "secret_access_key": "s", "expires": expires}

    client = client_of(credentials=provider)
    for _ in range(3):
        client.list_pipelines()
    assert calls == [1] and service.keys() == ["K1"] * 3


def test_a_job_outlives_the_client_whose_provider_it_needs_and_lets_go_of_it(service):
    class Provider:
        def __call__(self):
            return "K", "s"

    provider = Provider()
    seen = weakref.ref(provider)
    client = codepipeline.Client("us-east-1", endpoint_url=service.url, credentials=provider)
    job = client.job(codepipeline.sample_event())
    del client, provider
    gc.collect()
    assert seen() is not None
    with job:
        job.fail("not today")
    assert service.keys() == ["K"]
    del job
    gc.collect()
    assert seen() is None


def test_sixty_four_threads_ask_once_and_never_mix(service, client_of):
    calls = []

    def provider():
        calls.append(1)
        time.sleep(0.05)
        return {"access_key_id": f"K{len(calls)}", "secret_access_key": "s", "expires": in_minutes(60)}

    client = client_of(credentials=provider)
    threads = [threading.Thread(target=client.list_pipelines) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 1 and set(service.keys()) == {"K1"} and len(service.keys()) == 64


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "it answered None"),
        ({"access_key_id": "K"}, "without access_key_id or secret_access_key"),
        (("K",), "two or three members"),
        ({"access_key_id": 7, "secret_access_key": "s"}, "access_key_id: a str"),
        ({"access_key_id": "K", "secret_access_key": "s", "expires": datetime.datetime(2030, 1, 1)}, "without a zone"),
        ({"access_key_id": "K", "secret_access_key": "s", "expires": 12}, "have expired"),
        ({"access_key_id": "K" * 300, "secret_access_key": "s"}, "too long"),
        ({"access_key_id": "K\nX: y", "secret_access_key": "s"}, "access_key_id"),
    ],
)
def test_an_answer_that_is_none_is_a_credentials_error_and_nothing_is_sent(service, client_of, answer, told):
    with pytest.raises(codepipeline.CredentialsError, match=told):
        client_of(credentials=lambda: answer).list_pipelines()
    assert service.requests == []


def test_what_a_provider_raises_is_told_and_ctrl_c_is_ctrl_c(service, client_of):
    def broken():
        raise LookupError("the vault is sealed")

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(codepipeline.CredentialsError, match="LookupError.*the vault is sealed"):
        client_of(credentials=broken).list_pipelines()
    with pytest.raises(KeyboardInterrupt):
        client_of(credentials=stopped).list_pipelines()
    assert isinstance(
        client_of(credentials=broken).submit("list_pipelines").exception(10), codepipeline.CredentialsError
    )
    assert service.requests == []


def test_a_view_may_have_a_provider_and_outlive_the_name_of_its_client(service, client_of):
    view = client_of(credentials=lambda: ("FIRST", "s")).with_options(credentials=lambda: ("SECOND", "s"))
    view.list_pipelines()
    codepipeline.Client(
        "us-east-1", endpoint_url=service.url, credentials=lambda: ("X", "s")
    ).with_options().list_pipelines()
    assert service.keys() == ["SECOND", "X"]


def test_credentials_are_given_in_one_way(client_of):
    with pytest.raises(codepipeline.ParamValidationError, match="exclude each other"):
        client_of(credentials=lambda: ("K", "s"), **KEYS)
    with pytest.raises(TypeError, match="mfa_code"):
        client_of(mfa_code="123456")


def test_an_anonymous_client_signs_nothing(service, client_of, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client = client_of(credentials=False)
    assert client.list_pipelines()["pipelines"] == []
    ((_, headers, _),) = service.requests
    assert not {"authorization", "x-amz-date", "x-amz-security-token"} & set(headers)
    with pytest.raises(codepipeline.CredentialsError, match="anonymous"):
        client.upload_file(__file__, "bucket", "key")


def test_boto3s_way_to_sign_nothing(service):
    botocore = pytest.importorskip("botocore")
    config = pytest.importorskip("botocore.config").Config(signature_version=botocore.UNSIGNED)
    codepipeline.session.client("codepipeline", "us-east-1", endpoint_url=service.url, config=config).list_pipelines()
    assert "authorization" not in service.requests[0][1]


# ---- roles ----


@pytest.fixture
def role(service, monkeypatch, tmp_path):
    """A profile with a role, and what else is written to it."""

    def write(**more):
        lines = ["[profile r]", "role_arn = arn:aws:iam::1:role/r", "source_profile = base", "region = us-east-1"]
        lines += [f"{name} = {value}" for name, value in more.items()]
        lines += ["[profile base]", "aws_access_key_id = BASE", "aws_secret_access_key = s"]
        (tmp_path / "config").write_text("\n".join(lines))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", service.url)

    return write


SERIAL = "arn:aws:iam::1:mfa/me"


def test_the_code_of_a_device_goes_to_sts(service, client_of, role):
    role(mfa_serial=SERIAL)
    asked = []
    client = client_of(profile="r", mfa_code=lambda serial: asked.append(serial) or "123456")
    client.list_pipelines()
    client.list_pipelines()
    assert asked == [SERIAL] and service.keys() == ["ROLEKEY"] * 2
    assert b"SerialNumber=arn%3Aaws%3Aiam%3A%3A1%3Amfa%2Fme&TokenCode=123456" in service.requests[0][2]


@pytest.mark.parametrize("code", ["12345", "12345x", "", 123456])
def test_a_code_that_is_none_is_refused_here(service, client_of, role, code):
    role(mfa_serial=SERIAL)
    with pytest.raises(codepipeline.CredentialsError, match="code"):
        client_of(profile="r", mfa_code=lambda serial: code).list_pipelines()
    assert service.requests == []


def test_a_device_without_anybody_to_ask_says_what_to_pass(client_of, role):
    role(mfa_serial=SERIAL)
    with pytest.raises(codepipeline.CredentialsError, match='profile "r" has an mfa_serial.*pass mfa_code'):
        client_of(profile="r").list_pipelines()


@pytest.mark.parametrize("off", [DAY, -DAY])
def test_a_machine_that_is_a_day_off_assumes_its_role_with_one_more_attempt(service, client_of, role, off):
    role()
    service.off = off
    client_of(profile="r").list_pipelines()
    assert [sts for sts, _, _ in service.requests] == [True, True, False]
    assert service.keys() == ["ROLEKEY"]


def test_unless_its_clock_is_to_be_taken_as_it_is(service, client_of, role, monkeypatch):
    monkeypatch.setenv("AWS_DISABLE_CLOCK_SKEW_CORRECTION", "true")
    role()
    service.off = DAY
    with pytest.raises(codepipeline.CredentialsError, match="SignatureDoesNotMatch"):
        client_of(profile="r").list_pipelines()
    assert len(service.requests) == 1
