"""Sessions: what keeps a client on the endpoint that it was sent to first."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPersistence:
    """A cookie of that name, or (`header`) a header, that carries the endpoint from answer to request.

    `path` is the cookie's; `lifetime` its age in seconds, 0 for as long as the browser runs.
    """

    name: str
    header: bool = False
    path: str = "/"
    lifetime: float = 0.0
