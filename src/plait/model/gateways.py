"""Gateways: proxies at the edge, with listeners of their own."""

from dataclasses import dataclass

from plait.model.ids import ObjectName, Origin
from plait.model.l4 import L4Rule
from plait.model.services import Protocol
from plait.model.traffic import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayListener:
    """A listener of a Gateway, with the rules of the routes attached to it, in order.

    `certificates` name Secrets; they are empty unless TLS is terminated here. `hostname` may be
    `*.example.com`, or empty for every host. `l4_rules` are in force where the protocol is no HTTP: TCP, or TLS that is
    passed through (`tls` false) or terminated here (`tls` true).
    """

    name: str
    port: int
    protocol: Protocol
    hostname: str = ""
    tls: bool = False
    certificates: tuple[ObjectName, ...] = ()
    rules: tuple[Rule, ...] = ()
    l4_rules: tuple[L4Rule, ...] = ()
    attached_routes: int = 0
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Gateway whose class is ours."""

    name: ObjectName
    listeners: tuple[GatewayListener, ...]
    origin: Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCertificate:
    """A certificate chain and its key, PEM. The key never appears in a repr."""

    name: ObjectName
    chain: bytes
    key: bytes

    def __repr__(self) -> str:
        return f"TlsCertificate({self.name})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a Secret holds for calls by TLS: whom to trust (PEM), and what to prove oneself by."""

    name: ObjectName
    authorities: bytes = b""
    certificate: TlsCertificate | None = None
