"""Which route takes a request, and which ones take it by chance.

Routes with a share of requests compare it with one random number of the request. In a list the first whose share
includes the number takes it, so each takes what its share has more than those before it; and of what it takes, copies
are made of what their share has more.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from envoy.config.route.v3 import route_components_pb2

from plait.envoy import actions, route_trees
from plait.envoy.strings import Headers, header, miss

_WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A route that takes a request by a random number from `first` to before `end`, of a million."""

    route: route_components_pb2.Route
    first: int = 0
    end: int = _WHOLE

    @property
    def share(self) -> int:
        """How many of a million requests it takes."""
        return self.end - self.first


def of_host(
    host: route_components_pb2.VirtualHost, headers: Headers
) -> tuple[tuple[Branch, ...], tuple[tuple[str, str], ...]]:
    """The routes that may take a request, and why each one before them does not."""
    found: list[Branch] = []
    misses: list[tuple[str, str]] = []
    taken = 0
    for route in route_trees.asked(host, header(headers, ":path")):
        why = miss(route.match, headers)
        if why and not found:
            misses.append((route.name, why))
        end = _share(route.match)
        if why or end <= taken:
            continue
        found.append(Branch(route=route, first=taken, end=end))
        taken = end
        if taken >= _WHOLE:
            break
    if not found:
        misses += _elsewhere(host, headers, {name for name, _ in misses})
    return tuple(found), tuple(misses)


def _elsewhere(
    host: route_components_pb2.VirtualHost, headers: Headers, known: Collection[str]
) -> list[tuple[str, str]]:
    """Why the routes do not match that a tree did not even ask."""
    if not host.HasField("matcher"):
        return []
    others = {route.name: route for route in route_trees.every(host) if route.name not in known}
    return [(name, why) for name, route in others.items() if (why := miss(route.match, headers))]


def _share(match: route_components_pb2.RouteMatch) -> int:
    return match.runtime_fraction.default_value.numerator if match.HasField("runtime_fraction") else _WHOLE


def action_of(branches: Sequence[Branch], authority: str, headers: Headers) -> actions.Action:
    """What they do with a request: that of the first that sends it on, with what each does in `chances`."""
    done = [_copied(branch, actions.of(branch.route, authority, headers)) for branch in branches]
    if len(done) == 1:
        return done[0]
    parts = math.gcd(*(branch.share for branch in branches))
    chances = tuple((branch.share // parts, action) for branch, action in zip(branches, done, strict=True))
    weights: dict[str, int] = {}
    for share, action in chances:
        total = sum(weight for _, weight in action.clusters)
        for name, weight in action.clusters:
            weights[name] = weights.get(name, 0) + share * weight // total
    first = next((action for action in done if action.clusters), done[0])
    return replace(first, clusters=tuple(weights.items()), chances=chances)


def _copied(branch: Branch, action: actions.Action) -> actions.Action:
    """The action with the shares of copies as those of the requests that the branch takes."""
    if branch.share == _WHOLE:
        return action
    shares = (min(1.0, (share * _WHOLE - branch.first) / branch.share) for _, share in action.mirrors)
    return replace(
        action, mirrors=tuple((name, share) for (name, _), share in zip(action.mirrors, shares, strict=True))
    )
