"""A changed Sidecar touches the workloads it is for and no others; a view under one is a part of the view without."""

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.model.services import Capture
from plait.model.view import OutboundFrontend, View
from plait.resources.parse import Resource
from plait.snapshot.bounds import Bounds
from plait.snapshot.build import Built
from plait.snapshot.names import scope_keys
from plait.snapshot.project import project
from plait.snapshot.touched import Touched
from tests.snapshot.resources_builders import (
    backend,
    built,
    http_route,
    key_of,
    name_of,
    rule,
    service,
    service_entry,
    sidecar,
    snapshot_of,
    to_service,
    workload,
)

A, B, SHOP, API = "a.default.svc.cluster.local", "b.default.svc.cluster.local", "a.shop.svc.cluster.local", "api.corp"
MESH = (
    service("a", 80, {"port": 5432, "name": "tcp-db", "targetPort": 5432}),
    service("b", address="240.240.0.2"),
    service("shop/a", address="240.240.0.3"),
    service_entry("e", API, given={API: "240.240.0.4"}, resolution="DNS"),
    http_route("split", [to_service("b")], rule(backend("a"), backend("b"))),
    workload("app"),
    workload("other", "10.0.0.5"),
    workload("a-1", "10.0.0.2", app="a", account="a", ports={"http": 8080, "db": 5432}),
    workload("b-1", "10.0.0.3", app="b", account="b"),
    workload("shop/app", "10.0.0.4"),
)
EVERYTHING = frozenset([A, B, SHOP, API, "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.3:9999"])
ONLY_A = sidecar("s", f"./{A}", selector={"app": "app"})


def changed(*resources: Resource, before: tuple[Resource, ...] = (), deleted: tuple[Resource, ...] = ()) -> Built:
    """What an update of the mesh makes."""
    return built(*MESH, *before).update(resources, [key_of(item) for item in deleted])


def test_a_change_touches_the_selected_workloads():
    """A Sidecar with a selector touches its workloads and nothing else of the mesh."""
    made = changed(ONLY_A)

    assert made.touched == Touched(reaches=frozenset([name_of("app")]))
    assert set(made.work) == {"translated", "sidecars", "reaches"}


def test_a_namespace_default_passes_those_by_that_have_their_own():
    """The namespace's Sidecar does not touch a workload whose own is in force, nor other namespaces."""
    touched = changed(sidecar("ns", "shop/*"), before=(ONLY_A,)).touched

    assert touched.reaches == {name_of(name) for name in ("other", "a-1", "b-1")}


def test_removing_gives_back_what_was_before():
    """Without its own Sidecar a workload follows the namespace's again."""
    touched = changed(deleted=(ONLY_A,), before=(ONLY_A, sidecar("ns", "shop/*"))).touched

    assert touched == Touched(reaches=frozenset([name_of("app")]))


def test_what_changes_nothing_touches_nothing():
    """A written label of the Sidecar, or a part of it that is not done, touches no workload."""
    again = sidecar("s", f"./{A}", selector={"app": "app"}, ingress=[{"port": {"number": 1}, "bind": "0.0.0.0"}])

    assert not changed(again, before=(ONLY_A,)).touched


def test_limits_of_connections_to_the_app_touch_the_workload_itself():
    """They are in its own configuration, and nobody else's."""
    again = sidecar("s", f"./{A}", selector={"app": "app"}, inboundConnectionPool={"tcp": {"maxConnections": 1}})

    assert changed(again, before=(ONLY_A,)).touched.workloads == {name_of("app")}


def test_a_label_brings_a_workload_under_a_sidecar():
    """A workload whose labels change is looked at again."""
    touched = changed(workload("other", "10.0.0.5", app="app"), before=(ONLY_A,)).touched

    assert touched.reaches == {name_of("other")}


def test_a_service_that_leads_to_an_address_is_noticed():
    """Those who dialled the address of a workload hear when a service begins or ends to lead there."""
    also = service("also", address="240.240.0.8", selector={"app": "b"})

    assert "10.0.0.3" in changed(also, before=(ONLY_A,)).touched.hosts
    assert "10.0.0.3" in changed(deleted=(also,), before=(ONLY_A, also)).touched.hosts
    assert "10.0.0.3" not in changed(also).touched.hosts


