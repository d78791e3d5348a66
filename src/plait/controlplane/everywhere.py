"""The mesh as all its controls see it together: each knows only the proxies and machines that are connected to it.

A control asks the others, and answers them what it knows itself. A control that is alone asks nobody.
"""

import asyncio
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Final

from plait.ads.connections import Connections
from plait.ads.peer_service import Method
from plait.api import schemas
from plait.controlplane.asking import Ask, Document
from plait.controlplane.machine_health import MachineHealth
from plait.controlplane.machines import Machines
from plait.controlplane.publisher import Publisher
from plait.controlplane.reconcile import Reconciler
from plait.controlplane.views import Views
from plait.errors import NotFoundError

HELD_WITHIN: Final = 1.0
"""Seconds that the callers of a workload that ends have to acknowledge that."""
_SHORT: Final = 1.0
"""Seconds that another control has to tell what it knows."""


class Holders:
    """Waits until the proxies hold what a revision has for them, wherever they are connected."""

    def __init__(self, publisher: Publisher, connections: Connections, reconciler: Reconciler, ask: Ask) -> None:
        self._publisher = publisher
        self._connections = connections
        self._reconciler = reconciler
        self._ask = ask

    async def held(self, revision: int) -> None:
        """Wait until everybody holds that revision, or time is up."""
        await asyncio.gather(self._held(revision), self._ask("Held", {"revision": revision}, 2 * HELD_WITHIN))

    async def wait(self, revision: int, seconds: float) -> schemas.WaitAnswer:
        """Who needs that revision, and who of them holds it within so many seconds."""
        body = {"revision": revision, "timeout": seconds}
        own, others = await asyncio.gather(self._wait(revision, seconds), self._ask("Wait", body, seconds + 1.0))
        answers = [own, *(schemas.WaitAnswer.model_validate(other) for other in others)]
        return schemas.WaitAnswer(
            proxies=tuple(sorted({name for answer in answers for name in answer.proxies})),
            pending=tuple(sorted({name for answer in answers for name in answer.pending})),
            refused=tuple(item for answer in answers for item in answer.refused),
            seconds=max(answer.seconds for answer in answers),
        )

    def methods(self) -> Mapping[str, Method]:
        """What other controls may ask of this."""

        async def held(body: Document) -> Document:
            await self._held(int(body["revision"]))
            return {}

        async def wait(body: Document) -> Document:
            return (await self._wait(int(body["revision"]), float(body["timeout"]))).model_dump()

        async def demands(_body: Document) -> Document:
            here = self._publisher.demands()
            return {"demands": [[proxy, node, sorted(hosts)] for proxy, (node, hosts) in here.items()]}

        return {"Held": held, "Wait": wait, "Demands": demands}

    async def _held(self, revision: int) -> None:
        await self._reconciler.reached(revision)
        await self._publisher.turns.done(revision)
        await self._connections.settled(self._publisher.sent_since(revision), HELD_WITHIN)

    async def _wait(self, revision: int, seconds: float) -> schemas.WaitAnswer:
        started = time.monotonic()
        try:
            async with asyncio.timeout(seconds):
                await self._reconciler.reached(revision)
                await self._publisher.done(revision)
        except TimeoutError:
            return schemas.WaitAnswer(pending=("control itself",), seconds=seconds)
        needing = self._publisher.sent_since(revision)
        left = await self._connections.settled(needing, max(0.0, seconds - (time.monotonic() - started)))
        return schemas.WaitAnswer(
            proxies=tuple(sorted(needing)),
            pending=tuple(sorted(left)),
            refused=tuple(self._refusals(needing)),
            seconds=time.monotonic() - started,
        )

    def _refusals(self, proxies: Collection[str]) -> Iterator[schemas.RefusingProxy]:
        for state in self._connections.states():
            namespace, _, name = state.proxy.partition("/")
            if state.proxy in proxies:
                for item in state.refused:
                    yield schemas.RefusingProxy(namespace=namespace, name=name, message=item.message)


class Everywhere:
    """The views of the whole mesh."""

    def __init__(self, views: Views, machines: Machines, ask: Ask) -> None:
        self._views = views
        self._connected = views.connected
        self._machines = machines
        self._ask = ask

    async def proxies(self) -> Sequence[schemas.Proxy]:
        """All proxies of workloads that exist; of one that several controls know, what its connection tells."""
        found = list(self._connected.proxies())
        for answer in await self._ask("Proxies", {}, _SHORT):
            found += [schemas.Proxy.model_validate(item) for item in answer["proxies"]]
        best: dict[tuple[str, str], schemas.Proxy] = {}
        for proxy in sorted(found, key=lambda proxy: (proxy.connected, proxy.since)):
            best[proxy.namespace, proxy.name] = proxy
        return [best[key] for key in sorted(best)]

    async def proxy_config(self, namespace: str, name: str) -> Document:
        """What a proxy was sent, by whichever control it is connected to."""
        try:
            return self._connected.proxy_config(namespace, name)
        except NotFoundError:
            for answer in await self._ask("Config", {"namespace": namespace, "name": name}, _SHORT):
                if answer["config"] is not None:
                    return answer["config"]
            raise

    async def edges(self) -> Sequence[schemas.Edge]:
        """Traffic between workloads over the last window."""
        found = list(self._views.edges())
        for answer in await self._ask("Edges", {}, _SHORT):
            found += [schemas.Edge.model_validate(item) for item in answer["edges"]]
        return sorted(found, key=lambda edge: (-edge.rate, edge.source, edge.destination))

    async def status(self) -> schemas.Status:
        """The state of the mesh."""
        heard: dict[str, float] = {}
        for answer in await self._ask("Machines", {}, _SHORT):
            heard |= {name: max(moment, heard.get(name, 0.0)) for name, moment in answer["heard"].items()}
        return await self._views.status(await self.proxies(), heard)

    async def machines(self) -> Mapping[str, MachineHealth]:
        """What each machine's agent last said of itself, to whichever control."""
        found = dict(self._machines.reports.all())
        for answer in await self._ask("Machines", {}, _SHORT):
            for name, values in answer["reports"].items():
                report = MachineHealth(**values)
                if name not in found or found[name].heard < report.heard:
                    found[name] = report
        return found

    def methods(self) -> Mapping[str, Method]:
        """What other controls may ask of this."""

        async def edges(_body: Document) -> Document:
            return {"edges": [edge.model_dump() for edge in self._views.edges()]}

        async def machines(_body: Document) -> Document:
            reports = {name: asdict(report) for name, report in self._machines.reports.all().items()}
            return {"heard": {name: self._machines.edges.heard(name) for name in reports}, "reports": reports}

        return {**self._connected.methods(), "Edges": edges, "Machines": machines}
