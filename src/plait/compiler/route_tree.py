"""Long tables of routes as a tree: Envoy asks one route after the other, which a thousand of them make slow.

A route whose path is literal can match only paths that begin with it. The tree leads from the beginning of a path to
the routes that can match such a path, all of them and in the table's order, and there Envoy goes on as ever. So the
order stays all there is to precedence, whatever the routes ask for. A route without a literal path is in every list;
where that would make the tree much larger than the table, the table stays as it is.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import http_inputs_pb2
from google.protobuf.message import Message
from xds.core.v3 import extension_pb2
from xds.type.matcher.v3 import matcher_pb2

from plait.envoy import proto

FEWEST: Final = 100
"""Routes from which on a tree is worth its memory: so many take a microsecond or two."""
LARGEST: Final = 4
"""How many times larger than the table a tree may be."""
_DEPTHS: Final = (None, 4, 3, 2, 1)
"""To how many segments of their paths the beginnings are cut, the finest tree first; None: to none."""

Route = route_components_pb2.Route
Matcher = matcher_pb2.Matcher
Lists = Mapping[str, Sequence[int]]
"""The numbers of the routes to be asked, by the beginning of the path; by the empty one for all other paths."""


def plant(host: route_components_pb2.VirtualHost) -> None:
    """Make the routes of a virtual host a tree, if they are many."""
    if len(host.routes) < FEWEST:
        return
    found = lists([literal(route.match) for route in host.routes])
    if found is None:
        return
    routes = list(host.routes)
    host.matcher.CopyFrom(_matcher(routes, found))
    del host.routes[:]


def literal(match: route_components_pb2.RouteMatch) -> str:
    """What every path begins with that a route can match; empty if that is not known."""
    kind = match.WhichOneof("path_specifier")
    if kind not in ("prefix", "path", "path_separated_prefix"):
        return ""
    text: str = getattr(match, kind)
    insensitive = match.HasField("case_sensitive") and not match.case_sensitive.value
    return "" if insensitive or "?" in text or "#" in text else text


def lists(literals: Sequence[str]) -> Lists | None:
    """The lists of the finest tree that is not too large; None if there is none."""
    for depth in _DEPTHS:
        found = _lists(literals, depth)
        if found is not None:
            return found
    return None


def _lists(literals: Sequence[str], depth: int | None) -> Lists | None:
    keys = sorted({_cut(text, depth) for text in literals if text})
    found: dict[str, list[int]] = {key: [] for key in ("", *keys)}
    most = LARGEST * len(literals)
    for number, text in enumerate(literals):
        for key in _places(text, _cut(text, depth), keys):
            found[key].append(number)
            most -= 1
        if most < 0:
            return None
    return found


def _cut(text: str, depth: int | None) -> str:
    return text if depth is None else "/".join(text.split("/")[: depth + 1])


def _places(text: str, key: str, keys: Sequence[str]) -> Iterator[str]:
    """The lists that a route belongs into: of its own beginning, and of all longer ones that agree with its path."""
    if not text:
        yield ""
    for index in range(bisect_left(keys, key), len(keys)):
        other = keys[index]
        if not other.startswith(key):
            return
        if other.startswith(text) or text.startswith(other):
            yield other


def _matcher(routes: Sequence[Route], found: Lists) -> Matcher:
    branches = {key: _ask(routes, numbers) for key, numbers in found.items() if key}
    tree = Matcher.MatcherTree(
        input=_extension("path", http_inputs_pb2.HttpRequestHeaderMatchInput(header_name=":path")),
        prefix_match_map=Matcher.MatcherTree.MatchMap(map=branches),
    )
    return Matcher(matcher_tree=tree, on_no_match=_ask(routes, found[""]) if found[""] else None)


def _ask(routes: Sequence[Route], numbers: Sequence[int]) -> Matcher.OnMatch:
    asked = route_components_pb2.RouteList(routes=[routes[number] for number in numbers])
    return Matcher.OnMatch(action=_extension("routes", asked))


def _extension(name: str, config: Message) -> extension_pb2.TypedExtensionConfig:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=proto.packed(config))
