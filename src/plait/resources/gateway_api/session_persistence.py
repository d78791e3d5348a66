"""Session persistence of Gateway API (GEP-1619)."""

from collections.abc import Iterator
from typing import Literal

from plait.resources.formats import GatewayDuration, HeaderName, PathText
from plait.resources.schema import Finding, Model, when


class CookieConfig(Model):
    """Settings of the cookie."""

    lifetime_type: Literal["Permanent", "Session"] = "Session"
    """Whether the cookie outlives the browser's session."""
    name: HeaderName | None = None
    """Name of the cookie."""
    path: PathText = "/"
    """Path of the cookie."""


class HeaderConfig(Model):
    """Settings of the header."""

    name: HeaderName
    """Name of the header."""


class SessionPersistence(Model):
    """Keeps a client on one backend endpoint."""

    type: Literal["Cookie", "Header"] = "Cookie"
    """How a session is recognized."""
    absolute_timeout: GatewayDuration | None = None
    """How long a session lasts at most."""
    cookie: CookieConfig | None = None
    """Settings of the cookie."""
    header: HeaderConfig | None = None
    """Settings of the header."""

    def broken(self) -> Iterator[Finding]:
        """The settings belong to the type; a permanent cookie has an end."""
        permanent = self.cookie is not None and self.cookie.lifetime_type == "Permanent"
        endless = permanent and self.absolute_timeout is None
        problem = "AbsoluteTimeout must be specified when cookie lifetimeType is Permanent"
        yield from when(endless, problem, "absoluteTimeout")
        for kind, field, value in (("Cookie", "cookie", self.cookie), ("Header", "header", self.header)):
            odd = value is not None and self.type != kind
            yield from when(odd, f"{field} must be nil if type is not {kind}", field)
            yield from when(self.type == kind and value is None, f"{field} must be specified for {kind} type", field)
