"""What the API needs from the control process, as a value.

The API itself owns nothing but the shape of requests and answers: objects are in the store, rules are in
`admission`, and everything about the running mesh is asked from these functions. Each may be plain or a coroutine.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any, TypeVar

from plait.api import schemas
from plait.errors import NotFoundError, UnreachableError
from plait.resources.violations import Violation
from plait.store.store import Document, Store, Write

T = TypeVar("T")
Later = T | Awaitable[T]

Authenticate = Callable[[str | None, bool], Later[str | None]]
"""(bearer token or None, whether the caller came over the unix socket) -> user name, None if not known."""

Admission = Callable[[Document, Document | None], Later[tuple[Document, Sequence[Violation]]]]
"""(new document, old document or None) -> the document as to be stored, and what is wrong with it."""


def _owner_only(token: str | None, is_unix: bool) -> str | None:
    del token
    return "owner" if is_unix else None


def _admit_all(document: Document, old: Document | None) -> tuple[Document, Sequence[Violation]]:
    del old
    return document, ()


def _nothing() -> Sequence[Any]:
    return ()


def _bare_status() -> schemas.Status:
    return schemas.Status(ready=True)


def _unknown_proxy(namespace: str, name: str) -> Mapping[str, Any]:
    raise NotFoundError(f"no proxy {namespace}/{name}", "see `plait proxy list`")


def _not_here(body: Mapping[str, Any]) -> Any:
    del body
    raise UnreachableError("this API serves objects only", "ask a running control process")


def _explains_nothing(question: schemas.WhyQuestion) -> schemas.WhyAnswer:
    return _not_here(question.model_dump())


def _joins_nobody(body: Mapping[str, Any], address: str) -> Any:
    del address
    return _not_here(body)


def _tokens_for_nobody(body: Mapping[str, Any], user: str) -> Any:
    del user
    return _not_here(body)


def _rehearses_nothing(writes: Sequence[Write]) -> schemas.Rehearsal | None:
    del writes
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """The control process as the API sees it."""

    store: Store
    authenticate: Authenticate = _owner_only
    admission: Admission = _admit_all
    workloads: Callable[[], Later[Sequence[schemas.Workload]]] = _nothing
    proxies: Callable[[], Later[Sequence[schemas.Proxy]]] = _nothing
    proxy_config: Callable[[str, str], Later[Mapping[str, Any]]] = _unknown_proxy
    """(namespace, name) -> the resources that the proxy holds, as JSON."""
    why: Callable[[schemas.WhyQuestion], Later[schemas.WhyAnswer]] = _explains_nothing
    rehearse: Callable[[Sequence[Write]], Later[schemas.Rehearsal | None]] = _rehearses_nothing
    """What a commit would do to the running mesh; None if that is not known. Nothing is stored."""
    edges: Callable[[], Later[Sequence[schemas.Edge]]] = _nothing
    status: Callable[[], Later[schemas.Status]] = _bare_status
    join: Callable[[Mapping[str, Any], str], Later[Mapping[str, Any]]] = _joins_nobody
    """(body, the caller's address) -> answer. Unauthenticated: it checks the join token in the body itself."""
    create_token: Callable[[Mapping[str, Any], str], Later[Mapping[str, Any]]] = _tokens_for_nobody
    """(body, user) -> answer with the new token."""


async def settled(value: Later[T]) -> T:
    """The value, awaited if it is a coroutine's."""
    if isawaitable(value):
        return await value
    return value
