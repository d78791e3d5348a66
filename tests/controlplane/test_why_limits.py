"""What `plait why` says of limits that the instances of a service share."""

import re

from envoy.config.route.v3 import route_components_pb2
from hypothesis import given
from hypothesis import strategies as st

from plait.api import schemas
from plait.compiler.policies import shared_limits
from plait.controlplane.publisher import Publisher
from plait.controlplane.why import Why
from plait.controlplane.why_limits import is_below
from plait.envoy.resource_set import ResourceSet
from plait.model.protection import CountedBy, Quota, ServerProtection, SharedLimit
from plait.snapshot.build import Builder
from tests import builders as b
from tests.controlplane.meshes import MACHINE, resource, shop

LIMIT = "traffic.plait.dev/global-rate-limit"


def _sends_nothing(proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
    """No proxy is connected."""


def told(path: str) -> list[str]:
    """The steps about limits of a call to the service `payments`, each with its line."""
    annotations = {
        LIMIT: "20/s, 600/m",
        f"{LIMIT}-per-header": "x-user=5/h",
        f"{LIMIT}-paths": "/charges=1/d, /refunds=2/d",
    }
    limited = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "payments", "namespace": "shop", "annotations": annotations},
        "spec": {"clusterIP": "240.240.9.9", "selector": {"app": "payments"}, "ports": [{"name": "http", "port": 80}]},
    }
    builder = Builder()
    builder.update([*shop(), resource(MACHINE)])
    publisher = Publisher(_sends_nothing, builder.update([resource(limited)]).snapshot)
    question = schemas.WhyQuestion(from_workload="shop/orders", url=f"http://payments{path}", method="POST")
    steps = Why(publisher, builder.located).answer(question).steps
    return [
        f"{step.outcome} @ {step.source.path if step.source else ''}"
        for step in steps
        if step.stage == "limit" and "the caller keeps" not in step.outcome
    ]


def test_the_limits_that_a_request_counts_for_are_told() -> None:
    """With their numbers, what is counted together, and the annotation; and what becomes of it if nobody counts."""
    everywhere = [
        "it counts for a limit of shop/payments: 5 per hour of each value of x-user, at all instances together"
        f" @ metadata.annotations[{LIMIT}-per-header]",
        "it counts for a limit of shop/payments: 20 per second and 600 per minute of all callers together, at all"
        f" instances together @ metadata.annotations[{LIMIT}]",
        "if it is not counted within 50 ms it passes @ ",
    ]
    below = (
        "it counts for a limit of shop/payments: 1 per day to /charges and below it, at all instances together"
        f" @ metadata.annotations[{LIMIT}-paths]"
    )
    assert told("/charges?a=b") == [below, *everywhere]


@given(
    st.from_regex(r"(/[ab.]{1,2}){0,3}/?", fullmatch=True).filter(bool),
    st.from_regex(r"/[ab./?#]{0,8}", fullmatch=True),
)
def test_envoy_takes_the_same_paths_for_below(of: str, path: str) -> None:
    """The regular expression in the route and the words of `plait why` agree."""
    quotas = (Quota(count=1, per=1),)
    limit = SharedLimit(service=b.name("web"), counted_by=CountedBy.PATH, of=of, quotas=quotas)
    route = route_components_pb2.Route()
    shared_limits.on_route(route, ServerProtection(shared=(limit,)))
    (matcher,) = route.route.rate_limits[0].actions[2].header_value_match.headers
    assert bool(re.fullmatch(matcher.string_match.safe_regex.regex, path)) == is_below(path, of)
