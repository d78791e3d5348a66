"""A tree of routes decides as the list does that it was made of."""

from collections.abc import Callable

import pytest
from envoy.config.route.v3 import route_components_pb2
from hypothesis import given
from hypothesis import strategies as st

from plait.compiler import route_tree
from plait.envoy import branches, proto, route_trees

Route = route_components_pb2.Route
Match = route_components_pb2.RouteMatch
Host = route_components_pb2.VirtualHost

_PARTS = st.sampled_from(["a", "b", "ab", "a.b", "A", ""])
_PATHS = st.lists(_PARTS, max_size=4).map(lambda parts: "/" + "/".join(parts))


def matches() -> st.SearchStrategy[Match]:
    """Conditions on paths of every kind."""
    return st.tuples(st.sampled_from([*KINDS]), _PATHS).map(lambda drawn: KINDS[drawn[0]](drawn[1]))


KINDS: dict[str, Callable[[str], Match]] = {
    "exact": lambda path: Match(path=path),
    "prefix": lambda path: Match(prefix=path),
    "everything": lambda _: Match(prefix=""),
    "segments": lambda path: Match(path_separated_prefix=path.rstrip("/") or "/a"),
    "any case": lambda path: Match(path=path, case_sensitive=proto.false()),
    "expression": lambda path: Match(safe_regex=proto.regex(f"{path}.*")),
    "with a query": lambda path: Match(path=f"{path}?a"),
    "tunnel": lambda _: Match(connect_matcher=Match.ConnectMatcher()),
}


def host_of(found: list[Match]) -> Host:
    """A virtual host with a route for each, by number."""
    return Host(
        name="h", domains=["*"], routes=[Route(name=str(number), match=match) for number, match in enumerate(found)]
    )


@given(found=st.lists(matches(), min_size=1, max_size=25), path=_PATHS, query=st.sampled_from(["", "?a=/b", "?a"]))
def test_a_tree_finds_the_route_that_the_list_finds(found: list[Match], path: str, query: str) -> None:
    """Whatever the routes and their order, for every path; it never asks one that the list had not asked."""
    plain, planted = host_of(found), host_of(found)
    headers = ((":method", "GET"), (":path", path + query))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(route_tree, "FEWEST", 1)
        patch.setattr(route_tree, "LARGEST", 100)
        route_tree.plant(planted)

    assert planted.HasField("matcher")
    (expected, _), (chosen, misses) = branches.of_host(plain, headers), branches.of_host(planted, headers)
    assert [branch.route.name for branch in chosen] == [branch.route.name for branch in expected]
    if not chosen:
        assert {name for name, _ in misses} == {str(number) for number in range(len(found))}


def test_a_thousand_routes_are_told_apart_by_a_few_questions() -> None:
    """Each path leads to its own route and those that any path may match; nothing is kept as a list."""
    found = [Match(path_separated_prefix=f"/part-{number}") for number in range(1000)]
    host = host_of([*found, Match(prefix="/")])

    route_tree.plant(host)

    assert not host.routes
    assert [route.name for route in route_trees.asked(host, "/part-77/x?y")] == ["7", "77", "1000"]
    assert [route.name for route in route_trees.asked(host, "/else")] == ["1000"]
    assert len({route.name for route in route_trees.every(host)}) == 1001


def test_short_tables_stay_lists() -> None:
    """A tree is worth it only from many routes on."""
    host = host_of([Match(path=f"/{number}") for number in range(route_tree.FEWEST - 1)])

    route_tree.plant(host)

    assert len(host.routes) == route_tree.FEWEST - 1
    assert not host.HasField("matcher")


def test_paths_that_begin_alike_are_cut_where_the_tree_gets_too_large() -> None:
    """Nested paths would be in the list of every longer one; cut to fewer segments the tree is small enough."""
    nested = ["/" + "/".join(["a"] * depth) for depth in range(1, 40)]
    literals = [*nested, *(f"/b{number}/c" for number in range(100))]

    found = route_tree.lists(literals)

    assert found is not None
    assert sum(map(len, found.values())) <= route_tree.LARGEST * len(literals)
    assert max(map(len, found.values())) <= len(nested)


def test_a_table_of_expressions_stays_a_list() -> None:
    """Where most routes can match any path, a tree would hold all of them many times over."""
    literals = [*(f"/{number}" for number in range(100)), *[""] * 100]

    assert route_tree.lists(literals) is None
