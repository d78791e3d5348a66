"""What etcd tells, as changes of what is held here."""

from collections.abc import Iterable, Iterator

from plait.store.ledger import Ledger
from plait.store.store import Change, Document, ObjectKey


def became(ledger: Ledger, key: ObjectKey, document: Document | None, revision: int) -> Iterator[Change]:
    """The change by which an object became that document (None: it was deleted), if it is one."""
    old = ledger.get(key)
    if document is not None:
        kind = "ADDED" if old is None else "MODIFIED"
        yield Change(type=kind, key=key, document=document, revision=revision, before=old)
    elif old is not None:
        yield Change(type="DELETED", key=key, document=old, revision=revision, before=old)


def difference(
    ledger: Ledger, found: Iterable[tuple[ObjectKey, Document]], since: int, newest: int
) -> tuple[Change, ...]:
    """The changes from what is held at revision `since` to what was found at revision `newest`."""
    there: set[ObjectKey] = set()
    changes: list[Change] = []
    for key, document in found:
        there.add(key)
        revision = int(document["metadata"]["resourceVersion"])
        if revision > since:
            changes += became(ledger, key, document, revision)
    changes.sort(key=lambda change: change.revision)
    for key, _ in ledger.items():
        if key not in there:
            changes += became(ledger, key, None, newest)
    return tuple(changes)
