# SPDX-License-Identifier: MIT
"""A service behind TLS that sends its callers elsewhere without TLS: nothing goes there. (tests/c/t_redirect.c has the
other targets.)"""

import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import codepipeline
from codepipeline import exceptions


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    try:
        subprocess.run([*command.split(), "-keyout", path, "-out", tmp_path / "only.pem"], check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("the openssl command is not installed")
    path.write_bytes(path.read_bytes() + (tmp_path / "only.pem").read_bytes())
    return path


class Server:
    def __init__(self, certificate=None, location=None, status=200):
        self.requests = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                server.requests.append((self.command, self.path, dict(self.headers)))
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *unused):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_port
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_from_https_to_http_is_not_followed(certificate, tmp_path, status):
    trap = Server()
    origin = Server(certificate, f"http://127.0.0.1:{trap.port}/", status)
    url = f"https://127.0.0.1:{origin.port}"
    try:
        client = codepipeline.Client(
            region="eu-west-1",
            endpoint_url=url,
            s3_endpoint_url=url,
            access_key_id="AKID",
            secret_access_key="secret",
            session_token="token",
            ca_bundle=certificate,
        )
        with pytest.raises(exceptions.ClientError) as refused:
            client.list_pipelines()
        assert refused.value.http_status == status
        with pytest.raises(exceptions.ProtocolError, match="a proxy or a portal"):
            client.download_file("bucket", "key", tmp_path / "never")
        with pytest.raises(exceptions.ProtocolError, match="a proxy or a portal"):
            client.upload_file(certificate, "bucket", "key")
        tries = 3  # a portal may let go
        asked = [("POST", "/")] + [("GET", "/bucket/key")] * tries + [("PUT", "/bucket/key")] * tries
        assert [request[:2] for request in origin.requests] == asked
        assert trap.requests == []
    finally:
        origin.stop()
        trap.stop()
