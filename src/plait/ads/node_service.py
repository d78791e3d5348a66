"""What a node agent asks of control beside streams: unary gRPC calls with JSON bodies, on the same server.

    /plait.v1.Node/Sign Renew Register Deregister Report Settings

The caller is the machine that its certificate names; a request never says who it comes from. A refusal travels as
status code plus JSON {problem, remedy, type} in the details, and is raised at the client as the same exception.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, NoReturn, Protocol

import grpc

from plait import errors
from plait.ads.server import Context, peer_of
from plait.ads.transport import Channels
from plait.errors import DeadlineError, ForbiddenError, PlaitError, UnreachableError
from plait.identity.spiffe import parse_node

SERVICE: Final = "plait.v1.Node"
READY: Final = grpc.ChannelConnectivity.READY
Document = Mapping[str, Any]

_CODES: Final[Mapping[type[PlaitError], grpc.StatusCode]] = {
    errors.NotFoundError: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExistsError: grpc.StatusCode.ALREADY_EXISTS,
    errors.ConflictError: grpc.StatusCode.ABORTED,
    errors.ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    errors.RefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    errors.DeadlineError: grpc.StatusCode.DEADLINE_EXCEEDED,
    errors.UnreachableError: grpc.StatusCode.UNAVAILABLE,
}


class NodeBackend(Protocol):
    """What control does for machines; `node` is the caller, verified. Refusals are exceptions from `errors`."""

    async def sign(self, node: str, request: bytes, namespace: str, service_account: str) -> bytes:
        """The chain (PEM) for a workload's signing request."""
        ...

    async def renew(self, node: str, request: bytes) -> bytes:
        """The chain (PEM) for the machine's own signing request."""
        ...

    async def register(self, node: str, document: Document) -> Document:
        """Store a WorkloadEntry of this machine; the document as stored."""
        ...

    async def deregister(self, node: str, namespace: str, name: str) -> None:
        """Delete a WorkloadEntry of this machine."""
        ...

    async def report(self, node: str, edges: Sequence[Document]) -> None:
        """Take the machine's measurements of calls between workloads."""
        ...

    async def settings(self, node: str, holds: Document) -> Document:
        """What the machine must know of the mesh: its address range, domains, trust domain.

        `holds` tells which certificates and roots are in use there.
        """
        ...


Method = Callable[[str, Document], Awaitable[Document]]
Caller = Callable[[Context], str]
"""The machine that makes a call; raises ForbiddenError if it is none."""


def handler(backend: NodeBackend, caller: Caller) -> grpc.GenericRpcHandler:
    """The service, to be added to a gRPC server; `caller` tells which machine asks."""

    async def sign(node: str, body: Document) -> Document:
        account = (body["namespace"], body["service_account"])
        return {"chain": (await backend.sign(node, body["request"].encode(), *account)).decode()}

    async def renew(node: str, body: Document) -> Document:
        return {"chain": (await backend.renew(node, body["request"].encode())).decode()}

    async def register(node: str, body: Document) -> Document:
        return await backend.register(node, body)

    async def deregister(node: str, body: Document) -> Document:
        await backend.deregister(node, body["namespace"], body["name"])
        return {}

    async def report(node: str, body: Document) -> Document:
        await backend.report(node, body["edges"])
        return {}

    async def settings(node: str, body: Document) -> Document:
        return await backend.settings(node, body)

    methods = (sign, renew, register, deregister, report, settings)
    handlers = {method.__name__.capitalize(): _unary(method, caller) for method in methods}
    return grpc.method_handlers_generic_handler(SERVICE, handlers)


def _unary(method: Method, caller: Caller) -> "grpc.RpcMethodHandler[Any, Any]":
    async def serve(raw: bytes, context: Context) -> bytes:
        try:
            return json.dumps(await method(caller(context), json.loads(raw))).encode()
        except PlaitError as refusal:
            await refuse(context, refusal)
        except (KeyError, TypeError, ValueError) as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the request cannot be read: {error}")

    return grpc.unary_unary_rpc_method_handler(serve)


async def refuse(context: Context, refusal: PlaitError) -> NoReturn:
    """End a call with a refusal that the client raises again (`raised`)."""
    code = next((code for kind, code in _CODES.items() if isinstance(refusal, kind)), grpc.StatusCode.UNKNOWN)
    details = {"problem": refusal.problem, "remedy": refusal.remedy, "type": type(refusal).__name__}
    await context.abort(code, json.dumps(details))


def by_certificate(trust_domain: str) -> Caller:
    """The caller is the machine that its certificate names."""

    def caller(context: Context) -> str:
        peer = peer_of(context)
        node = parse_node(peer.spiffe_id, trust_domain)
        if node is None:
            raise ForbiddenError(
                f"{peer.spiffe_id or 'the peer'} is no machine of trust domain {trust_domain}",
                "join this machine first",
            )
        return node

    return caller


class NodeClient:
    """Calls the service; the caller is the machine whose certificate the channel shows."""

    def __init__(self, channels: Channels, *, limit: float = 10.0) -> None:
        """`limit` is the time for each call, in seconds."""
        self._channels = channels
        self._limit = limit

    async def sign(self, request: bytes, namespace: str, service_account: str) -> bytes:
        """The chain (PEM) for a workload's signing request."""
        body = {"request": request.decode(), "namespace": namespace, "service_account": service_account}
        return str((await self._call("Sign", body))["chain"]).encode()

    async def renew(self, request: bytes) -> bytes:
        """The chain (PEM) for this machine's own signing request."""
        return str((await self._call("Renew", {"request": request.decode()}))["chain"]).encode()

    async def register(self, document: Document) -> Document:
        """Store a WorkloadEntry of this machine; the document as stored."""
        return await self._call("Register", document)

    async def deregister(self, namespace: str, name: str) -> None:
        """Delete a WorkloadEntry of this machine."""
        await self._call("Deregister", {"namespace": namespace, "name": name})

    async def report(self, edges: Sequence[Document]) -> None:
        """Send measurements of calls between workloads."""
        await self._call("Report", {"edges": list(edges)})

    async def settings(self, holds: Document) -> Document:
        """What this machine must know of the mesh; `holds` tells which certificates and roots are in use here."""
        return await self._call("Settings", holds)

    async def _call(self, method: str, body: Document) -> Document:
        raw = json.dumps(body).encode()
        async with self._channels.lease() as channel:
            call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(f"/{SERVICE}/{method}")
            try:
                return json.loads(await call(raw, timeout=self._limit, wait_for_ready=True))
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and channel.get_state() != READY:
                    raise _unreachable("no connection in time") from error
                raise raised(error) from error


def _unreachable(details: str) -> UnreachableError:
    return UnreachableError(f"control cannot be reached: {details}", "see whether it runs: `plait status`")


def raised(error: grpc.aio.AioRpcError) -> PlaitError:
    """The exception that control raised (`refuse`), or what kept the call from reaching it."""
    details = error.details() or ""
    try:
        values = json.loads(details)
        kind = getattr(errors, values["type"])
        if issubclass(kind, PlaitError) and kind is not errors.InvalidInputError:
            return kind(values["problem"], values["remedy"])
        return PlaitError(values["problem"], values["remedy"])
    except (ValueError, KeyError, AttributeError, TypeError):
        if error.code() == grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineError("control did not answer in time", "see whether it runs: `plait status`")
        if error.code() == grpc.StatusCode.UNAVAILABLE:
            return _unreachable(details)
        return PlaitError(f"control failed: {details}", "its log says more")
