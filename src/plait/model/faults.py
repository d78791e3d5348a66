"""Faults on purpose: requests that wait or fail, to try what callers make of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultDelay:
    """A share of requests (in per cent) waits so many seconds before it is sent on."""

    seconds: float
    percent: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAbort:
    """A share of requests (in per cent) is answered with an HTTP status, or a gRPC status where `http` is 0."""

    http: int = 0
    grpc: int = 0
    percent: float = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a rule does to requests before anything else. A request may be delayed and then aborted."""

    delay: FaultDelay | None = None
    abort: FaultAbort | None = None
