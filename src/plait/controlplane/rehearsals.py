"""Answers `plait apply --dry-run`: a rehearsal of the commit, judged by a real Envoy, in the words of the API."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from plait.api import schemas
from plait.controlplane.asking import Ask
from plait.controlplane.envoy_check import EnvoyCheck, Refused
from plait.controlplane.publisher import Publisher
from plait.controlplane.refusals import origins_of
from plait.controlplane.rehearsal import BadCondition, Difference, Rehearsed, counted, demands_of, rehearse
from plait.controlplane.why_sources import Sources
from plait.errors import RefusedError
from plait.store.store import Store, Write

_ASKED_WITHIN: Final = 2.0
_JUDGES_WITHIN: Final = 30.0
"""Seconds that Envoy is asked about one proxy after the other."""


class Rehearsals:
    """Rehearses commits, one at a time: each takes about as much work as control's start."""

    def __init__(
        self, store: Store, publisher: Publisher, ask: Ask, *, trust_domain: str, check: Callable[[], EnvoyCheck]
    ) -> None:
        """`check` gives the Envoy that judges; it raises RefusedError where there is none."""
        self.store = store
        self.publisher = publisher
        self._ask = ask
        self._trust_domain = trust_domain
        self._check = check
        self._turn = asyncio.Lock()

    async def answer(self, writes: Sequence[Write]) -> schemas.Rehearsal:
        """What a commit would do; nothing is stored."""
        async with self._turn:
            listing = await self.store.list()
            demands = demands_of(self.publisher, await self._ask("Demands", {}, _ASKED_WITHIN))
            made = await asyncio.to_thread(rehearse, listing.items, writes, demands, trust_domain=self._trust_domain)
            try:
                check, unvalidated = self._check(), ""
            except RefusedError as error:
                check, unvalidated = None, error.problem
            judgement = await _judged(check, made) if check is not None else Judgement(unjudged=unvalidated)
        return _told(made, judgement)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What Envoy said: how many new resources it saw, which it refuses at which proxy, and what it was not asked."""

    validated: int = 0
    refused: tuple[tuple[str, Refused], ...] = ()
    unjudged: str = ""


async def _judged(check: EnvoyCheck, made: Rehearsed) -> Judgement:
    """What is new at each proxy, put to Envoy while there is time; what many share is looked at once."""
    ends = asyncio.get_running_loop().time() + _JUDGES_WITHIN
    seen: set[tuple[str, str, str]] = set()
    found: list[tuple[str, Refused]] = []
    for number, difference in enumerate(made.differences):
        if asyncio.get_running_loop().time() > ends:
            number_of_all = f"{number} of {len(made.differences)}"
            said = f"after {_JUDGES_WITHIN:g} s it had judged {number_of_all} proxies that would change"
            return Judgement(validated=len(seen), refused=tuple(found), unjudged=said)
        fresh = difference.fresh()
        keys = {(url, item.name, item.version) for url, item in fresh}
        if keys <= seen:
            continue
        seen |= keys
        found += [(difference.proxy, refused) for refused in await check.refused(difference.after, fresh)]
    return Judgement(validated=len(seen), refused=tuple(found))


def _told(made: Rehearsed, judgement: Judgement) -> schemas.Rehearsal:
    sources = Sources(made.located)
    return schemas.Rehearsal(
        proxies=made.proxies,
        workloads=tuple(_workload(item) for item in made.differences if not item.imagined),
        conditions=tuple(_condition(item, sources) for item in made.conditions),
        validated=judgement.validated,
        unvalidated=judgement.unjudged,
        refused=tuple(_refusal(made, proxy, item, sources) for proxy, item in judgement.refused),
    )


def _workload(difference: Difference) -> schemas.RehearsedWorkload:
    namespace, _, name = difference.proxy.partition("/")
    added, changed, removed = counted(difference)
    return schemas.RehearsedWorkload(namespace=namespace, name=name, added=added, changed=changed, removed=removed)


def _condition(bad: BadCondition, sources: Sources) -> schemas.RehearsedCondition:
    condition = bad.condition
    return schemas.RehearsedCondition(
        source=sources.of(bad.origin),
        at=bad.at,
        type=condition.type,
        status=condition.status,
        reason=condition.reason,
        message=condition.message,
    )


def _refusal(made: Rehearsed, proxy: str, item: Refused, sources: Sources) -> schemas.RehearsedRefusal:
    origins = origins_of(made.snapshot, proxy, item.resource)
    return schemas.RehearsedRefusal(
        proxy=proxy,
        resource=item.resource,
        message=item.message,
        sources=tuple(sources.of(origin) for origin in sorted(origins, key=str)),
    )
