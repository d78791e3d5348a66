"""Values outside the view, built once and shared: endpoints by viewpoint, scopes by key, DNS answers."""

import json

from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import scoped_route_pb2

from plait.compiler.endpoints import cluster_endpoints
from plait.compiler.names import name_entry
from plait.compiler.scopes import keys_of, scope_entries
from plait.envoy import actions
from plait.envoy.resource_set import Entry
from plait.model.services import Capture
from plait.model.view import NameRecord, ScopeKey
from tests import builders as b

HERE = b.endpoint("10.1.0.3", node="here", service_account="web", machine_address="192.0.2.1", published=31001)
THERE = b.endpoint("10.2.0.3", node="there", service_account="web", machine_address="192.0.2.2", published=31001)


def _addresses(item: Entry) -> tuple[str, ...]:
    return actions.addresses(endpoint_pb2.ClusterLoadAssignment.FromString(item.body))


def test_the_viewpoint_decides_the_address() -> None:
    """Callers on a workload's machine dial its own address, others the machine's published port."""
    assert _addresses(cluster_endpoints("c", [HERE, THERE], node="here")) == ("10.1.0.3:8080", "192.0.2.2:31001")
    assert _addresses(cluster_endpoints("c", [HERE, THERE], node="there")) == ("192.0.2.1:31001", "10.2.0.3:8080")


def test_order_and_unhealthy_endpoints_are_of_no_meaning() -> None:
    """The same endpoints in another order give the same bytes; those that are not healthy are left out."""
    sick = b.endpoint("10.1.0.9", healthy=False)
    assert cluster_endpoints("c", [THERE, sick, HERE], node="here") == cluster_endpoints(
        "c", [HERE, THERE], node="here"
    )


def test_no_endpoint_is_an_empty_assignment() -> None:
    """A cluster without endpoints still has an assignment, so that Envoy answers 503 at once."""
    assert _addresses(cluster_endpoints("c", [], node="here")) == ()


def test_scopes_are_pushed_ahead_on_demand() -> None:
    """A shared scope names its routes, which are fetched with the first request."""
    entries = scope_entries([ScopeKey(key="240.240.0.1:80", host=b.host("web"), port=80)])
    scope = scoped_route_pb2.ScopedRouteConfiguration.FromString(entries["scope/240.240.0.1:80"].body)

    assert (scope.on_demand, scope.route_configuration_name) == (True, f"{b.host('web')}:80")


def test_explicit_capture_knows_every_spelling() -> None:
    """Each spelling leads to the frontend with its port, and on port 80 without one."""
    eighty = {key.key for key in keys_of(b.frontend("web", 80), Capture.EXPLICIT)}
    other = {key.key for key in keys_of(b.frontend("web", 81), Capture.EXPLICIT)}

    assert {"web", "web:80", "web.default", b.host("web"), f"{b.host('web')}:80"} <= eighty
    assert other == {f"{alias}:81" for alias in b.aliases("web")}


def test_a_name_is_json() -> None:
    """A DNS answer is JSON that the relay can read without the compiler."""
    record = NameRecord(host=b.host("web"), addresses=("240.240.0.1",), ports=(80,))
    answer = {"host": b.host("web"), "addresses": ["240.240.0.1"], "ports": [80], "headless": False}
    assert json.loads(name_entry(record).body) == answer
