"""From a store to what the proxies connected to this process are sent: control does it, and each of its workers."""

import asyncio
from collections.abc import Callable

from plait.ads.connections import ConnectionCallbacks, Connections
from plait.controlplane.admission import Admission
from plait.controlplane.asking import Others
from plait.controlplane.objects import Objects
from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import Reconciler
from plait.controlplane.refusals import Refusals
from plait.controlplane.servers import Servers
from plait.controlplane.statuses import StatusWriter
from plait.controlplane.turns import Turns
from plait.envoy.resource_set import ResourceSet
from plait.model.ids import ObjectName
from plait.snapshot.build import Builder
from plait.store.store import Store


class Serving:
    """The parts that follow the store and serve streams."""

    def __init__(
        self, store: Store, trust_domain: str, *, leads: Callable[[], bool], others: Others | None = None
    ) -> None:
        """`leads`: whether this process writes statuses; `others`: further processes that serve streams."""
        self.leads = leads
        self.admission = Admission()
        self.objects = Objects(store, self.admission.finish)
        self.builder = Builder(trust_domain=trust_domain)
        self.servers = Servers(
            self._settled, lambda seconds, then: asyncio.get_running_loop().call_later(seconds, then)
        )
        self.publisher = Publisher(self._send, self.builder.snapshot, Turns(), self.servers)
        self.statuses = StatusWriter(self.objects, leads)
        self.refusals = Refusals(self.objects, self.publisher, others)
        callbacks = ConnectionCallbacks(
            connect=self.publisher.connect,
            disconnect=self.publisher.disconnect,
            demand=self.publisher.demand,
            state=self._moved,
        )
        self.connections = Connections(trust_domain=trust_domain, registered=self._registered, callbacks=callbacks)
        self.reconciler = Reconciler(
            self.objects,
            self.admission,
            self.builder,
            self.publisher,
            gone=self.connections.forget,
            statuses=self.statuses,
        )

    def _moved(self, proxy: str) -> None:
        self.refusals.note(proxy)
        self.servers.moved(proxy)

    def _settled(self, proxy: str) -> bool:
        """Whether a proxy holds all that it is to hold."""
        state = self.connections.state(proxy)
        return state is not None and state.synced and not self.publisher.turns.waits(proxy)

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.connections.publish(proxy, resources, demand=demand)

    def _registered(self, proxy: str, node: str) -> bool:
        namespace, _, name = proxy.partition("/")
        workload = self.publisher.snapshot.workloads.get(ObjectName(namespace=namespace, name=name))
        return workload is not None and workload.node == node
