"""VirtualServices in few words, and what callers get of them."""

from typing import Any

from plait.model.snapshot import Snapshot
from plait.model.traffic import Rule
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import NETWORKING, Document, conditions, name_of, resource, service

REVIEWS = service("reviews", {"port": 80}, {"port": 9080})
V2 = service("v2", {"port": 9080}, address="240.240.0.2")
SHOP_REVIEWS = service("shop/reviews", address="240.240.0.3")
TO_V2: Document = {"destination": {"host": "v2"}}


def to(host: str, **fields: Any) -> Document:
    """An HTTP rule with one destination."""
    return {"route": [{"destination": {"host": host}}], **fields}


def virtual_service(name: str, *http: Document, hosts: tuple[str, ...] = ("reviews",), **fields: Any) -> Resource:
    """A VirtualService with these HTTP rules."""
    meta = {key: fields.pop(key) for key in ("created", "generation") if key in fields}
    return resource(
        NETWORKING, "VirtualService", name, spec={"hosts": list(hosts), "http": list(http), **fields}, **meta
    )


def destination_rule(name: str, host: str, *subsets: str) -> Resource:
    """A DestinationRule whose subsets are chosen by the label `version`."""
    spec = {"host": host, "subsets": [{"name": subset, "labels": {"version": subset}} for subset in subsets]}
    return resource(NETWORKING, "DestinationRule", name, spec=spec)


def rules(
    snapshot: Snapshot, host: str = "reviews", port: int = 80, *, namespace: str = "default", **labels: str
) -> tuple[Rule, ...] | None:
    """The rules that a caller gets; None where everything goes to the service."""
    frontend = snapshot.frontends[service_host(name_of(host)), port]
    found, closed = frontend.rules_for(namespace, tuple(sorted(labels.items())))
    return found if closed else None


def only(snapshot: Snapshot, **where: Any) -> Rule:
    """The one rule that a caller gets."""
    (found,) = listed(snapshot, **where)
    return found


def listed(snapshot: Snapshot, **where: Any) -> list[Rule]:
    """The rules that a caller gets; none where everything goes to the service."""
    return list(rules(snapshot, **where) or ())


def names(snapshot: Snapshot, host: str = "reviews", port: int = 80, **caller: str) -> list[str]:
    """The names of the rules that a caller gets, without the VirtualService's namespace."""
    return [found.name.partition("/")[2] for found in rules(snapshot, host, port, **caller) or ()]


def status(builder: Builder, name: str = "vs") -> dict[str, tuple[str, str]]:
    """Status and reason of each condition."""
    return conditions(builder.statuses["VirtualService", name_of(name)].conditions)


def message(builder: Builder, kind: str, name: str = "vs") -> str:
    """The message of a condition."""
    found = builder.statuses["VirtualService", name_of(name)].conditions
    return next(item.message for item in found if item.type == kind)
