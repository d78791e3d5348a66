"""Which mesh a command means.

`--state-dir` and `--server` may stand anywhere before `--`; without them PLAIT_STATE_DIR and PLAIT_SERVER count, then
the default place (`/var/lib/plait` for root, `$XDG_STATE_HOME/plait` or `~/.local/state/plait` for others). A server
given by name is used with the token of PLAIT_TOKEN or PLAIT_TOKEN_FILE, and trusted by the root certificate in
PLAIT_CA_FILE. Otherwise STATE/run/endpoints.json, which control writes, tells the way: its unix socket if we may open
it, else TLS with the token it names.
"""

import json
import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plait.cli.errors import UsageError
from plait.errors import ForbiddenError, UnreachableError

if TYPE_CHECKING:
    from plait.api.client import Client

HINT = "start one with `plait up`, or say which one you mean with --state-dir, PLAIT_STATE_DIR or PLAIT_SERVER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """The mesh a command talks to: its state directory on this machine, or (`server`) an API elsewhere."""

    state_dir: Path
    server: str = ""
    environment: Mapping[str, str]

    @property
    def run_dir(self) -> Path:
        """Where sockets and process ids are."""
        return self.state_dir / "run"

    @property
    def node_socket(self) -> Path:
        """The socket of this machine's node agent."""
        return self.run_dir / "node.sock"

    def endpoints(self) -> Mapping[str, Any]:
        """What control wrote about how to reach it."""
        path = self.run_dir / "endpoints.json"
        try:
            return json.loads(path.read_text())
        except FileNotFoundError:
            raise UnreachableError(f"no mesh runs with its state in {self.state_dir}", HINT) from None
        except PermissionError:
            raise ForbiddenError(f"{path} may not be read by you", "ask its owner for a token (PLAIT_TOKEN)") from None
        except ValueError:
            raise UnreachableError(f"{path} is damaged", "restart control: it writes the file anew") from None

    def client(self) -> "Client":
        """A client of the mesh's API."""
        from plait.api.client import Client

        if self.server:
            return Client(self.server, self._given_token(), ca=self._authority({}))
        endpoints = self.endpoints()
        socket = str(endpoints.get("socket", ""))
        if socket and os.access(socket, os.R_OK | os.W_OK):
            return Client(f"unix://{socket}", None)
        return self._client_by_address(endpoints)

    def _client_by_address(self, endpoints: Mapping[str, Any]) -> "Client":
        from plait.api.client import Client

        url = endpoints.get("api_url")
        if not url:
            raise UnreachableError(
                f"the mesh of {self.state_dir} listens only on {endpoints.get('socket')}, which you may not open",
                "run as its owner, or have it started with `plait up --listen ADDRESS` and use a token",
            )
        token = self._given_token() or _read_token(Path(str(endpoints.get("token_file", ""))))
        return Client(str(url), token, ca=self._authority(endpoints))

    def _authority(self, endpoints: Mapping[str, Any]) -> Path | None:
        """The file with the root that signed the API's certificate: PLAIT_CA_FILE, else what control wrote."""
        if given := self.environment.get("PLAIT_CA_FILE"):
            return Path(given)
        return self.run_dir / "ca.pem" if endpoints else None

    def _given_token(self) -> str | None:
        if token := self.environment.get("PLAIT_TOKEN"):
            return token
        if file := self.environment.get("PLAIT_TOKEN_FILE"):
            return _read_token(Path(file))
        return None


def _read_token(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (FileNotFoundError, IsADirectoryError):
        raise ForbiddenError("no token to show to the mesh", "set PLAIT_TOKEN or PLAIT_TOKEN_FILE") from None
    except PermissionError:
        raise ForbiddenError(
            f"the token in {path} may not be read by you",
            "ask its owner for one of your own (`plait token create --user NAME`) and set PLAIT_TOKEN",
        ) from None


def default_state_dir(environment: Mapping[str, str], *, uid: int) -> Path:
    """Where a mesh keeps its state when nobody says otherwise."""
    if uid == 0:
        return Path("/var/lib/plait")
    if base := environment.get("XDG_STATE_HOME"):
        return Path(base) / "plait"
    return Path(environment.get("HOME") or "/nonexistent") / ".local/state/plait"


def choose(arguments: Sequence[str], environment: Mapping[str, str], *, uid: int) -> tuple[Mesh, list[str]]:
    """The mesh that a command line means, and the command line without what chose it."""
    chosen, rest = _take(arguments, {"--state-dir": "", "--server": ""})
    place = chosen["--state-dir"] or environment.get("PLAIT_STATE_DIR") or default_state_dir(environment, uid=uid)
    server = chosen["--server"] or ("" if chosen["--state-dir"] else environment.get("PLAIT_SERVER", ""))
    return Mesh(state_dir=Path(place).absolute(), server=server, environment=environment), rest


def _take(arguments: Sequence[str], wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Values of the wanted options, and everything else; what follows `--` is never looked at."""
    found, rest, words = dict(wanted), list[str](), list(arguments)
    while words:
        word = words.pop(0)
        name, has_value, value = word.partition("=")
        if word == "--":
            return found, [*rest, word, *words]
        if name not in found:
            rest.append(word)
        elif has_value or (words and words[0] != "--"):
            found[name] = value if has_value else words.pop(0)
        else:
            raise UsageError(f"{name} needs a value", f"write {name} VALUE")
    return found, rest


MESH: ContextVar[Mesh] = ContextVar("mesh")
"""The mesh of this command; set once by `main.run`."""


def current() -> Mesh:
    """The mesh of this command."""
    return MESH.get()
