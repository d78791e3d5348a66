"""gateway.networking.k8s.io BackendTLSPolicy."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.formats import Group, Hostname, KindName, ObjectNameText, PreciseHostname, Subdomain
from plait.resources.gateway_api.references import LocalObjectReference
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when

_WELL_KNOWN = (
    r"^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/"
    r"([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))$"
)
_URI = r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?"


class PolicyTarget(Model):
    """The object that the policy is for."""

    group: Group
    """Group; empty for Service."""
    kind: KindName
    """Kind."""
    name: ObjectNameText
    """Name."""
    section_name: Subdomain | None = None
    """A port's name; all ports if left out."""


class SubjectAltName(Model):
    """A name that the backend's certificate may prove."""

    type: Literal["Hostname", "URI"]
    """What kind of name."""
    hostname: Hostname | None = None
    """The host name."""
    uri: Annotated[str, Field(min_length=1, max_length=253, pattern=_URI)] | None = None
    """The URI, for example a SPIFFE ID."""

    def broken(self) -> Iterator[Finding]:
        """The field that belongs to the type is set, and no other."""
        for kind, field, value in (("Hostname", "hostname", self.hostname), ("URI", "uri", self.uri)):
            name = "Hostname" if kind == "Hostname" else "URI"
            problem = f"SubjectAltName element must contain {name}, if Type is set to {name}"
            yield from when(self.type == kind and not value, problem, field)
            problem = f"SubjectAltName element must not contain {name}, if Type is not set to {name}"
            yield from when(self.type != kind and bool(value), problem, field)


class BackendTLSPolicyValidation(Model):
    """How the backend's certificate is checked."""

    ca_certificate_refs: Annotated[tuple[LocalObjectReference, ...], Field(max_length=8)] = ()
    """ConfigMaps with CA certificates (key ca.crt)."""
    well_known_ca_certificates: Annotated[str, Field(min_length=1, max_length=253, pattern=_WELL_KNOWN)] | None = Field(
        default=None, alias="wellKnownCACertificates"
    )
    """`System` for the CA certificates of the machine."""
    hostname: PreciseHostname
    """Server name (SNI), and name that the certificate must prove unless subjectAltNames are given."""
    subject_alt_names: Annotated[tuple[SubjectAltName, ...], Field(max_length=5)] = ()
    """Names of which the certificate must prove one."""

    def broken(self) -> Iterator[Finding]:
        """CA certificates come from one place."""
        both = bool(self.ca_certificate_refs) and bool(self.well_known_ca_certificates)
        yield from when(both, "must not contain both CACertificateRefs and WellKnownCACertificates")
        none = not self.ca_certificate_refs and not self.well_known_ca_certificates
        yield from when(none, "must specify either CACertificateRefs or WellKnownCACertificates")


class BackendTLSPolicySpec(Model):
    """Specification of a BackendTLSPolicy."""

    target_refs: Annotated[tuple[PolicyTarget, ...], Field(min_length=1, max_length=16)]
    """Services that the policy is for."""
    validation: BackendTLSPolicyValidation
    """How the backend's certificate is checked."""
    options: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], Field(max_length=16)] = Field(
        default_factory=dict[str, str]
    )
    """Settings of the implementation."""

    def broken(self) -> Iterator[Finding]:
        """Targets are told apart."""
        for index, target in enumerate(self.target_refs):
            same = [other for other in self.target_refs if _target(other) == _target(target)]
            mixed = any((other.section_name is None) != (target.section_name is None) for other in same)
            problem = "sectionName must be specified when targetRefs includes 2 or more references to the same target"
            yield from when(mixed, problem, "targetRefs", index)
            again = sum(1 for other in same if other.section_name == target.section_name) > 1
            problem = "sectionName must be unique when targetRefs includes 2 or more references to the same target"
            yield from when(again and not mixed, problem, "targetRefs", index)


def _target(reference: PolicyTarget) -> tuple[str, str, str]:
    return reference.group, reference.kind, reference.name


class BackendTLSPolicy(KubernetesObject):
    """TLS towards backends that are outside the mesh."""

    spec: BackendTLSPolicySpec
    """Specification."""
