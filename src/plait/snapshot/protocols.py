"""What a port speaks: declared, learnt from registrations, or known by its number; never guessed from bytes.

The order is: `appProtocol`, the prefix of the port's name, an attached HTTPRoute, what the workloads behind it
registered, the table of well-known ports, HTTP. Sniffing is left out on purpose: it delays protocols whose server
speaks first.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from plait.model.services import Protocol

_PROTOCOLS: Final[Mapping[str, Protocol]] = {
    **dict.fromkeys(("http", "http1", "ws", "kubernetes.io/ws"), Protocol.HTTP),
    **dict.fromkeys(("http2", "h2c", "kubernetes.io/h2c"), Protocol.HTTP2),
    "grpc": Protocol.GRPC,
    "grpc-web": Protocol.HTTP,
    **dict.fromkeys(("tls", "https", "wss", "kubernetes.io/wss"), Protocol.TLS),
    **dict.fromkeys(("tcp", "mongo", "redis", "mysql", "postgres", "postgresql", "kafka", "amqp"), Protocol.TCP),
}
_SERVER_FIRST: Final = frozenset(
    {22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995, 1433, 1521, 1883, 2049, 2181, 3306, 3389, 4222, 5222, 5432}
    | {5672, 6379, 6380, 6432, 9042, 9092, 9093, 11211, 26257, 26379, 27017, 27018, 27019, 33060}
)
_TLS: Final = frozenset({443, 6443, 8443})


def declared_protocol(text: str) -> Protocol | None:
    """The protocol that an `appProtocol`, a registration or a ServiceEntry's port names, or None."""
    return _PROTOCOLS.get(text.lower())


def named_protocol(name: str) -> Protocol | None:
    """The protocol that a port's name declares by being or starting with it (`http`, `grpc-web`, `tcp-admin`)."""
    if name.lower().startswith("grpc-web"):
        return Protocol.HTTP
    return declared_protocol(name.partition("-")[0])


def known_protocol(*ports: int | str) -> Protocol:
    """What a port speaks by its number, or by that of the port behind it, alone."""
    if not _SERVER_FIRST.isdisjoint(ports):
        return Protocol.TCP
    return Protocol.TLS if not _TLS.isdisjoint(ports) else Protocol.HTTP


def agreed(protocols: Iterable[Protocol | None]) -> Protocol | None:
    """The one protocol that registrations agree on: where versions of HTTP differ the least one, else TCP."""
    found = {protocol for protocol in protocols if protocol}
    if len(found) <= 1:
        return next(iter(found), None)
    if all(protocol.is_http2 for protocol in found):
        return Protocol.HTTP2
    return Protocol.HTTP if all(protocol.is_http for protocol in found) else Protocol.TCP
