"""Identifiers: names of objects, identities of workloads, and where in the user's files something was written."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ObjectName:
    """The name of a namespaced object; prints as `namespace/name`."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Identity:
    """A workload identity, written as a SPIFFE ID."""

    trust_domain: str
    namespace: str
    service_account: str

    def __str__(self) -> str:
        return f"spiffe://{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"

    @property
    def principal(self) -> str:
        """The identity as Istio writes principals: the SPIFFE ID without its scheme."""
        return f"{self.trust_domain}/ns/{self.namespace}/sa/{self.service_account}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Origin:
    """Where a piece of configuration was written: the object, the field inside it, and file and line if known.

    File and line are for people: two origins that differ only there are equal, so that moving a
    document inside its file recompiles nothing.
    """

    kind: str
    namespace: str
    name: str
    path: str = ""
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    def __str__(self) -> str:
        where = f" ({self.file}:{self.line})" if self.file else ""
        path = f" {self.path}" if self.path else ""
        return f"{self.kind} {self.namespace}/{self.name}{path}{where}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class ClusterKey:
    """A group of endpoints that calls are balanced over: a port of a service, or a subset of it."""

    service: ObjectName
    port: int
    subset: str = ""

    @property
    def whole(self) -> "ClusterKey":
        """All endpoints of the service's port."""
        return ClusterKey(service=self.service, port=self.port) if self.subset else self
