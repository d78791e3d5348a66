"""Certificates of clients, in both directions: those that a Gateway asks for, and the one that it shows to backends.

A listener all of whose authorities cannot be had is not served: nobody could be told from a stranger. Towards backends
a Gateway whose certificate cannot be had shows none, and a backend that asks for one refuses it.
https://gateway-api.sigs.k8s.io/geps/gep-91/
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from plait.model.gateways import ClientCertificates, TlsCertificate, TlsTerms
from plait.model.ids import ObjectName
from plait.model.snapshot import Condition
from plait.snapshot.attach import GATEWAY_GROUP, granted
from plait.snapshot.backend_tls import AUTHORITIES_KEY, DeclaredAuthorities
from plait.snapshot.conditions import RESOLVED_REFS, Problem, fails, holds, sentences
from plait.snapshot.declared import (
    DeclaredGateway,
    DeclaredGrant,
    DeclaredListener,
    DeclaredSecret,
    DeclaredValidation,
    Reference,
)

INSECURE: Final = "InsecureFrontendValidationMode"
_HOLDERS: Final = (("", "ConfigMap"), ("", "Secret"))
_UNASKED: Final = TlsTerms()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretLookup:
    """What references to certificates and authorities lead to."""

    secret: Callable[[ObjectName], DeclaredSecret | None]
    grants: Callable[[str], Iterable[DeclaredGrant]]
    authorities: Callable[[Reference], DeclaredAuthorities | None]

    def permits(self, gateway: DeclaredGateway, reference: Reference) -> bool:
        """Whether a Gateway may refer to an object."""
        return granted(
            self.grants(reference[2].namespace), (GATEWAY_GROUP, "Gateway", gateway.name.namespace), reference
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a listener asks of its clients, and which references of that are broken."""

    terms: TlsTerms = _UNASKED
    references: tuple[Problem, ...] = ()
    refused: tuple[Problem, ...] = ()


def asked_of_clients(gateway: DeclaredGateway, listener: DeclaredListener, lookup: SecretLookup) -> Asked:
    """What a listener asks of its clients: that of its port, else that of the whole Gateway."""
    validation = gateway.validation_at(listener)
    if validation is None:
        return Asked()
    found = [_authorities(gateway, reference, lookup) for reference in validation.authorities]
    problems = tuple(item for item in found if isinstance(item, Problem))
    trusted = [item for item in found if isinstance(item, bytes)]
    untrusted = Problem(reason="NoValidCACertificate", message=sentences(item.message for item in problems))
    clients = ClientCertificates.UNVERIFIED if validation.insecure else ClientCertificates.REQUIRED
    return Asked(
        terms=TlsTerms(clients=clients, authorities=b"\n".join(trusted)),
        references=problems,
        refused=() if trusted else (untrusted,),
    )


def _authorities(gateway: DeclaredGateway, reference: Reference, lookup: SecretLookup) -> bytes | Problem:
    group, kind, name = reference
    if (group, kind) not in _HOLDERS:
        sentence = f"caCertificateRefs: {group or 'core'}/{kind} {name} is not supported; name a ConfigMap or Secret"
        return Problem(reason="InvalidCACertificateKind", message=sentence)
    if not lookup.permits(gateway, reference):
        return forbidden(f"caCertificateRefs: {kind} {name}", name)
    held = lookup.authorities(reference)
    if held is None or not held.pem:
        sentence = f"caCertificateRefs: {kind} {name} has no PEM certificate under {AUTHORITIES_KEY}, or does not exist"
        return Problem(reason="InvalidCACertificateRef", message=sentence)
    return held.pem


def shown_to_backends(gateway: DeclaredGateway, lookup: SecretLookup) -> TlsCertificate | Problem | None:
    """The certificate that a Gateway proves itself by, why it has none, or None if it asks for none."""
    reference = gateway.client_certificate
    if reference is None:
        return None
    group, kind, name = reference
    if (group, kind) != ("", "Secret"):
        sentence = f"spec.tls.backend.clientCertificateRef: {group or 'core'}/{kind} {name} is not a Secret"
        return Problem(reason="InvalidClientCertificateRef", message=sentence)
    if not lookup.permits(gateway, reference):
        return forbidden(f"spec.tls.backend.clientCertificateRef: Secret {name}", name)
    secret = lookup.secret(name)
    if secret is None or secret.certificate is None:
        why = secret.problem if secret else "does not exist; make it by `kubectl create secret tls`"
        sentence = f"spec.tls.backend.clientCertificateRef: Secret {name} {why}"
        return Problem(reason="InvalidClientCertificateRef", message=sentence)
    return secret.certificate


def forbidden(what: str, name: ObjectName) -> Problem:
    """A reference to another namespace that nobody there allows."""
    remedy = f"allow it by a ReferenceGrant in namespace {name.namespace}"
    return Problem(reason="RefNotPermitted", message=f"{what} is in another namespace; {remedy}")


def gateway_conditions(
    gateway: DeclaredGateway, shown: TlsCertificate | Problem | None, broken: Iterable[str]
) -> Iterable[Condition]:
    """What a Gateway says of its own references and of those of its listeners; `broken` names listeners."""
    listed = ", ".join(broken)
    if isinstance(shown, Problem):
        yield fails(RESOLVED_REFS, shown.reason, shown.message)
    elif listed:
        yield fails(RESOLVED_REFS, "ListenersNotResolved", f"references of listener {listed} are broken")
    else:
        yield holds(RESOLVED_REFS)
    lenient = [where for where, validation in gateway.validations if _is_lenient(validation)]
    if lenient:
        sentence = f"{', '.join(lenient)}: clients without a valid certificate are let in"
        yield holds(INSECURE, sentence, reason="ConfigurationChanged")


def _is_lenient(validation: DeclaredValidation | None) -> bool:
    return validation is not None and validation.insecure
