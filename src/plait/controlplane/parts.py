"""The parts of the control process, put together; `run` serves them."""

from collections.abc import Mapping
from datetime import timedelta

from plait.controlplane import restored
from plait.controlplane.access import Access
from plait.controlplane.asking import Others, nobody
from plait.controlplane.cluster import Cluster
from plait.controlplane.credentials import ServerCertificates
from plait.controlplane.envoy_check import EnvoyCheck, stand_ins
from plait.controlplane.everywhere import Holders
from plait.controlplane.machines import Machines
from plait.controlplane.mesh import Mesh
from plait.controlplane.rehearsals import Rehearsals
from plait.controlplane.rotation import Rotations
from plait.controlplane.serving import Serving
from plait.controlplane.state import StateDirectory
from plait.controlplane.why import Why
from plait.controlplane.workers import Workers
from plait.envoy.binary import find_envoy
from plait.identity.authority import CertificateAuthority
from plait.store.store import KeptStore


class Control(Serving):
    """The parts of the control process."""

    def __init__(
        self,
        state: StateDirectory,
        store: KeptStore,
        authority: CertificateAuthority,
        mesh: Mesh,
        *,
        leaf_life: timedelta,
        others: Cluster | Workers | None = None,
    ) -> None:
        """`others`: the other controls of the mesh, if there can be any, or this one's workers."""
        asked: Others | None = others
        super().__init__(store, mesh.trust_domain, leads=lambda: asked is None or asked.leads, others=asked)
        self.state = state
        self.store = store
        self.authority = authority
        self.mesh = mesh
        self.cluster = others if isinstance(others, Cluster) else None
        self.workers = others if isinstance(others, Workers) else None
        self.ask = asked.ask if asked is not None else nobody
        self.envoy = ""
        """The Envoy that judges rehearsals; empty for the one that is installed."""
        self._serve(Rotations(self.objects, authority, leaf_life=leaf_life, ask=self.ask, leads=self.leads))
        if self.cluster is not None:
            self.cluster.store.observers.append(self.admission.observe)
            self.machines.controls = self.cluster.addresses

    def _serve(self, rotations: Rotations) -> None:
        """What machines and users are answered."""
        self.holders = Holders(self.publisher, self.connections, self.reconciler, self.ask)
        self.machines = Machines(
            self.objects,
            self.authority,
            mesh_range=self.mesh.address_range,
            reached=self.reconciler.reached,
            held=self.holders.held,
            rotations=rotations,
        )
        self.machines.restored = restored.load(self.state)
        self.access = Access(
            self.objects,
            self.machines,
            owner_token=self.state.owner_token(),
            fingerprints=lambda: self.authority.fingerprints,
        )
        self.certificates = ServerCertificates(self.authority, self.state.control)
        self.why = Why(self.publisher, self.builder.located)
        self.rehearsals = Rehearsals(
            self.store, self.publisher, self.ask, trust_domain=self.mesh.trust_domain, check=self._envoy_check
        )

    def gauges(self) -> Mapping[str, float]:
        """What the control process spends, for Prometheus."""
        return {
            "build_seconds": self.reconciler.build_seconds + self.publisher.turns.seconds,
            **(self.workers.gauges() if self.workers is not None else {}),
            **self.machines.rotations.gauges(),
        }

    def _envoy_check(self) -> EnvoyCheck:
        """An Envoy that judges configurations, with control's own certificate in the place of a workload's."""
        current = self.certificates.current
        secrets = stand_ins(current.chain, current.key, self.authority.bundle)
        return EnvoyCheck(find_envoy(self.envoy), self.state.control, secrets)
