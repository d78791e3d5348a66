"""Spellings of names, DNS answers, scope keys."""

import pytest

from plait.model.services import Capture
from plait.model.view import NameRecord
from plait.snapshot.names import name_of, possible_hosts, resolve_host, scope_keys
from tests.snapshot.resources_builders import (
    backend,
    built,
    http_route,
    key_of,
    resource,
    rule,
    service,
    service_entry,
    snapshot_of,
    to_service,
    workload,
)

SHOP = snapshot_of(
    service("shop/reviews", 80, 8080, {"port": 9000, "name": "tcp"}),
    service("shop/db", {"port": 5432, "targetPort": 5432}, address="None"),
    resource(
        "v1",
        "Service",
        "shop/outside",
        spec={"type": "ExternalName", "externalName": "www.Example.com.", "ports": []},
    ),
    service_entry("e", "api.example.com", given={"api.example.com": "240.240.2.2"}),
    workload(
        "shop/db-0", "10.0.0.7", app="db", ports={"pg": 5432}, published="5432=30001", machine_address="192.0.2.1"
    ),
    workload("shop/db-1", "10.0.0.8", app="db", ports={"pg": 5432}, ready="false"),
)
REVIEWS = "reviews.shop.svc.cluster.local"
DB = "db.shop.svc.cluster.local"
EXTERNAL = "outside.shop.svc.cluster.local"


@pytest.mark.parametrize(
    ("spelling", "namespace", "host"),
    [
        ("reviews", "shop", REVIEWS),
        ("reviews", "default", None),
        ("reviews.shop", "default", REVIEWS),
        ("reviews.shop.svc", "default", REVIEWS),
        (REVIEWS, "default", REVIEWS),
        (REVIEWS + ".", "default", REVIEWS),
        ("REVIEWS.Shop", "default", REVIEWS),
        ("api.example.com", "default", "api.example.com"),
        ("api.example.com.", "default", "api.example.com"),
        ("example.com", "default", None),
        ("db-0.db", "shop", "db-0." + DB),
        ("db-0.db.shop", "default", "db-0." + DB),
        ("db-1.db", "shop", None),
        ("nothing", "shop", None),
    ],
)
def test_spellings(spelling: str, namespace: str, host: str | None):
    """All spellings of a name mean one host; a short name is of the caller's namespace."""
    assert resolve_host(SHOP, spelling, namespace) == host


def test_a_short_name_is_a_service_before_anything_else():
    """A Service of the caller's namespace comes before a ServiceEntry whose host is that one word."""
    entry = service_entry("e", "db", given={"db": "240.240.2.3"})

    assert resolve_host(snapshot_of(service("db"), entry), "db", "default") == "db.default.svc.cluster.local"
    assert resolve_host(snapshot_of(entry), "db", "default") == "db"


@pytest.mark.parametrize(
    "spelling", ["reviews", "reviews.shop", "reviews.shop.svc", REVIEWS, "db-0.db", "API.example.com"]
)
def test_possible_hosts_hold_what_is_resolved(spelling: str):
    """Who waits for the possible hosts of a spelling notices the host that it will stand for."""
    assert resolve_host(SHOP, spelling, "shop") in possible_hosts(spelling, "shop")


@pytest.mark.parametrize(
    ("host", "answer"),
    [
        (
            REVIEWS,
            NameRecord(
                host=REVIEWS, addresses=("240.240.0.1",), ports=(80, 8080, 9000), port_names=("p0", "p1", "tcp")
            ),
        ),
        (
            "api.example.com",
            NameRecord(host="api.example.com", addresses=("240.240.2.2",), ports=(80,), port_names=("http",)),
        ),
        (
            DB,
            NameRecord(
                host=DB, addresses=("10.0.0.7",), ports=(5432,), headless=True, port_names=("p0",), instances=("db-0",)
            ),
        ),
        (EXTERNAL, NameRecord(host=EXTERNAL, addresses=(), alias="www.example.com")),
        ("db-0." + DB, NameRecord(host="db-0." + DB, addresses=("10.0.0.7",), headless=True)),
        ("db-1." + DB, None),
        ("reviews-1." + REVIEWS, None),
        ("nothing", None),
    ],
)
def test_dns_answers(host: str, answer: NameRecord | None):
    """A service's stable address, or the addresses of a headless one's ready endpoints."""
    assert name_of(SHOP, host) == answer


