"""The NAME resource: a host's DNS answer, as JSON between control and relay."""

import json
from dataclasses import dataclass

from plait.envoy.resource_set import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class NameRecord:
    """Where a host is reached; a headless one has the addresses of its workloads."""

    host: str
    addresses: tuple[str, ...]
    ports: tuple[int, ...]
    headless: bool


def name_record(item: Entry) -> NameRecord:
    """The record in a NAME resource."""
    values = json.loads(item.body)
    return NameRecord(
        host=values["host"],
        addresses=tuple(values["addresses"]),
        ports=tuple(values["ports"]),
        headless=values["headless"],
    )
