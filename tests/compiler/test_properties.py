"""What holds for every view: it compiles, refers to nothing missing, gives the same bytes, and Envoy takes it."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings

from plait.compiler.compile import compile_view
from plait.envoy import names, types
from plait.envoy.references import missing_references
from plait.envoy.simulate import Call, simulate
from plait.model.view import View
from tests import builders as b
from tests.compiler.strategies import views
from tests.envoy.real import validate


@given(view=views())
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_view_compiles_into_a_closed_set(view: View) -> None:
    """Everything referred to is there, and each resource bears the name it is known by."""
    compiled = compile_view(view)
    assert missing_references(compiled) == []
    assert {url for url, _ in compiled} <= set(types.ENVOY_TYPES)


@given(view=views())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_equal_views_give_equal_bytes(view: View) -> None:
    """Compiling is a function of the view: a copy gives the same versions and the same wire form."""
    copy = replace(view, frontends=tuple(replace(frontend) for frontend in view.frontends))
    first, second = compile_view(view), compile_view(copy)
    assert [(url, item.wire) for url, item in first] == [(url, item.wire) for url, item in second]


@given(view=views())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_frontend_is_reached_by_its_keys(view: View) -> None:
    """An HTTP frontend's address (or name) leads to its own routes, a stream's to its own chain."""
    compiled = compile_view(view)
    for frontend in view.frontends:
        call = Call(address=frontend.address, port=frontend.port, authority=f"{frontend.host}:{frontend.port}")
        if not frontend.protocol.is_http or (not frontend.address and view.capture == "transparent"):
            continue
        assert simulate(compiled, call).route_configuration == names.route(frontend.host, frontend.port)


def test_moving_a_document_compiles_nothing_new() -> None:
    """File and line of an origin are not in the bytes."""
    rule = b.rule("r", red=1)
    assert rule.origin
    moved = replace(rule, origin=replace(rule.origin, file="moved.yaml", line=7))
    views = [b.view("client", b.frontend("web", 80, item), b.cluster("red")) for item in (rule, moved)]
    first, second = (list(compile_view(view)) for view in views)

    assert views[0] == views[1]
    assert first == second


def test_one_rule_changes_one_route_configuration() -> None:
    """A changed rule changes its frontend's routes and nothing else: no listener, no cluster, no other frontend."""
    parts = (b.cluster("red"), b.cluster("web"), b.frontend("other", 81, b.rule("o", red=1), address="240.240.0.2"))
    before = compile_view(b.view("client", b.frontend("web", 80, b.rule("r", red=1)), *parts))
    after = compile_view(b.view("client", b.frontend("web", 80, b.rule("r", b.path("/x"), red=1)), *parts))
    changed = [(url, item.name) for url, item in after if before.of(url).get(item.name) != item]

    assert changed == [(types.ROUTE, f"{b.host('web')}:80")]


def test_a_policy_changes_only_routes() -> None:
    """A new HTTP policy leaves listeners alone, so that it is in force at once and nothing drains."""
    policy = b.policy("p", b.Action.DENY, b.authorization_rule(b.operation(paths=("/admin",))))
    before = compile_view(b.view("server", b.inbound(8080)))
    after = compile_view(b.view("server", b.inbound(8080, policy)))
    changed = [(url, item.name) for url, item in after if before.of(url).get(item.name) != item]

    assert changed == [(types.ROUTE, "inbound/8080")]


@pytest.mark.integration
@pytest.mark.timeout(180)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(view=views())
def test_envoy_takes_any_view(view: View) -> None:
    """A real Envoy accepts whatever a valid view compiles to."""
    with TemporaryDirectory() as folder:
        assert validate(compile_view(view), Path(folder)) == ""