def test_names_that_change_are_touched():
    """A headless service's answer, and those of its workloads, follow readiness."""
    headless = service("db", 5432, address="None")
    builder = built(headless, workload("db-0", "10.0.0.7", app="db"), service("a", address="240.240.0.9"))

    update = builder.update([workload("db-0", "10.0.0.7", app="db", ready="false")])
    host = "db.default.svc.cluster.local"
    assert update.touched.names == {host, "db-0." + host}
    assert update.touched.hosts == {host, "db-0." + host}

    moved = builder.update([service("a", address="240.240.0.10")])
    assert (moved.touched.names, moved.touched.scopes) == ({"a.default.svc.cluster.local"}, True)


def test_keys_of_transparent_capture():
    """ADDRESS:PORT for every HTTP frontend with an address."""
    assert [(key.key, key.host, key.port) for key in scope_keys(SHOP, Capture.TRANSPARENT)] == [
        ("240.240.2.2:80", "api.example.com", 80),
        ("240.240.0.1:80", REVIEWS, 80),
        ("240.240.0.1:8080", REVIEWS, 8080),
    ]


def test_keys_of_explicit_capture():
    """Every spelling with its port, and without for port 80; short names only for the namespace asked for."""
    keys = {key.key: (key.host, key.port) for key in scope_keys(SHOP, Capture.EXPLICIT, namespace="shop")}

    for stem in ("reviews", "reviews.shop", "reviews.shop.svc", REVIEWS, "240.240.0.1"):
        assert keys[stem] == keys[f"{stem}:80"] == (REVIEWS, 80)
        assert keys[f"{stem}:8080"] == (REVIEWS, 8080)
    assert keys["api.example.com"] == ("api.example.com", 80)
    assert "reviews" not in {key.key for key in scope_keys(SHOP, Capture.EXPLICIT)}
    assert not any(key.endswith(":9000") for key in keys)


def test_keys_are_unique():
    """Two hosts on one address and port share one key; which one has it does not depend on order."""
    one = service_entry("one", "a.corp", addresses=["192.0.2.1"])
    two = service_entry("two", "b.corp", addresses=["192.0.2.1"])

    assert scope_keys(snapshot_of(one, two), Capture.TRANSPARENT) == scope_keys(
        snapshot_of(two, one), Capture.TRANSPARENT
    )
    assert [key.host for key in scope_keys(snapshot_of(one, two), Capture.TRANSPARENT)] == ["a.corp"]


def test_ipv6_addresses_are_bracketed():
    """A key is what Envoy prints for the address dialled."""
    snapshot = snapshot_of(service("a", address="fd00::1"))

    assert [key.key for key in scope_keys(snapshot, Capture.TRANSPARENT)] == ["[fd00::1]:80"]


def test_scopes_are_touched_only_when_keys_change():
    """A route, or an endpoint, changes no key; a service that comes, goes or changes its protocol does."""
    builder = built(service("a", 5432), workload("a-1", app="a"))
    route = http_route("r", [to_service("a")], rule(backend("a", port=5432)))

    assert not builder.update([workload("a-1", app="a", ready="false")]).touched.scopes
    assert builder.update([route]).touched.scopes
    assert not builder.update([http_route("r", [to_service("a")], rule())]).touched.scopes
    assert builder.update([], [key_of(route)]).touched.scopes
    assert builder.update([service("b", address="240.240.0.2")]).touched.scopes
