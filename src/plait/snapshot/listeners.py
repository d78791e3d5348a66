"""One listener of a Gateway: what is wrong with it, judged apart from the routes that attach to it.

Listeners that cannot be told apart (two protocols on a port, or one hostname twice) are refused together, as the
standard wants. A listener with a broken certificate keeps its routes and gets its conditions; it is just not served.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from plait.model.gateways import TlsCertificate, TlsTerms
from plait.model.snapshot import Condition
from plait.snapshot.attach import GATEWAY_GROUP, admitted_kinds, covers, protocol_kinds
from plait.snapshot.client_certificates import SecretLookup, asked_of_clients, forbidden
from plait.snapshot.conditions import (
    ACCEPTED,
    CONFLICTED,
    OVERLAPPING,
    PROGRAMMED,
    RESOLVED_REFS,
    Problem,
    checked,
    fails,
    holds,
    sentences,
)
from plait.snapshot.declared import DeclaredGateway, DeclaredListener, Reference

_USUAL: Final = TlsTerms()
_SERVED: Final = ("HTTP", "HTTPS", "TLS", "TCP")
_GROUPS: Final = {"HTTPS": "TLS"}
"""Protocols that share a port with another one, because the server name tells their connections apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedListener:
    """A listener with what is wrong with it, by condition."""

    listener: DeclaredListener
    refused: tuple[Problem, ...] = ()
    references: tuple[Problem, ...] = ()
    conflicts: tuple[Problem, ...] = ()
    certificates: tuple[TlsCertificate, ...] = ()
    terms: TlsTerms = _USUAL
    overlapping: tuple[str, ...] = ()
    """Other listeners that end TLS at its port for some of its hosts."""

    @property
    def served(self) -> bool:
        """Whether its port is opened."""
        bare = self.listener.terminates and not self.certificates
        return not (self.refused or self.conflicts or bare)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong with it."""
        return not (self.refused or self.conflicts or self.references)

    @property
    def supported_kinds(self) -> tuple[tuple[str, str], ...]:
        """The kinds of routes that may attach."""
        return tuple((GATEWAY_GROUP, kind.value) for kind in admitted_kinds(self.listener))


def check_listeners(gateway: DeclaredGateway, lookup: SecretLookup) -> tuple[CheckedListener, ...]:
    """All listeners of a Gateway with what is wrong with each."""
    conflicts = _conflicts(gateway.listeners)
    return tuple(
        _check(gateway, listener, conflict=conflicts.get(listener.name), lookup=lookup)
        for listener in gateway.listeners
    )


def _check(
    gateway: DeclaredGateway, listener: DeclaredListener, *, conflict: Problem | None, lookup: SecretLookup
) -> CheckedListener:
    found = [_certificate(gateway, reference, lookup) for reference in listener.certificates]
    broken = tuple(item for item in found if isinstance(item, Problem))
    asked = asked_of_clients(gateway, listener, lookup)
    return CheckedListener(
        listener=listener,
        refused=(*_refusals(listener), *asked.refused),
        references=(*broken, *asked.references, *_kinds(listener)),
        terms=asked.terms,
        conflicts=(conflict,) if conflict else (),
        certificates=tuple(item for item in found if isinstance(item, TlsCertificate)),
        overlapping=tuple(_overlapping(gateway, listener)),
    )


def _overlapping(gateway: DeclaredGateway, one: DeclaredListener) -> Iterable[str]:
    for other in gateway.listeners:
        both_end_tls = one.terminates and other.terminates and one.port == other.port
        hosts = (one.hostname, other.hostname)
        if other is not one and both_end_tls and ("" in hosts or covers(*hosts) or covers(*reversed(hosts))):
            yield other.name


def _refusals(listener: DeclaredListener) -> Iterable[Problem]:
    if listener.protocol not in _SERVED:
        sentence = f"protocol {listener.protocol} is not served; use HTTP, HTTPS, TLS or TCP"
        yield Problem(reason="UnsupportedProtocol", message=sentence)
    if listener.protocol == "TLS" and not listener.has_tls:
        yield Problem(reason="UnsupportedValue", message="tls is missing; set tls.mode to Passthrough or Terminate")
    if not listener.terminates:
        return
    if listener.passthrough:
        yield Problem(reason="UnsupportedValue", message="tls.mode Passthrough is not for HTTPS; use Terminate")
    if not listener.certificates:
        yield Problem(
            reason="UnsupportedValue", message="tls.certificateRefs is empty; name a Secret of type kubernetes.io/tls"
        )


def _kinds(listener: DeclaredListener) -> Iterable[Problem]:
    if listener.protocol not in _SERVED:
        return
    served = [(GATEWAY_GROUP, kind.value) for kind in protocol_kinds(listener)]
    for group, kind in listener.kinds:
        if (group, kind) not in served:
            remedy = "use " + " or ".join(name for _, name in served)
            sentence = f"allowedRoutes.kinds: {group}/{kind} cannot attach to {listener.protocol}; {remedy}"
            yield Problem(reason="InvalidRouteKinds", message=sentence)


def _conflicts(listeners: Sequence[DeclaredListener]) -> Mapping[str, Problem]:
    found: dict[str, Problem] = {}
    for one in listeners:
        others = [other for other in listeners if other is not one and other.port == one.port]
        protocols = sorted(other.name for other in others if _group(other) != _group(one))
        hostnames = sorted(other.name for other in others if other.hostname == one.hostname)
        if protocols:
            sentence = f"port {one.port} has another protocol at listener {', '.join(protocols)}; use another port"
            found[one.name] = Problem(reason="ProtocolConflict", message=sentence)
        elif hostnames:
            host = one.hostname or "every host"
            sentence = f"port {one.port} has {host} at listener {', '.join(hostnames)} too; use another hostname"
            found[one.name] = Problem(reason="HostnameConflict", message=sentence)
    return found


def _group(listener: DeclaredListener) -> str:
    return _GROUPS.get(listener.protocol, listener.protocol)


def _certificate(gateway: DeclaredGateway, reference: Reference, lookup: SecretLookup) -> TlsCertificate | Problem:
    group, kind, name = reference
    if (group, kind) != ("", "Secret"):
        sentence = f"certificateRefs: {group or 'core'}/{kind} {name} is not a Secret"
        return Problem(reason="InvalidCertificateRef", message=sentence)
    if not lookup.permits(gateway, reference):
        return forbidden(f"Secret {name}", name)
    secret = lookup.secret(name)
    if secret is None or secret.certificate is None:
        problem = secret.problem if secret else "does not exist; make it by `kubectl create secret tls`"
        return Problem(reason="InvalidCertificateRef", message=f"Secret {name} {problem}")
    return secret.certificate


def listener_conditions(item: CheckedListener, *, running: bool) -> tuple[Condition, ...]:
    """The conditions of a listener; `running` says whether a proxy serves its Gateway."""
    return (
        checked(ACCEPTED, (*item.refused, *item.conflicts)),
        checked(RESOLVED_REFS, item.references),
        _conflicted(item.conflicts),
        _programmed(item, running=running),
        *_overlaps(item),
    )


def _overlaps(item: CheckedListener) -> Iterable[Condition]:
    if item.overlapping:
        sentence = (
            f"{', '.join(item.overlapping)} has some of its hosts too: a request on a connection that was made for "
            "another listener is answered 421"
        )
        yield holds(OVERLAPPING, sentence, reason="OverlappingHostnames")


def _conflicted(conflicts: Sequence[Problem]) -> Condition:
    if not conflicts:
        return fails(CONFLICTED, "NoConflicts", "")
    return holds(CONFLICTED, conflicts[0].message, reason=conflicts[0].reason)


def _programmed(item: CheckedListener, *, running: bool) -> Condition:
    if not item.served:
        message = sentences(problem.message for problem in (*item.refused, *item.conflicts, *item.references))
        return fails(PROGRAMMED, "Invalid", message)
    if not running:
        return fails(PROGRAMMED, "Pending", "no proxy serves the Gateway yet")
    return holds(PROGRAMMED)
