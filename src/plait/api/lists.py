"""Lists of objects: selectors, pages, tables.

A page's `continue` token holds the revision of the first page and the last key given. Later pages are read from
the newest state: an object that is written meanwhile may be new or missing, but none is given twice.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from plait.api.call import Call
from plait.api.errors import ApiError
from plait.api.selectors import selected
from plait.api.tables import table, wants_table
from plait.store.store import Document

Key = tuple[str, str]


async def list_objects(call: Call) -> tuple[int, Mapping[str, Any]]:
    """The objects of a collection."""
    served = call.target.served
    documents, revision = await chosen(call)
    page, metadata = _page(documents, revision, call)
    shown = [served.shown(document) for document in page]
    version = wants_table(call.headers.get("accept", ""))
    if version:
        include = call.query.get("includeObject", "")
        return 200, table(served.kind, shown, version=version, include=include, metadata=metadata)
    kind = f"{served.kind.kind}List"
    return 200, {"kind": kind, "apiVersion": served.api_version, "metadata": metadata, "items": shown}


async def chosen(call: Call) -> tuple[Sequence[Document], int]:
    """The objects that namespace and selectors choose, and the revision that they are of."""
    kind = call.target.served.kind
    listing = await call.backend.store.list(group=kind.group, kind=kind.kind, namespace=call.target.namespace or None)
    matches = selected(labels=call.query.get("labelSelector", ""), fields=call.query.get("fieldSelector", ""))
    return [document for document in listing.items if matches(document)], listing.revision


def _page(documents: Sequence[Document], revision: int, call: Call) -> tuple[Sequence[Document], dict[str, Any]]:
    limit = call.number("limit")
    if token := call.query.get("continue", ""):
        revision, last = _read_token(token)
        documents = [document for document in documents if _key(document) > last]
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if limit and len(documents) > limit:
        metadata["remainingItemCount"] = len(documents) - limit
        documents = documents[:limit]
        metadata["continue"] = _token(revision, _key(documents[-1]))
    return documents, metadata


def _key(document: Document) -> Key:
    metadata = document["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def _token(revision: int, last: Key) -> str:
    return base64.urlsafe_b64encode(json.dumps([revision, *last]).encode()).decode()


def _read_token(token: str) -> tuple[int, Key]:
    try:
        revision, namespace, name = json.loads(base64.urlsafe_b64decode(token.encode()))
        return int(revision), (str(namespace), str(name))
    except (ValueError, TypeError):
        raise ApiError(400, "continue is not a token of this server", "list again from the start") from None
