"""What all workloads of a machine share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from plait.node.certificates import Certificates
from plait.node.counters import EndedCounters
from plait.node.habitat import LoopbackPorts
from plait.node.mesh_settings import MeshSettings
from plait.node.network import MachineNetwork
from plait.node.registration import Machine
from plait.node.settings import NodeSettings
from plait.node.state import NodeDirectory
from plait.node.surroundings import ConfigurationRelay, Control


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeContext:
    """The parts of the agent that its workloads use. `network` None: no places here, for the reason in `why_explicit`.

    `proxy_uid` is the Envoys' user, None where the agent cannot choose one.
    """

    settings: NodeSettings
    directory: NodeDirectory
    machine: Machine
    control: Control
    relay: ConfigurationRelay
    certificates: Certificates
    bundle: Callable[[], bytes]
    mesh: MeshSettings
    envoy: Path
    network: MachineNetwork | None = None
    why_explicit: str = ""
    proxy_uid: int | None = None
    resolvers: tuple[tuple[str, int], ...] = ()
    ports: LoopbackPorts = field(default_factory=LoopbackPorts)
    ended: EndedCounters = field(default_factory=EndedCounters)
