"""Paths of fields as text: `spec.rules[0].matches[1].path.value`, `metadata.labels[app.kubernetes.io/name]`."""

import difflib
import re
from collections.abc import Iterable, Mapping

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def join(parts: Iterable[str | int]) -> str:
    """The text of a path."""
    text = ""
    for part in parts:
        text = child(text, part)
    return text


def child(path: str, part: str | int) -> str:
    """The path of a member of what is at `path`."""
    if isinstance(part, int) or not _PLAIN.match(part):
        return f"{path}[{part}]"
    return f"{path}.{part}" if path else part


def parent(path: str) -> str:
    """The path of what contains `path`; empty for the document."""
    if path.endswith("]"):
        return path[: path.rfind("[")]
    return path.rpartition(".")[0]


def line_of(path: str, lines: Mapping[str, int]) -> int:
    """The line of a field, or of the nearest thing around it whose line is known; 0 if none is."""
    while path:
        if path in lines:
            return lines[path]
        path = parent(path)
    return lines.get("", 0)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """The candidate that is most like a name, empty if none is close."""
    found = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    if found:
        return found[0]
    folded = {candidate.lower().replace("_", ""): candidate for candidate in candidates}
    return folded.get(name.lower().replace("_", "").replace("-", ""), "")


def shorten(text: str, limit: int = 60) -> str:
    """A text cut to a length that fits a message."""
    return text if len(text) <= limit else f"{text[:limit]}..."
