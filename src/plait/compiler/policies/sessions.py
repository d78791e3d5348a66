"""Session persistence: a cookie or header with the endpoint's address, by Envoy's stateful session filter.

The address is a wish: where that endpoint is gone, another one takes the request and its name.
"""

from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.stateful_session.v3 import stateful_session_pb2
from envoy.extensions.http.stateful_session.cookie.v3 import cookie_pb2
from envoy.extensions.http.stateful_session.header.v3 import header_pb2
from envoy.type.http.v3 import cookie_pb2 as http_cookie_pb2

from plait.compiler.filters import HttpFilter, optional_filter
from plait.envoy import names, proto
from plait.model.sessions import SessionPersistence


def filter_of_routes() -> HttpFilter:
    """The filter for connection managers; in no request's way unless a route has sessions."""
    return optional_filter(names.SESSION_FILTER, stateful_session_pb2.StatefulSession())


def on_route(message: route_components_pb2.Route, session: SessionPersistence | None) -> None:
    """Gives a route its sessions."""
    if session is not None:
        own = stateful_session_pb2.StatefulSession(session_state=_state(session))
        config = stateful_session_pb2.StatefulSessionPerRoute(stateful_session=own)
        message.typed_per_filter_config[names.SESSION_FILTER].CopyFrom(proto.packed(config))


def _state(session: SessionPersistence) -> extension_pb2.TypedExtensionConfig:
    if session.header:
        header = header_pb2.HeaderBasedSessionState(name=session.name)
        return proto.extension("envoy.http.stateful_session.header", header)
    cookie = http_cookie_pb2.Cookie(name=session.name, path=session.path)
    if session.lifetime:
        cookie.ttl.CopyFrom(proto.seconds(session.lifetime))
    state = cookie_pb2.CookieBasedSessionState(cookie=cookie)
    return proto.extension("envoy.http.stateful_session.cookie", state)
