# SPDX-License-Identifier: MIT
"""codepipeline-lambda, the custom runtime for Lua, against a runtime API of the test's own."""

import json
import os
import queue
import shutil
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT
from test_lambda import Lambda

HANDLER = """
local count = 0
return function(event, options)
  count = count + 1
  if event == '"raise"' then
    error("no such luck", 0)
  elseif event == '"fail"' then
    return nil, "the world is not ready"
  elseif event == '"function"' then
    return print
  elseif event == '"nothing"' then
    return
  end
  return { event = event, count = count, remaining = options.remaining > 50, id = options.request_id }
end
"""


class Api:
    """Lambda's side: hands out events one by one, and notes what is posted."""

    def __init__(self):
        self.events = []
        self.posted = queue.Queue()
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, status, body, **headers):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                assert self.path == "/2018-06-01/runtime/invocation/next"
                if not api.events:
                    return self.reply(410, b"")
                self.reply(
                    200,
                    json.dumps(api.events.pop(0)).encode(),
                    Lambda_Runtime_Aws_Request_Id=f"id-{len(api.events)}",
                    Lambda_Runtime_Deadline_Ms=str(int((time.time() + 60) * 1000)),
                    Lambda_Runtime_Invoked_Function_Arn="arn:aws:lambda:us-east-1:123456789012:function:f",
                )

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                api.posted.put((self.path.removeprefix("/2018-06-01/runtime/"), body))
                self.reply(202, b"{}")

            def log_message(self, *unused):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def run(self, folder, handler, *events, command=("lua5.4", ROOT / "lua/bin/codepipeline-lambda")):
        """Serves these events; what was posted, and the process that ended because there were no more."""
        self.events = list(events)
        environ = {
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self.server.server_port}",
            "LAMBDA_TASK_ROOT": str(folder),
            "_HANDLER": handler,
        }
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        posted = []
        while not self.posted.empty():
            posted.append(self.posted.get())
        return posted, done


@pytest.fixture
def api():
    if shutil.which("lua5.4") is None:
        pytest.skip("no lua5.4")
    running = Api()
    yield running
    running.server.shutdown()
    running.server.server_close()


def test_invocations_are_answered_one_after_the_other(api, tmp_path):
    (tmp_path / "function.lua").write_text(HANDLER)
    posted, done = api.run(tmp_path, "function", {"a": 1}, "nothing", "x")
    assert posted == [
        ("invocation/id-2/response", {"event": '{"a": 1}', "count": 1, "remaining": True, "id": "id-2"}),
        ("invocation/id-1/response", None),
        ("invocation/id-0/response", {"event": '"x"', "count": 3, "remaining": True, "id": "id-0"}),
    ]
    assert done.returncode == 1 and "410" in done.stderr


def test_errors_are_the_invocations_and_the_runtime_goes_on(api, tmp_path):
    (tmp_path / "function.lua").write_text(HANDLER)
    posted, _ = api.run(tmp_path, "function", "raise", "fail", "function", "x")
    assert [path.split("/")[-1] for path, _ in posted] == ["error", "error", "error", "response"]
    assert posted[0][1] == {"errorMessage": "no such luck", "errorType": "Handler.Error", "stackTrace": []}
    assert posted[1][1]["errorMessage"] == "the world is not ready"
    assert posted[2][1]["errorType"] == "Handler.Answer"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("lost", None, "lost.lua"),
        ("broken", "return function(", "broken.lua"),
        ("raises", "error('no licence', 0)", "no licence"),
        ("nothing", "return {}", "answers no function"),
        ("a b", "", "does not name a handler"),
    ],
)
def test_a_handler_that_cannot_be_had_is_an_error_of_the_start(api, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / f"{name}.lua").write_text(text)
    posted, done = api.run(tmp_path, name)
    assert [path for path, _ in posted] == ["init/error"]
    assert posted[0][1]["errorType"] == "Runtime.NoSuchHandler" and message in posted[0][1]["errorMessage"]
    assert done.returncode == 1


def test_outside_of_lambda_it_says_so():
    if shutil.which("lua5.4") is None:
        pytest.skip("no lua5.4")
    done = subprocess.run(["lua5.4", ROOT / "lua/bin/codepipeline-lambda"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "AWS_LAMBDA_RUNTIME_API" in done.stderr


def test_a_job_of_a_pipeline_is_done_by_a_lua_function(api, emulator, client, tmp_path):
    world = Lambda(emulator, client, tmp_path)
    (tmp_path / "count.lua").write_text(
        """
        local worker = assert(require("codepipeline").worker())
        worker:invoke(function(job)
          local folder = assert(job:input("Source"):extract())
          return { text = io.open(folder .. "/main.txt"):read "a" }
        end)
        return function(event, options) return worker:lambda_handler(event, options) end
        """
    )
    posted, _ = api.run(tmp_path, "count", world.begin())
    assert posted == [("invocation/id-0/response", "succeeded")]
    assert world.output()["outputVariables"] == {"text": "hello"}
