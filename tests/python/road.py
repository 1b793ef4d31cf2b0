# SPDX-License-Identifier: MIT
"""The road to a server, on loopback, with everything that can happen to a request on its way there and back."""

import contextlib
import datetime
import http.client
import socket
import ssl
import threading
import time

# What happens to a request, by name: (the server hears of it, what is done with its answer). See Road.spoil().
ANSWERS = {
    "500": (500, "application/x-amz-json-1.1", b'{"__type":"InternalFailure","message":"a fault"}'),
    "503": (503, "text/html", b"<html>503 Service Unavailable</html>"),
    "throttling": (400, "application/x-amz-json-1.1", b'{"__type":"ThrottlingException","message":"Rate exceeded"}'),
    "no-json": (200, "application/x-amz-json-1.1", b'{"jobs":['),
    "empty": (200, "application/x-amz-json-1.1", b""),
    "html": (200, "text/html", b"<html>welcome to the hotel's network</html>"),
    "access-denied": (403, "application/x-amz-json-1.1", b'{"__type":"AccessDeniedException","message":"no"}'),
}
BROKEN = ("lost-answer", "cut-answer", "half-headers", "short-length", "huge-headers")  # the server did its work
UNHEARD = ("reset", "skew", *ANSWERS)  # it did not hear
CLOSED = ("refused", "dropped", "stranger", "wrong-host", "expired")  # no connection comes about
DETOUR_S = 0.2  # so long a closed road stays closed, for each time it is to strike
NAMES = {"GET": "GetObject", "HEAD": "HeadObject", "PUT": "PutObject", "DELETE": "DeleteObject"}


def to(url):
    """A server to put at the end of the road: the one at that URL."""
    place = url.partition("//")[2]

    def answer(method, path, headers, body):
        service = http.client.HTTPConnection(place, timeout=60)
        try:
            service.request(method, path, body, headers)
            reply = service.getresponse()
            return reply.status, reply.getheaders(), reply.read()
        finally:
            service.close()

    return answer


def read_request(stream):
    """(method, path, headers, body); None at the end."""
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        return None
    method, path, _ = line.decode().split(" ")
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip()] = value.strip()
    length = next((int(value) for name, value in headers.items() if name.lower() == "content-length"), 0)
    return method, path, headers, stream.read(length)


def name_of(method, headers):
    target = next((value for name, value in headers.items() if name.lower() == "x-amz-target"), "")
    return target.partition(".")[2] or NAMES.get(method, method)


def text_of(status, headers, body, length=None):
    lines = [f"HTTP/1.1 {status} {http.client.responses.get(status, 'Odd')}"]
    lines += [f"{name}: {value}" for name, value in headers if name.lower() not in ("content-length", "connection")]
    lines += [f"Content-Length: {len(body) if length is None else length}", "", ""]
    return "\r\n".join(lines).encode("latin-1")


