"""security.istio.io AuthorizationPolicy, whole.

https://istio.io/latest/docs/reference/config/security/authorization-policy/
"""

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field

from plait.resources.istio.selectors import PolicyTargetReference, WorkloadSelector
from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when

Accounts = Annotated[tuple[Annotated[str, Field(max_length=320)], ...], Field(max_length=16)]
_CONDITION_KEY = re.compile(
    r"^(request\.headers\[[^\[\]]+\]|source\.(ip|namespace|serviceAccount|trustDomain|principal)|remote\.ip|"
    r"request\.auth\.(principal|audiences|presenter)|request\.auth\.claims(\[[^\[\]]+\])+|"
    r"destination\.(ip|port)|connection\.sni|experimental\.envoy\.filters\..+)$"
)


class Source(Model):
    """Callers; a value may be exact, `abc*`, `*abc`, or `*` (any). All fields given must hold."""

    principals: tuple[str, ...] = ()
    """Identities: TRUST-DOMAIN/ns/NAMESPACE/sa/SERVICE-ACCOUNT."""
    not_principals: tuple[str, ...] = ()
    """Identities that it is not for."""
    request_principals: tuple[str, ...] = ()
    """Issuer/subject of the request's token."""
    not_request_principals: tuple[str, ...] = ()
    """Token principals that it is not for."""
    namespaces: tuple[str, ...] = ()
    """Namespaces of callers."""
    not_namespaces: tuple[str, ...] = ()
    """Namespaces that it is not for."""
    service_accounts: Accounts = ()
    """Service accounts, as NAMESPACE/NAME or NAME; no wildcards."""
    not_service_accounts: Accounts = ()
    """Service accounts that it is not for."""
    trust_domains: tuple[str, ...] = ()
    """Trust domains of callers."""
    not_trust_domains: tuple[str, ...] = ()
    """Trust domains that it is not for."""
    ip_blocks: tuple[str, ...] = ()
    """Addresses or ranges that connections come from."""
    not_ip_blocks: tuple[str, ...] = ()
    """Addresses or ranges that it is not for."""
    remote_ip_blocks: tuple[str, ...] = ()
    """Addresses or ranges of the original client."""
    not_remote_ip_blocks: tuple[str, ...] = ()
    """Original clients that it is not for."""

    def broken(self) -> Iterator[Finding]:
        """Service accounts stand alone; ranges are addresses."""
        accounts = self.given("service_accounts") or self.given("not_service_accounts")
        others = ("principals", "not_principals", "namespaces", "not_namespaces")
        mixed = accounts and any(self.given(field) for field in others)
        yield from when(mixed, "Cannot set serviceAccounts with namespaces or principals")
        for field, values in (
            ("ipBlocks", self.ip_blocks),
            ("notIpBlocks", self.not_ip_blocks),
            ("remoteIpBlocks", self.remote_ip_blocks),
            ("notRemoteIpBlocks", self.not_remote_ip_blocks),
        ):
            for index, value in enumerate(values):
                problem = f'Invalid value: "{value}": must be an IP address or a range in CIDR notation'
                yield from when(not _is_range(value), problem, field, index)
        for field, values in (
            ("serviceAccounts", self.service_accounts),
            ("notServiceAccounts", self.not_service_accounts),
        ):
            for index, value in enumerate(values):
                problem = f'Invalid value: "{value}": must be NAMESPACE/NAME or NAME, without wildcards'
                yield from when("*" in value or value.count("/") > 1 or not value, problem, field, index)


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


class Operation(Model):
    """What is called; a value may be exact, `abc*`, `*abc`, or `*` (any). All fields given must hold."""

    hosts: tuple[str, ...] = ()
    """Hosts of requests (HTTP), compared without regard to case."""
    not_hosts: tuple[str, ...] = ()
    """Hosts that it is not for."""
    ports: tuple[str, ...] = ()
    """Ports of the workload, as strings."""
    not_ports: tuple[str, ...] = ()
    """Ports that it is not for."""
    methods: tuple[str, ...] = ()
    """Methods of requests (HTTP)."""
    not_methods: tuple[str, ...] = ()
    """Methods that it is not for."""
    paths: tuple[str, ...] = ()
    """Paths of requests (HTTP); `{*}` is one segment, `{**}` the rest."""
    not_paths: tuple[str, ...] = ()
    """Paths that it is not for."""

    def broken(self) -> Iterator[Finding]:
        """Ports are numbers, path templates are well formed."""
        for field, values in (("ports", self.ports), ("notPorts", self.not_ports)):
            for index, value in enumerate(values):
                number = int(value) if value.isascii() and value.isdecimal() and len(value) < 6 else 0
                problem = f'Invalid value: "{value}": port must be between 1-65535'
                yield from when(not 0 < number <= 65535, problem, field, index)
        for field, values in (("paths", self.paths), ("notPaths", self.not_paths)):
            for index, value in enumerate(values):
                problem = _template_problem(value)
                yield from when(bool(problem), f'Invalid value: "{value}": {problem}', field, index)


