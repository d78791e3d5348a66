"""Rate, errors and duration per edge, counted by Envoy's stats access logger.

The logger costs about nothing beside a text log and gives real labels in Prometheus
(`envoy_mesh_requests_total{reporter="source",...}`). Tags are names only, never paths or addresses, so that
the number of series stays bounded by the number of edges.
"""

from dataclasses import dataclass, replace
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2

from plait.envoy import names, proto

STAT_PREFIX: Final = "mesh"

_Tags = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Which side counts, and what it knows of both ends without looking at the call.

    `secure` says that the chain authenticates its peer (inbound chains only).
    """

    side: str
    workload: str
    principal: str
    secure: bool = False
    service: str = "%UPSTREAM_CLUSTER%"


def source(workload: str, principal: str) -> Reporter:
    """The caller's side."""
    return Reporter(side="source", workload=workload, principal=principal)


def refused(reporter: Reporter) -> Reporter:
    """The same where calls to what the mesh does not know are refused: by a cluster that is not there, so unnamed."""
    return replace(reporter, service=names.BLACKHOLE_CLUSTER)


def destination(workload: str, port: int, *, secure: bool) -> Reporter:
    """The side of the workload that is called; port 0 stands for ports that are not listed."""
    service = str(port) if port else "unlisted"
    return Reporter(side="destination", workload=workload, principal="", secure=secure, service=service)


def _edge(reporter: Reporter) -> _Tags:
    if reporter.side == "source":
        return (
            ("reporter", "source"),
            ("source_workload", proto.literal(reporter.workload)),
            ("source_principal", proto.literal(reporter.principal)),
            ("destination_workload", f"%UPSTREAM_METADATA({names.METADATA}:workload)%"),
            ("destination_service", reporter.service),
        )
    return (
        ("reporter", "destination"),
        ("source_workload", "-"),
        ("source_principal", "%DOWNSTREAM_PEER_URI_SAN%" if reporter.secure else "-"),
        ("destination_workload", proto.literal(reporter.workload)),
        ("destination_service", reporter.service),
    )


def _stat(name: str, tags: _Tags) -> stats_pb2.Config.Stat:
    return stats_pb2.Config.Stat(
        name=name, tags=[stats_pb2.Config.Tag(name=key, value_format=value) for key, value in tags]
    )


def _logger(config: stats_pb2.Config) -> accesslog_pb2.AccessLog:
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stats", typed_config=proto.packed(config))


def requests(reporter: Reporter) -> accesslog_pb2.AccessLog:
    """Counts requests and their durations."""
    edge = _edge(reporter)
    answer = (("response_code", "%RESPONSE_CODE%"), ("flags", "%RESPONSE_FLAGS%"), ("protocol", "%PROTOCOL%"))
    return _logger(
        stats_pb2.Config(
            stat_prefix=STAT_PREFIX,
            counters=[stats_pb2.Config.Counter(stat=_stat("requests_total", edge + answer), value_fixed=proto.wide(1))],
            histograms=[
                stats_pb2.Config.Histogram(
                    stat=_stat("request_duration_ms", edge),
                    unit=stats_pb2.Config.Histogram.Milliseconds,
                    value_format="%DURATION%",
                )
            ],
        )
    )


def shed(reporter: Reporter) -> accesslog_pb2.AccessLog:
    """Counts answers 503 with Envoy's own word for their cause, where the response flags do not tell it."""
    comparison = accesslog_pb2.ComparisonFilter(
        op=accesslog_pb2.ComparisonFilter.EQ,
        value=base_pb2.RuntimeUInt32(default_value=503, runtime_key="plait.shed"),
    )
    tags = (*_edge(reporter), ("reason", "%RESPONSE_CODE_DETAILS%"))
    counter = stats_pb2.Config.Counter(stat=_stat("shed_total", tags), value_fixed=proto.wide(1))
    log = _logger(stats_pb2.Config(stat_prefix=STAT_PREFIX, counters=[counter]))
    log.filter.status_code_filter.comparison.CopyFrom(comparison)
    return log


def connections(reporter: Reporter) -> accesslog_pb2.AccessLog:
    """Counts connections, their bytes and why they were ended, where no request is seen."""
    edge = _edge(reporter)
    end = (("flags", "%RESPONSE_FLAGS%"), ("details", "%CONNECTION_TERMINATION_DETAILS%"))
    counter = stats_pb2.Config.Counter
    return _logger(
        stats_pb2.Config(
            stat_prefix=STAT_PREFIX,
            counters=[
                counter(stat=_stat("connections_total", edge + end), value_fixed=proto.wide(1)),
                counter(stat=_stat("bytes_received_total", edge), value_format="%BYTES_RECEIVED%"),
                counter(stat=_stat("bytes_sent_total", edge), value_format="%BYTES_SENT%"),
            ],
        )
    )
