"""Machines and what runs on them: joining by token, certificates for workloads, registration of workloads.

A machine is a Node object: `spec.podCIDR` is its range of workload addresses, the annotation `plait.dev/allow`
lists the service accounts (`NAMESPACE/NAME`, `*` for any) that it may get certificates for.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any

from plait.api.shapes import list_at, map_at
from plait.controlplane import gateway_labels
from plait.controlplane.addresses import machine_range
from plait.controlplane.edges import Edges
from plait.controlplane.machine_health import MachineReports
from plait.controlplane.objects import Objects
from plait.controlplane.restored import Restored
from plait.controlplane.rotation import Rotations
from plait.controlplane.seed import ROOT_NAMESPACE, object_of
from plait.errors import ConflictError, ForbiddenError, NotFoundError, RefusedError
from plait.identity.authority import CertificateAuthority
from plait.identity.spiffe import node_id
from plait.model.ids import Identity
from plait.store.store import Write

log = logging.getLogger(__name__)

MACHINE_LIFE = timedelta(days=30)
"""How long a machine may be switched off and still come back without a new token."""

ALLOW = "plait.dev/allow"
LOCAL = "plait.dev/local"
NODE = "plait.dev/node"
PHASE = "plait.dev/phase"
SERVICES = "plait.dev/services"
PROTOCOLS = "plait.dev/protocols"
GRANTS = "plait-grants"
_WORKLOAD_ENTRY = ("networking.istio.io", "WorkloadEntry")


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """What a machine gets when it joins."""

    node: str
    chain: str
    bundle: str
    cidr: str
    trust_domain: str


def pairs(text: str) -> dict[str, str]:
    """The pairs of an annotation like `80=8080,81=8081`."""
    return dict(item.split("=", 1) for item in text.split(",") if "=" in item)


class Machines:
    """What machines ask of the control process."""

    def __init__(
        self,
        objects: Objects,
        authority: CertificateAuthority,
        *,
        mesh_range: str,
        reached: Callable[[int], Awaitable[None]],
        held: Callable[[int], Awaitable[object]],
        rotations: Rotations | None = None,
    ) -> None:
        self._objects = objects
        self._authority = authority
        self._trust_domain = authority.trust_domain
        self._mesh_range = mesh_range
        self._reached = reached
        self._held = held
        self.edges = Edges()
        self.restored = Restored()
        self.controls: Callable[[], Sequence[str]] = tuple
        """Where the controls answer machines, if there are several."""
        self.reports = MachineReports()
        self.rotations = rotations or Rotations(objects, authority)

    async def admit(self, node: str, csr: str, allow: str, *, address: str, local: bool) -> Membership:
        """Make or renew a machine's membership; the caller has checked that it may join."""
        existing = await self._with_range(node)
        metadata = dict(existing["metadata"])
        marks = {ALLOW: allow, LOCAL: "true"} if local else {ALLOW: allow}
        metadata["annotations"] = {**metadata.get("annotations", {}), **marks}
        status = {"addresses": [{"type": "InternalIP", "address": address}]} if address else {}
        stored = await self._objects.put({**existing, "metadata": metadata, "status": status})
        identity = node_id(self._trust_domain, node)
        chain = self._authority.sign(csr.encode(), identity, ttl=MACHINE_LIFE).decode()
        return Membership(
            node=node,
            chain=chain,
            bundle=self._authority.bundle.decode(),
            cidr=stored["spec"]["podCIDR"],
            trust_domain=self._trust_domain,
        )

    async def _with_range(self, node: str) -> Mapping[str, Any]:
        """The machine's Node with its range of addresses; made anew while another control takes the same range."""
        key = Objects.key("", "Node", "", node)
        while (existing := await self._objects.get(key)) is None:
            listing = await self._objects.store.list(group="", kind="Node")
            taken = {item.get("spec", {}).get("podCIDR", "") for item in listing.items}
            made = object_of("v1", "Node", node, spec={"podCIDR": machine_range(self._mesh_range, taken)})
            with suppress(ConflictError):
                await self._objects.commit(Write(key=key, document=made, expected=0))
        return existing

    async def renew(self, node: str, request: bytes) -> bytes:
        """A new certificate for the machine itself."""
        await self._node(node)
        return self._authority.sign(request, node_id(self._trust_domain, node), ttl=MACHINE_LIFE)

    async def settings(self, node: str, holds: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the machine must know of the mesh; `holds` are the certificates and roots in use there."""
        machine = await self._node(node)
        self.rotations.report(node, holds)
        self.reports.take(node, holds)
        return {
            "cidr": str(map_at(machine, "spec").get("podCIDR", "")),
            "trustDomain": self._trust_domain,
            "clusterDomain": "cluster.local",
            "bundle": self._authority.bundle.decode(),
            "signing": self.rotations.told(),
            "grants": await self._grants(),
            "gateways": await self._gateway_ports(),
            "controls": list(self.controls()),
            "restored": self.restored.id,
            "restoredWorkloads": list(self.restored.workloads.get(node, ())),
        }

    async def _grants(self) -> list[Mapping[str, Any]]:
        """Which local processes may run workloads under which identity: the ConfigMap that `plait grant` keeps."""
        found = await self._objects.get(Objects.key("", "ConfigMap", ROOT_NAMESPACE, GRANTS))
        grants: list[Mapping[str, Any]] = []
        for name, text in map_at(found, "data").items():
            try:
                grants.append(dict(json.loads(text)))
            except (ValueError, TypeError):
                log.warning("the grant %s is not understood and gives nothing", name)
        return grants

    async def _gateway_ports(self) -> dict[str, list[int]]:
        """The listeners' ports of every Gateway: a machine that cannot give it an address of its own maps them."""
        listing = await self._objects.store.list(group="gateway.networking.k8s.io", kind="Gateway")
        return {
            f"{item['metadata']['namespace']}/{item['metadata']['name']}": sorted(
                {int(listener["port"]) for listener in list_at(item, "spec", "listeners")}
            )
            for item in listing.items
        }

    async def sign(self, node: str, request: bytes, namespace: str, service_account: str) -> bytes:
        """A certificate chain for a workload of that machine; raises ForbiddenError if it may not have it."""
        machine = await self._node(node)
        self._check_allowed(machine, namespace, service_account)
        identity = Identity(trust_domain=self._trust_domain, namespace=namespace, service_account=service_account)
        return self._authority.sign(request, str(identity), ttl=self.rotations.leaf_life)

    async def register(self, node: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Write a workload's WorkloadEntry, with the account and the services it names if they are missing."""
        machine = await self._node(node)
        document = await self._of_gateway(document)
        metadata = dict(document["metadata"])
        namespace = metadata["namespace"]
        account = document.get("spec", {}).get("serviceAccount", "default")
        self._check_allowed(machine, namespace, account)
        if await self._objects.get(Objects.key("", "Namespace", "", namespace)) is None:
            raise NotFoundError(f"namespace {namespace} does not exist", "apply a Namespace of that name first")
        annotations = {**metadata.get("annotations", {}), NODE: node}
        await self._refuse_duplicate(node, namespace, metadata["name"])
        await self._objects.ensure(object_of("v1", "ServiceAccount", account, namespace))
        for text, app_port in pairs(annotations.get(SERVICES, "")).items():
            await self._ensure_service(namespace, text, app_port, pairs(annotations.get(PROTOCOLS, "")))
        stored = await self._objects.put({**document, "metadata": {**metadata, "annotations": annotations}})
        await self._settled(stored)
        return stored

    async def _of_gateway(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """The entry with what its Gateway gives it, if it is that of a Gateway's proxy."""
        named = gateway_labels.served(document)
        key = Objects.key("gateway.networking.k8s.io", "Gateway", *named) if named else None
        gateway = await self._objects.get(key) if key else None
        return gateway_labels.borne(document, gateway) if gateway else document

    async def deregister(self, node: str, namespace: str, name: str) -> None:
        """Remove a workload of that machine; one that is gone already is fine."""
        key = Objects.key(*_WORKLOAD_ENTRY, namespace, name)
        existing = await self._objects.get(key)
        if existing is None:
            return
        self._check_owner(node, existing)
        await self._objects.delete(key)

    async def report(self, node: str, edges: Sequence[Mapping[str, Any]]) -> None:
        """Take the machine's traffic statistics, newest replacing what it said before."""
        self.edges.take(node, edges)

    async def _settled(self, stored: Mapping[str, Any]) -> None:
        """Wait until the snapshot has the workload: its sidecar's stream is opened next.

        One that drains is also waited for to be forgotten by its callers, since its app is ended next.
        """
        revision = int(stored["metadata"]["resourceVersion"])
        async with asyncio.timeout(10):
            await self._reached(revision)
            if stored["metadata"]["annotations"].get(PHASE) == "Draining":
                await self._held(revision)

    async def _node(self, node: str) -> Mapping[str, Any]:
        machine = await self._objects.get(Objects.key("", "Node", "", node))
        if machine is None:
            raise ForbiddenError(f"machine {node} is not a member of this mesh", "join again with a new token")
        return machine

    def _check_allowed(self, machine: Mapping[str, Any], namespace: str, service_account: str) -> None:
        allowed = machine["metadata"].get("annotations", {}).get(ALLOW, "")
        wanted = f"{namespace}/{service_account}"
        if not any(fnmatchcase(wanted, pattern) for pattern in allowed.split(",") if pattern):
            name = machine["metadata"]["name"]
            raise ForbiddenError(
                f"machine {name} may not run workloads as {wanted}",
                f"allow it with a token: plait token create --node {name} --allow {wanted}",
            )

    def _check_owner(self, node: str, entry: Mapping[str, Any]) -> None:
        owner = entry["metadata"].get("annotations", {}).get(NODE, "")
        if owner != node:
            whose = f"belongs to machine {owner}" if owner else "was written by hand"
            raise ForbiddenError(f"the workload entry {entry['metadata']['name']} {whose}", "choose another name")

    async def _refuse_duplicate(self, node: str, namespace: str, name: str) -> None:
        existing = await self._objects.get(Objects.key(*_WORKLOAD_ENTRY, namespace, name))
        if existing is None:
            return
        annotations = existing["metadata"].get("annotations", {})
        if annotations.get(NODE) != node and annotations.get(PHASE) != "Exited":
            where = annotations.get(NODE)
            place = f"runs already on machine {where}" if where else "is written by hand as a WorkloadEntry"
            raise ConflictError(f"workload {namespace}/{name} {place}", "choose another name with --name")

    async def _ensure_service(self, namespace: str, text: str, app_port: str, protocols: dict[str, str]) -> None:
        name, _, port_text = text.partition(":")
        port = int(port_text or app_port)
        key = Objects.key("", "Service", namespace, name)
        existing = await self._objects.get(key)
        protocol = protocols.get(app_port, "")
        wanted: dict[str, Any] = {"port": port, "targetPort": int(app_port), "name": f"{protocol or 'port'}-{port}"}
        if protocol:
            wanted["appProtocol"] = "kubernetes.io/h2c" if protocol == "http2" else protocol
        if existing is None:
            await self._objects.ensure(object_of("v1", "Service", name, namespace, spec={"ports": [wanted]}))
            return
        ports = list(existing.get("spec", {}).get("ports", []))
        if any(int(item["port"]) == port for item in ports):
            return
        if existing.get("spec", {}).get("type") == "ExternalName":
            raise RefusedError(
                f"Service {namespace}/{name} is an ExternalName and has no endpoints", "use another name"
            )
        ports = [item if item.get("name") else {**item, "name": f"port-{item['port']}"} for item in ports]
        await self._objects.put({**existing, "spec": {**existing.get("spec", {}), "ports": [*ports, wanted]}})