def test_an_app_that_moves_is_told_to_those_who_dialled_it():
    """Where an app listens is the workload's own affair, but for those who call a port that exists by it alone."""
    moved = sidecar("s", selector={"app": "app"}, ingress=[{"port": {"number": 7}, "defaultEndpoint": ":8080"}])
    touched = changed(moved).touched
    app = frozenset([name_of("app")])

    assert touched == Touched(reaches=app, workloads=app, hosts=frozenset(["10.0.0.1"]))


HOSTS = [
    f"{namespace}/{host}"
    for namespace in (".", "*", "shop", "default")
    for host in ("*", A, "*.corp", "*.cluster.local")
]
HOST = st.sampled_from([*HOSTS, f"~/{B}", "~shop/*", "~./*.cluster.local"])


@st.composite
def listeners(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Egress listeners as a user may write them."""
    ports = draw(st.lists(st.sampled_from([80, 5432]), unique=True, max_size=2))
    found: list[dict[str, Any]] = [{"port": {"number": port}, "hosts": draw(_hosts())} for port in ports]
    if not found or draw(st.booleans()):
        found.append({"hosts": draw(_hosts())})
    return found


def _hosts() -> st.SearchStrategy[list[str]]:
    return st.lists(HOST, min_size=1, max_size=3)


def expected(frontend: OutboundFrontend, egress: list[dict[str, Any]], caller: str) -> bool:
    """Whether Istio lets a caller's namespace call it, said as plainly as possible."""

    def meant(text: str) -> bool:
        namespace, _, host = text.lstrip("~").partition("/")
        wanted = caller if namespace == "." else namespace or "*"
        return fnmatchcase(frontend.service.namespace, wanted) and fnmatchcase(frontend.host, host)

    mine = [item for item in egress if item.get("port", {}).get("number") == frontend.port]
    for item in mine or [item for item in egress if "port" not in item]:
        hits = [host for host in item["hosts"] if meant(host)]
        if hits and not any(host.startswith("~") for host in hits):
            return True
    return False


def without_reach(view: View) -> View:
    """What of a view no Sidecar bears on."""
    return replace(view, frontends=(), clusters=(), direct=(), refuses_unknown=False)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    egress=listeners(),
    mode=st.sampled_from(["", "ALLOW_ANY", "REGISTRY_ONLY"]),
    caller=st.sampled_from(["app", "shop/app"]),
)
def test_a_view_under_a_sidecar_is_the_view_without_minus_what_is_outside(
    egress: list[dict[str, Any]], mode: str, caller: str
):
    """Nothing is added or changed but addresses that became foreign; what is inside stays whole, with its clusters."""
    name = name_of(caller)
    free = project(snapshot_of(*MESH), name, EVERYTHING)
    snapshot = snapshot_of(*MESH, sidecar("istio-system/s", egress=egress, mode=mode))
    bound = project(snapshot, name, EVERYTHING)

    inside = tuple(item for item in free.frontends if expected(item, egress, name.namespace))
    assert bound.frontends == inside
    used = {dest.cluster for item in inside for one in item.rules for dest in one.destinations}
    used |= {item.default for item in inside if not item.closed}
    assert bound.clusters == tuple(item for item in free.clusters if item.key in used)
    for before, after in zip(free.direct, bound.direct, strict=True):
        foreign = replace(before, identity="", workload="", reached=None, refused=mode == "REGISTRY_ONLY")
        assert after in (before, replace(foreign, protocol=after.protocol))
    assert without_reach(bound) == without_reach(free)
    keys = Bounds.named(snapshot, name).scope_keys(Capture.TRANSPARENT)
    assert {key.host for key in keys} == {item.host for item in inside if item.protocol.is_http}
    assert set(keys) <= set(scope_keys(snapshot, Capture.TRANSPARENT))
