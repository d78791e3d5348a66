"""What the proxies of many callers have in common is compiled once."""

from dataclasses import replace

from plait.compiler.compile import compile_view
from plait.envoy import names
from plait.envoy.types import CLUSTER, LISTENER, ROUTE
from tests import builders as b

REVIEWS = "reviews.default.svc.cluster.local:80"


def test_callers_of_one_service_share_its_cluster_and_its_routes() -> None:
    """Made anew for each caller, the frontend and the cluster of a service lead to the very same entries."""
    callers = [b.view(f"caller-{number}", b.frontend("reviews"), b.cluster("reviews")) for number in range(3)]

    first, *others = (compile_view(view) for view in callers)

    for url in (CLUSTER, ROUTE):
        assert all(other.of(url)[REVIEWS] is first.of(url)[REVIEWS] for other in others)


def test_a_caller_with_other_rules_gets_its_own_routes() -> None:
    """Rules that differ share nothing."""
    frontend = b.frontend("reviews", 80, b.rule("split", reviews=1, other=1), closed=False)
    cluster, other = b.cluster("reviews"), b.cluster("other")
    plain = compile_view(b.view("plain", b.frontend("reviews"), cluster))
    split = compile_view(b.view("split", frontend, cluster, other))
    closed = compile_view(b.view("closed", replace(frontend, closed=True), cluster, other))

    found = [item.of(ROUTE)[REVIEWS].version for item in (plain, split, closed)]
    assert len(set(found)) == 3


def test_a_changed_route_leaves_the_sidecars_own_part_as_it_is() -> None:
    """Listeners, the app's cluster and its routes are the same entries while only rules of what is called change."""
    rules = [b.rule("split", reviews=share, other=10 - share) for share in (1, 2)]
    clusters = (b.cluster("reviews"), b.cluster("other"))
    own = (b.inbound(8080), *clusters)

    before, after = (compile_view(b.view("caller", b.frontend("reviews", 80, rule), *own)) for rule in rules)

    kept = [(url, name) for url, item in before if after.of(url).get(item.name) is item for name in [item.name]]
    assert {names.OUTBOUND_LISTENER, names.INBOUND_LISTENER} <= {name for url, name in kept if url == LISTENER}
    assert before.of(ROUTE)[REVIEWS] != after.of(ROUTE)[REVIEWS]


def test_a_changed_port_of_the_app_changes_the_sidecars_own_part() -> None:
    """What is kept of one workload is not taken for what it has become."""
    before, after = (compile_view(b.view("server", b.inbound(port))) for port in (8080, 9090))

    assert before.of(LISTENER)[names.INBOUND_LISTENER] != after.of(LISTENER)[names.INBOUND_LISTENER]
