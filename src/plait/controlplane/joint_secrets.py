"""What the controls of one mesh have in common beside the store's objects, kept in the store under a seal.

That is the certificate authority with its keys, the owner's token, and what is settled for the mesh's life. Each
control has it in its state directory too, as a single control has: it starts from there, a backup holds it, and what
changes (an intermediate, a stage of replacing the root) is written there first and then put in common. The first
control of a mesh puts in what it has; the next ones take it. Where two change it at once the one that came first is
kept.
"""

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from plait.controlplane.state import StateDirectory
from plait.errors import RefusedError
from plait.identity.private_files import private_directory, write_private
from plait.store.etcd_attendance import EtcdAttendance
from plait.store.seal import Seal

_NAME: Final = b"joint"
_MARK: Final = "joint.json"
_STAGE: Final = "ca/authority.json"
"""Names all other files of the authority, so it is written last."""

Files = Mapping[str, str]


class JointSecrets:
    """Brings a state directory and the store to the same."""

    def __init__(self, state: StateDirectory, attendance: EtcdAttendance, seal: Seal) -> None:
        self._state = state
        self.attendance = attendance
        self._seal = seal
        self._synced = 0

    async def take(self) -> bool:
        """Take what the other controls have, at start; False if this is the first one.

        Raises RefusedError if the state directory holds another mesh, or if the seal key is another.
        """
        await self.attendance.read()
        revision = self.attendance.sealed[1]
        if not revision:
            return False
        mesh, files = self._open()
        mark = self._state.control / _MARK
        ours = json.loads(mark.read_text())["mesh"] if mark.exists() else ""
        if ours != mesh and (ours or (self._state.control / "mesh.json").exists()):
            raise RefusedError(
                f"{self._state.root} holds another mesh than the store", "use another --state-dir, or another store"
            )
        self._write(mesh, files)
        self._synced = revision
        return True

    @property
    def behind(self) -> bool:
        """Whether another control has put something in common that is not taken yet."""
        return self.attendance.sealed[1] > self._synced

    async def put(self) -> bool:
        """Put in common what this control has, if it differs; False if another control was quicker."""
        if self.behind:
            return False
        nothing: Files = {}
        mesh, known = self._open() if self._synced else (self._mesh(), nothing)
        files = self._read()
        if known == files:
            return True
        content = json.dumps({"mesh": mesh, "files": files}).encode()
        if not await self.attendance.replace_sealed(self._seal.close(content, _NAME), self._synced):
            return False
        self._synced = self.attendance.sealed[1]
        write_private(self._state.control / _MARK, json.dumps({"mesh": mesh}).encode())
        return True

    def adopt(self) -> None:
        """Have what is in common."""
        self._write(*self._open())
        self._synced = self.attendance.sealed[1]

    def _open(self) -> tuple[str, Files]:
        document = json.loads(self._seal.open(self.attendance.sealed[0], _NAME))
        return document["mesh"], document["files"]

    def _mesh(self) -> str:
        mark = self._state.control / _MARK
        return json.loads(mark.read_text())["mesh"] if mark.exists() else secrets.token_hex(8)

    def _paths(self) -> list[Path]:
        control = self._state.control
        named = [control / "mesh.json", self._state.token_file]
        return [*named, *sorted(path for path in self._state.authority.iterdir() if not path.name.startswith("."))]

    def _read(self) -> dict[str, str]:
        return {str(path.relative_to(self._state.control)): path.read_text() for path in self._paths()}

    def _write(self, mesh: str, files: Files) -> None:
        private_directory(self._state.authority)
        for name in sorted(files, key=lambda name: name == _STAGE):
            path = self._state.control / name
            if not path.exists() or path.read_text() != files[name]:
                write_private(path, files[name].encode())
        for path in self._paths():
            if str(path.relative_to(self._state.control)) not in files:
                path.unlink()
        write_private(self._state.control / _MARK, json.dumps({"mesh": mesh}).encode())
