"""`plait why` tells which endpoints are called first, which take over, and why others never are."""

from typing import Any

from plait.api import schemas
from plait.controlplane.publisher import Publisher
from plait.controlplane.why import Why
from plait.resources.parse import Resource, parse
from plait.resources.yaml import load
from plait.snapshot.build import Builder
from tests.controlplane.meshes import MACHINE, entry, resource, shop
from tests.controlplane.test_why import discard

HOST = "payments.shop.svc.cluster.local:80"
RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: payments, namespace: shop}
spec:
  host: payments
  trafficPolicy:
    loadBalancer:
      simple: ROUND_ROBIN
      localityLbSetting: SETTING
    outlierDetection: {consecutive5xxErrors: 5}
  subsets:
  - name: blue
    labels: {colour: blue}
  - name: red
    labels: {colour: red}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: payments, namespace: shop}
spec:
  hosts: [payments]
  http:
  - match: [{uri: {prefix: /blue}}]
    route: [{destination: {host: payments, subset: blue}}]
    timeout: 3s
    retries: {attempts: 2}
  - match: [{uri: {exact: /red}}]
    route: [{destination: {host: payments, subset: red}}]
  - route: [{destination: {host: payments}}]
"""


def placed(name: str, port: int, locality: str, colour: str, **annotations: str) -> dict[str, Any]:
    """A workload of payments, or the orders, at a locality."""
    app = name.partition("-")[0]
    made = entry(name, port, app=app, account="orders" if app == "orders" else "default", **annotations)
    made["spec"] |= {"locality": locality, "labels": {"app": app, "colour": colour}}
    return made


def asked(path: str = "/", setting: str = "{enabled: true}") -> schemas.WhyAnswer:
    """What the orders, at eu/a, are told of a call to payments: two near, one in another zone, one not ready."""
    builder = Builder()
    rules = [
        item
        for document in load(RULES.replace("SETTING", setting), "rules.yaml").documents
        if isinstance(item := parse(document.value, lines=document.lines, file=document.file), Resource)
    ]
    workloads = [
        placed("orders", 9083, "eu/a", "none"),
        placed("payments", 9084, "eu/a", "blue"),
        placed("payments-2", 9184, "eu/a", "green"),
        placed("payments-3", 9185, "eu/b", "blue"),
        placed("payments-4", 9189, "eu/a", "blue", ready="false"),
    ]
    publisher = Publisher(
        discard, builder.update([*shop(), resource(MACHINE), *rules, *map(resource, workloads)]).snapshot
    )
    question = schemas.WhyQuestion(from_workload="shop/orders", method="POST", url=f"http://payments{path}")
    return Why(publisher, builder.located).answer(question)


def told(answer: schemas.WhyAnswer, stage: str) -> list[str]:
    """The steps of one stage."""
    return [step.outcome for step in answer.steps if step.stage == stage]


def test_those_near_come_first_and_others_take_over() -> None:
    """In words with shares, and as data."""
    answer = asked()

    assert told(answer, "choice") == [
        "shop/payments-2 at 10.60.0.186:9084 in eu/a (50 %), shop/payments at 10.60.0.86:9084 in eu/a (50 %);"
        " when none of these is left: shop/payments-3 at 10.60.0.187:9084 in eu/b (100 %)"
    ]
    assert told(answer, "left out") == ["shop/payments-4 at 10.60.0.191:9084 in eu/a: not ready"]
    assert [(item.workload, item.priority, item.share) for item in answer.choice if not item.left_out] == [
        ("shop/payments-2", 0, 0.5),
        ("shop/payments", 0, 0.5),
        ("shop/payments-3", 1, 1.0),
    ]


def test_a_subset_says_whom_it_leaves_out() -> None:
    """With the labels that are lacking, beside rule, line, time limit and retries of the call."""
    answer = asked("/blue")

    assert told(answer, "left out")[-1] == (
        "shop/payments-2 at 10.60.0.186:9084 in eu/a: subset blue is of the labels colour=blue"
    )
    assert {item.cluster for item in answer.choice} == {f"{HOST}/blue"}
    assert answer.rule is not None
    assert (answer.rule.kind, answer.rule.file, answer.rule.line) == ("VirtualService", "rules.yaml", 24)
    assert (answer.timeout, answer.retries) == (3.0, 2)
    (step,) = [step for step in answer.steps if step.stage == "destination"]
    assert step.source is not None
    assert (step.source.path, step.source.line) == ("spec.subsets[0]", 13)


def test_shares_of_localities_are_told() -> None:
    """`distribute` splits by locality; who gets nothing is left out for it."""
    answer = asked(setting="{distribute: [{from: eu/a, to: {eu/a: 100}}]}")

    assert [item.share for item in answer.choice if not item.left_out] == [0.5, 0.5]
    assert told(answer, "left out")[0] == (
        "shop/payments-3 at 10.60.0.187:9084 in eu/b: localityLbSetting.distribute gives eu/b nothing"
    )


def test_a_subset_of_nobody_names_who_comes_nearest() -> None:
    """A call that gets 503 for want of endpoints says which label they lack."""
    answer = asked("/red")

    assert (answer.status, answer.sentence) == (503, "The mesh itself answers 503: no endpoint is healthy.")
    assert {item.left_out for item in answer.choice} == {"subset red is of the labels colour=red"}
    assert answer.nearest_miss == "shop/payments: subset red is of the labels colour=red"
