# SPDX-License-Identifier: MIT
"""Servers that answer as a test tells them to, on loopback, each in a thread of its own."""

import contextlib
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import codepipeline

KEYS = {"access_key_id": "AKID", "secret_access_key": "secret"}


class Answers:
    """What the server says to every request (change it at will), and the requests it got."""

    def __init__(self):
        self.status = 200
        self.body = b"{}"
        self.headers = {"x-amzn-RequestId": "request-1"}
        self.cut = 0  # bytes of the body that never come
        self.answer = None  # a function of the request: a document, or a status and a document
        self.requests = []

    def say(self, document, status=200, **headers):
        self.status = status
        self.body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.headers = {"x-amzn-RequestId": "request-1", **headers}

    def error(self, code, message="no", status=400):
        self.say({"__type": code, "message": message}, status)

    @property
    def sent(self):
        """The parameters of the last request."""
        return json.loads(self.requests[-1])


def handler_of(answers):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self):
            answers.requests.append(self.rfile.read(int(self.headers["Content-Length"])))
            if answers.answer:
                said = answers.answer(answers.sent)
                answers.say(*(said[::-1] if isinstance(said, tuple) else (said,)))
            body, cut = answers.body, answers.cut  # who has the headers of an empty answer may change them
            self.send_response(answers.status)
            for name, value in answers.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) - cut])
            if cut:
                self.close_connection = True

        def log_message(self, *unused):
            pass

    return Handler


@contextlib.contextmanager
def answering():
    """(answers, client): a server, and a client of it that makes one attempt."""
    answers = Answers()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(answers))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        with codepipeline.Client("us-east-1", endpoint_url=url, max_attempts=1, **KEYS) as client:
            yield answers, client
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def stalling():
    """The URL of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def dead_url():
    """A URL at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"
