"""What a DestinationRule's trafficPolicy means for a caller: defaults of blocks, what replaces what, annotations."""

from typing import Any

import pytest

from plait.model.protection import CallerProtection, Ejection
from plait.model.snapshot import Snapshot
from plait.model.traffic_policy import Algorithm, HashCookie, HashKey, HttpVersion, Pool, TlsMode
from plait.model.view import OutboundCluster
from plait.resources.core import traffic_annotations as asked
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.project import project
from tests.snapshot.certificates import tls_secret
from tests.snapshot.resources_builders import (
    built,
    conditions,
    destination_rule,
    name_of,
    service,
    service_entry,
    snapshot_of,
    workload,
)
from tests.snapshot.test_subsets import V1, leading

HOST = "web.default.svc.cluster.local"
PORTS = ({"port": 80, "targetPort": 8080}, {"port": 81, "targetPort": 8081, "name": "http-admin"})
SERVER = workload("web-1", "10.0.0.1", app="web", labels=V1)
CLIENT = workload("client", "10.0.0.9", app="client")


def mesh(*resources: Resource, annotations: dict[str, str] | None = None) -> Snapshot:
    return snapshot_of(service("web", *map(dict, PORTS), annotations=annotations or {}), SERVER, CLIENT, *resources)


def clusters(snapshot: Snapshot, caller: str = "client", host: str = HOST) -> dict[int, OutboundCluster]:
    found = project(snapshot, name_of(caller), frozenset({host})).clusters
    return {item.key.port: item for item in found}


def treated(policy: dict[str, Any], **fields: Any) -> OutboundCluster:
    """The cluster of port 80 under a policy for the whole service."""
    return clusters(mesh(destination_rule("web", policy=policy), **fields))[80]


def said(builder: Builder, name: str = "web") -> dict[str, str]:
    status = builder.statuses["DestinationRule", name_of(name)]
    return {item.type: item.message for item in status.conditions}


def test_without_a_rule_nothing_differs() -> None:
    """A rule for another service leaves a cluster as it was, to the last field."""
    assert clusters(mesh(destination_rule("other", policy={"outlierDetection": {}}))) == clusters(mesh())


def test_trap_12_port_level_settings_replace() -> None:
    """What a port's settings leave out has its default, not what the service's policy says."""
    policy = {
        "connectionPool": {"tcp": {"maxConnections": 5, "connectTimeout": "1s"}},
        "outlierDetection": {"consecutive5xxErrors": 2},
        "portLevelSettings": [{"port": {"number": 81}, "loadBalancer": {"simple": "RANDOM"}}],
    }
    found = clusters(mesh(destination_rule("web", policy=policy)))

    assert (found[80].protection.max_connections, found[81].protection.max_connections) == (5, None)
    assert found[81].protection == CallerProtection()
    assert found[81].policy
    assert found[81].policy.pool is None
    assert found[81].policy.balancer
    assert found[81].policy.balancer.algorithm is Algorithm.RANDOM
    assert found[80].policy
    assert found[80].policy.balancer is None


def test_trap_12_a_subset_replaces_block_by_block() -> None:
    """Blocks that it leaves out come from the service's policy; port settings of either come before that."""
    rule = destination_rule(
        "web",
        policy={"connectionPool": {"tcp": {"maxConnections": 5}}, "outlierDetection": {"interval": "1s"}},
        subsets={"v1": V1},
        subset_policies={"v1": {"connectionPool": {"http": {"maxRetries": 1}}}},
    )
    snapshot = leading(mesh(rule), "v1", host=HOST)

    found = clusters(snapshot)[80].protection

    assert (found.max_connections, found.max_retries) == (None, 1)
    assert found.ejection
    assert found.ejection.interval == 1.0


