"""Answers of a proxy that sheds load, and admission control, by which a caller's proxy sheds before it sends.

Every such answer has the header `x-plait-shed` with one word of why and a body that says it in a sentence, so that
nobody takes it for the app's. The metrics tell it by the response flags (UO for a limit, RL for a rate) and, where
Envoy has no flag for it, by `mesh_shed_total`.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.http.admission_control.v3 import admission_control_pb2
from envoy.extensions.filters.http.upstream_codec.v3 import upstream_codec_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.v3 import percent_pb2, range_pb2

from plait.envoy import names, proto

Mapper = http_connection_manager_pb2.ResponseMapper
HttpFilter = http_connection_manager_pb2.HttpFilter

_FAILED: Final = ("UF", "UH", "UC", "UT", "UR", "LR", "NR", "NC", "UMSDR", "DC", "DPE", "URX", "UPE", "OM")
"""Flags of answers 503 that no limit gave."""
_WINDOW: Final = 10.0
_FEWEST_PER_SECOND: Final = 5
_MOST_HELD_BACK: Final = 80.0


def by_caller() -> Iterator[Mapper]:
    """What a caller's proxy answers when a limit towards the service is reached."""
    yield _answer(_flags("UO"), "caller-limit", "the caller's sidecar has as much under way to this service as it may")


def by_server(*, adaptive: bool) -> Iterator[Mapper]:
    """What a server's proxy answers in its app's stead; adaptive concurrency is what is left of 503 without flag."""
    yield _answer(_flags("RL"), "rate-limit", "this instance has taken as many requests as it may in that time")
    yield _answer(_flags("UO"), "concurrency", "this instance works on as many requests as it can")
    if adaptive:
        yield Mapper(filter=_flags(*_FAILED))
        yield _answer(_status(503), "adaptive-concurrency", "this instance works on as many requests as it can")


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


def upstream_filters() -> Iterator[HttpFilter]:
    """The filters of a cluster with admission control: requests are held back as far as others fail.

    Answers 429 and 5xx count as failures, so that callers of an instance that sheds send it less.
    """
    percent = proto_percent
    criteria = admission_control_pb2.AdmissionControl.SuccessCriteria
    answered = [range_pb2.Int32Range(start=100, end=429), range_pb2.Int32Range(start=430, end=500)]
    config = admission_control_pb2.AdmissionControl(
        enabled=base_pb2.RuntimeFeatureFlag(default_value=proto.true(), runtime_key="plait.admission_control"),
        success_criteria=criteria(http_criteria=criteria.HttpCriteria(http_success_status=answered)),
        sampling_window=proto.seconds(_WINDOW),
        rps_threshold=base_pb2.RuntimeUInt32(default_value=_FEWEST_PER_SECOND, runtime_key="plait.admission_rps"),
        max_rejection_probability=percent(_MOST_HELD_BACK, "plait.admission_most"),
    )
    yield HttpFilter(name="plait.admission-control", typed_config=proto.packed(config))
    codec = upstream_codec_pb2.UpstreamCodec()
    yield HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=proto.packed(codec))


def proto_percent(value: float, key: str) -> base_pb2.RuntimePercent:
    """A percentage that nothing changes at run time."""
    return base_pb2.RuntimePercent(default_value=percent_pb2.Percent(value=value), runtime_key=key)
