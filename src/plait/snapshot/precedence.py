"""Gateway API's precedence: which of the matches of all routes of a frontend is asked first.

An exact path comes before a regular expression (the standard leaves its place open; Envoy Gateway and Cilium do the
same) and that before a prefix; then the longer path, a method, more headers, more query parameters. Among equals the
older route, then `namespace/name` in alphabetical order, then the order of rules and matches as written. At gateways
the more specific hostname comes before all of it: an exact one, then the longest wildcard, then none.
https://gateway-api.sigs.k8s.io/reference/spec/#httproutematch
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from plait.model.ids import ObjectName
from plait.model.l4 import L4Rule
from plait.model.traffic import Matching, RequestMatch, Rule

_PATH_RANK = {Matching.EXACT: 0, Matching.REGEX: 1, Matching.STRING_PREFIX: 2, Matching.PREFIX: 2}

MatchRank = tuple[int, ...]
HostRank = tuple[int, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedRoute:
    """The rules of one route as written, with what breaks ties between routes.

    `ranks` are the places of the rules where the kind of route has a precedence of its own; else their matches decide.
    """

    name: ObjectName
    created: float
    rules: tuple[Rule, ...]
    ranks: tuple[MatchRank, ...] = ()

    @property
    def age(self) -> tuple[float, str]:
        """The tie-breaker between routes: the older first, then by `namespace/name`."""
        return self.created, str(self.name)

    def placed(self) -> Iterable[tuple[MatchRank, int, Rule]]:
        """Each rule with its place and its number in the route."""
        for index, rule in enumerate(self.rules):
            yield (self.ranks[index] if self.ranks else match_rank(rule.match)), index, rule


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedConnections:
    """The one rule of a route for connections, with what breaks ties between routes."""

    name: ObjectName
    created: float
    rule: L4Rule


def match_rank(match: RequestMatch) -> MatchRank:
    """The place of a match; lower is more specific."""
    path = match.path
    return _PATH_RANK[path.matching], -len(path.value), not match.method, -len(match.headers), -len(match.query)


def host_rank(hostname: str) -> HostRank:
    """The place of a hostname; lower is more specific, empty means every host and comes last."""
    kind = 2 if not hostname else 1 if hostname.startswith("*.") else 0
    return kind, -len(hostname), hostname


def ordered(routes: Iterable[RankedRoute]) -> tuple[Rule, ...]:
    """All rules of the routes, the one that is asked first in front."""
    ranked = [(rank, route.age, index, rule) for route in routes for rank, index, rule in route.placed()]
    ranked.sort(key=lambda entry: entry[:3])
    return tuple(entry[3] for entry in ranked)


def ordered_by_host(routes: Iterable[tuple[RankedRoute, tuple[str, ...]]]) -> tuple[Rule, ...]:
    """The rules of routes at a gateway's listener, each once a hostname, the most specific hostname in front.

    A route without hostnames applies to every host.
    """
    ranked = [
        (host_rank(hostname), rank, route.age, index, _for_host(rule, hostname))
        for route, hostnames in routes
        for hostname in hostnames or ("",)
        for rank, index, rule in route.placed()
    ]
    ranked.sort(key=lambda entry: entry[:4])
    return tuple(entry[4] for entry in ranked)


def ordered_connections(routes: Iterable[tuple[RankedConnections, tuple[str, ...]]]) -> tuple[L4Rule, ...]:
    """The rules for connections, each once a server name, the most specific in front; of one name only the first.

    A route without server names applies to every connection.
    """
    ranked = [
        (host_rank(hostname), route.created, str(route.name), hostname, route.rule)
        for route, hostnames in routes
        for hostname in hostnames or ("",)
    ]
    ranked.sort(key=lambda entry: entry[:3])
    found: dict[str, L4Rule] = {}
    for _, _, _, hostname, rule in ranked:
        found.setdefault(hostname, replace(rule, sni_hosts=(hostname,) if hostname else ()))
    return tuple(found.values())


def _for_host(rule: Rule, hostname: str) -> Rule:
    return replace(rule, hostnames=(hostname,) if hostname else ())
