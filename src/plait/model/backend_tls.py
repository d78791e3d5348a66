"""TLS towards backends that end it themselves, instead of the mesh's mutual TLS."""

from dataclasses import dataclass

from plait.model.ids import ObjectName


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTls:
    """How a backend proves itself: `server_name` is asked for (SNI), and the certificate must prove one of the names.

    `hosts` and `uris` are what it may prove; `authorities` the PEM certificates of who may have signed it, None for
    those of the proxy's own system. With a `problem` nobody can be trusted, and nothing is sent. `certificate` names
    what the caller proves itself by, if anything.
    """

    server_name: str
    hosts: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    authorities: bytes | None = None
    problem: str = ""
    certificate: ObjectName | None = None
