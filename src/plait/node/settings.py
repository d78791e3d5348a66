"""Settings of the node agent: from flags first, then from the environment as PLAIT_<NAME>, then the default.

A plain dataclass: the agent starts without pydantic.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from plait.envoy import binary
from plait.errors import RefusedError

PREFIX = "PLAIT_"
_LONGEST_DRAIN: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What `plait node` can be told."""

    state_dir: Path
    """Where the agent keeps identity, workloads and sockets."""
    join: str = ""
    """A join token; needed once, on a machine without control's own state directory."""
    control: str = ""
    """Where control's API is, HOST or HOST:PORT, several with commas between: to join at, and for a member to follow
    control to a new address."""
    address: str = ""
    """Where other machines reach this one (default: the source address towards control)."""
    name: str = ""
    """The machine's name in the mesh (default: its host name)."""
    locality: str = ""
    """REGION/ZONE of this machine."""
    capture: str = "auto"
    """How workloads are captured unless they say: auto, transparent or explicit."""
    grace: float = 15.0
    """Seconds that requests in flight get when a workload ends, and again its app."""
    drain_time: int = 1
    """Whole seconds that open connections get when a change of the configuration ends them, such as byte streams of
    an identity that was revoked. 0 cuts at once what is in flight, calls included that could have ended in time."""
    warm_within: float = 10.0
    """Seconds a sidecar may take to hold its configuration before the start is given up."""
    envoy: str = ""
    """The Envoy binary (default: the one installed with Plait)."""
    dns_port: int = 15053
    """Port of the DNS server on the machine's bridge."""

    @property
    def privileged(self) -> bool:
        """Whether the agent may make network namespaces."""
        return os.geteuid() == 0

    @property
    def controls(self) -> tuple[str, ...]:
        """Each control that was named."""
        return tuple(part.strip() for part in self.control.split(",") if part.strip())

    @property
    def machine(self) -> str:
        """The machine's name."""
        return self.name or host_name()


def host_name() -> str:
    """The host's name in the form of a Kubernetes object's name."""
    plain = "".join(letter if letter.isalnum() or letter == "-" else "-" for letter in socket.gethostname().lower())
    return plain.split(".", maxsplit=1)[0].strip("-")[:63] or "node"


def default_state_dir(environment: Mapping[str, str]) -> Path:
    """Where a mesh keeps its state when nobody says otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/plait")
    if base := environment.get("XDG_STATE_HOME"):
        return Path(base) / "plait"
    return Path.home() / ".local" / "state" / "plait"


def load(environment: Mapping[str, str], **options: Any) -> NodeSettings:
    """The settings that these flags and this environment give; a flag that is None was not given."""
    values: dict[str, Any] = {}
    for name, default in _DEFAULTS.items():
        given = options.get(name)
        text = environment.get(f"{PREFIX}{name.upper()}", "") if given is None else given
        if text in ("", None):
            continue
        try:
            values[name] = type(default)(text)
        except ValueError:
            kind = "whole number" if isinstance(default, int) else "number"
            raise RefusedError(
                f"{name}: {text!r} is not a {kind}", f"correct the flag or {PREFIX}{name.upper()}"
            ) from None
    chosen = options.get("state_dir") or environment.get(f"{PREFIX}STATE_DIR")
    state_dir = Path(chosen) if chosen else default_state_dir(environment)
    settings = NodeSettings(state_dir=state_dir.absolute(), **values)
    if settings.capture not in ("auto", "transparent", "explicit"):
        raise RefusedError(f"capture: {settings.capture!r} is not known", "use auto, transparent or explicit")
    if not 0 <= settings.drain_time <= _LONGEST_DRAIN:
        problem = f"drain_time: {settings.drain_time} is not between 0 and {_LONGEST_DRAIN}"
        raise RefusedError(problem, f"correct {PREFIX}DRAIN_TIME; it is in whole seconds")
    return settings


_DEFAULTS: Mapping[str, Any] = {
    "join": "",
    "control": "",
    "address": "",
    "name": "",
    "locality": "",
    "capture": "auto",
    "grace": 15.0,
    "drain_time": 1,
    "warm_within": 10.0,
    "envoy": "",
    "dns_port": 15053,
}


def find_envoy(settings: NodeSettings) -> Path:
    """The Envoy binary to run; raises RefusedError when there is none."""
    return binary.find_envoy(settings.envoy)
