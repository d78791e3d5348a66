"""Name entries: what DNS answers for a host, in our own resource type between control and relay.

The entry is in the last push stage, so its arrival at the relay says that the sidecar holds all it needs to call it.
"""

import json
from functools import lru_cache

from plait.envoy import types
from plait.envoy.resource_set import Entry, entry
from plait.model.view import NameRecord


@lru_cache(4096)
def name_entry(record: NameRecord) -> Entry:
    """The DNS answer for a host as an entry whose body is JSON."""
    answer: dict[str, object] = {
        "host": record.host,
        "addresses": list(record.addresses),
        "ports": list(record.ports),
        "headless": record.headless,
    }
    if any(record.port_names):
        answer["names"] = list(record.port_names)
    if any(record.instances):
        answer["instances"] = list(record.instances)
    if record.alias:
        answer["alias"] = record.alias
    return entry(record.host, types.NAME, json.dumps(answer, sort_keys=True, separators=(",", ":")).encode())
