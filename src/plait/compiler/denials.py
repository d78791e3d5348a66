"""A denied request's answer: the policy and the caller, for callers of the mesh whose identity is known."""

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from plait.envoy import names, proto


def by_server() -> http_connection_manager_pb2.ResponseMapper:
    """What the server's sidecar answers; the caller is whom its certificate names."""
    return _answer("%DOWNSTREAM_PEER_URI_SAN%")


def by_caller(identity: str) -> http_connection_manager_pb2.ResponseMapper:
    """What the sidecar of a caller of that identity answers in the server's stead."""
    return _answer(proto.literal(identity))


def _answer(caller: str) -> http_connection_manager_pb2.ResponseMapper:
    details = base_pb2.HeaderValue(key=names.DENIED_HEADER, value="%RESPONSE_CODE_DETAILS%")
    body = substitution_format_string_pb2.SubstitutionFormatString()
    for key, value in (
        ("error", "denied by an authorization policy of the mesh"),
        ("policy", "%RESPONSE_CODE_DETAILS%"),
        ("caller", caller),
    ):
        body.json_format.fields[key].string_value = value
    return http_connection_manager_pb2.ResponseMapper(
        filter=_by_policies(),
        headers_to_add=[base_pb2.HeaderValueOption(header=details)],
        body_format_override=body,
    )


def _by_policies() -> accesslog_pb2.AccessLogFilter:
    """What the filters of policies denied; a rule that answers 403 by itself keeps its answer."""
    expression = cel_pb2.ExpressionFilter(expression='response.code_details.startsWith("rbac_access_denied")')
    return accesslog_pb2.AccessLogFilter(
        extension_filter=accesslog_pb2.ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel", typed_config=proto.packed(expression)
        )
    )
