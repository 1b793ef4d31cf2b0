# SPDX-License-Identifier: MIT
"""What test.sh runs on a bare machine: the package in use, installed from nothing but its archive.

smoke.py CERTIFICATE KEY    of a server on 127.0.0.1 that this machine trusts
"""

import http.server
import os
import pathlib
import shutil
import ssl
import subprocess
import sys
import sysconfig
import tempfile
import threading

import codepipeline


def call_the_emulator():
    with codepipeline.Emulator() as emulator:
        keys = emulator.environ
        client = codepipeline.Client(
            endpoint_url=emulator.url,
            region="us-east-1",
            access_key_id=keys["AWS_ACCESS_KEY_ID"],
            secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        assert client.list_pipelines()["pipelines"] == []
        try:
            client.get_pipeline(name="nowhere")
        except client.exceptions.PipelineNotFoundException as error:
            assert "nowhere" in str(error)
        else:
            raise AssertionError("a pipeline that is not there was found")
        artifacts = {"minimumCount": 0, "maximumCount": 0}
        smoke = {"category": "Build", "provider": "Smoke", "version": "1"}
        client.create_custom_action_type(**smoke, inputArtifactDetails=artifacts, outputArtifactDetails=artifacts)
        journal = os.path.join(tempfile.mkdtemp(), "jobs.db")
        worker = codepipeline.Worker(client, journal=journal)
        worker.job(**smoke)(print)
        assert worker.run_once(timeout=0.1) is None
        assert os.path.getsize(journal) > 0


def pack_and_extract():
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "in").mkdir()
    (folder / "in" / "größe.txt").write_text("4711\n" * 1000, encoding="utf-8")
    for kind in ("zip", "tar", "tar.gz"):
        packed = folder / f"packed.{kind}"
        codepipeline.pack(str(folder / "in"), str(packed))
        codepipeline.extract(str(packed), str(folder / kind))
        assert (folder / kind / "größe.txt").read_text(encoding="utf-8") == "4711\n" * 1000


class Pipelines(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        body = b'{"pipelines":[]}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def trust_what_the_system_trusts(certificate, key):
    server = http.server.HTTPServer(("127.0.0.1", 0), Pipelines)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"https://127.0.0.1:{server.server_port}"
    options = dict(endpoint_url=url, region="us-east-1", access_key_id="AKIDEXAMPLE", secret_access_key="secret")
    assert codepipeline.Client(**options).list_pipelines()["pipelines"] == []
    server.shutdown()


def run_the_commands():
    for name in ("codepipeline-emulator", "codepipeline-event"):
        subprocess.run(
            [os.path.join(sysconfig.get_path("scripts"), name), "--help"], check=True, stdout=subprocess.DEVNULL
        )


if __name__ == "__main__":
    call_the_emulator()
    pack_and_extract()
    trust_what_the_system_trusts(*sys.argv[1:])
    run_the_commands()
    compiler = "a compiler" if shutil.which("cc") else "no compiler"
    print(f"codepipeline {codepipeline.__version__} works: Python {sys.version.split()[0]}, {compiler}")
