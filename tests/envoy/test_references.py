"""Missing references are found, whatever refers to them."""

from plait.compiler.compile import compile_view
from plait.envoy import names, types
from plait.envoy.references import missing_references
from tests import builders as b


def test_a_compiled_view_lacks_nothing() -> None:
    """What the compiler makes of a complete view refers only to what is in it."""
    compiled = compile_view(b.view("client", b.frontend("web"), b.cluster("web"), b.inbound(8080)))

    assert missing_references(compiled) == []


def test_each_referrer_is_named() -> None:
    """Without its clusters and routes, the set tells who misses what."""
    compiled = compile_view(b.view("client", b.frontend("web"), b.cluster("web"), b.inbound(8080)))
    stripped = compiled.replaced(types.CLUSTER, {}).replaced(types.ROUTE, {})

    assert [str(item) for item in missing_references(stripped)] == [
        "listener outbound refers to Cluster passthrough, which is not there",
        "listener inbound refers to RouteConfiguration inbound/8080, which is not there",
        f"scope scope/240.240.0.1:80 refers to RouteConfiguration {b.host('web')}:80, which is not there",
    ]


def test_routes_refer_to_clusters_and_mirrors() -> None:
    """A route without its cluster is told."""
    compiled = compile_view(b.view("client", b.frontend("web"), b.cluster("web")))
    stripped = compiled.replaced(types.CLUSTER, {names.PASSTHROUGH_CLUSTER: compiled.of(types.CLUSTER)["passthrough"]})

    assert [item.name for item in missing_references(stripped)] == [f"{b.host('web')}:80"]
