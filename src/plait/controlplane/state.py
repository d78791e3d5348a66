"""The state directory of a mesh: its layout, its format version, and the file that tells clients where to connect."""

import base64
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from plait.errors import PlaitError, RefusedError

FORMAT = 1
_SOCKET_LIMIT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where the control process answers; written for clients as `run/endpoints.json`."""

    api_url: str
    socket: str
    token_file: str
    kubeconfig: str
    ads_address: str
    metrics_url: str
    trust_domain: str
    root_fingerprint: str


@dataclass(frozen=True, slots=True)
class StateDirectory:
    """Paths below the state directory."""

    root: Path

    @property
    def control(self) -> Path:
        """What the control process owns."""
        return self.root / "control"

    @property
    def run(self) -> Path:
        """Sockets, process ids and the file that tells clients where to connect."""
        return self.root / "run"

    @property
    def database(self) -> Path:
        """The configuration store."""
        return self.control / "store.sqlite"

    @property
    def authority(self) -> Path:
        """The certificate authority's keys."""
        return self.control / "ca"

    @property
    def api_socket(self) -> Path:
        """The API's unix socket."""
        return self.run / "api.sock"

    @property
    def token_file(self) -> Path:
        """The owner's bearer token."""
        return self.control / "token"

    @property
    def kubeconfig(self) -> Path:
        """A kubeconfig for kubectl."""
        return self.run / "kubeconfig"

    def prepare(self) -> None:
        """Make the directories, or refuse a directory of another format; raises PlaitError with what to do."""
        if len(str(self.api_socket)) > _SOCKET_LIMIT:
            raise PlaitError(
                f"the state directory's path is too long for a unix socket: {self.root}",
                f"choose a directory whose path has at most {_SOCKET_LIMIT - len('/run/api.sock')} characters",
            )
        try:
            for directory, mode in ((self.root, 0o755), (self.control, 0o700), (self.run, 0o755)):
                directory.mkdir(parents=True, exist_ok=True)
                directory.chmod(mode)
            self._check_format()
        except PermissionError as error:
            raise PlaitError(
                f"no permission to write the state directory: {error.filename}",
                "choose another with --state-dir, or run as its owner",
            ) from error

    def _check_format(self) -> None:
        marker = self.root / "version"
        if not marker.exists():
            marker.write_text(f"{FORMAT}\n")
            return
        found = marker.read_text().strip()
        if found != str(FORMAT):
            raise RefusedError(
                f"the state directory {self.root} has format {found}; this Plait reads format {FORMAT}",
                "use the Plait version that wrote it, or choose another directory with --state-dir",
            )

    def write_private(self, path: Path, content: str, mode: int = 0o600) -> None:
        """Replace a file atomically, readable by its owner only (unless another mode is given)."""
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)
        temporary.chmod(mode)
        temporary.replace(path)

    def owner_token(self) -> str:
        """The owner's bearer token, made at first use."""
        if not self.token_file.exists():
            self.write_private(self.token_file, secrets.token_urlsafe(32))
        return self.token_file.read_text().strip()

    def remembered_port(self, name: str) -> int:
        """The port used last time for that listener, so that restarts do not move it; 0 at first."""
        file = self.control / f"{name}.port"
        text = file.read_text().strip() if file.exists() else ""
        return int(text) if text.isdigit() else 0

    def remember_port(self, name: str, port: int) -> None:
        """Keep a listener's port for the next start."""
        (self.control / f"{name}.port").write_text(f"{port}\n")

    def write_kubeconfig(self, url: str, bundle: str, token: str) -> None:
        """Write a kubeconfig with which kubectl is the owner."""
        cluster = {"server": url, "certificate-authority-data": base64.b64encode(bundle.encode()).decode()}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "plait",
            "clusters": [{"name": "plait", "cluster": cluster}],
            "users": [{"name": "owner", "user": {"token": token}}],
            "contexts": [{"name": "plait", "context": {"cluster": "plait", "user": "owner", "namespace": "default"}}],
        }
        self.write_private(self.kubeconfig, json.dumps(content, indent=2) + "\n")

    def publish(self, endpoints: Endpoints) -> None:
        """Tell clients where to connect."""
        self.write_private(self.run / "endpoints.json", json.dumps(asdict(endpoints), indent=2) + "\n", 0o644)