def _template_problem(path: str) -> str:
    if "{*}" not in path and "{**}" not in path:
        return ""
    if "*" in path.replace("{**}", "").replace("{*}", ""):
        return "a path template cannot contain '*' outside of {*} and {**}"
    segments = path.split("/")
    if any("{" in segment and segment not in ("{*}", "{**}") for segment in segments):
        return "{*} and {**} must stand between slashes"
    return "{**} must be the last operator" if _rest_is_not_last(segments) else ""


def _rest_is_not_last(segments: Sequence[str]) -> bool:
    operators = [segment for segment in segments if segment in ("{*}", "{**}")]
    return "{**}" in operators[:-1]


class From(Model):
    """Callers of a rule."""

    source: Source
    """The callers."""


class To(Model):
    """Operations of a rule."""

    operation: Operation
    """The operation."""


class Condition(Model):
    """A further condition on an attribute."""

    key: str
    """Attribute, like `request.headers[User-Agent]` or `source.ip`."""
    values: tuple[str, ...] = ()
    """Values of which one must hold."""
    not_values: tuple[str, ...] = ()
    """Values of which none may hold."""

    def broken(self) -> Iterator[Finding]:
        """The attribute is known, and there is a value to compare with."""
        unknown = not _CONDITION_KEY.fullmatch(self.key)
        yield from when(unknown, f'Invalid value: "{self.key}": unknown attribute', "key")
        yield from when(not self.values and not self.not_values, "at least one of values or not_values must be set")


class Rule(Model):
    """Matches when one of `from`, one of `to` and all of `when` match; what is left out matches everything."""

    from_: Annotated[tuple[From, ...], Field(max_length=512)] = ()
    """Callers."""
    to: tuple[To, ...] = ()
    """Operations."""
    when: tuple[Condition, ...] = ()
    """Further conditions."""


class ExtensionProvider(Model):
    """Who decides, for CUSTOM."""

    name: str
    """Name of a provider in the settings of the mesh."""


class AuthorizationPolicySpec(Model):
    """Specification of an AuthorizationPolicy."""

    selector: WorkloadSelector | None = None
    """Workloads it is for; all of the namespace (of the mesh in istio-system) if left out."""
    target_ref: PolicyTargetReference | None = None
    """The object it is for (old form of targetRefs)."""
    target_refs: Annotated[tuple[PolicyTargetReference, ...], Field(max_length=16)] = ()
    """Objects it is for."""
    rules: Annotated[tuple[Rule, ...], Field(max_length=512)] = ()
    """Rules of which one must match; without rules the policy never matches, so ALLOW denies everything."""
    action: Literal["ALLOW", "DENY", "AUDIT", "CUSTOM"] = "ALLOW"
    """What happens with calls that match."""
    provider: ExtensionProvider | None = None
    """Who decides, for CUSTOM."""

    def broken(self) -> Iterator[Finding]:
        """It chooses workloads in one way; CUSTOM and provider belong together."""
        ways = (self.selector is not None) + (self.target_ref is not None) + self.given("target_refs")
        yield from when(ways > 1, "only one of targetRefs or selector can be set")
        custom = self.action == "CUSTOM"
        yield from when(custom and self.provider is None, "`action` is `CUSTOM`, `provider` must be set", "provider")
        odd = not custom and self.provider is not None
        yield from when(odd, "`provider` must be with `CUSTOM` action", "provider")


class AuthorizationPolicy(KubernetesObject):
    """Who may call what. Order: DENY, then ALLOW if one is there (then everything else is denied)."""

    spec: AuthorizationPolicySpec = AuthorizationPolicySpec()
    """Specification."""
