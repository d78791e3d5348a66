"""A Sidecar in the running control plane: what is sent to whom, and what `plait why` says of it."""

import json
from typing import Any

import pytest

from plait.api import schemas
from plait.controlplane.publisher import Publisher
from plait.controlplane.why import Why
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER, NAME, ROUTE, SCOPE
from plait.resources.parse import Resource, write_source
from plait.resources.yaml import load
from plait.snapshot.build import Builder
from tests.controlplane.meshes import MACHINE, entry, resource, shop

REVIEWS, PAYMENTS = "reviews.shop.svc.cluster.local", "payments.shop.svc.cluster.local"
FRONTEND, ORDERS = "shop/frontend", "shop/orders"
SIDECAR = """apiVersion: networking.istio.io/v1
kind: Sidecar
metadata:
  name: frontend
  namespace: shop
spec:
  workloadSelector:
    labels:
      app: frontend
  egress:
  - hosts:
    - ./reviews.shop.svc.cluster.local
    - ./reviews-v1.shop.svc.cluster.local
"""
NO_ONE = SIDECAR.replace("./reviews.shop", "~/reviews.shop").replace("./reviews-v1", "~/reviews-v1")


def applied(text: str, name: str = "bound.yaml") -> Resource:
    """What `plait apply` would store of a document, with its lines."""
    (item,) = load(text, name).documents
    stored: dict[str, Any] = dict(item.value)
    stored["metadata"] = {**stored["metadata"], "annotations": {"plait.dev/source": write_source(item)}}
    return resource(stored)


class Mesh:
    """The shop with a publisher; `held` is what each proxy was last sent, `sent` counts it."""

    def __init__(self, *extra: Resource) -> None:
        self.builder = Builder()
        self.held: dict[str, ResourceSet] = {}
        self.sent: list[str] = []
        self.publisher = Publisher(self._send, self.builder.update([*shop(), resource(MACHINE), *extra]).snapshot)
        for proxy in (FRONTEND, ORDERS):
            self.publisher.connect(proxy, "one")
            self.publisher.demand(proxy, frozenset([REVIEWS, PAYMENTS]))

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        assert demand is not None
        self.held[proxy] = resources
        self.sent.append(proxy)

    def change(self, *resources: Resource) -> None:
        """Apply; forgets what was sent and counted before."""
        self.sent.clear()
        self.publisher.work.clear()
        built = self.builder.update(resources)
        self.publisher.update(built.snapshot, built.touched, revision=1)

    def names(self, proxy: str, kind: str) -> set[str]:
        """The names of what a proxy holds of a type."""
        return set(self.held[proxy].of(kind))

    def keys(self, proxy: str) -> set[str]:
        """The hosts that a proxy's scope keys lead to."""
        return {entry.body.decode(errors="ignore").split(".svc")[0] for entry in self.held[proxy].of(SCOPE).values()}


def test_outside_nothing_is_sent():
    """Only what is inside has a name, routes, clusters and scope keys; other workloads hold what they held."""
    mesh = Mesh()
    before = mesh.held[ORDERS]
    mesh.change(applied(SIDECAR))

    assert mesh.sent == [FRONTEND]
    assert mesh.names(FRONTEND, NAME) == {REVIEWS}
    assert f"{PAYMENTS}:80" not in mesh.names(FRONTEND, ROUTE) | mesh.names(FRONTEND, CLUSTER)
    assert len(mesh.names(FRONTEND, SCOPE)) == 2
    assert mesh.held[ORDERS] is before
    assert mesh.names(ORDERS, NAME) == {REVIEWS, PAYMENTS}


def test_names_come_back():
    """What the Sidecar lets again is sent without being asked for again."""
    mesh = Mesh(applied(NO_ONE))
    assert mesh.names(FRONTEND, NAME) == set()
    assert mesh.names(FRONTEND, SCOPE) == set()

    mesh.change(applied(SIDECAR))

    assert mesh.names(FRONTEND, NAME) == {REVIEWS}
    assert f"{REVIEWS}:80" in mesh.names(FRONTEND, ROUTE)


def test_an_equal_view_compiles_nothing():
    """A host more that the workload has not asked for is a scope key more, and nothing is compiled."""
    mesh = Mesh(applied(SIDECAR))
    mesh.change(applied(SIDECAR + "    - ./orders.shop.svc.cluster.local\n"))

    assert mesh.sent == [FRONTEND]
    assert mesh.publisher.work["compile"] == 0
    assert mesh.publisher.work["scopes"] == 1
    assert len(mesh.names(FRONTEND, SCOPE)) == 3