def test_trap_13_several_rules_of_one_host_have_one_policy() -> None:
    """The oldest one's; the others say so."""
    builder = built(
        service("web"),
        SERVER,
        CLIENT,
        destination_rule("older", "web", policy={"loadBalancer": {"simple": "RANDOM"}}, created=1),
        destination_rule("newer", HOST, policy={"loadBalancer": {"simple": "ROUND_ROBIN"}}, created=2),
    )
    policy = clusters(builder.snapshot)[80].policy
    assert policy
    assert policy.balancer
    assert policy.balancer.algorithm is Algorithm.RANDOM
    assert "DestinationRule default/older for the same host is older" in said(builder, "newer")["PartiallyInvalid"]
    assert "PartiallyInvalid" not in said(builder, "older")


def test_trap_14_limits_of_connections_hold_at_the_server_too() -> None:
    """The port's settings before the service's, replaced as a whole; a rule for some callers says nothing there."""
    pool = {"connectionPool": {"tcp": {"maxConnections": 5}}}
    of_port = {"port": {"number": 81}, "connectionPool": {"http": {"http1MaxPendingRequests": 2}}}

    def at_server(**fields: Any) -> dict[int, Pool | None]:
        snapshot = mesh(destination_rule("web", **fields))
        return {port.number: port.pool for port in project(snapshot, name_of("web-1"), frozenset()).inbound}

    found = at_server(policy={**pool, "portLevelSettings": [of_port]})
    assert (found[8080], found[8081]) == (Pool(max_connections=5), Pool(max_pending=2))
    assert at_server(policy=pool, selector={"app": "web"})[8080] is None


def test_trap_15_outlier_detection_has_istios_defaults_once_the_block_is_there() -> None:
    """Five server errors, gateway errors off, 10 s, 30 s, ten per cent but at least one, no panic."""
    found = treated({"outlierDetection": {}}).protection
    usual = Ejection(
        connection_failures=0,
        gateway_errors=0,
        server_errors=5,
        interval=10.0,
        duration=30.0,
        longest=300.0,
        max_share=10,
        split=False,
        at_least_one=True,
    )
    assert (found.ejection, found.panic_threshold) == (usual, 0)


def test_trap_15_gateway_errors_above_server_errors_are_inert() -> None:
    """The status says so."""
    written = {"outlierDetection": {"consecutiveGatewayErrors": 5}}
    builder = built(service("web"), destination_rule("web", policy=written))
    assert "consecutiveGatewayErrors: inert" in said(builder)["PartiallyInvalid"]
    fewer = {"outlierDetection": {"consecutiveGatewayErrors": 4}}
    assert "PartiallyInvalid" not in said(built(service("web"), destination_rule("web", policy=fewer)))


def test_trap_15_split_errors_count_connections_apart() -> None:
    """Only then do failures to connect have a limit of their own."""
    written = {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 3, "minHealthPercent": 20}
    found = treated({"outlierDetection": written}).protection
    assert found.ejection
    assert (found.ejection.split, found.ejection.connection_failures) == (True, 3)
    assert found.panic_threshold == 20
    not_split = treated({"outlierDetection": {"consecutiveLocalOriginFailures": 3}}).protection.ejection
    assert not_split
    assert (not_split.split, not_split.connection_failures) == (False, 0)


def test_trap_18_defaults_of_balancer_and_pool() -> None:
    """LEAST_REQUEST, no limit, and the mesh's times where none are written."""
    found = treated({"loadBalancer": {}, "connectionPool": {"tcp": {}, "http": {}}})
    assert found.policy
    assert found.policy.balancer
    assert found.policy.balancer.algorithm is Algorithm.LEAST_REQUEST
    assert found.policy.pool == Pool()
    assert found.protection == CallerProtection()
    assert found.idle_timeout == clusters(mesh())[80].idle_timeout


@pytest.mark.parametrize(
    ("http", "limit"), [({"http1MaxPendingRequests": 3}, (3, None)), ({"http2MaxRequests": 4}, (None, 4))]
)
def test_trap_19_limits_named_for_one_version_hold_for_both(http: dict[str, int], limit: tuple[Any, Any]) -> None:
    """Whether the port speaks HTTP/1 or HTTP/2."""
    rule = destination_rule("web", policy={"connectionPool": {"http": http}})
    for protocol in ("http", "http2"):
        port = {"port": 80, "targetPort": 8080, "appProtocol": protocol}
        found = clusters(snapshot_of(service("web", port), SERVER, CLIENT, rule))[80].protection
        assert (found.max_pending, found.max_requests) == limit


