"""BackendTLSPolicy objects, and the ConfigMaps and Secrets with authorities that they name, to declared ones."""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from plait.model.ids import ObjectName
from plait.resources.core.config_map import ConfigMap
from plait.resources.core.secret import Secret
from plait.resources.gateway_api.backend_tls_policy import BackendTLSPolicySpec
from plait.resources.parse import Resource
from plait.snapshot.declared import Reference

AUTHORITIES_KEY: Final = "ca.crt"
SYSTEM: Final = "System"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredAuthorities:
    """The certificates that a ConfigMap or Secret holds under `ca.crt`, PEM; empty where it holds none."""

    pem: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredBackendTls:
    """A BackendTLSPolicy; `targets` are (object, port's name or empty), `well_known` names authorities, if given."""

    name: ObjectName
    generation: int
    created: float
    targets: tuple[tuple[Reference, str], ...]
    server_name: str
    hosts: tuple[str, ...]
    uris: tuple[str, ...]
    authorities: tuple[Reference, ...]
    well_known: str = ""

    @property
    def age(self) -> tuple[float, str]:
        """What orders policies for one target: the older first, then by `namespace/name`."""
        return self.created, str(self.name)


def declare_backend_tls(resource: Resource, spec: BackendTLSPolicySpec) -> DeclaredBackendTls:
    """The policy as declared. Without alternative names the certificate must prove the host name."""
    asked = spec.validation
    namespace = resource.namespace
    alternatives = asked.subject_alt_names
    return DeclaredBackendTls(
        name=resource.object_name,
        generation=resource.generation,
        created=resource.created,
        targets=tuple(
            ((item.group, item.kind, ObjectName(namespace=namespace, name=item.name)), item.section_name or "")
            for item in spec.target_refs
        ),
        server_name=asked.hostname,
        hosts=tuple(item.hostname for item in alternatives if item.hostname) if alternatives else (asked.hostname,),
        uris=tuple(item.uri for item in alternatives if item.uri),
        authorities=tuple(
            (item.group, item.kind, ObjectName(namespace=namespace, name=item.name))
            for item in asked.ca_certificate_refs
        ),
        well_known=asked.well_known_ca_certificates or "",
    )


def declare_authorities(document: ConfigMap | Secret) -> DeclaredAuthorities | None:
    """The authorities that an object holds; None if it has no such key at all."""
    text = _text(document)
    if text is None:
        return None
    try:
        found = x509.load_pem_x509_certificates(text)
    except ValueError:
        found = []
    return DeclaredAuthorities(pem=text if found else b"")


def _text(document: ConfigMap | Secret) -> bytes | None:
    plain = document.data if isinstance(document, ConfigMap) else document.string_data
    encoded = document.binary_data if isinstance(document, ConfigMap) else document.data
    if AUTHORITIES_KEY in plain:
        return plain[AUTHORITIES_KEY].encode()
    if AUTHORITIES_KEY not in encoded:
        return None
    try:
        return base64.b64decode(encoded[AUTHORITIES_KEY], validate=True)
    except (binascii.Error, ValueError):
        return b""
