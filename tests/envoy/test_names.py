"""Names are parsed back to what they were built from."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from plait.envoy import names

HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z][a-z0-9-]{0,10}){0,4}", fullmatch=True)
PORTS = st.integers(1, 65535)


@given(host=HOSTS, port=PORTS, subset=st.just("") | st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True))
def test_clusters_are_parsed_back(host: str, port: int, subset: str) -> None:
    """A cluster's name tells host, port and subset."""
    assert names.parse_cluster(names.cluster(host, port, subset)) == (host, port, subset)


@given(host=HOSTS, port=PORTS)
def test_routes_of_frontends_are_told_from_others(host: str, port: int) -> None:
    """A frontend's route tells host and port; inbound and gateway routes are no frontend's."""
    assert names.parse_route(names.route(host, port)) == (host, port)
    assert names.parse_route(names.inbound_route(port)) is None
    assert names.parse_route(names.gateway_route(port, "https")) is None


@given(octets=st.tuples(*[st.integers(0, 255)] * 4), port=PORTS)
def test_direct_clusters_are_no_services(octets: tuple[int, int, int, int], port: int) -> None:
    """A direct cluster tells the address and port dialled, and stands for no service."""
    address = ".".join(map(str, octets))
    name = names.direct_cluster(address, port)
    assert names.parse_direct_cluster(name) == (address, port)
    assert names.parse_cluster(name) is None
    assert names.parse_direct_cluster(names.cluster("web", port)) is None


@given(address=st.ip_addresses(), port=PORTS)
def test_what_was_dialled_is_written_as_envoy_prints_it(address: IPv4Address | IPv6Address, port: int) -> None:
    """Address and port are parsed back, IPv6 in brackets; names of services are no addresses."""
    text = names.dialled(str(address), port)
    assert text.startswith("[") == (address.version == 6)
    assert names.parse_dialled(text) == (str(address), port)
    assert names.parse_direct_cluster(names.direct_cluster(str(address), port)) == (str(address), port)
    assert names.parse_dialled(names.cluster("reviews.default.svc.cluster.local", port)) is None


def test_fixed_clusters_stand_for_no_service() -> None:
    """The clusters of the app itself and of foreign addresses are no services."""
    fixed = (names.PASSTHROUGH_CLUSTER, names.BLACKHOLE_CLUSTER, names.inbound_cluster(8080))
    assert [names.parse_cluster(name) for name in fixed] == [None, None, None]


def test_denials_tell_their_rule() -> None:
    """The rule is found in Envoy's details, with its brackets."""
    details = f"rbac_access_denied_matched_policy[{names.policy_rule('shop/deny', 2)}]"
    assert names.parse_denial(details) == "shop/deny[2]"
    assert names.parse_denial("rbac_access_denied_matched_policy[none]") == "none"
    assert names.parse_denial("via_upstream") is None
