"""What the proxies of many callers have in common is compiled once."""

from dataclasses import replace

from plait.compiler.compile import compile_view
from plait.envoy.types import CLUSTER, ROUTE
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
