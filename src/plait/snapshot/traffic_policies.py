"""The blocks of a DestinationRule's trafficPolicy to the model, with Istio's defaults inside each block.

A block that is not written stays None, so that what holds without a rule goes on to hold. Numbers of 0 count as not
written, as in Istio.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from plait.model.ids import Origin
from plait.model.protection import Ejection
from plait.model.traffic_policy import (
    HttpVersion,
    Outliers,
    Pool,
    RetryBudget,
    TlsMode,
    TrafficPolicy,
    Tunnel,
    UpstreamTls,
)
from plait.resources.formats import duration_seconds
from plait.resources.istio.traffic_policy import (
    ClientTLSSettings,
    ConnectionPoolSettings,
    HTTPSettings,
    OutlierDetection,
    PortTrafficPolicy,
    TCPSettings,
)
from plait.resources.istio.traffic_policy import TrafficPolicy as Written
from plait.snapshot.load_balancers import declared_balancer, seconds

_SYSTEM: Final = "system"
_VERSIONS: Final = {"UPGRADE": HttpVersion.TWO, "DO_NOT_UPGRADE": HttpVersion.ONE}
_CONSECUTIVE: Final = 5
_LONGEST: Final = 300.0


def declared_policy(written: Written | None, origin: Origin) -> TrafficPolicy | None:
    """The policy that a rule, or a subset of one, declares."""
    if written is None:
        return None
    budget = written.retry_budget
    return TrafficPolicy(
        balancer=declared_balancer(written.load_balancer),
        pool=declared_pool(written.connection_pool),
        outliers=_outliers(written.outlier_detection),
        tls=_tls(written.tls),
        tunnel=Tunnel(
            host=written.tunnel.target_host,
            port=written.tunnel.target_port,
            post=written.tunnel.protocol == "POST",
        )
        if written.tunnel
        else None,
        proxy_protocol=written.proxy_protocol.version if written.proxy_protocol else "",
        retry_budget=RetryBudget(
            percent=RetryBudget.percent if budget.percent is None else budget.percent,
            minimum=RetryBudget.minimum if budget.min_retry_concurrency is None else budget.min_retry_concurrency,
        )
        if budget
        else None,
        ports=tuple(_ports(written.port_level_settings, origin)),
        origin=origin,
    )


def _ports(written: Iterable[PortTrafficPolicy], origin: Origin) -> Iterable[tuple[int, TrafficPolicy]]:
    for index, item in enumerate(written):
        if item.port and item.port.number:
            policy = TrafficPolicy(
                balancer=declared_balancer(item.load_balancer),
                pool=declared_pool(item.connection_pool),
                outliers=_outliers(item.outlier_detection),
                tls=_tls(item.tls),
                origin=replace(origin, path=f"{origin.path}.portLevelSettings[{index}]"),
            )
            yield item.port.number, policy


def declared_pool(written: ConnectionPoolSettings | None) -> Pool | None:
    """The limits and times of connections."""
    if written is None:
        return None
    tcp, http = written.tcp or TCPSettings(), written.http or HTTPSettings()
    probes, pings = tcp.tcp_keepalive, http.http2_keep_alive
    stream_idle = None if tcp.idle_timeout is None else duration_seconds(tcp.idle_timeout)
    return Pool(
        max_connections=tcp.max_connections or None,
        max_pending=http.http1_max_pending_requests or None,
        max_requests=http.http2_max_requests or None,
        max_retries=http.max_retries or None,
        requests_per_connection=http.max_requests_per_connection or None,
        streams_per_connection=http.max_concurrent_streams or None,
        connect_timeout=seconds(tcp.connect_timeout),
        max_duration=seconds(tcp.max_connection_duration),
        idle_timeout=seconds(http.idle_timeout) or stream_idle or None,
        stream_idle_timeout=stream_idle,
        probes=(probes.probes, seconds(probes.time), seconds(probes.interval)) if probes else None,
        pings=(seconds(pings.interval), seconds(pings.timeout)) if pings else None,
        version=HttpVersion.CALLERS if http.use_client_protocol else _VERSIONS.get(http.h2_upgrade_policy),
    )


def _outliers(written: OutlierDetection | None) -> Outliers | None:
    if written is None:
        return None
    gateway = written.consecutive_gateway_errors
    server, local = written.consecutive_5xx_errors, written.consecutive_local_origin_failures
    base = seconds(written.base_ejection_time) or 30.0
    split = written.split_external_local_origin_errors
    ejection = Ejection(
        connection_failures=(local or _CONSECUTIVE) if split else 0,
        gateway_errors=(written.consecutive_errors or 0) if gateway is None else gateway,
        server_errors=_CONSECUTIVE if server is None else server,
        interval=seconds(written.interval) or 10.0,
        duration=base,
        longest=max(base, _LONGEST),
        max_share=written.max_ejection_percent or 10,
        split=split,
        codes=written.outlier_detection_http_error_codes,
        at_least_one=True,
    )
    return Outliers(ejection=ejection, panic_threshold=written.min_health_percent or 0)


def _tls(written: ClientTLSSettings | None) -> UpstreamTls | None:
    if written is None:
        return None
    if written.mode == "DISABLE":
        return UpstreamTls(mode=TlsMode.OFF)
    if written.mode == "ISTIO_MUTUAL":
        return UpstreamTls(mode=TlsMode.MESH, server_name=written.sni, names=written.subject_alt_names)
    return UpstreamTls(
        mode=TlsMode.OWN,
        server_name=written.sni,
        names=written.subject_alt_names,
        credential=written.credential_name,
        proves=written.mode == "MUTUAL",
        verified=not written.insecure_skip_verify,
        problem="" if written.credential_name else _files(written),
    )


def _files(written: ClientTLSSettings) -> str:
    """Why TLS that is described by files cannot be done: they would be files of each caller's machine."""
    authorities = "" if written.ca_certificates == _SYSTEM else written.ca_certificates
    named = {
        "clientCertificate": written.client_certificate,
        "privateKey": written.private_key,
        "caCertificates": authorities,
        "caCrl": written.ca_crl,
    }
    listed = ", ".join(field for field, file in named.items() if file)
    return f"tls.{listed}: files are not read; put them into a Secret and name it in credentialName" if listed else ""
