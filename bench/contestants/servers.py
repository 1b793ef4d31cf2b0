# SPDX-License-Identifier: MIT
"""What the contestants talk to: a web server with canned answers, and services that have jobs to hand out."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from typing import NamedTuple

from . import canned

CONF = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_timeout 3600s; keepalive_requests 1000000000; tcp_nodelay on; server_tokens off;
    client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    types {{ }} default_type application/x-amz-json-1.1; open_file_cache max=10; map_hash_bucket_size 128;
    map $http_x_amz_target $answer {{ {targets} }}
    server {{
        listen 127.0.0.1:{port}; listen 127.0.0.1:{tls_port} ssl;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        root {folder}; etag off; add_header x-amzn-RequestId $request_id;
        location = / {{ error_page 405 =200 /$answer; return 405; }}
        location / {{ internal; }}
    }}
}}
"""


class WebServer(NamedTuple):
    ports: tuple
    pid: int


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def make_certificate(folder):
    """A certificate for loopback, and the system's certificates with it, as one file and as a hashed folder."""
    cert, key = f"{folder}/cert.pem", f"{folder}/key.pem"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
        *("-subj", "/CN=loopback", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
    )
    os.mkdir(f"{folder}/ca")
    with contextlib.suppress(FileNotFoundError):
        for entry in os.scandir("/etc/ssl/certs"):
            if entry.name.endswith(".0"):
                os.symlink(os.path.realpath(entry.path), f"{folder}/ca/{entry.name}")
    os.symlink(cert, f"{folder}/ca/{openssl('x509', '-hash', '-noout', '-in', cert)}.0")
    with open(f"{folder}/ca.pem", "wb") as bundle:
        for path in ("/etc/ssl/certs/ca-certificates.crt", cert):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as part:
                shutil.copyfileobj(part, bundle)


def wait_for(port, process):
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError("nginx did not start")


@contextlib.contextmanager
def web_server(folder):
    """nginx: its ports, for HTTP and for TLS, and its process."""
    make_certificate(folder)
    for operation, body in canned.answers().items():
        with open(f"{folder}/{operation}", "wb") as file:
            file.write(body)
    port, tls_port = free_port(), free_port()
    targets = " ".join(f"CodePipeline_20150709.{name} {name};" for name in canned.answers())
    with open(f"{folder}/nginx.conf", "w") as conf:
        conf.write(CONF.format(folder=folder, port=port, tls_port=tls_port, targets=targets))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    process = subprocess.Popen([nginx, "-p", folder, "-e", "error.log", "-c", f"{folder}/nginx.conf"])
    try:
        wait_for(port, process)
        yield WebServer((port, tls_port), process.pid)
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def job_server(program, count):
    """The port of a service with that many jobs; afterwards each of them must have been ended once."""
    process = subprocess.Popen([program, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline())
        process.stdin.close()
        ended = json.loads(process.stdout.readline())
        if ended != {"done": count, "twice": 0}:
            raise RuntimeError(f"{count} jobs were handed out, and this came back: {ended}")
    finally:
        process.kill()
        process.wait()
