"""`plait apply --dry-run`: what a set would change at the proxies, and what would go wrong, as JSON."""

from plait.api.answers import Answer, Source


class RehearsedWorkload(Answer):
    """A workload whose proxy would be sent something else, and how many resources of its configuration."""

    namespace: str
    """Namespace."""
    name: str
    """Name."""
    added: int = 0
    """Resources that it does not hold yet."""
    changed: int = 0
    """Resources that would be others."""
    removed: int = 0
    """Resources that it would hold no longer."""


class RehearsedCondition(Answer):
    """A status condition that would say that something does not work, and does not say so now."""

    source: Source
    """The object."""
    at: str = ""
    """The parent, ancestor or listener that the condition is for; empty for the object as a whole."""
    type: str
    """Type of the condition."""
    status: str
    """`False`, or `True` where that is the bad one, as with PartiallyInvalid."""
    reason: str
    """Reason in one word."""
    message: str = ""
    """What is wrong."""


class RehearsedRefusal(Answer):
    """Something that Envoy would refuse."""

    proxy: str
    """A proxy that would refuse it, as NAMESPACE/NAME; of several with the same resource, the first."""
    resource: str = ""
    """Envoy's name of the resource; empty if Envoy takes each alone."""
    message: str
    """What Envoy says."""
    sources: tuple[Source, ...] = ()
    """The objects that it comes from."""


class Rehearsal(Answer):
    """What a set would do to the running mesh."""

    proxies: int = 0
    """How many connected proxies it was compiled for."""
    workloads: tuple[RehearsedWorkload, ...] = ()
    """Those that would change."""
    conditions: tuple[RehearsedCondition, ...] = ()
    """Conditions that would turn bad."""
    validated: int = 0
    """How many resources would be new or others, and were judged by an Envoy."""
    unvalidated: str = ""
    """Why no Envoy judged them; empty if one did."""
    refused: tuple[RehearsedRefusal, ...] = ()
    """What it would refuse."""
