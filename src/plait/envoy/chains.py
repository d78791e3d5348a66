"""How Envoy chooses a filter chain, computed on its own messages: by matcher tree, or by the chains' own matches."""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from google.protobuf import wrappers_pb2
from xds.type.matcher.v3 import ip_pb2, matcher_pb2

Chain = listener_components_pb2.FilterChain
Match = listener_components_pb2.FilterChainMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What a listener sees of a connection: where it was going, and what its first bytes tell."""

    address: str
    port: int
    tls: bool = False
    server_name: str = ""
    protocols: tuple[str, ...] = ()


def choose(listener: listener_pb2.Listener, connection: Connection) -> Chain | None:
    """The chain that takes a connection; None if the listener refuses it."""
    default = listener.default_filter_chain if listener.HasField("default_filter_chain") else None
    if listener.HasField("filter_chain_matcher"):
        name = _by_tree(listener.filter_chain_matcher, connection)
        return next((chain for chain in listener.filter_chains if chain.name == name), default)
    return _by_matches(listener.filter_chains, connection) or default


def _by_tree(matcher: matcher_pb2.Matcher, connection: Connection) -> str:
    tree = matcher.matcher_tree
    for match in _branches(tree, connection):
        name = _followed(match, connection)
        if name:
            return name
    return _followed(matcher.on_no_match, connection) if matcher.HasField("on_no_match") else ""


def _branches(tree: matcher_pb2.Matcher.MatcherTree, connection: Connection) -> Iterator[matcher_pb2.Matcher.OnMatch]:
    """The branches that hold for a connection, the longest prefix first."""
    if tree.HasField("exact_match_map"):
        if str(connection.port) in tree.exact_match_map.map:
            yield tree.exact_match_map.map[str(connection.port)]
        return
    prefixes = ip_pb2.IPMatcher()
    tree.custom_match.typed_config.Unpack(prefixes)
    address = ipaddress.ip_address(connection.address)
    found = [
        (network.prefixlen, item.on_match)
        for item in prefixes.range_matchers
        for network in (ipaddress.ip_network(f"{r.address_prefix}/{r.prefix_len.value}") for r in item.ranges)
        if address in network
    ]
    yield from (match for _, match in sorted(found, key=lambda pair: -pair[0]))


def _followed(match: matcher_pb2.Matcher.OnMatch, connection: Connection) -> str:
    if match.HasField("matcher"):
        return _by_tree(match.matcher, connection)
    name = wrappers_pb2.StringValue()
    match.action.typed_config.Unpack(name)
    return name.value


def _by_matches(chains: Sequence[Chain], connection: Connection) -> Chain | None:
    """Envoy narrows by port, server name, transport, then ALPN; a step once taken is never taken back."""
    left = list(chains)
    steps: tuple[Callable[[Match], int], ...] = (
        lambda match: _rank_port(match, connection.port),
        lambda match: _rank_server_name(match, connection.server_name),
        lambda match: _rank_transport(match, tls=connection.tls),
        lambda match: _rank_protocols(match, connection.protocols),
    )
    for step in steps:
        ranks = [(step(chain.filter_chain_match), chain) for chain in left]
        best = max((rank for rank, _ in ranks), default=0)
        left = [chain for rank, chain in ranks if rank == best and rank > 0]
    return left[0] if left else None


def _rank_port(match: Match, port: int) -> int:
    if not match.HasField("destination_port"):
        return 1
    return 2 if match.destination_port.value == port else 0


def _rank_server_name(match: Match, name: str) -> int:
    if not match.server_names:
        return 1
    return max(_rank_pattern(pattern, name) for pattern in match.server_names)


def _rank_pattern(pattern: str, name: str) -> int:
    if pattern == name:
        return 2 + len(name) * 2
    return 1 + len(pattern) if pattern.startswith("*.") and name.endswith(pattern[1:]) else 0


def _rank_transport(match: Match, *, tls: bool) -> int:
    if not match.transport_protocol:
        return 1
    return 2 if match.transport_protocol == ("tls" if tls else "raw_buffer") else 0


def _rank_protocols(match: Match, offered: Sequence[str]) -> int:
    if not match.application_protocols:
        return 1
    return 0 if set(offered).isdisjoint(match.application_protocols) else 2
