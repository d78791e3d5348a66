"""Who may call whom: mutual TLS modes and authorization policies."""

from dataclasses import dataclass
from enum import StrEnum

from plait.model.ids import ObjectName, Origin


class MutualTlsMode(StrEnum):
    """What a port accepts."""

    STRICT = "STRICT"
    PERMISSIVE = "PERMISSIVE"
    DISABLE = "DISABLE"


class Action(StrEnum):
    """What an authorization policy does with what its rules match."""

    ALLOW = "ALLOW"
    DENY = "DENY"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceMatch:
    """Callers; each field lists alternatives (exact, `abc*`, `*abc`, `*`), all fields given must hold."""

    principals: tuple[str, ...] = ()
    not_principals: tuple[str, ...] = ()
    namespaces: tuple[str, ...] = ()
    not_namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationMatch:
    """What is called; paths and methods exist only on HTTP ports; ports are the workload's."""

    methods: tuple[str, ...] = ()
    not_methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    not_paths: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    not_ports: tuple[int, ...] = ()

    @property
    def needs_http(self) -> bool:
        """Whether it can only be decided on a request, not on a connection."""
        return bool(self.methods or self.not_methods or self.paths or self.not_paths)

    def asks_of_requests(self, port: int) -> tuple[str, ...]:
        """What it compares of requests to that port of the workload; nothing if it cannot match there."""
        if (self.ports and port not in self.ports) or port in self.not_ports:
            return ()
        words = (("methods", self.methods or self.not_methods), ("paths", self.paths or self.not_paths))
        return tuple(word for word, given in words if given)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationRule:
    """Matches when one source (if any are given) and one operation (if any are given) match."""

    sources: tuple[SourceMatch, ...] = ()
    operations: tuple[OperationMatch, ...] = ()
    origin: Origin | None = None

    @property
    def needs_http(self) -> bool:
        """Whether one of its operations needs a request to be decided."""
        return any(operation.needs_http for operation in self.operations)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationPolicy:
    """An AuthorizationPolicy as it applies to one workload. No rules: it matches nothing."""

    name: ObjectName
    action: Action
    rules: tuple[AuthorizationRule, ...]
    origin: Origin
