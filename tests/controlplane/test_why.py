"""`plait why` tells where a call goes, and leads every decision back to its line."""

import pytest

from plait.api import schemas
from plait.controlplane.publisher import Publisher
from plait.controlplane.why import Why
from plait.envoy.resource_set import ResourceSet
from plait.errors import InvalidInputError, NotFoundError
from plait.resources.parse import Resource, parse
from plait.resources.yaml import load
from plait.snapshot.build import Builder
from tests.controlplane.meshes import MACHINE, resource, shop


def _sends_nothing(proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
    """What a publisher without any connection does."""


def discard(proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
    """Sends nothing."""


def ask(url: str, *, caller: str = "shop/frontend", method: str = "GET", **headers: str) -> schemas.WhyAnswer:
    """Asks about a call in the shop."""
    builder = Builder()
    publisher = Publisher(_sends_nothing, builder.update([*shop(), resource(MACHINE)]).snapshot)
    question = schemas.WhyQuestion(
        from_workload=caller,
        method=method,
        url=url,
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )
    return Why(publisher, builder.located).answer(question)


def test_a_split_is_told_with_its_line():
    """Shares, rule and the line of YAML."""
    answer = ask("http://reviews/reviews/1")

    assert answer.verdict == "allowed"
    assert answer.clusters == {"reviews-v1.shop.svc.cluster.local:80": 90, "reviews-v2.shop.svc.cluster.local:80": 10}
    assert answer.rule is not None
    assert (answer.rule.name, answer.rule.path, answer.rule.file) == ("reviews", "spec.rules[1]", "mesh.yaml")
    assert answer.rule.line > 0


def test_a_header_chooses_the_other_rule():
    """The most specific match wins."""
    assert ask("http://reviews/", x_beta="yes").clusters == {"reviews-v2.shop.svc.cluster.local:80": 1}


@pytest.mark.parametrize("spelling", ["payments", "payments.shop", "payments.shop.svc.cluster.local"])
def test_a_denial_names_policy_and_line(spelling: str):
    """However the name is spelled, the policy without which it would pass is named."""
    answer = ask(f"http://{spelling}/charges", method="POST")

    assert (answer.verdict, answer.status) == ("denied", 403)
    assert answer.policy is not None
    assert answer.policy.name == "payments-from-orders"
    assert answer.policy.line > 0


def test_who_is_allowed_is_told_by_which_rule():
    """The rule that allows is named too."""
    answer = ask("http://payments/charges", caller="shop/orders", method="POST")

    assert answer.verdict == "allowed"
    assert answer.policy is not None
    assert answer.policy.path == "spec.rules[0]"


def test_a_foreign_name_leaves_the_mesh():
    """What is no name of the mesh passes through."""
    assert ask("http://example.org/").verdict == "passthrough"


@pytest.mark.parametrize("url", ["reviews", "ftp://reviews/", "tcp://reviews", "http://"])
def test_what_cannot_be_called_is_refused(url: str):
    """A mistake in the URL is told as one."""
    with pytest.raises(InvalidInputError, match="URL"):
        ask(url)


def test_an_identity_may_ask_before_anything_runs_as_it() -> None:
    """--principal answers for an identity that no workload has yet."""
    builder = Builder()
    publisher = Publisher(discard, builder.update(shop()).snapshot)
    principal = "spiffe://cluster.local/ns/shop/sa/newcomer"
    question = schemas.WhyQuestion(principal=principal, method="POST", url="http://payments/charges")

    answer = Why(publisher, builder.located).answer(question)

    assert (answer.verdict, answer.status) == ("denied", 403)
    assert principal in answer.sentence


def test_what_is_no_identity_is_told() -> None:
    """A principal of another form is a mistake of the input."""
    publisher = Publisher(discard, Builder().update(shop()).snapshot)
    question = schemas.WhyQuestion(principal="frontend", url="http://payments/")

    with pytest.raises(InvalidInputError, match="no identity of this mesh"):
        Why(publisher, lambda origin: origin).answer(question)


def test_an_unknown_caller_is_refused():
    """A workload that does not run cannot call."""
    with pytest.raises(NotFoundError, match="nobody"):
        ask("http://reviews/", caller="shop/nobody")


def test_a_workloads_own_address_is_past_routes_and_not_past_policies():
    """Who dials the address of a workload is told whom it must prove to be, and what its policies say of the caller."""
    answer = ask("http://10.60.0.86:9084/charges", method="POST")

    assert (answer.verdict, dict(answer.clusters)) == ("denied", {"direct/10.60.0.86:9084": 1})
    assert answer.endpoints == ("10.60.0.86:9084",)
    assert any("address of workload shop/payments" in step.outcome for step in answer.steps)
    assert any("mutual TLS, expecting spiffe://" in step.outcome for step in answer.steps)
    assert answer.policy is not None
    assert answer.policy.name == "payments-from-orders"


def test_an_address_that_nobody_has_is_told():
    """There is a cluster for it, but no workload behind."""
    answer = ask("http://10.60.0.250:80/")

    assert any("has no endpoint of the mesh" in step.outcome for step in answer.steps)


def test_the_limits_that_a_caller_keeps_to_are_told() -> None:
    """Each annotation of the Service that callers' sidecars keep to is a step."""
    annotations = {"traffic.plait.dev/max-requests": "50", "traffic.plait.dev/retry-budget": "20%"}
    limited = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "payments", "namespace": "shop", "annotations": annotations},
        "spec": {"clusterIP": "240.240.9.9", "selector": {"app": "payments"}, "ports": [{"name": "http", "port": 80}]},
    }
    builder = Builder()
    builder.update([*shop(), resource(MACHINE)])
    publisher = Publisher(_sends_nothing, builder.update([resource(limited)]).snapshot)
    question = schemas.WhyQuestion(from_workload="shop/orders", url="http://payments/", method="POST")
    told = [step.outcome for step in Why(publisher, builder.located).answer(question).steps]
    for name in annotations:
        assert f"the caller keeps to {name} of Service shop/payments" in told, told


RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: payments, namespace: shop}
spec:
  host: payments
  trafficPolicy:
    loadBalancer: {consistentHash: {httpHeaderName: x-user}}
  subsets:
  - name: all
"""
ROUTES = """
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payments, namespace: shop}
spec:
  hosts: [payments]
  http:
  - match: [{uri: {prefix: /gone}}]
    route: [{destination: {host: payments, subset: gone}}]
  - match: [{uri: {prefix: /all}}]
    route: [{destination: {host: payments, subset: all}}]
  - route: [{destination: {host: payments}}]
"""


def destination(path: str) -> schemas.WhyAnswer:
    """Asks about a call to payments, for which there are subsets."""
    builder = Builder()
    more = [
        item
        for text in (RULES, ROUTES)
        for document in load(text, "rules.yaml").documents
        if isinstance(item := parse(document.value, lines=document.lines, file=document.file), Resource)
    ]
    publisher = Publisher(discard, builder.update([*shop(), resource(MACHINE), *more]).snapshot)
    question = schemas.WhyQuestion(from_workload="shop/orders", method="POST", url=f"http://payments{path}")
    return Why(publisher, builder.located).answer(question)


PARTED = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: payments, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: payments}]
  rules:
  - backendRefs:
    - {name: payments, port: 80, weight: 3}
    - name: payments
      port: 80
      weight: 2
      filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /new}}}]
    - name: payments
      port: 80
      weight: 1
      filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.example}}]
"""


def test_what_each_backend_does_to_its_share_is_told() -> None:
    """Every share with its weight, what the backend sees, or where it is redirected."""
    builder = Builder()
    [document] = load(PARTED, "rules.yaml").documents
    parted = parse(document.value, lines=document.lines, file=document.file)
    assert isinstance(parted, Resource)
    publisher = Publisher(discard, builder.update([*shop(), resource(MACHINE), parted]).snapshot)
    question = schemas.WhyQuestion(from_workload="shop/orders", method="POST", url="http://payments/charges")
    answer = Why(publisher, builder.located).answer(question)
    cluster = "payments.shop.svc.cluster.local:80"
    assert [step.outcome for step in answer.steps if step.stage == "share"] == [
        f"50 %: sends it to {cluster} as payments/charges",
        f"33.3 %: sends it to {cluster} as payments/new",
        "16.7 %: it is redirected to http://elsewhere.example/charges",
    ]
    assert answer.sentence == f"It goes to {cluster} or is redirected to http://elsewhere.example/charges."


ASKING = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: payments, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: payments}]
  rules:
  - filters:
    - {type: ExternalAuth, externalAuth: {protocol: HTTP, backendRef: {name: reviews, port: 80}, http: {}}}
    backendRefs: [{name: payments, port: 80}]
"""


def test_who_is_asked_first_is_told() -> None:
    """A rule with an authorizer names it."""
    builder = Builder()
    [document] = load(ASKING, "rules.yaml").documents
    asking = parse(document.value, lines=document.lines, file=document.file)
    assert isinstance(asking, Resource)
    publisher = Publisher(discard, builder.update([*shop(), resource(MACHINE), asking]).snapshot)
    question = schemas.WhyQuestion(from_workload="shop/orders", method="POST", url="http://payments/charges")
    (step,) = [step for step in Why(publisher, builder.located).answer(question).steps if step.stage == "authorizer"]
    assert step.outcome.startswith("reviews.shop.svc.cluster.local:80 is asked first")


@pytest.mark.parametrize(
    ("path", "line", "of"), [("/", 7, "the endpoints are"), ("/all", 10, "the endpoints of subset all are")]
)
def test_the_destination_rule_is_named_with_its_line(path: str, line: int, of: str):
    """With the subset and the balancer."""
    (step,) = [step for step in destination(path).steps if step.stage == "destination"]
    assert step.outcome == f"{of} balanced by ring hash by header x-user"
    assert step.source is not None
    assert (step.source.kind, step.source.file, step.source.line) == ("DestinationRule", "rules.yaml", line)


def test_a_subset_that_no_rule_declares_is_named():
    """It is why the call gets 503."""
    answer = destination("/gone")
    assert answer.status == 503
    assert "no DestinationRule that the caller follows declares subset gone" in " ".join(
        s.outcome for s in answer.steps
    )
