"""`plait apply`: a set of objects, what became of each, and what was wrong, as JSON."""

from typing import Any, Literal

from plait.api.answers import Answer
from plait.api.rehearsal_answers import Rehearsal


class ApplyRequest(Answer):
    """A set of objects to put into force, all or nothing."""

    documents: tuple[dict[str, Any], ...]
    """Kubernetes objects."""
    dry_run: bool = False
    """Whether only to check and compare, and to rehearse it for every connected proxy."""
    prune: bool = False
    """Whether to delete what `owner` applied before and is not in this set."""
    owner: str = ""
    """Name of the set, for `prune`."""
    field_manager: str = "plait"
    """Who sets the fields."""
    force: bool = True
    """Whether to take over fields that others set."""


class ApplyResult(Answer):
    """What became of one object."""

    kind: str
    """Kind."""
    namespace: str = ""
    """Namespace."""
    name: str
    """Name."""
    api_version: str = ""
    """Group and version."""
    result: Literal["created", "configured", "unchanged", "deleted", "stored"]
    """`stored` is created or changed, but nothing that a mesh can act on."""
    note: str = ""
    """Why it is only stored."""


class WaitRequest(Answer):
    """A revision that proxies shall hold."""

    revision: int
    """Revision of the store, as an apply answered it."""
    timeout: float = 30.0
    """Seconds to wait at most."""


class RefusingProxy(Answer):
    """A proxy that refused a change."""

    namespace: str
    """Namespace of its workload."""
    name: str
    """Name of its workload."""
    message: str
    """What Envoy said."""


class WaitAnswer(Answer):
    """Which proxies need a revision, and how far they are. None at all is success."""

    proxies: tuple[str, ...] = ()
    """Those that hold it, as NAMESPACE/NAME."""
    pending: tuple[str, ...] = ()
    """Those that did not acknowledge it in time, as NAMESPACE/NAME."""
    refused: tuple[RefusingProxy, ...] = ()
    """Those that refused a part of it."""
    seconds: float = 0.0
    """How long it took."""


class ApplyAnswer(Answer):
    """What became of an applied set."""

    results: tuple[ApplyResult, ...]
    """One for each object."""
    revision: int = 0
    """Revision of the store with the set in it."""
    settled: WaitAnswer | None = None
    """Who holds it by now; filled by `plait apply --wait`."""
    rehearsal: Rehearsal | None = None
    """What it would do to the running mesh; only of a dry run."""


class ViolationAnswer(Answer):
    """A mistake in the input."""

    file: str = ""
    """File, if known."""
    line: int = 0
    """Line, counted from 1; 0 is unknown."""
    resource: str = ""
    """Kind and name of the object."""
    path: str = ""
    """Field inside the object."""
    problem: str
    """What is wrong."""
    remedy: str = ""
    """How to mend it."""


class Problem(Answer):
    """An RFC 9457 problem."""

    type: str = "about:blank"
    """Always about:blank."""
    title: str
    """The status in words."""
    status: int
    """HTTP status."""
    detail: str
    """What is wrong."""
    remedy: str = ""
    """How to mend it."""
    reason: str = ""
    """Machine-readable reason, as in a Kubernetes Status."""
    request: str = ""
    """Request id, as in the server's log."""
    violations: tuple[ViolationAnswer, ...] = ()
    """All mistakes of the input."""
