"""The NAME resource: a host's DNS answer, as JSON between control and relay.

A workload's own address is demanded as `ADDRESS:PORT`; its record has no address where nothing is known to be there.
"""

import json
from collections.abc import Mapping

from plait.envoy import names
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.types import NAME
from plait.model.view import NameRecord


def name_record(item: Entry) -> NameRecord:
    """The record in a NAME resource."""
    values = json.loads(item.body)
    return NameRecord(
        host=values["host"],
        addresses=tuple(values["addresses"]),
        ports=tuple(values["ports"]),
        headless=values["headless"],
        port_names=tuple(values.get("names", ())),
        instances=tuple(values.get("instances", ())),
        alias=values.get("alias", ""),
    )


def is_nowhere(item: Entry) -> bool:
    """Whether it stands for an address and port that no workload has."""
    return names.parse_dialled(item.name) is not None and not name_record(item).addresses


def remembered(resources: ResourceSet) -> Mapping[str, Entry]:
    """The names to begin with after a restart; addresses that led nowhere are not asked for again."""
    return {name: item for name, item in resources.of(NAME).items() if not is_nowhere(item)}
