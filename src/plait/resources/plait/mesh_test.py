"""plait.dev MeshTest: calls, and what must become of them; `plait test` runs them without a mesh."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from plait.resources.meta import KubernetesObject
from plait.resources.schema import Finding, Model, when

Verdict = Literal["allowed", "denied", "refused", "answered", "redirected", "passthrough"]
Duration = Annotated[str, Field(pattern=r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$")]


class TestedRequest(Model):
    """The call."""

    url: Annotated[str, Field(min_length=1)]
    """http://HOST[:PORT]/PATH, tcp://HOST:PORT or tls://NAME:PORT."""
    method: str = "GET"
    """HTTP method."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Request headers."""


class Expectation(Model):
    """What must become of the call. Only what is written is looked at."""

    verdict: Verdict | None = None
    """What becomes of it: it goes somewhere (allowed), or not."""
    status: Annotated[int, Field(strict=True, ge=100, le=599)] | None = None
    """Status that the mesh itself answers, such as 403 or 404."""
    route: str | None = None
    """The object whose rule takes it: KIND NAMESPACE/NAME or NAMESPACE/NAME."""
    rule: str | None = None
    """The rule in that object, such as `spec.rules[0]`."""
    service: str | None = None
    """The only service that it goes to, as the caller may spell it."""
    subset: str | None = None
    """The only subset that it goes to."""
    workload: str | None = None
    """A workload that it may go to: NAME or NAMESPACE/NAME."""
    weights: dict[str, int] = Field(default_factory=dict[str, int])
    """All destinations and their weights: SERVICE or SERVICE/SUBSET."""
    denied_by: str | None = None
    """The policy that denies it: NAME or NAMESPACE/NAME."""
    allowed_by: str | None = None
    """The policy that allows it: NAME or NAMESPACE/NAME."""
    path: str | None = None
    """The path that the server sees."""
    host: str | None = None
    """The Host that the server sees."""
    location: str | None = None
    """Where a redirect leads."""
    timeout: Duration | None = None
    """How long the request may take; 0s for no limit."""
    retries: Annotated[int, Field(strict=True, ge=0)] | None = None
    """How often it is tried again."""
    mirrors: tuple[str, ...] | None = None
    """The services that get a copy."""
    reason: str | None = None
    """A part of the sentence that says what becomes of it."""

    def broken(self) -> Iterator[Finding]:
        """Something is expected."""
        yield from when(not self.model_fields_set, "must expect something")


class TestCase(Model):
    """One call."""

    name: Annotated[str, Field(min_length=1)]
    """What it shows, in a few words."""
    from_: str = ""
    """The calling workload (or a gateway's): NAME or NAMESPACE/NAME."""
    principal: str = ""
    """The caller by SPIFFE ID, where no workload is to be named."""
    request: TestedRequest
    """The call."""
    expect: Expectation
    """What must become of it."""

    def broken(self) -> Iterator[Finding]:
        """There is one caller."""
        both = bool(self.from_) == bool(self.principal)
        yield from when(both, "exactly one of from and principal must be set")


class MeshTestSpec(Model):
    """Specification of a MeshTest."""

    configuration: tuple[str, ...] = ()
    """Files and folders of objects (and workloads files), from the folder of this file."""
    objects: tuple[dict[str, Any], ...] = ()
    """Objects, inline."""
    workloads: tuple[dict[str, Any], ...] = ()
    """Workloads that need not run: entries as in a workloads file, without a command."""
    cases: Annotated[tuple[TestCase, ...], Field(min_length=1)]
    """The calls."""


class MeshTest(KubernetesObject):
    """Calls, and what must become of them; `plait test` runs them without a mesh."""

    spec: MeshTestSpec
    """The calls."""
