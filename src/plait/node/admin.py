"""What the agent asks of an Envoy, over the unix socket of its administration interface."""

import json
from pathlib import Path
from typing import Any

from plait.envoy import names
from plait.node import http

_ACTIVE = "downstream_cx_active"
_TOTAL = "downstream_cx_total"


async def is_live(socket: Path) -> bool:
    """Whether the Envoy has all its configuration and takes connections."""
    answer = await http.ask_socket(socket, "/ready", patience=1.0)
    return answer.status == 200


async def drain(socket: Path) -> None:
    """Ask clients that are not of the mesh to leave: `Connection: close`, GOAWAY. Nothing is cut."""
    await http.ask_socket(socket, "/drain_listeners?graceful&skip_exit&inboundonly", method="POST")


async def drain_all(socket: Path) -> None:
    """The same in both directions; it listens on, and its listeners still follow the configuration."""
    await http.ask_socket(socket, "/drain_listeners?graceful&skip_exit", method="POST")


async def stop_listening(socket: Path) -> None:
    """Close its ports; open connections go on, but its listeners take no change any more."""
    await http.ask_socket(socket, "/drain_listeners", method="POST")


async def connections(socket: Path) -> int:
    """How many connections are open at its listeners now."""
    answer = await http.ask_socket(socket, f"/stats?format=json&filter=^listener\\..*{_ACTIVE}$")
    found = json.loads(answer.body or b"{}").get("stats", [])
    return sum(int(stat.get("value", 0) or 0) for stat in found if ".admin." not in str(stat.get("name", "")))


async def inbound_connections(socket: Path, outbound_port: int) -> tuple[int, int]:
    """How many connections to the app are open now, and how many there ever were, over all inbound listeners."""
    answer = await http.ask_socket(socket, f"/stats?format=json&filter=^listener\\..*({_ACTIVE}|{_TOTAL})$")
    active = total = 0
    for stat in json.loads(answer.body or b"{}").get("stats", []):
        name, value = str(stat.get("name", "")), int(stat.get("value", 0) or 0)
        if ".admin." in name or names.OUTBOUND_LISTENER in name or f"_{outbound_port}." in name:
            continue
        active += value if name.endswith(_ACTIVE) else 0
        total += value if name.endswith(_TOTAL) else 0
    return active, total


async def prometheus(socket: Path) -> str:
    """The mesh's own statistics in Prometheus' text form."""
    answer = await http.ask_socket(socket, "/stats/prometheus?filter=mesh", patience=2.0)
    return answer.body.decode(errors="replace")


async def configuration(socket: Path) -> Any:
    """Everything the Envoy holds, without private keys."""
    answer = await http.ask_socket(socket, "/config_dump?include_eds", patience=10.0)
    return answer.json()


def last_words(log: Path, *, since: int = 0) -> str:
    """The last line that an Envoy printed (after that many bytes), without its own prefix."""
    try:
        lines = log.read_bytes()[since:].decode(errors="replace").splitlines()
    except OSError:
        return ""
    return lines[-1].rpartition("] ")[2][:300] if lines else ""
