"""A pair of sidecars that is not Plait's: two places captured as Plait's are, one program, a configuration a protocol.

What a program is told by its configuration, and what that leaves out against a mesh, is in the module of each:
`istio_like`, `haproxy`, `nginx`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Final, Protocol

import psutil

from bench import calls, upstream
from bench.credentials import Authority
from bench.paths import SERVICE, PathUnderTest
from bench.places import ENVOY_UID, Places
from plait.node.place import Place

CAPTURED_OUT: Final = 15001
CAPTURED_IN: Final = 15006
CIPHER: Final = "TLS_AES_128_GCM_SHA256"
"""What two Envoys agree upon; OpenSSL by itself would take AES-256."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: its `role` (client or server), addresses, its folder, and what the pair is to speak."""

    role: str
    address: str
    server: str
    gateway: str
    folder: Path
    protocol: calls.Protocol

    @property
    def outbound(self) -> bool:
        """Whether this is the caller's sidecar."""
        return self.role == "client"


class Program(Protocol):
    """A proxy."""

    name: str

    def files(self, side: Side) -> Mapping[str, str]:
        """Its configuration beside the credentials, by name of file."""
        ...

    def command(self, side: Side) -> Sequence[str]:
        """How it is started in its folder; it stays in the foreground."""
        ...


class Pair:
    """Both sidecars of one program, and the app behind them; only the account `client` is let in."""

    def __init__(self, program: Program, places: Places, folder: Path, *, caller: str = "client") -> None:
        self._program, self._places = program, places
        name = program.name.lower()
        self._folder = folder / name
        self._client = places.make(f"{name}/client", capture=True)
        self._server = places.make(f"{name}/web", capture=True)
        self._running: list[Popen[bytes]] = []
        authority = Authority()
        self._credentials = {"client": authority.files(caller), "server": authority.files("web")}
        app = folder / f"{name}-web"
        places.start(self._server, upstream.command(app), folder=app)

    @property
    def gateway(self) -> str:
        """The machine's address as both places see it."""
        return self._client.gateway

    def path(self) -> PathUnderTest:
        """The path through both."""
        return PathUnderTest(
            name=self._program.name,
            address=SERVICE,
            places=(self._client.netns, self._server.netns),
            sidecars=self.sidecars,
            restart=self.restart,
        )

    def sidecars(self) -> tuple[int, ...]:
        """The processes of both: what was started, and its workers."""
        mains = [process.pid for process in self._running]
        return tuple(pid for main in mains for pid in (main, *(child.pid for child in psutil.Process(main).children())))

    def restart(self, protocol: calls.Protocol) -> None:
        """Start both anew, to speak that protocol."""
        for process in self._running:
            self._places.stop(process)
        self._running = [self._start(place, role, protocol) for role, place in self._sides()]

    def _sides(self) -> tuple[tuple[str, Place], ...]:
        return (("server", self._server), ("client", self._client))

    def _start(self, place: Place, role: str, protocol: calls.Protocol) -> Popen[bytes]:
        side = Side(
            role=role,
            address=place.address,
            server=self._server.address,
            gateway=place.gateway,
            folder=self._folder / role,
            protocol=protocol,
        )
        self._write(side)
        return self._places.start(place, self._program.command(side), folder=side.folder, user=ENVOY_UID)

    def _write(self, side: Side) -> None:
        side.folder.mkdir(parents=True, exist_ok=True)
        for above in (self._folder, self._folder.parent):
            above.chmod(0o755)
        os.chown(side.folder, ENVOY_UID, ENVOY_UID)
        written = {name: text.encode() for name, text in self._program.files(side).items()}
        for name, content in {**written, **self._credentials[side.role]}.items():
            file = side.folder / name
            file.touch(mode=0o600)
            os.chown(file, ENVOY_UID, ENVOY_UID)
            file.write_bytes(content)
