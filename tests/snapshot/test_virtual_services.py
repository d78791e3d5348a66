"""VirtualServices at sidecars: hosts, who decides, what is told, what is linked again."""

from plait.model.traffic import ClusterKey
from plait.snapshot.services import service_host
from tests.snapshot.resources_builders import (
    backend,
    built,
    http_route,
    key_of,
    name_of,
    rule,
    snapshot_of,
    to_service,
)
from tests.snapshot.virtual_service_builders import (
    REVIEWS,
    SHOP_REVIEWS,
    TO_V2,
    V2,
    listed,
    message,
    names,
    only,
    rules,
    status,
    to,
    virtual_service,
)


def test_destinations_without_a_port():
    """The only port of the service, else the port that was called; each port's frontend has its own."""
    snapshot = snapshot_of(REVIEWS, V2, virtual_service("vs", {"route": [TO_V2]}, to("reviews")))

    for port in (80, 9080):
        first, second = listed(snapshot, port=port)
        assert first.destinations[0].cluster == ClusterKey(service=name_of("v2"), port=9080)
        assert second.destinations[0].cluster == ClusterKey(service=name_of("reviews"), port=port)


def test_a_match_may_be_for_one_port():
    """Rules for another port do not show; without any, the port is as it was."""
    snapshot = snapshot_of(REVIEWS, V2, virtual_service("vs", to("v2", match=[{"port": 9080}])))

    assert rules(snapshot, port=80) is None
    assert names(snapshot, port=9080) == ["vs/http[0]"]


def test_a_missing_destination_keeps_its_share():
    """Its share is answered 503, and ResolvedRefs says so; when the service comes, all is well."""
    route = {"route": [{**TO_V2, "weight": 1}, {"destination": {"host": "reviews"}, "weight": 3}]}
    builder = built(REVIEWS, virtual_service("vs", route))
    found = only(builder.snapshot)

    assert [(item.cluster is None, item.weight, item.status) for item in found.destinations] == [
        (True, 1, 503),
        (False, 3, 503),
    ]
    assert status(builder)["ResolvedRefs"] == ("False", "BackendNotFound")
    builder.update([V2])
    assert status(builder) == {"Accepted": ("True", "Accepted"), "ResolvedRefs": ("True", "ResolvedRefs")}
    assert only(builder.snapshot).destinations[0].cluster is not None


def test_the_oldest_of_a_host_decides_and_they_are_not_merged():
    """The younger one is told; when the older goes, it takes over."""
    old = virtual_service("zz-old", to("v2"), created=1)
    new = virtual_service("a-new", to("reviews"), created=2)
    builder = built(REVIEWS, V2, new, old)

    assert names(builder.snapshot) == ["zz-old/http[0]"]
    assert status(builder, "a-new")["Accepted"] == ("False", "Conflicted")
    assert status(builder, "zz-old")["Accepted"] == ("True", "Accepted")
    builder.update([], [key_of(old)])
    assert names(builder.snapshot) == ["a-new/http[0]"]
    assert status(builder, "a-new")["Accepted"] == ("True", "Accepted")


def test_exports_choose_who_sees_it():
    """A namespace that does not see the older one gets the younger one, or none."""
    own = virtual_service("own", to("v2"), created=1, exportTo=["."])
    shop = virtual_service("shop", to("reviews"), created=2, exportTo=["shop", "test"])
    snapshot = snapshot_of(REVIEWS, V2, own, shop)

    assert names(snapshot, namespace="default") == ["own/http[0]"]
    assert names(snapshot, namespace="shop") == ["shop/http[0]"]
    assert rules(snapshot, namespace="other") is None


def test_the_most_exact_host_wins():
    """A wildcard gives way to a longer one and to the host itself, however old it is."""
    every = virtual_service("every", to("v2"), hosts=("*.local",), created=1)
    namespace = virtual_service("all", to("v2"), hosts=("*.shop.svc.cluster.local",), created=2)
    exact = virtual_service("exact", to("v2"), created=3)
    snapshot = snapshot_of(REVIEWS, V2, SHOP_REVIEWS, every, namespace, exact)

    assert names(snapshot) == ["exact/http[0]"]
    assert names(snapshot, "shop/reviews") == ["all/http[0]"]
    assert names(snapshot, "v2", 9080) == ["every/http[0]"]


def test_gateway_api_decides_alone():
    """A route attached to the service overrules the VirtualService, which is told; without it, it acts again."""
    route = http_route("route", [to_service("reviews")], rule(backend("v2", port=9080)))
    builder = built(REVIEWS, V2, virtual_service("vs", to("reviews")), route)

    assert names(builder.snapshot) == ["route/rules[0]"]
    assert status(builder)["Accepted"] == ("False", "Overruled")
    assert "HTTPRoute default/route" in message(builder, "Accepted")
    (parent,) = builder.statuses["HTTPRoute", name_of("route")].parents
    assert "VirtualService default/vs has no effect there" in parent.conditions[0].message
    builder.update([], [key_of(route)])
    assert names(builder.snapshot) == ["vs/http[0]"]
    assert status(builder)["Accepted"] == ("True", "Accepted")


def test_a_host_that_nobody_has_is_told():
    """No Service, no ServiceEntry: no rules, and the condition says how to mend it."""
    builder = built(virtual_service("vs", to("reviews")))

    assert status(builder)["Accepted"] == ("False", "HostNotFound")
    builder.update([REVIEWS])
    assert status(builder)["Accepted"] == ("True", "Accepted")
    assert names(builder.snapshot) == ["vs/http[0]"]


def test_only_what_depends_on_it_is_linked_again():
    """A changed VirtualService puts the frontends of its hosts together and nothing else."""
    builder = built(REVIEWS, V2, SHOP_REVIEWS, virtual_service("vs", to("reviews")))
    changed = builder.update([virtual_service("vs", to("v2"))])

    assert changed.work["frontends"] == 2
    assert changed.touched.hosts == {service_host(name_of("reviews"))}
    assert not builder.update([virtual_service("vs", to("v2"), generation=2)]).touched
