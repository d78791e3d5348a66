"""Services that are asked whether a request is allowed."""

from dataclasses import dataclass

from plait.model.ids import ClusterKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How to ask, and what.

    By gRPC (Envoy's external authorization) every header of the request is told, or those in `told`. By HTTP
    it is the method, host, authorization and path (behind `path_prefix`), and the headers in `told`; what is answered
    with 200 adds to the request the headers in `added`, or all of the answer's. At most `body` bytes of the request are
    told, and requests with more are refused; 0 tells none.
    """

    grpc: bool = False
    path_prefix: str = ""
    told: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    body: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorizer:
    """Whom to ask, and how."""

    cluster: ClusterKey
    question: Question