def test_trap_20_any_tls_turns_the_meshs_own_off() -> None:
    """Except ISTIO_MUTUAL, which asks for it at every endpoint."""
    assert clusters(mesh())[80].identities
    for mode in ("DISABLE", "SIMPLE"):
        found = treated({"tls": {"mode": mode}})
        assert (found.identities, found.servers, found.mixed) == ((), (), False)
    always = treated({"tls": {"mode": "ISTIO_MUTUAL"}})
    assert always.identities == clusters(mesh())[80].identities
    assert always.policy
    assert always.policy.tls
    assert always.policy.tls.mode is TlsMode.MESH


OUTSIDE = service_entry(
    "e", "api.example.com", resolution="DNS", location="MESH_EXTERNAL", given={"api.example.com": "240.240.0.9"}
)


def origination(rule: Resource, *more: Resource) -> OutboundCluster:
    return clusters(snapshot_of(OUTSIDE, CLIENT, rule, *more), host="api.example.com")[80]


def test_trap_21_without_authorities_the_systems_are_asked() -> None:
    """And the certificate must be for the host."""
    found = origination(destination_rule("e", "api.example.com", policy={"tls": {"mode": "SIMPLE"}}))
    assert found.policy
    assert found.policy.tls
    assert (found.policy.tls.authorities, found.policy.tls.verified, found.missing) == (None, True, False)


def test_trap_21_a_sidecar_gets_a_credential_only_by_a_workload_selector() -> None:
    """Without one SIMPLE is as if none was named, and MUTUAL is refused; the status says so."""
    secret = tls_secret("cert")
    tls = {"mode": "MUTUAL", "credentialName": "cert"}
    open_rule = destination_rule("e", "api.example.com", policy={"tls": tls})
    chosen = destination_rule("e", "api.example.com", policy={"tls": tls}, selector={"app": "client"})

    assert origination(open_rule, secret).missing
    found = origination(chosen, secret)
    assert found.policy
    assert found.policy.tls
    assert found.policy.tls.certificate == name_of("cert")
    assert not found.missing
    assert "inert at sidecars" in said(built(OUTSIDE, open_rule), "e")["PartiallyInvalid"]
    simple = {"tls": {"mode": "SIMPLE", "credentialName": "cert"}}
    assert not origination(destination_rule("e", "api.example.com", policy=simple), secret).missing


def test_the_secret_of_a_rule_reaches_the_caller_and_follows_it() -> None:
    """With the view, and again when it changes; without it calls are refused."""
    rule = destination_rule(
        "e",
        "api.example.com",
        policy={"tls": {"mode": "MUTUAL", "credentialName": "cert"}},
        selector={"app": "client"},
    )
    builder = built(OUTSIDE, CLIENT, rule)
    demand = frozenset({"api.example.com"})
    assert project(builder.snapshot, name_of("client"), demand).clusters[0].missing

    update = builder.update([tls_secret("cert")])

    view = project(update.snapshot, name_of("client"), demand)
    assert [item.name for item in view.certificates] == [name_of("cert")]
    assert update.touched.hosts >= demand


def test_files_are_not_read() -> None:
    """They would be files of every caller's machine: calls are refused, and the status names the field."""
    tls = {"mode": "SIMPLE", "caCertificates": "/etc/certs/ca.pem"}
    rule = destination_rule("e", "api.example.com", policy={"tls": tls})
    assert origination(rule).missing
    assert "tls.caCertificates: files are not read" in said(built(OUTSIDE, rule), "e")["PartiallyInvalid"]
    assert not origination(
        destination_rule("e", "api.example.com", policy={"tls": {"mode": "SIMPLE", "caCertificates": "system"}})
    ).missing


