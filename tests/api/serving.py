"""A real API server for tests: uvicorn in a thread, on a unix socket and with TLS and a bearer token."""

import asyncio
import contextlib
import ipaddress
import json
import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from plait.api.app import create_app
from plait.api.backend import Backend
from plait.api.lifecycle import complete
from plait.api.server import ApiServer
from plait.resources.violations import Violation
from plait.store.memory import MemoryStore
from plait.store.store import Document, ObjectKey, Store

TOKEN = "the-token-of-the-tests"


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """A running API."""

    url: str
    socket: Path
    ca: Path
    kubeconfig: Path


def admit(document: Document, old: Document | None) -> tuple[Document, tuple[Violation, ...]]:
    """A Service gets an address; nothing is refused."""
    spec: Mapping[str, Any] = document.get("spec") or {}
    if document["kind"] == "Service" and "clusterIP" not in spec:
        address = old["spec"]["clusterIP"] if old else "240.240.0.7"
        document = {**document, "spec": {**spec, "clusterIP": address}}
    return document, ()


def authenticate(token: str | None, is_unix: bool) -> str | None:
    """The owner on the unix socket, a tester with the token."""
    return "owner" if is_unix else ("tester" if token == TOKEN else None)


def store_with_namespaces() -> MemoryStore:
    """A store in memory with the namespaces that every mesh has."""
    names = ("default", "istio-system", "plait-system")
    objects = [
        (
            ObjectKey(group="", kind="Namespace", namespace="", name=name),
            complete(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "resourceVersion": "1"}}, None
            ),
        )
        for name in names
    ]
    for _, document in objects:
        document["metadata"]["resourceVersion"] = "1"
    return MemoryStore(objects, revision=1)


def backend(store: Store | None = None, **functions: Any) -> Backend:
    """A backend for tests."""
    functions = {"authenticate": authenticate, "admission": admit, **functions}
    return Backend(store=store or store_with_namespaces(), **functions)


@contextlib.contextmanager
def serving(folder: Path, its_backend: Backend) -> Generator[Serving]:
    """Serve a backend while the block runs."""
    certificate, key = certificate_files(folder)
    server = ApiServer(create_app(its_backend))
    server.add_unix(folder / "api.sock")
    host, port = server.add_tls("127.0.0.1", 0, certificate=certificate, key=key)
    loops: list[asyncio.AbstractEventLoop] = []
    ready = threading.Event()

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        ready.set()
        await server.serve()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(5)
    url = f"https://{host}:{port}"
    try:
        yield Serving(
            url=url, socket=folder / "api.sock", ca=certificate, kubeconfig=kubeconfig(folder, url=url, ca=certificate)
        )
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(10)
    assert not thread.is_alive()


def kubeconfig(folder: Path, *, url: str, ca: Path) -> Path:
    """A kubeconfig for the server."""
    path = folder / "kubeconfig"
    value = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "plait",
        "clusters": [{"name": "plait", "cluster": {"server": url, "certificate-authority": str(ca)}}],
        "users": [{"name": "tester", "user": {"token": TOKEN}}],
        "contexts": [{"name": "plait", "context": {"cluster": "plait", "user": "tester"}}],
    }
    path.write_text(json.dumps(value))
    return path


def certificate_files(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own root, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plait test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate_file, key_file
