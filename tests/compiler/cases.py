"""Cases: a mesh as users write it, what two kinds of readers should find in it.

    cases/<case>/mesh.yaml           resources, as applied (workloads are WorkloadEntry objects); CERTIFICATE and KEY
                                     stand for a certificate of shop.example
    cases/<case>/calls.yaml          proxies: {NAME: {demand: [HOST], calls: [{call: {...}, expect: {...}}]}}
    cases/<case>/<NAME>.golden.yaml  all that the proxy of that workload holds, to be read in review

The goldens of the case `http-service` are complete; in the others, what is equal there is only marked so.

`expect` has any of asks, chain, scope, route, clusters, endpoints, status, location, path, authority, rule (that denied
or allowed), denied, reason (a part of it), miss (a part of the nearest miss). Goldens are rewritten by `make golden`.
"""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from google.protobuf import json_format

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import of_cluster
from plait.envoy import names, types
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.simulate import Call, Direction, Outcome
from plait.model.ids import ObjectName
from plait.model.services import Resolution
from plait.model.snapshot import Snapshot
from plait.model.view import View
from plait.resources.parse import Resource, parse
from plait.resources.yaml import load
from plait.snapshot.build import Builder
from plait.snapshot.project import project
from tests.envoy import certificates

BASIS = "http-service"
COMMON = f"(as in {BASIS})"
_COMMON_FROM = 150
FOLDER = Path(__file__).parent / "cases"

_MESSAGES: Mapping[str, tuple[str, Any]] = {
    types.CLUSTER: ("clusters", cluster_pb2.Cluster),
    types.ENDPOINT: ("endpoints", endpoint_pb2.ClusterLoadAssignment),
    types.LISTENER: ("listeners", listener_pb2.Listener),
    types.ROUTE: ("routes", route_pb2.RouteConfiguration),
    types.SCOPE: ("scopes", scoped_route_pb2.ScopedRouteConfiguration),
}


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """One proxy of a case."""

    case: str
    name: str
    resources: ResourceSet
    view: View
    calls: tuple[tuple[Call, Mapping[str, Any]], ...]

    @property
    def golden(self) -> Path:
        """Where its golden file is."""
        return FOLDER / self.case / f"{self.name}.golden.yaml"


def proxies() -> Iterator[Proxy]:
    """Every proxy of every case."""
    for folder in sorted(path.parent for path in FOLDER.glob("*/calls.yaml")):
        snapshot = mesh(_with_certificate((folder / "mesh.yaml").read_text()))
        described = yaml.safe_load((folder / "calls.yaml").read_text())
        for name, content in described["proxies"].items():
            view = project(snapshot, _object_name(name), frozenset(content.get("demand", ())))
            yield Proxy(
                case=folder.name,
                name=name.replace("/", "."),
                resources=held(snapshot, view),
                view=view,
                calls=tuple((_call(item["call"]), item["expect"]) for item in content.get("calls", ())),
            )


def _with_certificate(text: str) -> str:
    """Puts a fresh certificate in the place of CERTIFICATE and KEY, so that no key is in the repository."""
    if ": CERTIFICATE" not in text:
        return text
    chain, key = certificates.shared().leaf("", "shop.example")
    held = text.replace(": CERTIFICATE", f": {b64encode(chain).decode()}")
    return held.replace(": KEY", f": {b64encode(key).decode()}")


def mesh(text: str) -> Snapshot:
    """The snapshot of the resources in a text; fails with every mistake in them."""
    loaded = load(text, "mesh.yaml")
    parsed = [parse(item.value, lines=item.lines, file=item.file) for item in loaded.documents]
    mistakes = [str(item) for found in (*parsed, loaded.violations) if isinstance(found, tuple) for item in found]
    assert mistakes == []
    return Builder().update([item for item in parsed if isinstance(item, Resource)]).snapshot


def _object_name(text: str) -> ObjectName:
    namespace, _, name = text.rpartition("/")
    return ObjectName(namespace=namespace or "default", name=name)


def held(snapshot: Snapshot, view: View) -> ResourceSet:
    """What the proxy of a view holds, endpoints included."""
    assignments: dict[str, Entry] = {}
    for cluster in view.clusters:
        if cluster.resolution in (Resolution.MESH, Resolution.STATIC) and not cluster.missing:
            entry = of_cluster(cluster, snapshot.endpoints.get(cluster.key.whole, ()), node=view.node)
            assignments[entry.name] = entry
    return compile_view(view).replaced(types.ENDPOINT, assignments)


def _call(fields: Mapping[str, Any]) -> Call:
    headers = tuple((str(name), str(value)) for name, value in fields.get("headers", {}).items())
    tls = bool(fields.get("identity"))
    server_name = names.MESH_SERVER_NAME if tls else ""
    protocols = ("h2", "http/1.1") if tls and fields.get("http", True) else ()
    given = {**fields, "headers": headers, "direction": Direction(fields.get("direction", "outbound"))}
    return replace(Call(tls=tls, server_name=server_name, protocols=protocols), **given)


def difference(outcome: Outcome, expected: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """(found, expected) of every expectation that an outcome does not meet."""
    found: dict[str, Any] = {
        "chain": outcome.chain,
        "scope": outcome.scope,
        "route": outcome.route,
        "origin": outcome.origin,
        "clusters": dict(outcome.clusters),
        "endpoints": sorted(address for group in outcome.endpoints.values() for address in group),
        "status": outcome.status,
        "location": outcome.action.location,
        "path": outcome.action.path,
        "authority": outcome.action.authority,
        "mirrors": dict(outcome.action.mirrors),
        "asks": outcome.action.asks,
        "timeout": outcome.action.timeout,
        "per_try_timeout": outcome.action.per_try_timeout,
        "retries": outcome.action.retries,
        "denied": outcome.denied,
        "rule": outcome.rule,
    }
    different = {key: (found[key], value) for key, value in expected.items() if key in found and found[key] != value}
    for key, text in (("reason", outcome.reason), ("miss", " ".join(map(str, outcome.misses)))):
        if expected.get(key, "") not in text:
            different[key] = (text, expected[key])
    return different


def rendered(resources: ResourceSet, common: AbstractSet[str] = frozenset()) -> str:
    """A resource set as YAML, keys sorted; of secrets only the names, and of what is common only a mark."""
    document: dict[str, Any] = {"secrets": sorted(resources.of(types.SECRET))}
    for url, (label, kind) in _MESSAGES.items():
        document[label] = {
            name: json.loads(json_format.MessageToJson(kind.FromString(item.body), preserving_proto_field_name=True))
            for name, item in sorted(resources.of(url).items())
        }
    shown = {key: value for key, value in document.items() if value}
    return yaml.safe_dump(_shortened(shown, common), width=150, default_flow_style=None)


def _shortened(value: Any, common: AbstractSet[str]) -> Any:
    """The value with what is common to other cases replaced by a mark."""
    if isinstance(value, dict) and json.dumps(value, sort_keys=True) in common:
        return COMMON
    if isinstance(value, dict):
        return {key: _shortened(item, common) for key, item in cast("dict[str, Any]", value).items()}
    return [_shortened(item, common) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def parts(value: Any) -> Iterator[str]:
    """Every large mapping in a value, as text to compare."""
    if isinstance(value, dict) and len(text := json.dumps(value, sort_keys=True)) > _COMMON_FROM:
        yield text
    inner = list(cast("dict[str, Any]", value).values()) if isinstance(value, dict) else value
    for item in cast("list[Any]", inner) if isinstance(inner, list) else ():
        yield from parts(item)
