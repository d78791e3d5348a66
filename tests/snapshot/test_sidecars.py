"""Sidecar: which one is in force, what it lets a workload call, and what its status says."""

import pytest

from plait.model.reach import Reach
from plait.model.services import Capture
from plait.model.snapshot import Snapshot
from plait.model.view import DirectEndpoint
from plait.resources.parse import Resource
from plait.snapshot.bounds import Bounds
from plait.snapshot.build import Builder
from plait.snapshot.project import project
from tests.snapshot.resources_builders import (
    Document,
    built,
    conditions,
    gateway,
    gateway_proxy,
    key_of,
    name_of,
    service,
    service_entry,
    sidecar,
    snapshot_of,
    workload,
)

ROOT = "istio-system"
A, B = "a.default.svc.cluster.local", "b.default.svc.cluster.local"
SHOP, API = "a.shop.svc.cluster.local", "api.corp"
MESH = (
    service("a", 80, 81),
    service("b", address="240.240.0.2"),
    service("shop/a", address="240.240.0.3"),
    service_entry("e", API, given={API: "240.240.0.4"}, resolution="DNS"),
    workload("app"),
    workload("a-1", "10.0.0.2", app="a", account="a"),
    workload("b-1", "10.0.0.3", app="b", account="b"),
    workload("shop/app", "10.0.0.4"),
)
EVERYTHING = frozenset([A, B, SHOP, API])


def reached(*resources: Resource, caller: str = "app") -> set[str]:
    """The places that a caller reaches when it asks for everything, as HOST:PORT without what all hosts end in."""
    view = project(snapshot_of(*MESH, *resources), name_of(caller), EVERYTHING)
    return {f"{item.host.removesuffix('.svc.cluster.local')}:{item.port}" for item in view.frontends}


def reach_for(snapshot: Snapshot, caller: str) -> Reach | None:
    return Bounds.named(snapshot, name_of(caller)).reach


def chosen(*resources: Resource, caller: str = "app") -> str:
    """The Sidecar in force for a caller, empty for none."""
    reach = reach_for(snapshot_of(*MESH, *resources), caller)
    return str(reach.sidecar) if reach else ""


def said(builder: Builder, name: str) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses["Sidecar", name_of(name)].conditions)


ALL = {"a.default:80", "a.default:81", "b.default:80", "a.shop:80", "api.corp:80"}
OWN = ALL - {"a.shop:80"}


HOSTS: list[tuple[list[str], set[str]]] = [
    ([], ALL),
    (["*/*"], ALL),
    (["./*"], OWN),
    (["default/*"], OWN),
    (["shop/*"], {"a.shop:80"}),
    ([f"./{A}"], {"a.default:80", "a.default:81"}),
    ([f"shop/{A}"], set()),
    ([f"*/{SHOP}"], {"a.shop:80"}),
    (["*/*.corp"], {"api.corp:80"}),
    (["*/*.svc.cluster.local"], ALL - {"api.corp:80"}),
    (["./*", f"shop/{SHOP}"], ALL),
    (["*/*", "~./*"], {"a.shop:80"}),
    (["*/*", f"~/{A}"], ALL - {"a.default:80", "a.default:81"}),
    (["~/*"], set()),
]


@pytest.mark.parametrize(("hosts", "expected"), HOSTS)
def test_hosts(hosts: list[str], expected: set[str]):
    """A host is a namespace and a name, each of which may be any; `~` in front leaves services out."""
    assert reached(*([sidecar("s", *hosts)] if hosts else [])) == expected


def listener(*hosts: str, port: int = 0, protocol: str = "HTTP") -> Document:
    found: Document = {"hosts": list(hosts)}
    return {**found, "port": {"number": port, "protocol": protocol}} if port else found


LISTENERS: list[tuple[list[Document], set[str]]] = [
    ([listener("*/*", port=80)], ALL - {"a.default:81"}),
    ([listener("shop/*", port=80), listener("./*")], {"a.shop:80", "a.default:81"}),
    ([listener("./*", port=81), listener("shop/*", port=80)], {"a.default:81", "a.shop:80"}),
    ([listener("./*", port=15080, protocol="HTTP_PROXY")], OWN),
    ([listener("./*", port=443)], set()),
]


@pytest.mark.parametrize(("egress", "expected"), LISTENERS)
def test_ports(egress: list[Document], expected: set[str]):
    """A listener with a port is for that port of its services, and takes it away from the one without a port."""
    assert reached(sidecar("s", egress=egress)) == expected


APP = {"app": "app"}


