"""What `plait apply --dry-run` prints of a rehearsal: who would change, and what would go wrong."""

from collections.abc import Iterator, Mapping
from typing import Any

from plait.cli.output import counted


def lines(rehearsal: Mapping[str, Any]) -> Iterator[str]:
    """A rehearsal in sentences, one a line."""
    changed = rehearsal["workloads"]
    number = rehearsal["proxies"]
    proxies = f"{number} connected {'proxy' if number == 1 else 'proxies'}"
    for item in changed:
        parts = [f"{item[word]} {word}" for word in ("added", "changed", "removed") if item[word]]
        number = counted(item["added"] + item["changed"] + item["removed"], "resource")
        yield f"{item['namespace']}/{item['name']} would change: {number} ({', '.join(parts)})"
    yield f"{len(changed)} of {proxies} would change."
    for item in rehearsal["conditions"]:
        at = f" at {item['at']}" if item["at"] else ""
        yield (
            f"{_place(item['source'])}{_name(item['source'])}: would become {item['type']}={item['status']}{at}"
            f" ({item['reason']}): {item['message']}"
        )
    for item in rehearsal["refused"]:
        what = f"Envoy would refuse {item['resource'] or 'the configuration'} at {item['proxy']}: {item['message']}"
        for source in item["sources"] or (None,):
            yield f"{_place(source)}{_name(source)}: {what}" if source else what
    if rehearsal["unvalidated"]:
        yield f"Envoy was not asked about all: {rehearsal['unvalidated']}."
    elif not rehearsal["refused"]:
        number = rehearsal["validated"]
        yield (
            f"Envoy takes {counted(number, 'new resource')}." if number else "There is nothing new for Envoy to judge."
        )


def _place(source: Mapping[str, Any]) -> str:
    return f"{source['file']}:{source['line']}: " if source["file"] else ""


def _name(source: Mapping[str, Any]) -> str:
    return f"{source['kind']} {source['namespace']}/{source['name']}"
