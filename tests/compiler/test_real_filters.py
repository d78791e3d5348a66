"""Filters that only some routes switch on, in a real Envoy: CORS and session persistence."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.model.cors import Cors
from plait.model.sessions import SessionPersistence
from plait.model.traffic import Matching, Rule, StringMatch
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
PAGE = ("origin", "https://page.example")
ASKS = (PAGE, ("access-control-request-method", "PUT"))


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, live.App]]:
    """Apps that answer."""
    with live.apps("red", "green") as started:
        yield started


def _resources(port: int, apps: dict[str, live.App], *rules: Rule) -> ResourceSet:
    view = b.view("client", b.frontend("s", port, *rules, address=ADDRESS), b.cluster("red", secure=False))
    both = [b.endpoint("127.0.0.1", app.port) for app in apps.values()]
    name = f"{b.host('red')}:80"
    resources = loopback.client(replace(view, outbound_port=port), {})
    return resources.replaced(types.ENDPOINT, {name: cluster_endpoints(name, both, node="")})


def test_preflights_are_answered_for_allowed_origins_only(apps: dict[str, live.App]) -> None:
    """An allowed page learns what it may do without the app being asked; another page learns nothing."""
    port = live.free_port()
    origin = StringMatch(matching=Matching.EXACT, value="https://page.example")
    named = Cors(allow_origins=(origin,), allow_methods=("PUT",), allow_headers=("x-a",))
    cors = replace(named, max_age=7, allow_credentials=True)
    rule = replace(b.rule("cors", b.path("/cors"), red=1), cors=cors)
    with live.running(_resources(port, apps, rule, b.rule("rest", red=1))):
        answer = live.request((ADDRESS, port), "/cors", method="OPTIONS", headers=ASKS)
        other = live.request((ADDRESS, port), "/cors", method="OPTIONS", headers=(("origin", "https://evil"), ASKS[1]))
        plain = live.request((ADDRESS, port), "/cors", headers=(PAGE,))
        beside = live.request((ADDRESS, port), "/", method="OPTIONS", headers=ASKS)
    assert (answer.status, answer.app) == (200, "")
    assert answer.header("access-control-allow-origin") == "https://page.example"
    assert answer.header("access-control-allow-methods") == "PUT"
    assert answer.header("access-control-allow-headers") == "x-a"
    assert answer.header("access-control-max-age") == "7"
    assert answer.header("access-control-allow-credentials") == "true"
    assert other.header("access-control-allow-origin") is None
    assert (plain.app != "", plain.header("access-control-allow-origin")) == (True, "https://page.example")
    assert (beside.app != "", beside.header("access-control-allow-origin")) == (True, None)


@pytest.mark.parametrize("header", [True, False])
def test_a_session_stays_with_its_endpoint(apps: dict[str, live.App], header: bool) -> None:
    """The first answer names the endpoint, and every request that brings the name goes there; others are spread."""
    port = live.free_port()
    session = SessionPersistence(name="kept", header=header, path="/")
    rule = replace(b.rule("session", red=1), session=session)
    with live.running(_resources(port, apps, rule)):
        first = live.request((ADDRESS, port))
        value = first.header("kept") if header else (first.header("set-cookie") or "").partition(";")[0]
        brought = ("kept", value or "") if header else ("cookie", value or "")
        assert value
        assert {live.request((ADDRESS, port), headers=(brought,)).app for _ in range(20)} == {first.app}
        assert {live.request((ADDRESS, port)).app for _ in range(40)} == {"red", "green"}
