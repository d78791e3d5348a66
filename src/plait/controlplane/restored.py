"""What control remembers of being restored: which restore it was, and which workloads the backup knew on each machine.

Machines are told with their settings. What they started since the backup they register again, and what has ended since
they remove (`node.restored`); control itself cannot know either.
"""

import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from plait.controlplane.state import StateDirectory
from plait.store.store import Document

_FILE: Final = "restored.json"
_NODE: Final = "plait.dev/node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """A restore: its id (empty: there was none), and workloads as `NAMESPACE/NAME` by machine."""

    id: str = ""
    workloads: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


def note(state: StateDirectory, entries: Iterable[Document]) -> None:
    """Write down that this state directory is restored now, with these WorkloadEntries in its store."""
    workloads: dict[str, list[str]] = {}
    for metadata in (entry["metadata"] for entry in entries):
        if node := metadata.get("annotations", {}).get(_NODE):
            workloads.setdefault(node, []).append(f"{metadata['namespace']}/{metadata['name']}")
    document = {"id": secrets.token_hex(8), "workloads": workloads}
    state.write_private(state.control / _FILE, json.dumps(document) + "\n")


def load(state: StateDirectory) -> Restored:
    """What was noted in that state directory."""
    path = state.control / _FILE
    if not path.exists():
        return Restored()
    document = json.loads(path.read_text())
    return Restored(id=document["id"], workloads={node: tuple(names) for node, names in document["workloads"].items()})
