"""What a machine's network consists of, on disk: places, addresses remembered, ports published.

One JSON file, replaced atomically after every change. It is what a restarted agent adopts, and what the machine's nft
table is rendered from: the table is never read back.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from plait.errors import RefusedError
from plait.node.nft import HostPort, LoopbackPort, MachinePort

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceSpec:
    """What a workload's place needs; `name` is `namespace/name` or any name that is unique on the machine.

    `inbound_ports` are the app's own ports (checked against host ports), `host_ports` the machine's loopback ports it
    may call, `listener_ports` the sidecar's listeners that published ports lead to. Without `capture` nothing is
    redirected: the place of a gateway, whose Envoy listens on the place's address itself.
    """

    name: str
    envoy_uid: int
    namespace: str = "default"
    address: str | None = None
    inbound_ports: tuple[int, ...] = ()
    host_ports: tuple[int, ...] = ()
    listener_ports: tuple[int, ...] = ()
    capture: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The network of one machine: everything that outlives the agent."""

    places: Mapping[str, PlaceSpec] = field(default_factory=dict[str, PlaceSpec])
    addresses: Mapping[str, str] = field(default_factory=dict[str, str])
    machine_ports: tuple[MachinePort, ...] = ()
    loopback_ports: tuple[LoopbackPort, ...] = ()

    def with_place(self, spec: PlaceSpec, address: str) -> "Record":
        """The record with one place more; its name becomes the most recently used."""
        addresses = {name: kept for name, kept in self.addresses.items() if name != spec.name and kept != address}
        return dataclasses.replace(
            self, places={**self.places, spec.name: spec}, addresses={**addresses, spec.name: address}
        )

    def without_ports(self, name: str) -> "Record":
        """The record without the ports that lead to a place or that it may call."""
        address = self.addresses.get(name)
        spec = self.places.get(name)
        if spec is None:
            return self
        return dataclasses.replace(
            self,
            places={**self.places, name: dataclasses.replace(spec, host_ports=())},
            machine_ports=tuple(port for port in self.machine_ports if port.address != address),
            loopback_ports=tuple(port for port in self.loopback_ports if port.address != address),
        )

    def without_place(self, name: str) -> "Record":
        """The record without a place; its address stays remembered, as the one used last."""
        kept = {other: address for other, address in self.addresses.items() if other != name}
        if name in self.addresses:
            kept[name] = self.addresses[name]
        bare = self.without_ports(name)
        places = {other: spec for other, spec in bare.places.items() if other != name}
        return dataclasses.replace(bare, places=places, addresses=kept)

    def ports(self) -> tuple[object, ...]:
        """Everything that the machine's rules depend on."""
        return self.machine_ports, self.loopback_ports, self.host_ports()

    def host_ports(self) -> tuple[HostPort, ...]:
        """Which workload may call which loopback port of the machine."""
        return tuple(
            HostPort(address=self.addresses[name], port=port)
            for name, spec in self.places.items()
            for port in spec.host_ports
        )


def load(path: Path) -> Record:
    """Read the record; none yet is an empty one."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise RefusedError(
                f"{path} has format {document['format']}, this Plait reads {FORMAT}", "use the Plait that wrote it"
            )
        return _parse(document)
    except FileNotFoundError:
        return Record()
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError(
            f"{path} cannot be read: {error}", f"stop the node agent's workloads and delete {path}"
        ) from error


def save(path: Path, record: Record) -> None:
    """Replace the record on disk, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.new")
    document = {
        "format": FORMAT,
        "places": [dataclasses.asdict(spec) for spec in record.places.values()],
        "addresses": dict(record.addresses),
        "machine_ports": [dataclasses.asdict(port) for port in record.machine_ports],
        "loopback_ports": [dataclasses.asdict(port) for port in record.loopback_ports],
    }
    with fresh.open("w", encoding="utf-8") as file:
        json.dump(document, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _parse(document: Mapping[str, Any]) -> Record:
    specs = [PlaceSpec(**{key: _frozen(value) for key, value in spec.items()}) for spec in document["places"]]
    return Record(
        places={spec.name: spec for spec in specs},
        addresses=dict(document["addresses"]),
        machine_ports=tuple(MachinePort(**port) for port in document["machine_ports"]),
        loopback_ports=tuple(LoopbackPort(**port) for port in document["loopback_ports"]),
    )


def _frozen(value: Any) -> Any:
    return tuple(cast("list[int]", value)) if isinstance(value, list) else value