def test_workloads_under_one_sidecar_share_their_scopes():
    """The scopes of a Sidecar are built once, however many workloads it is for."""
    mesh = Mesh()
    mesh.change(applied(SIDECAR.replace("  workloadSelector:\n    labels:\n      app: frontend\n", "")))

    assert sorted(mesh.sent) == [FRONTEND, ORDERS]
    assert mesh.publisher.work["scopes"] == 1
    assert mesh.held[FRONTEND].of(SCOPE).keys() == mesh.held[ORDERS].of(SCOPE).keys()


def test_scopes_of_former_sidecars_are_not_kept():
    """However often a Sidecar changes, only what is in force takes memory: what comes back is made again."""
    mesh = Mesh(applied(SIDECAR))
    for text in (NO_ONE, SIDECAR):
        mesh.change(applied(text))

    assert mesh.publisher.work["scopes"] == 1


def test_a_service_that_comes_is_sent_if_it_is_inside():
    """A new service below a wildcard gets a key at the callers whose Sidecar lets them call it."""
    mesh = Mesh(applied(SIDECAR.replace("./reviews-v1.shop.svc.cluster.local", "late/*.late.svc.cluster.local")))
    late = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "new", "namespace": "late"},
        "spec": {"clusterIP": "240.240.7.7", "ports": [{"port": 80}]},
    }
    mesh.change(resource(late))

    assert "scope/240.240.7.7:80" in mesh.names(FRONTEND, SCOPE)
    assert json.loads(next(iter(mesh.held[FRONTEND].of(NAME).values())).body)["host"] == REVIEWS


def ask(url: str, text: str = SIDECAR, **caller: str) -> schemas.WhyAnswer:
    """`plait why` of the frontend, or of another caller."""
    mesh = Mesh(applied(text), resource(entry("laptop", 9090, app="frontend", capture="explicit")))
    question = schemas.WhyQuestion(from_workload=caller.get("caller", FRONTEND), url=url)
    return Why(mesh.publisher, mesh.builder.located).answer(question)


def bound(answer: schemas.WhyAnswer) -> tuple[str, str, int]:
    """What the Sidecar's step says, and from which line."""
    (step,) = [step for step in answer.steps if step.stage == "bound"]
    assert step.source is not None
    return step.outcome, f"{step.source.file} {step.source.path}", step.source.line


def test_why_says_which_line_lets_it():
    """A call inside is told as ever, with the line of the Sidecar that lets it."""
    answer = ask("http://reviews/")

    assert answer.verdict == "allowed"
    assert bound(answer) == (
        f"Sidecar shop/frontend lets it call {REVIEWS}:80",
        "bound.yaml spec.egress[0].hosts[0]",
        12,
    )


def test_why_says_which_sidecar_does_not_let_it():
    """A call outside is refused, and the Sidecar's egress is named with its line."""
    answer = ask("http://payments/charges")

    assert answer.verdict == "refused"
    assert bound(answer)[0].endswith("so the name does not exist for the caller (NXDOMAIN)")
    assert bound(answer)[1:] == ("bound.yaml spec.egress", 10)
    assert answer.rule is not None
    assert (answer.rule.kind, answer.rule.name) == ("Sidecar", "frontend")


def test_why_names_the_line_that_leaves_a_host_out():
    """An excluded host is told with its own line."""
    assert bound(ask("http://reviews/", NO_ONE)) == (
        f"Sidecar shop/frontend leaves {REVIEWS} out, so the name does not exist for the caller (NXDOMAIN)",
        "bound.yaml spec.egress[0].hosts[0]",
        12,
    )


ONLY = SIDECAR + "  outboundTrafficPolicy:\n    mode: REGISTRY_ONLY\n"


@pytest.mark.parametrize(
    ("url", "text", "verdict"),
    [
        ("https://example.org/", SIDECAR, "passthrough"),
        ("https://example.org/", ONLY, "refused"),
        ("tcp://10.60.0.86:9084", SIDECAR, "passthrough"),
        ("tcp://10.60.0.86:9084", ONLY, "refused"),
        ("http://10.60.0.87:9085/", ONLY, "allowed"),
    ],
)
def test_why_of_what_is_no_service(url: str, text: str, verdict: str):
    """Unknown hosts and addresses pass or are refused, as outboundTrafficPolicy says."""
    assert ask(url, text).verdict == verdict


def test_why_where_calls_go_through_a_proxy():
    """In explicit capture no name is asked for: the caller's proxy answers."""
    assert bound(ask("http://payments/", caller="shop/laptop"))[0].endswith("so the caller's proxy answers 404")
    assert ask("http://example.org/", ONLY, caller="shop/laptop").status == 404
