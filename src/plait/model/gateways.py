"""Gateways: proxies at the edge, with listeners of their own."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from plait.model.ids import ObjectName, Origin
from plait.model.l4 import L4Rule
from plait.model.services import Protocol
from plait.model.traffic import Rule

CONTROLLER: Final = "plait.dev/gateway"
"""The controller that GatewayClasses of ours name."""
BUILT_IN_CLASSES: Final = frozenset({"plait", "istio"})
"""GatewayClasses that are ours without an object, unless an object of that name has another controller."""


class ClientCertificates(StrEnum):
    """Whether a gateway's clients prove who they are by certificates."""

    UNASKED = "unasked"
    UNVERIFIED = "unverified"
    """They may show one, and whatever it is they are let in."""
    OPTIONAL = "optional"
    REQUIRED = "required"


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTerms:
    """How TLS is spoken at a listener: versions as numbers of TLS 1.x, ciphers in OpenSSL's words.

    `authorities` (PEM) are what clients' certificates are checked against; of `names` they must have one, of `keys` and
    `hashes` too. With `mesh` both sides prove identities of the mesh.
    """

    oldest: int = 2
    newest: int = 3
    ciphers: tuple[str, ...] = ()
    clients: ClientCertificates = ClientCertificates.UNASKED
    authorities: bytes = b""
    names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    hashes: tuple[str, ...] = ()
    mesh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAddresses:
    """How a gateway learns who its clients are, behind other proxies.

    `trusted_proxies` of them in front write X-Forwarded-For; with `proxy_protocol` each connection begins with the
    PROXY protocol, and those without it are closed.
    """

    trusted_proxies: int = 0
    proxy_protocol: bool = False


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
    terms: TlsTerms = TlsTerms()
    clients: ClientAddresses = ClientAddresses()
    separate_hosts: bool = False
    """Whether a request gets only the rules of the most specific host (Istio), not those of wider ones after them."""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A Gateway whose class is ours; `client_certificate` names the Secret by which it proves itself to backends."""

    name: ObjectName
    listeners: tuple[GatewayListener, ...]
    client_certificate: ObjectName | None = None
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
