"""Who sees an object by its `exportTo`: `*` every namespace, `.` its own, `~` nobody, or namespaces by name."""

from collections.abc import Iterable
from typing import Final

EXPORT_TO: Final = "networking.istio.io/exportTo"
"""The annotation by which a Service says so."""
NOWHERE: Final = ("~",)


def seen_from(written: Iterable[str], namespace: str) -> tuple[str, ...]:
    """The namespaces that see an object of that namespace, empty for all."""
    found = {namespace if item == "." else item for item in written}
    if not found or "*" in found:
        return ()
    return tuple(sorted(found - set(NOWHERE))) or NOWHERE


def of_annotation(text: str, namespace: str) -> tuple[str, ...]:
    """The same for a Service, whose annotation lists them with commas between."""
    return seen_from((item.strip() for item in text.split(",") if item.strip()), namespace)