class Road:
    """http(s)://127.0.0.1:port, to answer(method, path, headers, body) -> (status, headers, body).

    strike(kind, name, before, times): what happens, and to which call. Roads that are closed are so when the answer of
    the call before arrives, and open again after a while; other kinds strike the next requests of that name. A call is
    named by its operation, of S3's by NAMES, of others by their method. A request for /phase goes nowhere: its sender
    tells watch() where it is.
    """

    def __init__(self, answer, certificates=None):
        self.answer = answer
        self.certificates = certificates  # None: http
        self.lock = threading.Lock()
        self.kind = self.name = self.before = None
        self.times = self.struck = 0
        self.connections = set()
        self.threads = []
        self.done = False
        self.away = False  # nobody is at its end: connections are closed
        self.knocks = 0  # that found nobody
        self.shown = "good"
        self.watch = lambda name, when, sender: None  # told of each call "before" the server hears of it, and "after"
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.crowd = []
        self.start()

    @property
    def url(self):
        return f"{'https' if self.certificates else 'http'}://127.0.0.1:{self.port}"

    def strike(self, kind, name, before=None, times=1):
        self.kind, self.name, self.before, self.times, self.struck = kind, name, before, times, 0
        if before is None and kind in CLOSED:
            self.block()

    # ---- open and closed ----

    def start(self):
        self.go(self.accept, self.listener)

    def go(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                connection = listener.accept()[0]
                with self.lock:
                    self.connections.add(connection)
                self.go(self.serve, connection)

    def block(self):
        """No connection comes about any more, for a while."""
        self.struck += 1
        if self.kind in ("refused", "dropped"):
            self.close_listener()
        if self.kind == "dropped":  # a queue that is full: the kernel drops what else knocks
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=0)
            for _ in range(4):
                one = socket.socket()
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    one.connect(("127.0.0.1", self.port))
                self.crowd.append(one)
        if self.kind not in ("refused", "dropped"):
            self.shown = self.kind
        timer = threading.Timer(self.times * DETOUR_S, self.unblock)
        self.threads.append(timer)
        timer.start()

    def unblock(self):
        self.shown = "good"
        if self.kind == "dropped":
            self.close_listener()
        for one in self.crowd:
            one.close()
        if self.kind in ("refused", "dropped") and not self.done:
            self.listener = socket.create_server(("127.0.0.1", self.port))
            self.start()

    def close_listener(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.listener.close()

    def hang_up(self):
        """Ends every connection; the next ones come about."""
        with self.lock:
            connections = list(self.connections)
        for one in connections:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    # ---- requests ----

    def serve(self, connection):
        try:
            if self.certificates:
                connection = self.certificates.wrap(connection, self.shown)
            with connection, connection.makefile("rb") as stream:
                while (request := read_request(stream)) is not None:
                    if not self.handle(connection, *request):
                        break
        except (OSError, ssl.SSLError, http.client.HTTPException):
            pass  # what breaks off there breaks off here
        finally:
            with self.lock:
                self.connections.discard(connection)
            with contextlib.suppress(OSError):
                connection.close()

    def takes_turn(self, name):
        with self.lock:
            if name != self.name or self.struck >= self.times or self.kind in (*CLOSED, "stale"):
                return False
            self.struck += 1
            return True

    def handle(self, connection, method, path, headers, body):
        """False: the connection is over."""
        name = name_of(method, headers)
        self.watch(name, "before", headers.get("X-Pid"))
        if path == "/phase":
            status, head, body = 200, [], b"{}"
            connection.sendall(text_of(status, head, body) + body)
            return True
        if self.away:
            self.knocks += 1
            return False
        spoilt = self.takes_turn(name)
        if spoilt and self.kind in UNHEARD:
            return self.refuse(connection, name)
        status, head, body = self.answer(method, path, headers, body)
        self.watch(name, "empty" if body == b'{"jobs":[]}' else "after", None)
        if spoilt:
            return self.spoil(connection, status, head, body)
        last = name == self.before and self.struck < 1 and self.kind in (*CLOSED, "stale")
        if last and self.kind == "stale":
            self.struck += 1
        elif last:
            self.block()
        connection.sendall(text_of(status, head, b"" if method == "HEAD" else body, len(body)) + body)
        return not last

    def refuse(self, connection, name):
        """Answers in the server's place."""
        if self.kind == "reset":
            return False
        if self.kind == "skew":  # a service whose clock is a day ahead
            then = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
            status, kind, body = 400, "application/x-amz-json-1.1", b'{"__type":"InvalidSignatureException"}'
            if name in NAMES.values():
                status, kind, body = 403, "application/xml", b"<Error><Code>RequestTimeTooSkewed</Code></Error>"
            head = [("Date", then.strftime("%a, %d %b %Y %H:%M:%S GMT")), ("Content-Type", kind)]
        else:
            status, kind, body = ANSWERS[self.kind]
            head = [("Content-Type", kind)]
        connection.sendall(text_of(status, head, body) + body)
        return True

    def spoil(self, connection, status, head, body):
        """The server did its work; its answer suffers."""
        if self.kind == "cut-answer":
            connection.sendall(text_of(status, head, body, len(body) + 10) + body[: len(body) // 2])
        elif self.kind == "half-headers":
            connection.sendall(text_of(status, head, body)[:25])
        elif self.kind == "short-length":
            connection.sendall(text_of(status, head, body, max(len(body) - 3, 0)) + body)
        elif self.kind == "huge-headers":
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: " + b"x" * 1000000 + b"\r\n")
        return False

    def close(self):
        self.done = True
        self.close_listener()
        self.hang_up()
        end = time.monotonic() + 5
        for thread in self.threads:
            thread.join(max(end - time.monotonic(), 0))

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Certificates:
    """An authority of our own, and certificates to show: good ones, and ones that no client may take."""

    def __init__(self, folder):
        self.folder = folder
        self.bundle = str(folder / "authority.pem")
        self.authority = self.make("authority", "authority", None)
        self.contexts = {}
        for name, host, by, days in (
            ("good", "127.0.0.1", self.authority, 2),
            ("stranger", "127.0.0.1", None, 2),
            ("wrong-host", "10.9.8.7", self.authority, 2),
            ("expired", "127.0.0.1", self.authority, -1),
        ):
            self.make(name, host, by, days)
            self.contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.contexts[name].load_cert_chain(str(folder / f"{name}.pem"))

    def make(self, name, host, by, days=2):
        import ipaddress

        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = x509.CertificateBuilder(
            subject_name=subject,
            issuer_name=by[0] if by else subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=3),
            not_valid_after=now + datetime.timedelta(days=days),
        ).add_extension(x509.BasicConstraints(ca=name == "authority", path_length=None), critical=True)
        if name != "authority":
            address = x509.IPAddress(ipaddress.ip_address(host))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        certificate = builder.sign(by[1] if by else key, hashes.SHA256())
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        if name != "authority":
            pem += key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        (self.folder / f"{name}.pem").write_bytes(pem)
        return subject, key

    def wrap(self, connection, name):
        return self.contexts[name].wrap_socket(connection, server_side=True)
