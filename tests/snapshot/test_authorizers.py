"""ExternalAuth filters: whom a rule asks and how, and that nobody is let in where it cannot be asked."""

import pytest

from plait.model.authorizer import Question
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    Document,
    backend,
    built,
    conditions,
    gateway,
    grant,
    http_route,
    key_of,
    name_of,
    rule,
    service,
    to_gateway,
    to_service,
)

WEB = service("web")
BY_GRPC = service("grpc", {"port": 9000, "name": "grpc"})
BY_HTTP = service("http", {"port": 8000, "name": "http"})
ELSEWHERE = service("vault/http", {"port": 8000, "name": "http"})


def asking(name: str, port: int, protocol: str = "HTTP", **fields: object) -> Document:
    """The filter, with settings of its protocol or of its own."""
    own = {key: fields.pop(key) for key in ("forwardBody",) if key in fields}
    namespace = {"namespace": str(fields.pop("namespace"))} if "namespace" in fields else {}
    whom = {"name": name, "port": port, **namespace}
    asked = {"protocol": protocol, "backendRef": whom, protocol.lower(): fields, **own}
    return {"type": "ExternalAuth", "externalAuth": asked}


def route(*filters: Document, parent: Document | None = None) -> Resource:
    """A route of `web` whose rule has these filters."""
    return http_route("r", [parent or to_service("web")], rule(backend("web"), filters=list(filters)))


def accepted(builder: Builder) -> dict[str, tuple[str, str]]:
    """The conditions of the route at its parent."""
    return conditions(builder.statuses["HTTPRoute", name_of("r")].parents[0].conditions)


@pytest.mark.parametrize(
    ("written", "name", "question"),
    [
        (asking("http", 8000), "http", Question()),
        (
            asking(
                "http",
                8000,
                path="/check/",
                allowedHeaders=["X-Told"],
                allowedResponseHeaders=["X-Added"],
                forwardBody={"maxSize": 7},
            ),
            "http",
            Question(path_prefix="/check", told=("x-told",), added=("x-added",), body=7),
        ),
        (asking("grpc", 9000, "GRPC"), "grpc", Question(grpc=True)),
        (asking("grpc", 9000, "GRPC", allowedHeaders=["A"]), "grpc", Question(grpc=True, told=("a",))),
    ],
)
def test_whom_a_rule_asks(written: Document, name: str, question: Question) -> None:
    """Everything that is written is asked, and the authorizer's cluster belongs to the rule."""
    builder = built(WEB, BY_HTTP, BY_GRPC, route(written))

    (found,) = builder.snapshot.frontends[service_host(name_of("web")), 80].rules
    assert found.authorizer is not None
    assert (found.authorizer.cluster.service, found.authorizer.question) == (name_of(name), question)
    assert found.authorizer.cluster in set(found.clusters)
    assert accepted(builder)["Accepted"] == ("True", "Accepted")
    assert accepted(builder)["ResolvedRefs"] == ("True", "ResolvedRefs")


@pytest.mark.parametrize(
    ("written", "kind", "reason"),
    [
        (asking("nobody", 8000), "ResolvedRefs", "BackendNotFound"),
        (asking("http", 8001), "ResolvedRefs", "BackendNotFound"),
        (asking("http", 8000, "GRPC"), "ResolvedRefs", "UnsupportedProtocol"),
    ],
)
def test_a_rule_whose_authorizer_cannot_be_asked_answers_500(written: Document, kind: str, reason: str) -> None:
    """The reference is told as any other, and nobody is let in."""
    builder = built(WEB, BY_HTTP, route(written))

    (found,) = builder.snapshot.frontends[service_host(name_of("web")), 80].rules
    assert (found.status, found.destinations, found.authorizer) == (500, (), None)
    assert accepted(builder)[kind] == ("False", reason)

    builder.update([], [key_of(BY_HTTP)])
    assert builder.snapshot.frontends[service_host(name_of("web")), 80].rules[0].status == 500


def test_an_authorizer_that_comes_and_goes() -> None:
    """The rule follows its Service."""
    builder = built(WEB, route(asking("http", 8000)))
    assert builder.snapshot.frontends[service_host(name_of("web")), 80].rules[0].status == 500

    builder.update([BY_HTTP])
    assert builder.snapshot.frontends[service_host(name_of("web")), 80].rules[0].authorizer is not None

    builder.update([], [key_of(BY_HTTP)])
    assert builder.snapshot.frontends[service_host(name_of("web")), 80].rules[0].status == 500


def test_at_a_gateway_an_authorizer_elsewhere_needs_a_grant() -> None:
    """As for every reference of a route that is open to the outside."""
    elsewhere = route(asking("http", 8000, namespace="vault"), parent=to_gateway("edge"))
    builder = built(WEB, ELSEWHERE, gateway("edge"), elsewhere)
    assert accepted(builder)["ResolvedRefs"] == ("False", "RefNotPermitted")
    assert builder.snapshot.gateways[name_of("edge")].listeners[0].rules[0].status == 500

    builder.update([grant("vault/g", source=("HTTPRoute", "default"), target=("Service", "http"))])
    assert accepted(builder)["ResolvedRefs"] == ("True", "ResolvedRefs")
    assert builder.snapshot.gateways[name_of("edge")].listeners[0].rules[0].authorizer is not None


def test_only_one_authorizer_a_rule() -> None:
    """A second one, or one at a backend, is not skipped: such requests get 500 and the condition names it."""
    twice = built(WEB, BY_HTTP, route(asking("http", 8000), asking("http", 8000)))
    assert twice.snapshot.frontends[service_host(name_of("web")), 80].rules[0].status == 500
    assert accepted(twice)["Accepted"] == ("False", "UnsupportedValue")

    own = backend("web", filters=[asking("http", 8000)])
    at_backend = built(WEB, BY_HTTP, http_route("r", [to_service("web")], rule(own)))
    assert at_backend.snapshot.frontends[service_host(name_of("web")), 80].rules[0].status == 500
    assert "UnsupportedValue" in {reason for _, reason in accepted(at_backend).values()}


def test_every_proxy_is_ready_to_ask_while_any_rule_has_an_authorizer() -> None:
    """The first such rule concerns all views, the last one that goes too, and no other change does."""
    builder = built(WEB, BY_HTTP)
    assert not builder.snapshot.authorizers

    first = builder.update([route(asking("http", 8000))])
    again = builder.update([route(asking("http", 8000, path="/check/"))])
    assert (first.snapshot.authorizers, first.touched.everyone) == (True, True)
    assert (again.snapshot.authorizers, again.touched.everyone) == (True, False)

    gone = builder.update([], [key_of(route())])
    assert (gone.snapshot.authorizers, gone.touched.everyone) == (False, True)
