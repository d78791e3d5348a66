"""All kinds, and how to find one by the names that users and tools write.

Kinds that nobody here knows are stored with a note, except in groups whose kinds are all listed: there an unknown
kind is a slip of the pen.
"""

import difflib
from collections.abc import Iterator

from plait.resources.catalogue import CORE_KINDS, ISTIO_KINDS
from plait.resources.gateway_kinds import GATEWAY_KINDS
from plait.resources.kind import Column, Kind
from plait.resources.later_kinds import LATER_KINDS
from plait.resources.own_kinds import OWN_KINDS
from plait.resources.stored_kinds import STORED_KINDS, stored_kind

__all__ = ["KINDS", "Column", "Kind", "find", "nearest_kinds", "of", "split_api_version", "stored_only"]

KINDS: tuple[Kind, ...] = CORE_KINDS + GATEWAY_KINDS + ISTIO_KINDS + LATER_KINDS + OWN_KINDS + STORED_KINDS
"""Every kind that is known, those that the mesh acts on first."""

CLOSED_GROUPS = frozenset(
    {"", "apps", "batch", "discovery.k8s.io", "gateway.networking.k8s.io"}
    | {"networking.istio.io", "security.istio.io", "telemetry.istio.io"}
)
"""Groups in which an unknown kind is a mistake."""


def _index() -> dict[str, list[Kind]]:
    index: dict[str, list[Kind]] = {}
    for kind in KINDS:
        for name in dict.fromkeys(_names(kind)):
            index.setdefault(name, []).append(kind)
    return index


def _names(kind: Kind) -> Iterator[str]:
    yield kind.kind.lower()
    yield kind.plural
    yield kind.singular or kind.kind.lower()
    yield from kind.short_names


def find(name: str, group: str | None = None) -> Kind | None:
    """The kind of that name (`HTTPRoute`, `httproutes`, `svc`, `gateways.networking.istio.io`), or None."""
    word, dot, suffix = name.partition(".")
    wanted = group if group is not None else (suffix if dot else None)
    for kind in _BY_NAME.get(word.lower(), ()):
        if wanted is None or kind.group == wanted:
            return kind
    return None


def split_api_version(api_version: str) -> tuple[str, str]:
    """The group (empty for core) and version of an `apiVersion`."""
    group, _, version = api_version.rpartition("/")
    return group, version


def stored_only(api_version: str, kind: str) -> Kind:
    """A kind that is not known: it is stored with a note."""
    group, version = split_api_version(api_version)
    return stored_kind(group=group, version=version, kind=kind)


def of(api_version: str, kind: str) -> Kind | None:
    """The kind that a document names; a stored-only one if it is unknown, None if it must be a mistake."""
    group, _ = split_api_version(api_version)
    known = _BY_KIND.get((group, kind))
    if known is not None:
        return known
    return None if group in CLOSED_GROUPS else stored_only(api_version, kind)


def nearest_kinds(kind: str, group: str | None = None) -> tuple[str, ...]:
    """Kinds whose name is close to that one, as `apiVersion Kind`."""
    candidates = {known.kind: known for known in KINDS if group is None or known.group == group}
    close = difflib.get_close_matches(kind, candidates, n=2, cutoff=0.6)
    return tuple(f"{candidates[name].api_version} {name}" for name in close)


_BY_NAME = _index()
_BY_KIND = {(kind.group, kind.kind): kind for kind in KINDS}
