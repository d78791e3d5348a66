"""How a DestinationRule treats the connections to a service: pools, outliers, TLS; balancing: `load_balancing`."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import IstioDuration
from plait.resources.istio.load_balancing import LoadBalancerSettings
from plait.resources.istio.matches import Names, Percentage, PortSelector
from plait.resources.schema import Boolean, Count32, Finding, Model, Port, Unsigned, when

Share = Annotated[int, Field(strict=True, ge=0, le=100)]
Code = Annotated[int, Field(strict=True, ge=100, le=599)]


class TcpKeepalive(Model):
    """Probes on idle TCP connections."""

    probes: Unsigned | None = None
    """Probes before a connection counts as dead."""
    time: IstioDuration | None = None
    """Idle time before the first."""
    interval: IstioDuration | None = None
    """Time between them."""


class TCPSettings(Model):
    """Settings of TCP connections."""

    max_connections: Count32 | None = None
    """Most connections."""
    connect_timeout: IstioDuration | None = None
    """Limit for connecting."""
    tcp_keepalive: TcpKeepalive | None = None
    """Probes on idle connections."""
    max_connection_duration: IstioDuration | None = None
    """Longest life of a connection."""
    idle_timeout: str | None = None
    """Idle time after which a connection is closed; `0s` never."""


class KeepAlive(Model):
    """HTTP/2 pings."""

    interval: IstioDuration | None = None
    """Time between them."""
    timeout: IstioDuration | None = None
    """Limit for the answer."""


class HTTPSettings(Model):
    """Settings of HTTP connections."""

    http1_max_pending_requests: Count32 | None = None
    """Most requests that wait for a connection (HTTP/1 and HTTP/2)."""
    http2_max_requests: Count32 | None = None
    """Most requests at once (HTTP/1 and HTTP/2)."""
    max_requests_per_connection: Count32 | None = None
    """Requests after which a connection is closed."""
    max_retries: Count32 | None = None
    """Most retries at once."""
    idle_timeout: IstioDuration | None = None
    """Idle time after which a connection is closed."""
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = "DEFAULT"
    """Whether HTTP/1 requests go as HTTP/2."""
    use_client_protocol: Boolean = False
    """Whether the caller's protocol is kept."""
    max_concurrent_streams: Count32 | None = None
    """Most requests at once on an HTTP/2 connection."""
    http2_keep_alive: KeepAlive | None = None
    """HTTP/2 pings."""


class ConnectionPoolSettings(Model):
    """Limits of connections."""

    tcp: TCPSettings | None = None
    """For all connections."""
    http: HTTPSettings | None = None
    """For HTTP."""


class OutlierDetection(Model):
    """Endpoints that fail are left out for a while."""

    consecutive_errors: Count32 | None = None
    """Old form of consecutiveGatewayErrors."""
    split_external_local_origin_errors: Boolean = False
    """Whether failures to connect count apart."""
    consecutive_local_origin_failures: Unsigned | None = None
    """Failures to connect in a row."""
    consecutive_gateway_errors: Unsigned | None = None
    """Answers 502, 503, 504 in a row."""
    consecutive_5xx_errors: Unsigned | None = None
    """Answers 5xx in a row."""
    interval: IstioDuration | None = None
    """Time between checks."""
    base_ejection_time: IstioDuration | None = None
    """How long an endpoint is left out, times how often it was."""
    max_ejection_percent: Share | None = None
    """Largest share of endpoints left out."""
    min_health_percent: Share | None = None
    """Share of healthy endpoints below which all are used."""
    outlier_detection_http_error_codes: tuple[Code, ...] = ()
    """Answers that count as errors."""


class ClientTLSSettings(Model):
    """TLS towards the service."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    """Whether TLS is used, and with which certificate."""
    client_certificate: str = ""
    """File of the own certificate."""
    private_key: str = ""
    """File of the own key."""
    ca_certificates: str = ""
    """File of the CA certificates."""
    credential_name: str = ""
    """Secret with certificate, key and CA."""
    subject_alt_names: Names = ()
    """Names that the certificate must prove one of."""
    sni: str = ""
    """Server name that is asked for."""
    insecure_skip_verify: Boolean | None = None
    """Whether the certificate is not checked."""
    ca_crl: str = ""
    """File of the revocation list."""

    def broken(self) -> Iterator[Finding]:
        """MUTUAL needs a certificate and a key."""
        bare = self.mode == "MUTUAL" and not self.credential_name
        yield from when(bare and not self.client_certificate, "Required value for mode MUTUAL", "clientCertificate")
        yield from when(bare and not self.private_key, "Required value for mode MUTUAL", "privateKey")


class PortTrafficPolicy(Model):
    """The policy for one port; what is left out has its default, not the policy of the service."""

    port: PortSelector | None = None
    """The port."""
    load_balancer: LoadBalancerSettings | None = None
    """How endpoints are chosen."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections."""
    outlier_detection: OutlierDetection | None = None
    """Endpoints that fail are left out for a while."""
    tls: ClientTLSSettings | None = None
    """TLS towards the service."""


class Tunnel(Model):
    """Calls go through an HTTP CONNECT tunnel."""

    protocol: str = ""
    """CONNECT or POST."""
    target_host: str
    """Host at the other end."""
    target_port: Port
    """Port at the other end."""


class ProxyProtocol(Model):
    """The PROXY protocol towards the service."""

    version: Literal["V1", "V2"] = "V1"
    """Its version."""


class RetryBudget(Model):
    """A limit of retries relative to requests."""

    percent: Percentage | None = None
    """Retries in percent of requests."""
    min_retry_concurrency: Unsigned | None = None
    """Retries that are always allowed."""
    budget_interval: str | None = None
    """Time over which it is counted."""


class TrafficPolicy(Model):
    """How connections to a service are treated."""

    load_balancer: LoadBalancerSettings | None = None
    """How endpoints are chosen."""
    connection_pool: ConnectionPoolSettings | None = None
    """Limits of connections."""
    outlier_detection: OutlierDetection | None = None
    """Endpoints that fail are left out for a while."""
    tls: ClientTLSSettings | None = None
    """TLS towards the service."""
    port_level_settings: Annotated[tuple[PortTrafficPolicy, ...], Field(max_length=4096)] = ()
    """Policies for single ports."""
    tunnel: Tunnel | None = None
    """Calls go through a tunnel."""
    proxy_protocol: ProxyProtocol | None = None
    """The PROXY protocol towards the service."""
    retry_budget: RetryBudget | None = None
    """A limit of retries relative to requests."""
