"""Which match of all routes of a frontend is asked first."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from plait.model.traffic import Matching, NamedMatch, RequestMatch, Rule, StringMatch
from plait.snapshot.precedence import RankedRoute, host_rank, match_rank, ordered, ordered_by_host
from tests.snapshot.resources_builders import name_of

PATHS = ("/", "/a", "/a/b", "/longer")


def match(
    path: str = "/", matching: Matching = Matching.PREFIX, *, method: str = "", headers: int = 0, query: int = 0
) -> RequestMatch:
    def named(count: int) -> tuple[NamedMatch, ...]:
        exact = StringMatch(matching=Matching.EXACT, value="v")
        return tuple(NamedMatch(name=f"n{index}", match=exact) for index in range(count))

    return RequestMatch(
        path=StringMatch(matching=matching, value=path),
        method=StringMatch(matching=Matching.EXACT, value=method) if method else None,
        headers=named(headers),
        query=named(query),
    )


def route(name: str, *matches: RequestMatch, created: float = 0) -> RankedRoute:
    rules = tuple(Rule(name=f"{name}/{index}", match=item) for index, item in enumerate(matches))
    return RankedRoute(name=name_of(name), created=created, rules=rules)


def names(rules: tuple[Rule, ...]) -> list[str]:
    return [rule.name for rule in rules]


def test_criteria_in_the_standards_order():
    """Exact path, longest prefix, method, headers, query parameters: each outranks all that follow."""
    ladder = [
        match("/a", Matching.EXACT),
        match("/.*", Matching.REGEX),
        match("/longer"),
        match("/a", method="GET"),
        match("/a", headers=2),
        match("/a", headers=1, query=5),
        match("/a", headers=1),
        match("/a", query=2),
        match("/a", query=1),
        match("/a"),
        match("/"),
    ]

    turned = [*ladder[5:], *ladder[:5]]

    assert sorted(turned, key=match_rank) == ladder


def test_ties_go_to_the_older_route_then_by_name_then_by_rule():
    """Equal matches are ordered by age, `namespace/name` and place in the route."""
    routes = [
        route("b", match(), match(), created=5),
        route("a", match(), created=5),
        route("z", match(), created=1),
        route("aa/a", match(), created=5),
    ]

    assert names(ordered(routes)) == ["z/0", "aa/a/0", "a/0", "b/0", "b/1"]


def test_hostnames_outrank_matches():
    """At a gateway an exact hostname is first, then the longer wildcard before the shorter, no hostname last."""
    hosts = ["a.example.com", "*.b.example.com", "*.example.com", ""]

    assert sorted(["", "*.example.com", "a.example.com", "*.b.example.com"], key=host_rank) == hosts
    general = route("general", match("/a", Matching.EXACT))
    precise = route("precise", match("/"))
    ranked = ordered_by_host([(general, ("*.example.com",)), (precise, ("a.example.com", "*.example.com"))])
    assert [(rule.name, rule.hostnames) for rule in ranked] == [
        ("precise/0", ("a.example.com",)),
        ("general/0", ("*.example.com",)),
        ("precise/0", ("*.example.com",)),
    ]


MATCHES = st.builds(
    match,
    st.sampled_from(PATHS),
    st.sampled_from((Matching.EXACT, Matching.PREFIX, Matching.REGEX)),
    method=st.sampled_from(("", "GET")),
    headers=st.integers(0, 2),
    query=st.integers(0, 2),
)
ROUTES = st.lists(st.tuples(st.lists(MATCHES, max_size=4), st.integers(0, 2)), max_size=5)


@given(ROUTES, st.randoms())
def test_order_does_not_depend_on_the_order_of_routes(found: list[tuple[list[RequestMatch], int]], random: Random):
    """Any order of the same routes gives the same list, and no rule is lost."""
    routes = [route(f"r{index}", *matches, created=created) for index, (matches, created) in enumerate(found)]
    shuffled = list(routes)
    random.shuffle(shuffled)

    assert ordered(shuffled) == ordered(routes)
    assert sorted(names(ordered(routes))) == sorted(name for item in routes for name in names(item.rules))


@given(ROUTES)
def test_no_rule_stands_behind_a_less_specific_one(found: list[tuple[list[RequestMatch], int]]):
    """For each pair of neighbours the first is at least as specific, and wins ties by age and name."""
    routes = [route(f"r{index}", *matches, created=created) for index, (matches, created) in enumerate(found)]
    age = {rule.name: item.age for item in routes for rule in item.rules}

    rules = ordered(routes)

    for first, second in pairwise(rules):
        assert (match_rank(first.match), age[first.name]) <= (match_rank(second.match), age[second.name])
