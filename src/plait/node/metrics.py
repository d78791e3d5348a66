"""Who calls whom: the counters of this machine's sidecars, read from their admin sockets and reported to control.

Counters are cumulative, as Envoy keeps them; control makes rates of them. One sample stands for one edge seen from one
side: {reporter, sourceWorkload, sourcePrincipal, destinationWorkload, destinationService, requests: [{code, flags,
protocol, count}], connections, bytesSent, bytesReceived, sum, buckets: [[bound, count]...] (-1: no bound)}.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from plait.errors import PlaitError
from plait.node import admin
from plait.node.counters import Series
from plait.node.surroundings import Control
from plait.node.workload import Workload

log = logging.getLogger(__name__)

EVERY: Final = 2.0
_PREFIX: Final = "envoy_mesh_"
_LINE: Final = re.compile(r"(\w+)\{(.*)\} (\S+)$")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = re.compile(r"\\(.)")
_EDGE: Final = {
    "reporter": "reporter",
    "source_workload": "sourceWorkload",
    "source_principal": "sourcePrincipal",
    "destination_workload": "destinationWorkload",
    "destination_service": "destinationService",
}
_TOTALS: Final = {
    "connections_total": "connections",
    "bytes_sent_total": "bytesSent",
    "bytes_received_total": "bytesReceived",
    "request_duration_ms_sum": "sum",
}


def parse(text: str) -> Iterator[Series]:
    """The mesh's series in an Envoy's statistics."""
    for line in text.splitlines():
        if line.startswith(_PREFIX) and (found := _LINE.match(line)):
            name, labels, value = found.groups()
            pairs = {key: _ESCAPED.sub(r"\1", escaped) for key, escaped in _LABEL.findall(labels)}
            yield Series(name.removeprefix(_PREFIX), pairs, float(value))


@dataclass(slots=True)
class _Edge:
    """The counters of one edge while they are gathered."""

    requests: dict[tuple[str, str, str], int] = field(default_factory=dict[tuple[str, str, str], int])
    buckets: dict[float, int] = field(default_factory=dict[float, int])
    totals: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, series: Series) -> None:
        """Count one series in."""
        if series.name == "requests_total":
            labels = series.labels
            key = (labels.get("response_code", ""), labels.get("flags", ""), labels.get("protocol", ""))
            self.requests[key] = self.requests.get(key, 0) + int(series.value)
        elif series.name == "request_duration_ms_bucket":
            text = series.labels.get("le", "+Inf")
            bound = -1.0 if text == "+Inf" else float(text)
            self.buckets[bound] = self.buckets.get(bound, 0) + int(series.value)
        elif name := _TOTALS.get(series.name):
            self.totals[name] = self.totals.get(name, 0.0) + series.value

    def document(self) -> dict[str, Any]:
        """The counters as they are reported."""
        requests = [
            {"code": code, "flags": flags, "protocol": protocol, "count": count}
            for (code, flags, protocol), count in sorted(self.requests.items())
        ]
        return {"requests": requests, "buckets": [list(item) for item in self.buckets.items()], **self.totals}


def samples(series: Iterable[Series]) -> list[dict[str, Any]]:
    """One sample for each edge in these series."""
    edges: dict[tuple[str, ...], _Edge] = {}
    for item in series:
        key = tuple(item.labels.get(label, "") for label in _EDGE)
        edges.setdefault(key, _Edge()).add(item)
    return [{**dict(zip(_EDGE.values(), key, strict=True)), **edge.document()} for key, edge in edges.items()]


async def scrape(workloads: Iterable[Workload], ended: Iterable[Series] = ()) -> list[dict[str, Any]]:
    """What the sidecars of these workloads counted, and those that `ended`; one that does not answer is left out."""
    found = list(ended)
    for workload in workloads:
        found += await _counted(workload)
    return samples(found)


async def keep(workload: Workload) -> None:
    """Keep what the sidecar of a workload that ends has counted: nobody else counted its calls."""
    workload.context.ended.add(await _counted(workload))


async def _counted(workload: Workload) -> list[Series]:
    try:
        own = parse(await admin.prometheus(workload.directory.admin))
        return [*own, *await _of_those_replaced(workload)]
    except PlaitError:
        return []


async def _of_those_replaced(workload: Workload) -> list[Series]:
    """What earlier Envoys of a workload counted, those that have ended and those that still serve connections."""
    if workload.sidecar is None:
        return []
    sockets = [workload.directory.admin_of_leaving(process.pid) for process in workload.sidecar.leaving]
    texts = [*workload.sidecar.counted, *[await admin.prometheus(socket) for socket in sockets]]
    return [series for text in texts for series in parse(text)]


async def report(
    control: Control, workloads: Callable[[], Iterable[Workload]], ended: Iterable[Series], every: float = EVERY
) -> None:
    """Report for ever; an empty report too, since control takes it as the machine's sign of life."""
    while True:
        try:
            await control.report(await scrape(workloads(), ended))
        except PlaitError as error:
            log.debug("statistics were not reported: %s", error)
        await asyncio.sleep(every)
