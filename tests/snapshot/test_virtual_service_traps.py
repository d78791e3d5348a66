"""VirtualServices at sidecars, trap by trap: the numbers are those of the list of semantics easy to get wrong."""

import pytest

from plait.compiler.compile import compile_view
from plait.envoy.types import CLUSTER, ROUTE
from plait.model.traffic import ClusterKey
from plait.snapshot.project import project
from tests.snapshot.resources_builders import (
    NETWORKING,
    Document,
    built,
    key_of,
    name_of,
    resource,
    snapshot_of,
    workload,
)
from tests.snapshot.virtual_service_builders import (
    REVIEWS,
    SHOP_REVIEWS,
    TO_V2,
    V2,
    destination_rule,
    message,
    names,
    only,
    rules,
    status,
    to,
    virtual_service,
)


def test_trap_01_default_retries_are_istios():
    """Without `retries` two more tries, for what an app has not acted on; a plain 503 of the app is not repeated."""
    retry = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews")))).retry

    assert retry is not None
    assert retry.attempts == 2
    assert {"connect-failure", "refused-stream", "unavailable", "cancelled"} <= set(retry.on)
    assert not {"5xx", "gateway-error", "reset"} & set(retry.on)
    assert retry.codes == ()
    assert retry.other_hosts


def test_trap_01_attempts_zero_turns_retries_off():
    """`attempts: 0` means no retry, and a number is retries after the first try."""
    off = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews", retries={"attempts": 0})))).retry
    three = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews", retries={"attempts": 3})))).retry

    assert off is not None
    assert three is not None
    assert (off.attempts, three.attempts, three.backoff) == (0, 3, 0.025)
    assert "connect-failure" in three.on


def test_trap_02_what_never_reached_the_app_is_repeated_by_the_caller():
    """Istio's server repeats such requests; here the caller's sidecar does, as servers may pass bytes only."""
    retry = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews")))).retry

    assert retry is not None
    assert "reset-before-request" in retry.on


def test_trap_03_statuses_in_retry_on_are_codes():
    """A number in `retryOn` is a status that the app sends, beside the named conditions."""
    policy = {"attempts": 1, "retryOn": "503, reset,429", "retryRemoteLocalities": True}
    retry = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews", retries=policy)))).retry

    assert retry is not None
    assert (retry.codes, retry.on, retry.other_localities) == ((429, 503), ("reset",), True)


def test_trap_04_no_timeout_unless_asked_for():
    """Without `timeout` there is none; with it, a caller's grpc-timeout counts up to it."""
    unset = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews"))))
    wanted = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews", timeout="1m1.5s"))))

    assert (unset.timeout, unset.grpc_timeout) == (None, 0)
    assert (wanted.timeout, wanted.grpc_timeout) == (61.5, 61.5)


def test_trap_05_fault_disables_timeouts_and_retries():
    """A rule with a fault has neither, and says so."""
    fault = {"delay": {"fixedDelay": "5s", "percentage": {"value": 0.1}}}
    asked = to("reviews", fault=fault, timeout="1s", retries={"attempts": 3, "perTryTimeout": "1s"})
    builder = built(REVIEWS, virtual_service("vs", asked))
    found = only(builder.snapshot)

    assert found.fault is not None
    assert found.fault.delay is not None
    assert (found.fault.delay.seconds, found.fault.delay.percent) == (5, 0.1)
    assert found.timeout is None
    assert found.retry is not None
    assert (found.retry.attempts, found.retry.per_try_timeout) == (0, None)
    assert "takes away the rule's timeout and retries" in message(builder, "PartiallyInvalid")


def test_trap_05_fault_without_percentage_injects_nothing():
    """Such a fault is none: timeouts and retries stay, and the condition says why."""
    fault: Document = {"abort": {"httpStatus": 500}, "delay": {"fixedDelay": "5s", "percentage": {}}}
    builder = built(REVIEWS, virtual_service("vs", to("reviews", fault=fault, timeout="1s")))
    found = only(builder.snapshot)

    assert (found.fault, found.timeout) == (None, 1)
    assert "spec.http[0].fault.abort: percentage is 0 or left out" in message(builder, "PartiallyInvalid")


def test_trap_06_the_list_keeps_its_order():
    """The first rule that matches wins though a later one is more exact; matches are alternatives."""
    broad = to("reviews", name="broad", match=[{"uri": {"prefix": "/"}}, {"uri": {"exact": "/x"}}])
    exact = to("v2", name="exact", match=[{"uri": {"exact": "/x"}, "headers": {"a": {"exact": "b"}}}])

    found = names(snapshot_of(REVIEWS, V2, virtual_service("vs", broad, exact)))

    assert found == ["vs/broad/match[0]", "vs/broad/match[1]", "vs/exact"]


def test_trap_07_prefixes_are_of_strings_and_names_of_headers_small():
    """`/v2` matches `/v2example`; empty header conditions ask for presence; pseudo headers are ignored."""
    match: Document = {
        "uri": {"prefix": "/v2"},
        "headers": {"X-A": {}, "uri": {"exact": "/no"}},
        "withoutHeaders": {"B": {}},
    }
    found = only(snapshot_of(REVIEWS, virtual_service("vs", to("reviews", match=[match])))).match

    assert (found.path.matching, found.path.value) == ("string-prefix", "/v2")
    assert [(item.name, item.match.matching, item.inverted) for item in found.headers] == [
        ("x-a", "present", False),
        ("b", "present", True),
    ]


