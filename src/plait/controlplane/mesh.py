"""What is settled when a mesh is made and then kept in its state directory, whatever flags say later."""

import json
from dataclasses import dataclass

import psutil

from plait.controlplane.addresses import mesh_range
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.errors import RefusedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What a mesh keeps for life: its trust domain and the range of its workloads' addresses."""

    trust_domain: str
    address_range: str


def settled_mesh(state: StateDirectory, settings: ControlSettings) -> Mesh:
    """The mesh in that state directory; made at first use. Raises RefusedError if a flag contradicts it."""
    file = state.control / "mesh.json"
    if file.exists():
        kept = Mesh(**json.loads(file.read_text()))
        if "trust_domain" in settings.model_fields_set and settings.trust_domain != kept.trust_domain:
            raise RefusedError(
                f"the mesh in {state.root} has trust domain {kept.trust_domain}, not {settings.trust_domain}",
                f"give --trust-domain {kept.trust_domain}, or use another state directory",
            )
        return kept
    in_use = [
        f"{address.address}/{address.netmask}"
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.netmask and "." in address.address
    ]
    mesh = Mesh(
        trust_domain=settings.trust_domain,
        address_range=settings.address_range or mesh_range(str(state.root), in_use),
    )
    values = {"trust_domain": mesh.trust_domain, "address_range": mesh.address_range}
    state.write_private(file, json.dumps(values) + "\n")
    return mesh
