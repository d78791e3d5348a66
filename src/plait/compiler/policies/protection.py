"""Answers of a proxy that sheds load.

Every such answer has the header `x-plait-shed` with one word of why and a body that says it in a sentence, so that
nobody takes it for the app's. The metrics tell it by the response flags (UO for a limit, RL for a rate) and, where
Envoy has no flag for it, by `mesh_shed_total`.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from plait.compiler.policies import limits, shared_limits
from plait.envoy import names, proto
from plait.model.protection import ServerProtection

Mapper = http_connection_manager_pb2.ResponseMapper

_FAILED: Final = ("UF", "UH", "UC", "UT", "UR", "LR", "NR", "NC", "UMSDR", "DC", "DPE", "URX", "UPE", "OM")
"""Flags of answers 503 that no limit gave."""


def by_caller() -> Iterator[Mapper]:
    """What a caller's proxy answers when a limit towards the service is reached."""
    yield _answer(_flags("UO"), "caller-limit", "the caller's sidecar has as much under way to this service as it may")


def by_server(protection: ServerProtection) -> Iterator[Mapper]:
    """What a server's proxy answers in its app's stead; admission control gives what is left of 503 without flag.

    The first that fits decides; Envoy sets the flag of a rate limit only after its answer is made.
    """
    yield _answer(_status(429), "rate-limit", "this instance has taken as many requests as it may in that time")
    if protection.shared:
        yield from _by_shared_limits()
    yield _answer(_flags("UO"), "concurrency", "this instance works on as many requests as it can")
    if protection.adaptive:
        busy = _answer(_status(limits.ADAPTIVE_STATUS), "adaptive-concurrency", "this instance would answer too late")
        yield _sent_as(503, busy)
    if protection.admission_control:
        yield Mapper(filter=_flags(*_FAILED))
        yield _answer(_status(503), "admission-control", "this instance has failed to answer too many requests")


def _by_shared_limits() -> Iterator[Mapper]:
    limited, unknown = _status(shared_limits.LIMITED_STATUS), _status(shared_limits.UNKNOWN_STATUS)
    sentence = "all instances of the service together have taken as many such requests as they may in that time"
    yield _sent_as(429, _answer(limited, "global-rate-limit", sentence))
    sentence = "nobody has counted this request in time, and the service takes none that is not counted"
    yield _sent_as(503, _answer(unknown, "global-rate-limit-failure", sentence))


def _sent_as(code: int, answer: Mapper) -> Mapper:
    answer.status_code.CopyFrom(proto.number(code))
    return answer


def _flags(*flags: str) -> accesslog_pb2.AccessLogFilter:
    return accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=flags))


def _status(code: int) -> accesslog_pb2.AccessLogFilter:
    comparison = accesslog_pb2.ComparisonFilter(
        op=accesslog_pb2.ComparisonFilter.EQ,
        value=base_pb2.RuntimeUInt32(default_value=code, runtime_key="plait.shed"),
    )
    return accesslog_pb2.AccessLogFilter(status_code_filter=accesslog_pb2.StatusCodeFilter(comparison=comparison))


def _answer(chosen: accesslog_pb2.AccessLogFilter, reason: str, sentence: str) -> Mapper:
    header = base_pb2.HeaderValue(key=names.SHED_HEADER, value=reason)
    body = base_pb2.DataSource(inline_string=f"plait: overloaded ({reason}): {sentence}\n")
    return Mapper(
        filter=chosen,
        headers_to_add=[base_pb2.HeaderValueOption(header=header)],
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(text_format_source=body),
    )
