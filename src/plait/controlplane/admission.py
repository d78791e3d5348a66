"""What the mesh adds to an object before it is stored, and what it refuses there.

Services get a stable address, ServiceEntries without addresses get one for each of their hosts, VirtualServices one for
each host that may be nobody else's, namespaces get the account `default` (see `reconcile`). Addresses are known from
the store at start and followed by `observe`.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from plait.api.lifecycle import complete
from plait.api.shapes import list_at, map_at
from plait.controlplane import envoy_filters
from plait.controlplane.addresses import SERVICE_RANGE, ServiceAddresses, is_service_address
from plait.resources.violations import Violation
from plait.snapshot.virtual_hosts import own_hosts
from plait.store.store import Change, Document

HEADLESS = "None"
_WITH_HOSTS = ("ServiceEntry", "VirtualService")


def claims(document: Document) -> Sequence[str]:
    """What an object has that no other may have: the addresses that the mesh gave it, a machine's range of them."""
    kind = document.get("kind")
    if kind == "Service":
        address = str(map_at(document, "spec").get("clusterIP", ""))
        return [address] if is_service_address(address) else []
    if kind in _WITH_HOSTS:
        return [str(item.get("value", "")) for item in list_at(document, "status", "addresses")]
    if kind == "Node":
        cidr = str(map_at(document, "spec").get("podCIDR", ""))
        return [cidr] if cidr else []
    return []


def _owner(value: Mapping[str, Any]) -> str:
    metadata = value["metadata"]
    return f"{value['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def _violation(value: Mapping[str, Any], path: str, problem: str, remedy: str) -> Violation:
    return Violation(resource=_owner(value), path=path, problem=problem, remedy=remedy)


def _encoded(secret: Document) -> Document:
    """The Secret with `stringData` moved into `data`, as Kubernetes stores it."""
    texts = map_at(secret, "stringData")
    data = {name: base64.b64encode(str(text).encode()).decode() for name, text in texts.items()}
    kept = {name: value for name, value in secret.items() if name != "stringData"}
    return {**kept, "data": {**map_at(secret, "data"), **data}}


class Admission:
    """The rules that need to know the whole mesh."""

    def __init__(self) -> None:
        self.takes_envoy_filters = False
        """Whether EnvoyFilters are stored (they do not act) instead of refused."""
        self._addresses = ServiceAddresses()

    def observe(self, change: Change) -> None:
        """Follow which addresses are in use."""
        if change.key.kind not in ("Service", *_WITH_HOSTS):
            return
        owner = _owner(change.document)
        if change.type == "DELETED":
            self._addresses.release(owner)
            return
        address = str(map_at(change.document, "spec").get("clusterIP", ""))
        if is_service_address(address):
            self._addresses.take(owner, address)
        for item in list_at(change.document, "status", "addresses"):
            if is_service_address(str(item.get("value", ""))):
                self._addresses.take(f"{owner} {item.get('host', '')}", str(item["value"]))

    def admit(self, document: Document, old: Document | None) -> tuple[Document, Sequence[Violation]]:
        """The document as it is to be stored, and what is wrong with it."""
        kind, group = document.get("kind"), str(document.get("apiVersion", "")).rpartition("/")[0]
        if kind == "Service" and group == "":
            return self._service(document, old)
        if kind == "Secret" and group == "" and "stringData" in document:
            return _encoded(document), ()
        if kind == "Namespace" and group == "":
            return {**document, "status": {"phase": "Active"}}, ()
        return self._of_istio(kind, document) if group == "networking.istio.io" else (document, ())

    def _of_istio(self, kind: object, document: Document) -> tuple[Document, Sequence[Violation]]:
        if kind == "ServiceEntry":
            return self._service_entry(document), ()
        if kind == "VirtualService":
            return self._virtual_service(document), ()
        if kind == "EnvoyFilter" and not self.takes_envoy_filters:
            return document, tuple(envoy_filters.refusals(document))
        return document, ()

    def finish(self, document: Mapping[str, Any], old: Document | None) -> dict[str, Any]:
        """A document of our own, completed as the API completes one of a user."""
        admitted, _ = self.admit(document, old)
        return complete(admitted, old)

    def _service(self, document: Document, old: Document | None) -> tuple[Document, Sequence[Violation]]:
        spec = dict(map_at(document, "spec"))
        before = str(map_at(old, "spec").get("clusterIP", ""))
        wanted = str(spec.get("clusterIP", ""))
        if spec.get("type") == "ExternalName" or wanted == HEADLESS:
            return document, ()
        problem = self._address_problem(document, wanted, before)
        if problem:
            return document, (problem,)
        address = wanted or (before if before != HEADLESS else "") or self._addresses.allocate(_owner(document))
        self._addresses.reserve(_owner(document), address)
        spec |= {"clusterIP": address, "clusterIPs": [address], "type": spec.get("type", "ClusterIP")}
        spec["ports"] = [{"protocol": "TCP", **port} for port in list_at(spec, "ports")]
        return {**document, "spec": spec}, ()

    def _address_problem(self, document: Document, wanted: str, before: str) -> Violation | None:
        if not wanted or wanted == before:
            return None
        if before and before != HEADLESS:
            return _violation(document, "spec.clusterIP", "field is immutable", f"leave it out or keep {before}")
        if not is_service_address(wanted):
            return _violation(
                document,
                "spec.clusterIP",
                f'Invalid value: "{wanted}": not in the range of service addresses {SERVICE_RANGE}',
                "leave it out: the mesh chooses one",
            )
        holder = self._addresses.holder(wanted)
        if holder not in (None, _owner(document)):
            return _violation(
                document, "spec.clusterIP", f'Invalid value: "{wanted}": taken by {holder}', "leave it out"
            )
        return None

    def _service_entry(self, document: Document) -> Document:
        spec = map_at(document, "spec")
        written: list[object] = list(spec.get("hosts") or ())
        hosts = [str(host) for host in written]
        if spec.get("addresses") or not hosts:
            return document
        return self._with_addresses(document, hosts)

    def _virtual_service(self, document: Document) -> Document:
        spec = map_at(document, "spec")
        written: list[object] = list(spec.get("hosts") or ())
        gateways: list[object] = list(spec.get("gateways") or ())
        hosts = own_hosts(map(str, written), map(str, gateways))
        return self._with_addresses(document, hosts) if hosts else document

    def _with_addresses(self, document: Document, hosts: Iterable[str]) -> Document:
        """The document with the address of each host in its status."""
        owner = _owner(document)
        addresses = [{"value": self._addresses.allocate(f"{owner} {host}"), "host": host} for host in hosts]
        return {**document, "status": {**map_at(document, "status"), "addresses": addresses}}
