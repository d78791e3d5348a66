"""The transactions of etcd that make a set of writes, whole or not at all.

Each object is compared with the revision that the writes were planned from. A transaction takes some hundred
comparisons, though; a larger set compares the whole store at once instead: nothing in it has changed since the plan was
made. Deletions do not escape that, since every commit also changes its writer's mark. The writes of such a set are
nested: what a nested transaction writes belongs to the same revision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from plait.store.etcd_messages import EQUAL, LESS, MOD, after, message

_SMALL: Final = 100
"""Writes up to which each object is compared by itself: etcd takes 128 operations unless told otherwise."""
_NESTED: Final = 64
"""Writes in one nested transaction; as many of those fit beside the mark, so a set has 4,000 writes at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a commit does to one key: its value to be (None deletes), and the revision that it must have (0: none)."""

    key: bytes
    value: bytes | None
    expected: int


def transaction(
    steps: Sequence[Step], mark: tuple[bytes, bytes], *, whole: tuple[bytes, int], alone: bool = False
) -> Any:
    """The request that makes all steps and writes the mark (key, value); `whole`: the store's range and revision.

    `alone`: only if nothing at all was committed since that revision.
    """
    key, value = mark
    last = message("RequestOp", request_put=message("PutRequest", key=key, value=value))
    if len(steps) <= _SMALL and not alone:
        return message("TxnRequest", compare=[_unchanged(step) for step in steps], success=[*map(_write, steps), last])
    every, revision = whole
    untouched = message(
        "Compare", result=LESS, target=MOD, key=every, range_end=after(every), mod_revision=revision + 1
    )
    remaining, nested = iter(steps), list[Any]()
    while part := list(islice(remaining, _NESTED)):
        nested.append(message("RequestOp", request_txn=message("TxnRequest", success=[_write(step) for step in part])))
    return message("TxnRequest", compare=[untouched], success=[*nested, last])


def _unchanged(step: Step) -> Any:
    return message("Compare", result=EQUAL, target=MOD, key=step.key, mod_revision=step.expected)


def _write(step: Step) -> Any:
    if step.value is None:
        return message("RequestOp", request_delete_range=message("DeleteRangeRequest", key=step.key))
    return message("RequestOp", request_put=message("PutRequest", key=step.key, value=step.value))