@pytest.mark.parametrize(
    ("sidecars", "expected"),
    [
        ([], ""),
        ([sidecar(f"{ROOT}/root", "./*")], f"{ROOT}/root"),
        ([sidecar(f"{ROOT}/root", "./*"), sidecar("ns", "./*")], "default/ns"),
        ([sidecar("ns", "./*", created=1), sidecar("w", "./*", selector=APP, created=2)], "default/w"),
        ([sidecar("w", "./*", selector={"app": "x"}), sidecar("ns", "./*")], "default/ns"),
        ([sidecar("new", "./*", created=2), sidecar("old", "./*", created=1)], "default/old"),
        (
            [sidecar("x", "./*", selector={}, created=2), sidecar("w", "./*", selector=APP, created=1)],
            "default/w",
        ),
        ([sidecar("all", "./*", selector={}, created=2), sidecar("ns", "./*", created=1)], "default/all"),
        ([sidecar(f"{ROOT}/w", "./*", selector=APP)], ""),
        ([sidecar("shop/ns", "./*")], ""),
    ],
)
def test_the_one_in_force(sidecars: list[Resource], expected: str):
    """Selector before namespace before root namespace, the older before the newer; never two together."""
    assert chosen(*sidecars) == expected


def test_own_namespace_in_the_default_of_the_mesh():
    """`./*` of the root namespace's Sidecar is the namespace of each workload."""
    root = sidecar(f"{ROOT}/root", "./*")

    assert reached(root) == OWN
    assert reached(root, caller="shop/app") == {"a.shop:80"}


def test_gateways_have_none():
    """A Sidecar does not concern the proxies of Gateways."""
    edge = (gateway("edge"), gateway_proxy("edge-1", serves="edge"))

    assert chosen(*edge, sidecar("ns", "./*"), caller="edge-1") == ""


@pytest.mark.parametrize("selector", [None, APP])
def test_two_for_the_same_workloads(selector: dict[str, str] | None):
    """The older one is in force, the newer one says so and names it; it takes over when the older one is gone."""
    old, new = (sidecar(name, "./*", selector=selector, created=when) for name, when in (("old", 1), ("new", 2)))
    builder = built(*MESH, new, old)

    assert said(builder, "old") == {"Accepted": ("True", "Accepted")}
    assert said(builder, "new") == {"Accepted": ("False", "Conflicted")}
    assert "Sidecar default/old" in builder.statuses["Sidecar", name_of("new")].conditions[0].message

    builder.update((), [key_of(old)])
    assert said(builder, "new") == {"Accepted": ("True", "Accepted")}
    assert ("Sidecar", name_of("old")) not in builder.statuses


NOT_DONE: list[tuple[Document, str]] = [
    ({"ingress": [{"port": {"number": 1, "protocol": "HTTP"}}]}, "ingress[0].port.protocol"),
    ({"ingress": [{"port": {"number": 1}, "defaultEndpoint": "[::1]:2"}]}, "ingress[0].defaultEndpoint"),
    ({"ingress": [{"port": {"number": 1}, "defaultEndpoint": "unix:///a"}]}, "ingress[0].defaultEndpoint"),
    ({"ingress": [{"port": {"number": 1}, "bind": "0.0.0.0"}]}, "ingress[0].bind"),
    ({"ingress": [{"port": {"number": 1}, "captureMode": "NONE"}]}, "ingress[0].captureMode"),
    ({"ingress": [{"port": {"number": 1, "protocol": "TLS"}, "tls": {}}]}, "ingress[0].tls"),
    ({"egress": [{"hosts": ["./*"], "captureMode": "NONE"}]}, "egress[0].captureMode"),
    ({"egress": [{"hosts": ["./*"], "port": {"number": 1}, "bind": "::1"}]}, "egress[0].bind"),
    ({"egress": [{"hosts": ["./*"], "port": {"number": 1, "protocol": "HTTP_PROXY"}}]}, "egress[0].port"),
    (
        {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "a.b", "port": {"number": 1}}}},
        "outboundTrafficPolicy.egressProxy",
    ),
]


@pytest.mark.parametrize(("spec", "words"), NOT_DONE)
def test_what_is_not_done_is_said(spec: Document, words: str):
    """Every field without effect is named in PartiallyInvalid; the rest of the Sidecar is in force."""
    builder = built(*MESH, sidecar("s", **spec))
    found = {item.type: item for item in builder.statuses["Sidecar", name_of("s")].conditions}

    assert found["Accepted"].status == "True"
    assert f"{words} has no effect" in found["PartiallyInvalid"].message
    assert reach_for(builder.snapshot, "app") is not None


def test_what_happens_anyway_is_not_said():
    """A Sidecar whose every field has its effect has no other condition."""
    anyway = [{"port": {"number": 8080}, "defaultEndpoint": "127.0.0.1:8080", "captureMode": "IPTABLES"}]
    builder = built(*MESH, sidecar("s", "./*", mode="REGISTRY_ONLY", ingress=anyway))

    assert said(builder, "s") == {"Accepted": ("True", "Accepted")}


