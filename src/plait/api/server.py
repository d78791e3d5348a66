"""The API on its sockets: the owner's unix socket, and TLS on an address if there is one.

The sockets are made here, before anything is served, so that their addresses are known at once and early callers
wait instead of being refused; the unix socket is 0600 from its first moment. A certificate that is renewed in its
files is used from the next handshake on. Stopping ends open watches first, then waits for running requests.
"""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
from collections.abc import Generator
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from plait.errors import RefusedError

log = logging.getLogger(__name__)

_PATIENCE = 3
"""Seconds that running requests get when the server stops."""
LOOK_EVERY = 10.0
"""Seconds between looks at the files of certificates."""
_FAREWELL = 0.1
"""Seconds for the last bytes of answers."""


class _Server(uvicorn.Server):
    """A uvicorn that leaves signals to the process it is part of, and does not wait for idle connections."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Take no signal."""
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let running requests end, then drop what is open: TLS clients may take half a minute to say goodbye."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        state = self.server_state
        for connection in tuple(state.connections):
            connection.shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while state.tasks:
                    await asyncio.wait(tuple(state.tasks))
        await asyncio.sleep(_FAREWELL if state.connections else 0)
        for connection in tuple(state.connections):
            connection.transport.abort()


class ApiServer:
    """Serves an application until it is stopped."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._servers: list[tuple[_Server, socket.socket]] = []
        self._certificates: list[_Certificate] = []

    def add_unix(self, path: Path) -> None:
        """Serve the owner on a unix socket; a stale one is replaced, RefusedError if another process serves there."""
        config = uvicorn.Config(self._app, lifespan="off", log_config=None, access_log=False)
        self._add(config, _unix_socket(path))

    def add_tls(self, host: str, port: int, *, certificate: Path, key: Path) -> tuple[str, int]:
        """Serve with TLS on an address, port 0 for any; returns the address bound."""
        config = uvicorn.Config(
            self._app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
        listener = _tcp_socket(host, port)
        self._add(config, listener)
        if config.ssl is not None:
            config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
            self._certificates.append(_Certificate(config.ssl, certificate, key))
        name = listener.getsockname()
        return str(name[0]), int(name[1])

    async def serve(self) -> None:
        """Serve until `stop` is called."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_certificates())
            for server, listener in self._servers:
                group.create_task(server.serve(sockets=[listener]))

    def stop(self) -> None:
        """End watches, refuse new connections and let `serve` return."""
        self._app.state.stopping.set()
        for server, _ in self._servers:
            server.should_exit = True

    def follow_certificates(self) -> None:
        """Use what the files of certificates hold now."""
        for certificate in self._certificates:
            certificate.follow()

    async def _follow_certificates(self) -> None:
        stopping: asyncio.Event = self._app.state.stopping
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await stopping.wait()
            self.follow_certificates()

    def _add(self, config: uvicorn.Config, listener: socket.socket) -> None:
        config.proxy_headers = False
        config.server_header = False
        listener.listen(config.backlog)
        config.load()
        self._servers.append((_Server(config), listener))


class _Certificate:
    """A certificate and its key in files, as a TLS context uses them."""

    def __init__(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        self._context = context
        self._files = (certificate, key)
        self._seen = self._state()

    def follow(self) -> None:
        """Take over what the files hold now. A pair that does not fit, as while it is written, is left for later."""
        state = self._state()
        if state == self._seen:
            return
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(*self._files)
            self._context.load_cert_chain(*self._files)
        except (OSError, ssl.SSLError) as error:
            log.warning("the certificate in %s cannot be used yet: %s", self._files[0], error)
            return
        self._seen = state

    def _state(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_changed(path) for path in self._files)


def _changed(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


def _unix_socket(path: Path) -> socket.socket:
    if path.exists():
        if _answers(path):
            raise RefusedError(f"another process serves {path}", "stop it first (`plait down`)")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise RefusedError(f"the API cannot listen on {path}: {error.strerror}", "check the state directory") from error
    finally:
        os.umask(before)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


def _tcp_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        remedy = "choose another address or port with --listen"
        raise RefusedError(f"the API cannot listen on {host}:{port}: {error.strerror}", remedy) from error
    return listener
