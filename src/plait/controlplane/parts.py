"""The parts of the control process, put together; `run` serves them."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from plait.ads.connections import ConnectionCallbacks, Connections
from plait.controlplane import restored
from plait.controlplane.access import Access
from plait.controlplane.admission import Admission
from plait.controlplane.asking import nobody
from plait.controlplane.cluster import Cluster
from plait.controlplane.credentials import ServerCertificates
from plait.controlplane.everywhere import Holders
from plait.controlplane.machines import Machines
from plait.controlplane.mesh import Mesh
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import Reconciler
from plait.controlplane.refusals import Refusals
from plait.controlplane.rotation import Rotations
from plait.controlplane.servers import Servers
from plait.controlplane.state import StateDirectory
from plait.controlplane.statuses import StatusWriter
from plait.controlplane.turns import Turns
from plait.controlplane.why import Why
from plait.envoy.resource_set import ResourceSet
from plait.identity.authority import CertificateAuthority
from plait.model.ids import ObjectName
from plait.snapshot.build import Builder
from plait.store.store import KeptStore


class Control:
    """The parts of the control process."""

    def __init__(
        self,
        state: StateDirectory,
        store: KeptStore,
        authority: CertificateAuthority,
        mesh: Mesh,
        *,
        leaf_life: timedelta,
        cluster: Cluster | None = None,
    ) -> None:
        """`cluster`: the other controls of the mesh, if there can be any."""
        self.state = state
        self.store = store
        self.authority = authority
        self.mesh = mesh
        self.cluster = cluster
        self.ask = cluster.ask if cluster is not None else nobody
        self._follow_store()
        self._serve(Rotations(self.objects, authority, leaf_life=leaf_life, ask=self.ask, leads=self.leads))
        if cluster is not None:
            cluster.store.observers.append(self.admission.observe)
            self.machines.controls = cluster.addresses

    def _follow_store(self) -> None:
        """From the store to what proxies are sent."""
        self.admission = Admission()
        self.objects = Objects(self.store, self.admission.finish)
        self.builder = Builder(trust_domain=self.mesh.trust_domain)
        self.servers = Servers(
            self._settled, lambda seconds, then: asyncio.get_running_loop().call_later(seconds, then)
        )
        self.publisher = Publisher(self._send, self.builder.snapshot, Turns(), self.servers)
        self.statuses = StatusWriter(self.objects, self.leads)
        self.reconciler = Reconciler(
            self.objects,
            self.admission,
            self.builder,
            self.publisher,
            gone=self._forget,
            statuses=self.statuses,
        )

    def _serve(self, rotations: Rotations) -> None:
        """What proxies, machines and users are answered."""
        callbacks = ConnectionCallbacks(
            connect=self.publisher.connect,
            disconnect=self.publisher.disconnect,
            demand=self.publisher.demand,
            state=self._moved,
        )
        domain = self.mesh.trust_domain
        self.connections = Connections(trust_domain=domain, registered=self._registered, callbacks=callbacks)
        self.refusals = Refusals(self.objects, self.publisher, self.cluster)
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

    def gauges(self) -> Mapping[str, float]:
        """What the control process spends, for Prometheus."""
        return {
            "build_seconds": self.reconciler.build_seconds + self.publisher.turns.seconds,
            **self.machines.rotations.gauges(),
        }

    def leads(self) -> bool:
        """Whether this control leads the others; one that is alone does."""
        return self.cluster is None or self.cluster.leads

    def _moved(self, proxy: str) -> None:
        self.refusals.note(proxy)
        self.servers.moved(proxy)

    def _settled(self, proxy: str) -> bool:
        """Whether a proxy holds all that it is to hold."""
        state = self.connections.state(proxy)
        return state is not None and state.synced and not self.publisher.turns.waits(proxy)

    def _forget(self, proxy: str) -> None:
        self.connections.forget(proxy)

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.connections.publish(proxy, resources, demand=demand)

    def _registered(self, proxy: str, node: str) -> bool:
        namespace, _, name = proxy.partition("/")
        workload = self.publisher.snapshot.workloads.get(ObjectName(namespace=namespace, name=name))
        return workload is not None and workload.node == node