def test_an_app_that_listens_elsewhere():
    """Calls to a port go to the app's port that defaultEndpoint names; a port that only it names is a port too."""
    ports = [{"port": {"number": 8080}, "defaultEndpoint": "0.0.0.0:9000"}, {"port": {"number": 7000}}]
    ports.append({"port": {"number": 7001}, "defaultEndpoint": "127.0.0.1:9001"})
    builder = built(*MESH, sidecar("s", ingress=ports))
    found = project(builder.snapshot, name_of("app"), frozenset()).inbound

    assert [(port.number, port.app_port) for port in found] == [(7001, 9001), (8080, 9000)]
    assert said(builder, "s") == {"Accepted": ("True", "Accepted")}
    assert reached(sidecar("s", ingress=ports)) == ALL


@pytest.mark.parametrize(("mode", "refuses"), [("", False), ("ALLOW_ANY", False), ("REGISTRY_ONLY", True)])
def test_unknown_hosts(mode: str, refuses: bool):
    """Connections to what is no service pass unless the Sidecar says REGISTRY_ONLY."""
    snapshot = snapshot_of(*MESH, sidecar("s", "*/*", mode=mode))

    assert project(snapshot, name_of("app"), frozenset()).refuses_unknown is refuses


def test_an_outbound_policy_without_mode_is_registry_only():
    """`outboundTrafficPolicy: {}` has the mode that Istio's API defaults to; all services may be called."""
    only = sidecar("s", outboundTrafficPolicy={})

    assert project(snapshot_of(*MESH, only), name_of("app"), frozenset()).refuses_unknown
    assert reached(only) == ALL


@pytest.mark.parametrize("mode", ["ALLOW_ANY", "REGISTRY_ONLY"])
def test_addresses_of_workloads(mode: str):
    """A workload's own address is inside if a service leads there; outside it is like any unknown address."""
    snapshot = snapshot_of(*MESH, sidecar("s", f"./{A}", mode=mode))
    demand = frozenset(["10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.2:9999"])
    found = {f"{item.address}:{item.port}": item for item in project(snapshot, name_of("app"), demand).direct}
    refused = mode == "REGISTRY_ONLY"

    assert found["10.0.0.2:8080"].identity.endswith("/sa/a")
    assert not found["10.0.0.2:8080"].refused
    for place in ("10.0.0.3:8080", "10.0.0.2:9999"):
        assert found[place] == DirectEndpoint(
            address=found[place].address,
            port=found[place].port,
            protocol=found[place].protocol,
            identity="",
            known=place != "10.0.0.2:9999",
            refused=refused,
        )


@pytest.mark.parametrize(
    ("hosts", "inside"), [(["*/*"], True), (["./*"], True), (["./*.cluster.local"], False), (["*/*", "~./*"], False)]
)
def test_ports_that_no_service_leads_to(hosts: list[str], inside: bool):
    """A port of a workload that no service leads to is inside only if all of its namespace is."""
    job = workload("job", "10.0.0.9", ports={"metrics": 9090})
    snapshot = snapshot_of(*MESH, job, sidecar("s", *hosts, mode="REGISTRY_ONLY", selector=APP))
    found, nothing = project(snapshot, name_of("app"), frozenset(["10.0.0.9:9090", "10.0.0.9:9"])).direct[::-1]

    assert (found.refused, bool(found.identity)) == (not inside, inside)
    assert nothing.refused


def test_names():
    """A name outside does not exist; a short one means the next host that is inside."""
    entry = service_entry("f", "a.shop", given={"a.shop": "240.240.0.9"})
    snapshot = snapshot_of(*MESH, entry, sidecar("s", f"shop/{SHOP}"))
    bounds = Bounds.named(snapshot, name_of("app"))

    assert bounds.resolve("a") is None
    assert bounds.resolve(B) is None
    assert bounds.resolve("a.shop") == SHOP
    assert Bounds.named(snapshot, name_of("shop/app")).resolve("a.shop") == "a.shop"


def test_names_of_single_workloads():
    """The name of one workload behind a headless service is inside if the service is."""
    headless = service("db", 5432, address="None")
    db = workload("db-0", "10.0.0.8", app="db")
    name = "db-0.db.default.svc.cluster.local"

    assert Bounds.named(snapshot_of(*MESH, headless, db), name_of("app")).resolve(name) == name
    outside = snapshot_of(*MESH, headless, db, sidecar("s", "shop/*"))
    assert Bounds.named(outside, name_of("app")).resolve(name) is None


def test_authorities_where_calls_go_through_a_proxy():
    """In explicit capture what is outside has no authority, and what is inside has those of the caller's namespace."""
    snapshot = snapshot_of(*MESH, sidecar("s", f"./{B}"))
    keys = {key.key for key in Bounds.named(snapshot, name_of("app")).scope_keys(Capture.EXPLICIT)}

    assert {"b", "b:80", "b.default", B, "240.240.0.2"} <= keys
    assert all(key.startswith(("b", "240.240.0.2")) for key in keys)
