"""Backends of one rule that treat their requests differently become routes that part them by chance."""

from dataclasses import replace

from plait.compiler import routes, shares, targets
from plait.envoy import branches
from plait.model.cors import Cors
from plait.model.traffic import Destination, HeaderChange, Mirror, PathChange, Redirect, Rewrite, Rule
from tests import builders as b


def _parted(*destinations: Destination, **fields: Mirror | Rewrite) -> list[tuple[Rule, int]]:
    copies = (fields["mirror"],) if isinstance(fields.get("mirror"), Mirror) else ()
    whole = fields.get("rewrite")
    rule = replace(b.rule("parted"), destinations=destinations, mirrors=copies)
    return list(shares.of_rule(replace(rule, rewrite=whole) if isinstance(whole, Rewrite) else rule))


def test_backends_that_differ_by_headers_only_stay_one_route() -> None:
    """Weighted clusters do what headers need."""
    one = Destination(cluster=b.key("one"), request_headers=HeaderChange(set=(("x", "1"),)))
    assert [parts for _, parts in _parted(one, Destination(cluster=b.key("two")))] == [shares.WHOLE]


def test_shares_add_up_and_weight_zero_takes_nothing() -> None:
    """Each route's part includes those before it, and the last takes the rest."""
    rewrite = Rewrite(path=PathChange(value="/new"))
    parted = _parted(
        Destination(cluster=b.key("one"), weight=1),
        Destination(cluster=b.key("none"), weight=0, rewrite=rewrite),
        Destination(cluster=b.key("two"), weight=2, rewrite=rewrite),
    )
    assert [parts for _, parts in parted] == [333_333, shares.WHOLE]
    assert [rule.rewrite for rule, _ in parted] == [None, rewrite]


def test_what_a_backend_leaves_is_the_rules() -> None:
    """A backend's path joins the rule's host; its CORS policy takes the rule's place."""
    own = Destination(cluster=b.key("one"), rewrite=Rewrite(path=PathChange(value="/new")), cors=Cors(max_age=1))
    [(rule, _)] = _parted(own, rewrite=Rewrite(hostname="h", path=PathChange(value="/old")))
    assert rule.rewrite == Rewrite(hostname="h", path=PathChange(value="/new"))
    assert rule.cors == Cors(max_age=1)


def test_a_redirect_of_a_broken_backend_is_none() -> None:
    """The share of a backend that cannot be used is answered as broken, wherever it would redirect to."""
    [(broken, _)] = _parted(Destination(cluster=None, redirect=Redirect(hostname="h")))
    [(sound, _)] = _parted(Destination(cluster=b.key("one"), redirect=Redirect(hostname="h")))
    assert (broken.redirect, broken.destinations[0].cluster) == (None, None)
    assert (sound.redirect, sound.destinations) == (Redirect(hostname="h"), ())


def test_copies_are_counted_from_what_routes_before_take() -> None:
    """Half of the copies of the second share are those of its first half."""
    half = Mirror(cluster=b.key("copies"), numerator=1, denominator=2)
    parted = _parted(
        Destination(cluster=b.key("one"), weight=3, mirrors=(replace(half, numerator=2),)),
        Destination(cluster=b.key("two"), weight=1),
        mirror=half,
    )
    copied = [[item.numerator / item.denominator for item in rule.mirrors] for rule, _ in parted]
    assert copied == [[0.375, 1.0], [0.875]]


def test_branches_part_requests_as_the_routes_do() -> None:
    """What is read from the routes is what was written: weights of clusters, and copies as part of their share."""
    copies = Mirror(cluster=b.key("copies"), numerator=1, denominator=2)
    rule = replace(
        b.rule("parted"),
        destinations=(
            Destination(cluster=b.key("one"), weight=3),
            Destination(cluster=b.key("two"), weight=1, mirrors=(copies,)),
        ),
    )
    known = targets.of((b.cluster("one"), b.cluster("two"), b.cluster("copies")), "")
    host = routes.virtual_host("h", ("*",), routes.of_rule(rule, known, 80))
    found, _ = branches.of_host(host, ((":path", "/"), (":method", "GET")))
    action = branches.action_of(found, "h", ())
    assert dict(action.clusters) == {f"{b.host('one')}:80": 3, f"{b.host('two')}:80": 1}
    assert [share for _, done in action.chances for _, share in done.mirrors] == [0.5]
