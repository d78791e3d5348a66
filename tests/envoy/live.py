"""A running Envoy and an app behind it, on ports of their own on loopback."""

import contextlib
import http.client
import json
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from google.protobuf import json_format

from plait.envoy.bootstrap import arguments
from plait.envoy.resource_set import ResourceSet
from plait.envoy.static import static_bootstrap
from tests.envoy.real import ENVOY


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("0.0.0.0", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def running(resources: ResourceSet, secrets: Sequence[secret_pb2.Secret] = ()) -> Generator[Path]:
    """An Envoy that holds a resource set, until the block ends; gives its admin socket."""
    folder = Path(tempfile.mkdtemp(prefix="plait-envoy-"))
    admin = folder / "admin"
    message = static_bootstrap(resources, secrets=secrets, admin_socket=str(admin))
    file = folder / "bootstrap.json"
    file.write_text(json_format.MessageToJson(message, preserving_proto_field_name=True))
    log = (folder / "log").open("w")
    process = subprocess.Popen([ENVOY, *arguments(str(file))], stderr=log, stdout=log)
    try:
        _wait_until_ready(admin, process, folder / "log")
        yield admin
    finally:
        process.terminate()
        process.wait(10)
        log.close()
        shutil.rmtree(folder)


def _wait_until_ready(admin: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(log.read_text())
        with contextlib.suppress(OSError):
            if ask_admin(admin, "/ready").startswith("LIVE"):
                return
        time.sleep(0.02)
    raise AssertionError(f"Envoy is not ready: {log.read_text()}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def ask_admin(admin: Path, path: str) -> str:
    """The answer of an Envoy's administration interface."""
    connection = _UnixConnection(admin)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


@dataclass(frozen=True)
class Answer:
    """An answer as a client sees it; `seen` is what the app saw, if the app answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    seen: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def app(self) -> str:
        """The name of the app that answered; empty if a proxy did."""
        return str(self.seen.get("app", ""))

    def header(self, name: str) -> str | None:
        """A header of the answer."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    def seen_header(self, name: str) -> list[str]:
        """The values of a header that the app saw."""
        return [value for key, value in self.headers_seen if key.lower() == name]

    @property
    def headers_seen(self) -> list[tuple[str, str]]:
        """All headers that the app saw, in order and as they were written."""
        return [(key, value) for key, value in self.seen["headers"]]


def request(
    address: tuple[str, int],
    path: str = "/",
    *,
    method: str = "GET",
    authority: str = "app",
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    tls: ssl.SSLContext | None = None,
    server_name: str = "mesh.plait.dev",
) -> Answer:
    """One request on a connection of its own."""
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(socket.create_connection(address, timeout=10))
        if tls:
            stream = stack.enter_context(tls.wrap_socket(stream, server_hostname=server_name))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {authority}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        lines += [f"Content-Length: {len(body)}"] if body else []
        stream.sendall(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
        response = stack.enter_context(contextlib.closing(http.client.HTTPResponse(stream, method=method)))
        response.begin()
        answered = response.read()
        pairs = tuple(response.getheaders())
    from_app = any(name.lower() == "x-app" for name, _ in pairs)
    return Answer(response.status, pairs, answered, json.loads(answered) if from_app else {})


class App:
    """A server that answers a request with what it saw, as JSON: of the body its length.

    `Upgrade` connections and bytes are echoed.
    """

    def __init__(self, name: str, *, banner: bytes = b"") -> None:
        self.name = name
        self.banner = banner
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.requests = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            if self.banner:
                connection.sendall(self.banner)
                while data := connection.recv(65536):
                    connection.sendall(data)
                return
            stream = connection.makefile("rb")
            while self._answer(connection, stream):
                pass

    def _answer(self, connection: socket.socket, stream: BinaryIO) -> bool:
        head = stream.readline().decode("latin-1").rstrip("\r\n")
        if not head:
            return False
        headers: list[tuple[str, str]] = []
        while line := stream.readline().decode("latin-1").rstrip("\r\n"):
            name, _, value = line.partition(":")
            headers.append((name, value.strip()))
        self.requests += 1
        lower = {name.lower(): value for name, value in headers}
        if "upgrade" in lower:
            reply = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-App: 1\r\n\r\n"
            connection.sendall(reply.encode())
            while data := connection.recv(65536):
                connection.sendall(data)
            return False
        if lower.get("expect") == "100-continue":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        received = len(stream.read(int(lower.get("content-length", 0))))
        method, path, version = head.split(" ")
        seen: dict[str, Any] = {
            "app": self.name,
            "method": method,
            "path": path,
            "version": version,
            "headers": headers,
        }
        seen["received"] = received
        body = json.dumps(seen).encode()
        reply = f"HTTP/1.1 200 OK\r\nX-App: {self.name}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(reply.encode() + (b"" if method == "HEAD" else body))
        return True


@contextlib.contextmanager
def apps(*names: str) -> Generator[dict[str, App]]:
    """Apps that answer until the block ends, by name."""
    started = {name: App(name) for name in names}
    try:
        yield started
    finally:
        for app in started.values():
            app.close()
