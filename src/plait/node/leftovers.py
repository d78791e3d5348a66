"""What a mesh left on the machine: found by name, told by `plait doctor`, removed by `clean`.

Everything Plait makes on a machine carries the mesh's id, so what a killed agent left needs no record to be found:
namespaces `plait-<mesh>-...`, interfaces `v<mesh>-...`, the bridge and the nft table `plait<mesh>`. What belongs to a
place that the agent knows is not left over.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from plait.node import bridge, firewall, netns, nft


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Leftover:
    """One thing on the machine that nobody answers for; `kind` is netns, interface, table, bridge or firewall."""

    kind: str
    name: str
    processes: tuple[int, ...] = ()

    def __str__(self) -> str:
        words = {"netns": "network namespace", "table": "nft table", "firewall": "rules in DOCKER-USER for"}
        held = f" (processes {', '.join(map(str, self.processes))} still run in it)" if self.processes else ""
        return f"{words.get(self.kind, self.kind)} {self.name}{held}"


def leftovers(mesh_id: str, *, known: Iterable[str] = (), running: bool = False) -> tuple[Leftover, ...]:
    """What is left of a mesh; `known` are names of namespaces in use, `running` tells that its agent runs."""
    in_use = frozenset(known)
    found = [
        Leftover(kind="netns", name=name, processes=netns.processes(name))
        for name in netns.names(f"plait-{mesh_id}-")
        if name not in in_use
    ]
    if running or in_use:
        return tuple(found)
    found += [Leftover(kind="interface", name=name) for name in bridge.interfaces(f"v{mesh_id}-")]
    own = f"plait{mesh_id}"
    if firewall.has_way(own):
        found.append(Leftover(kind="firewall", name=own))
    found += [Leftover(kind="table", name=name) for name in nft.tables() if name == own]
    found += [Leftover(kind="bridge", name=own)] if bridge.exists(own) else []
    return tuple(found)


def clean(found: Iterable[Leftover]) -> None:
    """Remove leftovers; a namespace in which processes still run loses its name and ends with them."""
    for leftover in found:
        if leftover.kind == "netns":
            netns.delete(leftover.name)
        elif leftover.kind == "table":
            nft.remove(leftover.name)
        elif leftover.kind == "firewall":
            firewall.close_way(leftover.name)
        else:
            bridge.delete(leftover.name)


def meshes() -> tuple[str, ...]:
    """The ids of all meshes that have something on this machine."""
    found = {name.split("-")[1] for name in netns.names("plait-") if name.count("-") > 1}
    found |= {name.removeprefix("plait") for name in bridge.interfaces("plait")}
    found |= {name.removeprefix("plait") for name in nft.tables() if name.startswith("plait")}
    return tuple(sorted(found))
