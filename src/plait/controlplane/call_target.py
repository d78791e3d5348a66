"""The URL of a question to `plait why`, taken apart."""

import ipaddress
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from plait.errors import InvalidInputError
from plait.resources.violations import Violation

FOREIGN: Final = "192.0.2.1"
"""Stands for the address of a name outside the mesh, which only its DNS knows (a documentation address, RFC 5737)."""

_PORTS: Final = {"http": 80, "https": 443, "tcp": 0, "tls": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The URL of the question, taken apart; `authority` is the Host that the client would send."""

    scheme: str
    host: str
    port: int
    path: str
    authority: str

    @property
    def is_http(self) -> bool:
        """Whether the call is a request that the sidecar can read: https is only bytes to it."""
        return self.scheme == "http"

    @property
    def address(self) -> str:
        """The address that is dialled if the host is no name of the mesh."""
        try:
            return str(ipaddress.ip_address(self.host))
        except ValueError:
            return FOREIGN


def read_target(url: str) -> Target:
    """Takes a URL apart; raises InvalidInputError for what cannot be called."""
    parts = urlsplit(url)
    try:
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in _PORTS or not parts.hostname or not port:
        remedy = "write http://HOST[:PORT]/PATH, tcp://HOST:PORT or tls://NAME:PORT"
        raise InvalidInputError([Violation(path="url", problem=f"{url!r} is no URL that can be called", remedy=remedy)])
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=parts.hostname, port=port, path=path, authority=parts.netloc)
