"""What a machine asks of control beside its streams: certificates and the registration of its workloads.

Unary gRPC on the mutual-TLS port of ADS, with JSON bodies (`/plait.v1.Node/METHOD`). The caller is the machine that
its certificate names; what it may have is decided by the backend. A refusal travels as a status with the sentence
and the remedy, and becomes the same exception at the client.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

import grpc
import grpc.aio

from plait.errors import (
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    PlaitError,
    RefusedError,
    UnreachableError,
)
from plait.identity import spiffe

log = logging.getLogger(__name__)

Body = Mapping[str, Any]
SERVICE: Final = "plait.v1.Node"
_CODES: Final[Mapping[type[PlaitError], grpc.StatusCode]] = {
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    ConflictError: grpc.StatusCode.ABORTED,
    ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    RefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    InvalidInputError: grpc.StatusCode.INVALID_ARGUMENT,
}


class NodeBackend(Protocol):
    """The control process, as machines see it. Every method may raise RefusedError."""

    async def sign(self, node: str, csr: str, namespace: str, service_account: str) -> str:
        """A certificate chain (PEM, leaf first) for a workload of that machine."""
        ...

    async def renew(self, node: str, csr: str) -> str:
        """A certificate chain for the machine itself."""
        ...

    async def register(self, node: str, entry: Body) -> Body:
        """Write a workload's WorkloadEntry; returns it as stored."""
        ...

    async def deregister(self, node: str, namespace: str, name: str) -> None:
        """Remove a workload's WorkloadEntry; one that is gone is fine."""
        ...

    async def report(self, node: str, edges: list[Body]) -> None:
        """Take the machine's traffic statistics."""
        ...


def node_handler(backend: NodeBackend, trust_domain: str) -> grpc.GenericRpcHandler:
    """The gRPC handler to add to the ADS server."""
    methods: Mapping[str, Callable[[str, Body], Awaitable[Any]]] = {
        "Sign": lambda node, body: backend.sign(node, body["csr"], body["namespace"], body["serviceAccount"]),
        "Renew": lambda node, body: backend.renew(node, body["csr"]),
        "Register": lambda node, body: backend.register(node, body["entry"]),
        "Deregister": lambda node, body: backend.deregister(node, body["namespace"], body["name"]),
        "Report": lambda node, body: backend.report(node, body["edges"]),
    }

    def unary(method: Callable[[str, Body], Awaitable[Any]]) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            node = caller(context, trust_domain)
            if node is None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, _detail("this certificate is not a machine's", ""))
            try:
                return json.dumps(await method(cast("str", node), json.loads(request))).encode()
            except PlaitError as error:
                await context.abort(_code(error), _detail(error.problem, error.remedy))
                raise

        return grpc.unary_unary_rpc_method_handler(cast("Any", answer))

    return grpc.method_handlers_generic_handler(SERVICE, {name: unary(method) for name, method in methods.items()})


def caller(context: Any, trust_domain: str) -> str | None:
    """The machine that the peer's certificate names, or None."""
    identities = context.auth_context().get("peer_spiffe_id") or [b""]
    return spiffe.parse_node(identities[0].decode(), trust_domain)


def _code(error: PlaitError) -> grpc.StatusCode:
    return next((code for kind, code in _CODES.items() if type(error) is kind), grpc.StatusCode.FAILED_PRECONDITION)


def _detail(problem: str, remedy: str) -> str:
    return json.dumps({"problem": problem, "remedy": remedy})


def _error(error: grpc.aio.AioRpcError) -> PlaitError:
    kind = next((kind for kind, code in _CODES.items() if code is error.code()), None)
    try:
        detail = json.loads(error.details() or "")
        problem, remedy = str(detail["problem"]), str(detail["remedy"])
    except (ValueError, KeyError, TypeError):
        problem, remedy = error.details() or "no answer", ""
        if kind in (None, RefusedError):
            return UnreachableError(f"control does not answer: {problem}", "see `plait status`")
    if kind is None or kind is InvalidInputError:
        return RefusedError(problem, remedy)
    return kind(problem, remedy)


class NodeClient:
    """A machine's side of the service, over its channel to control."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: float = 10.0) -> None:
        self._channel = channel
        self._timeout = timeout

    async def sign(self, csr: str, namespace: str, service_account: str) -> str:
        """A certificate chain (PEM, leaf first) for a signing request (PEM) of a workload."""
        return await self._call("Sign", {"csr": csr, "namespace": namespace, "serviceAccount": service_account})

    async def renew(self, csr: str) -> str:
        """A certificate chain for the machine itself."""
        return await self._call("Renew", {"csr": csr})

    async def register(self, entry: Body) -> Body:
        """Write a workload's WorkloadEntry; returns it as stored."""
        return await self._call("Register", {"entry": entry})

    async def deregister(self, namespace: str, name: str) -> None:
        """Remove a workload's WorkloadEntry."""
        await self._call("Deregister", {"namespace": namespace, "name": name})

    async def report(self, edges: Sequence[Body]) -> None:
        """Report traffic statistics."""
        await self._call("Report", {"edges": list(edges)})

    async def _call(self, method: str, body: Body) -> Any:
        """Call a method; raises RefusedError (or a child of it) as control said, UnreachableError without an answer."""
        call = self._channel.unary_unary(f"/{SERVICE}/{method}")
        try:
            return json.loads(await call(json.dumps(body).encode(), timeout=self._timeout))
        except grpc.aio.AioRpcError as error:
            raise _error(error) from None
