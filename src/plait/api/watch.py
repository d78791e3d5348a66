"""Watches: a stream of JSON lines, one for each change, until the client, the timeout or the server ends it.

A selector is applied to the state before and after a change, so that an object which begins or ceases to match is
told as added or deleted. Bookmarks tell the client how far it has got when nothing it watches changes.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from plait.api.call import Call
from plait.api.errors import answer, status_document
from plait.api.lists import chosen
from plait.api.selectors import Matches, selected
from plait.api.tables import table, wants_table
from plait.errors import GoneError
from plait.store.store import Change, Document

BOOKMARK_EVERY = 30.0
_INITIAL_EVENTS_END = "k8s.io/initial-events-end"


def is_watch(call: Call) -> bool:
    """Whether the request asks for a watch."""
    return call.method == "GET" and call.flag("watch")


async def events(call: Call) -> AsyncIterator[bytes]:
    """The lines of a watch."""
    watch = _Watch(call)
    since, first = await watch.start()
    for event in first:
        yield event
    stream = call.backend.store.watch(since, group=watch.kind.group, kind=watch.kind.kind)
    try:
        async for news in _until(call, stream, watch.seconds):
            for event in watch.told(news):
                yield event
    except GoneError as error:
        yield _line("ERROR", status_document(answer(error, "")))


class _Watch:
    """What one watch wants to see, and how."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.kind = call.target.served.kind
        self.seconds = call.number("timeoutSeconds") or random.uniform(1800, 3600)  # noqa: S311 - spreads reconnects
        self._table = wants_table(call.headers.get("accept", ""))
        self._bookmarks = call.flag("allowWatchBookmarks")
        self._matches = _matcher(call)
        self._seen = 0

    async def start(self) -> tuple[int, Sequence[bytes]]:
        """The revision to watch from, and the events that tell the state there if the client asked for it."""
        given = self._call.query.get("resourceVersion", "")
        initial = self._call.flag("sendInitialEvents")
        if given not in ("", "0") and not initial:
            self._seen = self._call.number("resourceVersion")
            return self._seen, ()
        documents, self._seen = await chosen(self._call)
        lines = [self._event("ADDED", document) for document in documents]
        if initial and self._bookmarks:
            lines.append(self._bookmark({_INITIAL_EVENTS_END: "true"}))
        return self._seen, lines

    def told(self, news: Sequence[Change] | int) -> Sequence[bytes]:
        """The events of a batch of changes, or a bookmark for the revision up to which nothing came."""
        if isinstance(news, int):
            self._seen = max(self._seen, news)
            return (self._bookmark({}),) if self._bookmarks else ()
        self._seen = news[-1].revision
        return [event for change in news for event in self._change(change)]

    def _change(self, change: Change) -> Sequence[bytes]:
        before = change.before is not None and self._matches(change.before)
        now = change.type != "DELETED" and self._matches(change.document)
        if not before and not now:
            return ()
        if now:
            return (self._event("MODIFIED" if before else "ADDED", change.document),)
        metadata = {**change.document["metadata"], "resourceVersion": str(change.revision)}
        return (self._event("DELETED", {**change.document, "metadata": metadata}),)

    def _event(self, kind: str, document: Document) -> bytes:
        shown = self._call.target.served.shown(document)
        if not self._table:
            return _line(kind, shown)
        metadata = {"resourceVersion": document["metadata"]["resourceVersion"]}
        include = self._call.query.get("includeObject", "")
        return _line(kind, table(self.kind, [shown], version=self._table, include=include, metadata=metadata))

    def _bookmark(self, annotations: Mapping[str, str]) -> bytes:
        served = self._call.target.served
        metadata: dict[str, Any] = {"resourceVersion": str(self._seen), "creationTimestamp": None}
        if annotations:
            metadata["annotations"] = annotations
        if self._table:
            empty = table(self.kind, [], version=self._table, metadata=metadata)
            return _line("BOOKMARK", empty)
        return _line("BOOKMARK", {"kind": served.kind.kind, "apiVersion": served.api_version, "metadata": metadata})


def _matcher(call: Call) -> Matches:
    fields = call.query.get("fieldSelector", "")
    if call.target.name:
        fields = ",".join(part for part in (fields, f"metadata.name={call.target.name}") if part)
    matches = selected(labels=call.query.get("labelSelector", ""), fields=fields)
    namespace = call.target.namespace
    if not namespace:
        return matches
    return lambda document: document["metadata"].get("namespace") == namespace and matches(document)


async def _until(
    call: Call, stream: AsyncIterator[Sequence[Change]], seconds: float
) -> AsyncIterator[Sequence[Change] | int]:
    """The batches of a stream until its time is over or the server stops.

    When nothing comes for a while, the revision that the store had before that while: all up to there was told.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    stop = asyncio.ensure_future(call.stopping.wait())
    following = asyncio.ensure_future(anext(stream))
    try:
        while (left := end - loop.time()) > 0 and not stop.done():
            reached = call.backend.store.revision
            timeout = min(left, BOOKMARK_EVERY)
            await asyncio.wait({following, stop}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                yield following.result()
                following = asyncio.ensure_future(anext(stream))
            elif not stop.done():
                yield reached
    finally:
        for task in (following, stop):
            task.cancel()
        await asyncio.gather(following, stop, return_exceptions=True)


def _line(kind: str, document: Mapping[str, Any]) -> bytes:
    return json.dumps({"type": kind, "object": document}, separators=(",", ":")).encode() + b"\n"
