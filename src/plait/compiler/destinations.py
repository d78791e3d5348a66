"""The matcher tree by which the outbound listener picks a filter chain.

The longest prefix of the dialled address that has an entry for the port decides; where it has none, shorter prefixes
are tried. Only names of chains are in the tree, so that adding a TCP service adds a chain and changes none.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from envoy.extensions.matching.common_inputs.network.v3 import network_inputs_pb2
from google.protobuf import wrappers_pb2
from google.protobuf.message import Message
from xds.core.v3 import cidr_pb2, extension_pb2
from xds.type.matcher.v3 import ip_pb2, matcher_pb2

from plait.envoy import proto

Matcher = matcher_pb2.Matcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Connections to a range of addresses (and to one port of it, unless 0) and the chain that takes them."""

    prefix: str
    chain: str
    port: int = 0


def within(address: str, ranges: Iterable[str]) -> bool:
    """Whether an address is in one of the ranges."""
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(prefix) for prefix in ranges)


def matcher(places: Iterable[Place]) -> Matcher:
    """The tree for these places."""
    chains: dict[str, dict[int, str]] = {}
    for place in places:
        chains.setdefault(place.prefix, {}).setdefault(place.port, place.chain)
    ranges = [_range(prefix, chains[prefix]) for prefix in sorted(chains)]
    tree = Matcher.MatcherTree(
        input=_extension("destination-ip", network_inputs_pb2.DestinationIPInput()),
        custom_match=_extension("prefixes", ip_pb2.IPMatcher(range_matchers=ranges)),
    )
    return Matcher(matcher_tree=tree)


def _extension(name: str, config: Message) -> extension_pb2.TypedExtensionConfig:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=proto.packed(config))


def _take(chain: str) -> Matcher.OnMatch:
    return Matcher.OnMatch(action=_extension(chain, wrappers_pb2.StringValue(value=chain)))


def _range(prefix: str, ports: dict[int, str]) -> ip_pb2.IPMatcher.IPRangeMatcher:
    network = ipaddress.ip_network(prefix)
    return ip_pb2.IPMatcher.IPRangeMatcher(
        ranges=[
            cidr_pb2.CidrRange(address_prefix=str(network.network_address), prefix_len=proto.number(network.prefixlen))
        ],
        on_match=_by_port(ports),
    )


def _by_port(ports: dict[int, str]) -> Matcher.OnMatch:
    every = ports.get(0)
    if set(ports) == {0}:
        return _take(ports[0])
    by_number = Matcher.MatcherTree.MatchMap(
        map={str(port): _take(chain) for port, chain in sorted(ports.items()) if port}
    )
    tree = Matcher.MatcherTree(
        input=_extension("destination-port", network_inputs_pb2.DestinationPortInput()), exact_match_map=by_number
    )
    nested = Matcher(matcher_tree=tree)
    if every:
        nested.on_no_match.CopyFrom(_take(every))
    return Matcher.OnMatch(matcher=nested)