def test_a_rule_goes_before_annotations_where_both_say_something() -> None:
    """Number by number for limits, block by block for ejection; what it leaves out the annotations still say."""
    annotations = {asked.MAX_REQUESTS: "50", asked.MAX_PENDING: "5", asked.EJECT_FOR: "9s", asked.RETRY_BUDGET: "20%"}
    policy = {"connectionPool": {"http": {"http2MaxRequests": 7}}, "outlierDetection": {"baseEjectionTime": "1m"}}

    found = treated(policy, annotations=annotations).protection

    assert (found.max_requests, found.max_pending, found.retry_budget) == (7, 5, 20)
    assert found.ejection
    assert found.ejection.duration == 60.0
    kept = {origin.path for origin in found.origins}
    assert kept == {f"metadata.annotations[{name}]" for name in (asked.MAX_PENDING, asked.RETRY_BUDGET)}


def test_the_status_names_the_annotations_that_a_rule_replaces() -> None:
    """As long as the Service has them."""
    rule = destination_rule("web", policy={"connectionPool": {"http": {"http2MaxRequests": 7}}})
    builder = built(service("web", annotations={asked.MAX_REQUESTS: "50"}), rule)
    assert said(builder)["Accepted"] == f"in force instead of {asked.MAX_REQUESTS} of Service default/web"
    builder.update([service("web")])
    assert said(builder)["Accepted"] == ""


def test_what_decides_where_a_call_goes() -> None:
    """A header, a cookie, a query parameter or the caller's address, on a ring or in a Maglev table."""

    def found(**settings: Any) -> tuple[Any, ...]:
        policy = treated({"loadBalancer": {"consistentHash": settings}}).policy
        assert policy
        assert policy.balancer
        return policy.balancer.algorithm, policy.balancer.key, policy.balancer.size

    assert found(httpHeaderName="X-User") == (Algorithm.RING_HASH, HashKey(header="x-user"), 1024)
    assert found(useSourceIp=True, ringHash={"minimumRingSize": 7}) == (
        Algorithm.RING_HASH,
        HashKey(source_address=True),
        7,
    )
    assert found(httpQueryParameterName="q", maglev={}) == (Algorithm.MAGLEV, HashKey(query="q"), 0)
    cookie = {"name": "c", "ttl": "1h", "path": "/", "attributes": [{"name": "SameSite", "value": "Lax"}]}
    key = HashKey(cookie=HashCookie(name="c", path="/", lifetime=3600.0, attributes=(("SameSite", "Lax"),)))
    assert found(httpCookie=cookie) == (Algorithm.RING_HASH, key, 1024)


def test_pools() -> None:
    """Every field of a connection pool."""
    pool = {
        "tcp": {
            "maxConnections": 1,
            "connectTimeout": "2s",
            "tcpKeepalive": {"probes": 3, "time": "4s", "interval": "5s"},
            "maxConnectionDuration": "6s",
            "idleTimeout": "0s",
        },
        "http": {
            "maxRequestsPerConnection": 7,
            "idleTimeout": "8s",
            "maxConcurrentStreams": 9,
            "http2KeepAlive": {"interval": "10s", "timeout": "11s"},
            "h2UpgradePolicy": "UPGRADE",
        },
    }
    found = treated({"connectionPool": pool})
    assert found.policy
    assert found.policy.pool == Pool(
        max_connections=1,
        connect_timeout=2.0,
        probes=(3, 4.0, 5.0),
        max_duration=6.0,
        stream_idle_timeout=0.0,
        requests_per_connection=7,
        idle_timeout=8.0,
        streams_per_connection=9,
        pings=(10.0, 11.0),
        version=HttpVersion.TWO,
    )
    assert found.idle_timeout == 8.0


def test_conditions_of_a_plain_rule() -> None:
    """Accepted, and nothing else."""
    builder = built(service("web"), destination_rule("web", subsets={"v1": V1}))
    found = builder.statuses["DestinationRule", name_of("web")]
    assert conditions(found.conditions) == {"Accepted": ("True", "Accepted")}
