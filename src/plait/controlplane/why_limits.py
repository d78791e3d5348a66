"""The words of `plait why` for limits: those that a caller keeps to, and those that a service's instances share."""

from collections.abc import Iterator
from typing import Final

from plait.model.ids import Origin
from plait.model.protection import CountedBy, ServerProtection, SharedLimit
from plait.resources.core.shared_limit_annotations import LIMITS

_PER: Final = {1: "second", 60: "minute", 3600: "hour", 86400: "day"}


def named(origin: Origin) -> str:
    """The annotation or field that an origin stands for, and whose it is."""
    what = origin.path.removeprefix("metadata.annotations[").removesuffix("]")
    return f"{what} of {origin.kind} {origin.namespace}/{origin.name}"


def shared_sentences(protection: ServerProtection, path: str) -> Iterator[tuple[str, Origin | None]]:
    """For each limit that a request to that path counts for: what it says, and where it stands."""
    for limit in protection.shared:
        if limit.counted_by is not CountedBy.PATH or is_below(path, limit.of):
            rates = " and ".join(f"{quota.count} per {_PER[quota.per]}" for quota in limit.quotas)
            yield f"it counts for a limit of {limit.service}: {rates} {_of(limit)}", _origin(protection, limit)
    if protection.shared:
        fate = "gets 503" if protection.shared_denies else "passes"
        yield f"if it is not counted within {protection.shared_timeout * 1000:g} ms it {fate}", None


def is_below(path: str, of: str) -> bool:
    """Whether a path, with or without query, is that one or below it."""
    plain, base = path.partition("?")[0].partition("#")[0], of.rstrip("/")
    return plain == base or plain.startswith(f"{base}/")


def _of(limit: SharedLimit) -> str:
    whose = {
        CountedBy.ALL: "of all callers together",
        CountedBy.CALLER: "of each caller",
        CountedBy.ADDRESS: "of each client address",
        CountedBy.HEADER: f"of each value of {limit.of}",
        CountedBy.PATH: f"to {limit.of} and below it",
    }
    return f"{whose[limit.counted_by]}, at all instances together"


def _origin(protection: ServerProtection, limit: SharedLimit) -> Origin | None:
    annotation = next(name for name, counted_by in LIMITS.items() if counted_by is limit.counted_by)
    whose = (limit.service.namespace, limit.service.name)
    of_service = (item for item in protection.origins if (item.namespace, item.name) == whose)
    return next((item for item in of_service if item.path.endswith(f"[{annotation}]")), None)
