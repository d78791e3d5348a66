"""The NAME resource: a host's DNS answer, as JSON between control and relay."""

import json

from plait.envoy.resource_set import Entry
from plait.model.view import NameRecord


def name_record(item: Entry) -> NameRecord:
    """The record in a NAME resource."""
    values = json.loads(item.body)
    return NameRecord(
        host=values["host"],
        addresses=tuple(values["addresses"]),
        ports=tuple(values["ports"]),
        headless=values["headless"],
    )
