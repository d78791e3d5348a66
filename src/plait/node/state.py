"""What the node agent keeps on disk.

    STATE/run/node.sock                      where `plait run` and the others ask
    STATE/node/identity/                     the machine's key, certificate and membership
    STATE/node/network.json                  the machine's network (see `record`)
    STATE/node/dns.sock dns.log              the machine's DNS front: where agents talk to it, what went wrong in it
    STATE/node/foreign.json                  names that workloads asked for and that are none of the mesh's
    STATE/node/xds/relay.sock                where Envoys ask; its folder belongs to the Envoys' user
    STATE/node/workloads/NAMESPACE_NAME/     one workload
        workload.json      while it runs: everything that a restarted agent adopts
        launcher.sock exit.json app.log resolv.conf hosts
        key.pem chain.pem  kept after it has ended, so that it can start again while control is away
        hosts.json         names it asked for, sent ahead at its next start
        proxy/             belongs to the Envoys' user: admin.sock envoy.log; while one takes over from another also
                           next.sock, leaving-PID.sock

An Envoy's working directory is its `proxy`, and it names its sockets relative to that: the paths stay short, and it
needs no access to what lies above the state directory.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from plait.errors import RefusedError
from plait.model.ids import ObjectName

RELAY_FROM_PROXY = "../../../xds/relay.sock"
ADMIN_FROM_PROXY = "admin.sock"
ADMIN_OF_NEXT = "next.sock"
FORMAT = 1
_KEPT_FOR = 7 * 24 * 3600.0
_KEPT_AT_MOST = 200


@dataclass(frozen=True, slots=True)
class WorkloadDirectory:
    """The files of one workload."""

    root: Path

    @property
    def record(self) -> Path:
        """What a restarted agent adopts; there only while the workload runs."""
        return self.root / "workload.json"

    @property
    def launcher(self) -> Path:
        """The launcher's socket."""
        return self.root / "launcher.sock"

    @property
    def exit_file(self) -> Path:
        """The app's exit code, written by the launcher."""
        return self.root / "exit.json"

    @property
    def log(self) -> Path:
        """What a detached app printed."""
        return self.root / "app.log"

    @property
    def key(self) -> Path:
        """The workload's private key."""
        return self.root / "key.pem"

    @property
    def chain(self) -> Path:
        """The workload's certificate chain."""
        return self.root / "chain.pem"

    @property
    def hosts(self) -> Path:
        """Names that the workload asked for."""
        return self.root / "hosts.json"

    @property
    def proxy(self) -> Path:
        """The Envoy's working directory."""
        return self.root / "proxy"

    @property
    def admin(self) -> Path:
        """The Envoy's admin socket."""
        return self.proxy / "admin.sock"

    @property
    def admin_of_next(self) -> Path:
        """The admin socket of an Envoy that is about to take over."""
        return self.proxy / ADMIN_OF_NEXT

    def admin_of_leaving(self, pid: int) -> Path:
        """The admin socket of an Envoy that serves its last connections."""
        return self.proxy / f"leaving-{pid}.sock"

    def move_admin(self, pid: int) -> None:
        """The next Envoy's admin socket becomes the one; `pid` is the Envoy that leaves."""
        self.admin_of_leaving(pid).unlink(missing_ok=True)  # an agent that was killed here may have made it
        with contextlib.suppress(FileNotFoundError):
            self.admin_of_leaving(pid).hardlink_to(self.admin)
        self.admin_of_next.replace(self.admin)

    @property
    def envoy_log(self) -> Path:
        """What the Envoy printed."""
        return self.proxy / "envoy.log"

    def prepare(self, *, proxy_uid: int) -> None:
        """Make the folders, the Envoy's own among them, and remove what an earlier run left."""
        self.root.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.root.chmod(0o711)
        for name in ("exit.json", "launcher.sock", "app.log"):
            (self.root / name).unlink(missing_ok=True)
        self.proxy.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(self.proxy, proxy_uid, proxy_uid)

    def forget_run(self) -> None:
        """Remove what belongs to a run that has ended; key, certificate and names stay."""
        for name in ("workload.json", "launcher.sock", "resolv.conf", "hosts"):
            (self.root / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.admin.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class NodeDirectory:
    """Paths below the state directory."""

    root: Path

    @property
    def run(self) -> Path:
        """Sockets and process ids."""
        return self.root / "run"

    @property
    def node(self) -> Path:
        """What the agent owns."""
        return self.root / "node"

    @property
    def socket(self) -> Path:
        """Where the clients of this machine ask."""
        return self.run / "node.sock"

    @property
    def identity(self) -> Path:
        """The machine's own identity and membership."""
        return self.node / "identity"

    @property
    def network(self) -> Path:
        """The record of the machine's network."""
        return self.node / "network.json"

    @property
    def relay(self) -> Path:
        """Where Envoys ask for their configuration."""
        return self.node / "xds" / "relay.sock"

    @property
    def dns(self) -> Path:
        """Where the machine's DNS front waits for agents."""
        return self.node / "dns.sock"

    @property
    def foreign(self) -> Path:
        """Names that are none of the mesh's."""
        return self.node / "foreign.json"

    @property
    def cache(self) -> Path:
        """The relay's last good configurations."""
        return self.node / "cache"

    @property
    def workloads(self) -> Path:
        """One folder a workload."""
        return self.node / "workloads"

    def workload(self, name: ObjectName) -> WorkloadDirectory:
        """The files of that workload."""
        return WorkloadDirectory(self.workloads / f"{name.namespace}_{name.name}")

    def prepare(self, *, proxy_uid: int) -> None:
        """Make the folders; raises RefusedError when the state directory cannot be written."""
        try:
            for folder, mode in ((self.root, 0o755), (self.run, 0o755), (self.node, 0o711), (self.workloads, 0o711)):
                folder.mkdir(parents=True, exist_ok=True)
                folder.chmod(mode)
            for folder in (self.identity, self.cache, self.relay.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
            if os.geteuid() == 0:
                os.chown(self.relay.parent, proxy_uid, proxy_uid)
            self._check_format()
        except PermissionError as error:
            remedy = "choose another directory with --state-dir, or run as its owner"
            raise RefusedError(f"no permission to write {error.filename}", remedy) from error

    def _check_format(self) -> None:
        marker = self.root / "version"
        if not marker.exists():
            marker.write_text(f"{FORMAT}\n", encoding="ascii")
        found = marker.read_text(encoding="ascii", errors="replace").strip()
        if found != str(FORMAT):
            problem = f"the state directory {self.root} has format {found}; this Plait reads format {FORMAT}"
            remedy = "use the Plait version that wrote it, or choose another directory with --state-dir"
            raise RefusedError(problem, remedy)

    def running(self) -> Iterator[ObjectName]:
        """The workloads that ran when the agent last looked."""
        for record in sorted(self.workloads.glob("*/workload.json")):
            namespace, _, name = record.parent.name.partition("_")
            yield ObjectName(namespace=namespace, name=name)

    def sweep(self) -> None:
        """Remove folders of workloads that have not run for a week, or are more than two hundred."""
        idle = [folder for folder in self.workloads.iterdir() if not (folder / "workload.json").exists()]
        idle.sort(key=lambda folder: folder.stat().st_mtime, reverse=True)
        oldest = time.time() - _KEPT_FOR
        for at, folder in enumerate(idle):
            if at >= _KEPT_AT_MOST or folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def mesh_id(state_dir: Path) -> str:
    """What names this agent's part of the mesh on its machine: unique for its state directory."""
    return hashlib.sha256(str(state_dir.resolve()).encode()).hexdigest()[:6]


def write_json(path: Path, document: Mapping[str, Any], *, mode: int = 0o600) -> None:
    """Replace a JSON file atomically."""
    draft = path.with_name(f".{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(document, file)
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """What a JSON file says; nothing if it is missing or damaged."""
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
