"""`plait why`: the question and its answer, as JSON."""

from typing import Any, Literal

from pydantic import Field

from plait.api.answers import Answer, Source


class WhyQuestion(Answer):
    """A call that someone would make."""

    from_workload: str = ""
    """NAMESPACE/NAME (or NAME) of the calling workload."""
    principal: str = ""
    """SPIFFE ID of the caller, instead of a workload."""
    method: str = "GET"
    """HTTP method; empty for tcp:// and tls://."""
    url: str
    """URL: http://HOST[:PORT]/PATH, tcp://HOST:PORT, tls://SNI:PORT."""
    headers: dict[str, str] = Field(default_factory=dict[str, str])
    """Request headers."""
    source_ip: str = ""
    """Address of the caller."""
    jwt_claims: dict[str, Any] = Field(default_factory=dict[str, Any])
    """Claims of the caller's JWT."""


class WhyStep(Answer):
    """One decision on the way of a call."""

    stage: str
    """What decided: listener, route, cluster, endpoint, policy, ..."""
    outcome: str
    """What it decided, in words."""
    resource: str = ""
    """The Envoy resource, if there is one."""
    source: Source | None = None
    """The line of YAML that it comes from."""


class WhyEndpoint(Answer):
    """An endpoint of a service that the call is sent to, or why it never is."""

    cluster: str
    """The destination that it belongs to: HOST:PORT, or HOST:PORT/SUBSET."""
    address: str
    """Where the caller reaches it."""
    workload: str = ""
    """NAMESPACE/NAME; empty outside the mesh."""
    locality: str = ""
    """Where it runs: REGION/ZONE/SUB-ZONE."""
    priority: int = 0
    """0 is called first, 1 when none of these is left, and so on."""
    share: float = 0.0
    """Its part of the calls of its priority, from 0 to 1, while all answer alike."""
    left_out: str = ""
    """Why it is not called; empty for those that may be."""


class WhyAnswer(Answer):
    """Where a call goes, and why."""

    verdict: Literal["allowed", "denied", "refused", "answered", "redirected", "passthrough", "unknown"]
    """What becomes of the call; `answered` is a direct answer of the proxy, `refused` no listener or route."""
    sentence: str
    """The same in one sentence."""
    status: int | None = None
    """HTTP status that the mesh itself would answer, if it does."""
    listener: str = ""
    """Listener and chain."""
    route: str = ""
    """Route that matched."""
    rule: Source | None = None
    """The user's rule behind the route."""
    clusters: dict[str, int] = Field(default_factory=dict[str, int])
    """Weights of the destinations."""
    endpoints: tuple[str, ...] = ()
    """Addresses that may be called."""
    choice: tuple[WhyEndpoint, ...] = ()
    """The endpoints of the services that the call is sent to: in which order they are called, and which never are."""
    policy: Source | None = None
    """The policy that allowed or denied."""
    redirect: str = ""
    """Where a redirect leads."""
    timeout: float | None = None
    """Seconds that the request may take."""
    retries: int = 0
    """How often it is tried again."""
    try_timeout: float | None = None
    """Seconds that one try may take."""
    retry_on: str = ""
    """What it is tried again on, in Envoy's words."""
    path: str = ""
    """The path that the server sees."""
    host: str = ""
    """The Host that the server sees."""
    mirrors: dict[str, float] = Field(default_factory=dict[str, float])
    """Clusters that get a copy, with the share (of 1) of requests."""
    steps: tuple[WhyStep, ...] = ()
    """All decisions in order."""
    nearest_miss: str = ""
    """The rule that came nearest without matching, and what the call lacks for it; where the call is lost because no
    endpoint may be called, the nearest endpoint and what it lacks."""