def test_trap_08_callers_are_chosen_before_anything_is_sent():
    """Labels and namespace choose the callers of a rule; the rule that they get bears no trace of it."""
    some = to("v2", name="some", match=[{"sourceLabels": {"app": "web"}, "sourceNamespace": "shop"}])
    snapshot = snapshot_of(REVIEWS, V2, virtual_service("vs", some, to("reviews", name="rest")))

    assert names(snapshot, namespace="shop", app="web") == ["vs/some", "vs/rest"]
    assert names(snapshot, namespace="shop", app="other") == ["vs/rest"]
    assert names(snapshot, namespace="default", app="web") == ["vs/rest"]
    assert not any(found.callers for found in rules(snapshot, namespace="shop", app="web") or ())


def test_trap_08_a_virtual_service_without_a_rule_for_a_caller_is_not_there():
    """Other callers reach the service as if it did not exist."""
    some = virtual_service("vs", to("v2", match=[{"sourceLabels": {"app": "web"}}]))

    assert rules(snapshot_of(REVIEWS, V2, some), app="other") is None


def test_trap_08_sidecars_need_mesh_among_the_gateways():
    """Rules for gateways only are for no sidecar; a match's own list stands in the place of the whole."""
    edge = virtual_service("edge", to("v2"), gateways=["shop-gateway"])
    both = virtual_service("both", to("v2"), gateways=["shop-gateway", "mesh"])
    single = virtual_service("single", to("v2", match=[{"gateways": ["mesh"]}]), gateways=["shop-gateway"])

    assert rules(snapshot_of(REVIEWS, V2, edge)) is None
    assert names(snapshot_of(REVIEWS, V2, both)) == ["both/http[0]"]
    assert names(snapshot_of(REVIEWS, V2, single)) == ["single/http[0]"]


def test_trap_09_short_names_are_in_the_rules_namespace():
    """`reviews` written in namespace shop is shop's, as host and as destination."""
    snapshot = snapshot_of(REVIEWS, SHOP_REVIEWS, virtual_service("shop/vs", to("reviews")))

    assert rules(snapshot) is None
    destination = only(snapshot, host="shop/reviews").destinations[0]
    assert destination.cluster == ClusterKey(service=name_of("shop/reviews"), port=80)


@pytest.mark.parametrize("weight", [0, 7])
def test_trap_10_one_destination_has_all(weight: int):
    """A single destination's weight means nothing; among several, 0 means none."""
    single = {"route": [{"destination": {"host": "v2"}, "weight": weight}]}
    several = {
        "route": [{**TO_V2, "weight": 0}, {"destination": {"host": "reviews", "port": {"number": 9080}}, "weight": 5}]
    }
    first = only(snapshot_of(REVIEWS, V2, virtual_service("vs", single)))
    second = only(snapshot_of(REVIEWS, V2, virtual_service("vs", several)))

    assert [(item.cluster, item.weight) for item in first.destinations] == [
        (ClusterKey(service=name_of("v2"), port=9080), 1)
    ]
    assert [(item.cluster, item.weight) for item in second.destinations if item.weight] == [
        (ClusterKey(service=name_of("reviews"), port=9080), 5)
    ]


def test_a_destination_without_a_share_keeps_its_cluster():
    """A request that a delay holds has chosen its cluster: it must be there after the share falls to 0."""
    shares = [{"destination": {"host": "v2"}, "weight": 0}, {"destination": {"host": "reviews"}, "weight": 100}]
    delay = {"delay": {"fixedDelay": "1s", "percentage": {"value": 100}}}
    snapshot = snapshot_of(REVIEWS, V2, workload("client"), virtual_service("vs", {"fault": delay, "route": shares}))
    view = project(snapshot, name_of("client"), frozenset({"reviews.default.svc.cluster.local"}))

    resources = compile_view(view)

    assert "v2.default.svc.cluster.local:9080" in resources.of(CLUSTER)
    routes = str([resources.of(ROUTE)[name].body for name in resources.of(ROUTE)])
    assert "reviews.default.svc.cluster.local:9080" in routes
    assert "v2.default" not in routes


def test_trap_11_subsets_are_clusters_of_their_own():
    """A destination's subset is part of its cluster's key."""
    route = {"route": [{"destination": {"host": "reviews", "subset": "v2", "port": {"number": 80}}}]}
    found = only(snapshot_of(REVIEWS, virtual_service("vs", route)))

    assert found.destinations[0].cluster == ClusterKey(service=name_of("reviews"), port=80, subset="v2")


@pytest.mark.parametrize("host", ["reviews", "*.default.svc.cluster.local"])
def test_trap_11_a_missing_subset_is_told(host: str):
    """ResolvedRefs is False until a DestinationRule declares it, and again when it goes."""
    route = {"route": [{"destination": {"host": "reviews", "subset": "v2"}}]}
    builder = built(REVIEWS, destination_rule("dr", host, "v1"), virtual_service("vs", route))

    assert status(builder)["ResolvedRefs"] == ("False", "SubsetNotFound")
    assert "no DestinationRule declares subset v2 of reviews" in message(builder, "ResolvedRefs")
    builder.update([destination_rule("dr", host, "v1", "v2")])
    assert status(builder)["ResolvedRefs"] == ("True", "ResolvedRefs")
    builder.update([], [key_of(destination_rule("dr", host))])
    assert status(builder)["ResolvedRefs"] == ("False", "SubsetNotFound")


def test_trap_27_a_service_entrys_host_has_rules():
    """A host outside the mesh gets a VirtualService's rules like a Service."""
    entry = resource(
        NETWORKING,
        "ServiceEntry",
        "out",
        spec={
            "hosts": ["api.example.com"], "addresses": ["240.240.9.9"], "resolution": "DNS",
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
        },
    )  # fmt: skip
    snapshot = snapshot_of(
        entry, virtual_service("vs", to("api.example.com", timeout="3s"), hosts=("api.example.com",))
    )
    found, closed = snapshot.frontends["api.example.com", 80].rules_for("default")

    assert closed
    assert [item.timeout for item in found] == [3]
