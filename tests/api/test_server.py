"""The sockets of the API: modes, stale and occupied ones, renewal of the certificate, stopping."""

import asyncio
import socket
import ssl
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from plait.api.app import create_app
from plait.api.client import Client
from plait.api.server import ApiServer
from plait.errors import RefusedError
from plait.store.sqlite import SqliteStore
from tests.api.objects import namespace, service
from tests.api.serving import TOKEN, backend, certificate_files, serving

SERVICES = "/api/v1/namespaces/default/services"


def _server() -> ApiServer:
    return ApiServer(create_app(backend()))


def _served_certificate(url: str) -> bytes:
    """What a client sees in its handshake, unchecked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    address = urlsplit(url)
    with (
        socket.create_connection((address.hostname, address.port), timeout=5) as plain,
        context.wrap_socket(plain) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    """Nobody else may connect, from the first moment; a socket that nobody serves any more is replaced."""
    path = tmp_path / "api.sock"
    for _ in range(2):
        with serving(tmp_path, backend()) as server, Client(f"unix://{server.socket}") as client:
            assert path.stat().st_mode & 0o777 == 0o600
            assert client.status()["ready"]


def test_a_socket_in_use_is_refused(tmp_path: Path) -> None:
    """Two servers cannot share a socket or a port; each is told in a sentence."""
    with serving(tmp_path, backend()) as running:
        with pytest.raises(RefusedError, match="another process serves"):
            _server().add_unix(running.socket)
        certificate, key = certificate_files(tmp_path)
        port = urlsplit(running.url).port or 0
        with pytest.raises(RefusedError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            _server().add_tls("127.0.0.1", port, certificate=certificate, key=key)
    with pytest.raises(RefusedError, match=r"cannot listen on .*: No such file"):
        _server().add_unix(tmp_path / "missing" / "api.sock")


def test_a_renewed_certificate_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """New files are taken up while the server runs; half a pair is not."""
    monkeypatch.setattr("plait.api.server.LOOK_EVERY", 0.05)
    with serving(tmp_path, backend()) as server:
        old = _served_certificate(server.url)
        key = (tmp_path / "key.pem").read_bytes()
        certificate_files(tmp_path)
        new_key = (tmp_path / "key.pem").read_bytes()
        (tmp_path / "key.pem").write_bytes(key)
        time.sleep(0.3)
        assert _served_certificate(server.url) == old
        (tmp_path / "key.pem").write_bytes(new_key)
        deadline = time.monotonic() + 5
        while _served_certificate(server.url) == old:
            assert time.monotonic() < deadline
        with Client(server.url, TOKEN, ca=server.ca) as client:
            assert client.status()["ready"]


def test_stopping_ends_watches_at_once(tmp_path: Path) -> None:
    """An open watch neither delays the end of the server nor fails."""
    seen: list[object] = []
    started = threading.Event()

    def watch(path: Path) -> None:
        with Client(f"unix://{path}") as client:
            started.set()
            seen.extend(client.watch(SERVICES))
            seen.append("ended")

    with serving(tmp_path, backend()) as server:
        watcher = threading.Thread(target=watch, args=(server.socket,))
        watcher.start()
        started.wait(5)
        time.sleep(0.3)
        begun = time.monotonic()
    watcher.join(5)

    assert seen == ["ended"]
    assert time.monotonic() - begun < 2


def test_a_server_can_be_stopped_before_it_serves(tmp_path: Path) -> None:
    """A stop that comes early is not lost."""
    server = _server()
    server.add_unix(tmp_path / "api.sock")
    server.stop()
    asyncio.run(asyncio.wait_for(server.serve(), 5))


def test_objects_survive_their_server(tmp_path: Path) -> None:
    """Over a store in a file, what was applied is there again after a restart, and watches from before must list."""
    seen: object = None
    for start in range(2):
        store = SqliteStore.open(tmp_path / "store")
        with serving(tmp_path, backend(store)) as server, Client(f"unix://{server.socket}") as client:
            if start == 0:
                client.apply([namespace("shop"), service(namespace="shop")])
                seen = client.get("/api/v1/services")
            else:
                assert client.get("/api/v1/services") == seen
                assert client.apply([service(namespace="shop")])["results"][0]["result"] == "unchanged"
        asyncio.run(store.close())
