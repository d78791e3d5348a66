"""Which name a workload means: the mesh's, one it must not have, or a foreign one.

A service has four spellings (`reviews`, `reviews.default`, `reviews.default.svc`, and with the cluster's domain), one
workload behind a headless service has the same with its own name before; any host can be a ServiceEntry's. So a name
has up to three candidates, which are asked of control at once: asking is the demand that puts the service into the
sidecar, and the answer comes only when the sidecar holds it. What is no name of the mesh is foreign and left to the
machine's resolvers, except below the cluster's domain, where search lists produce names that nobody has. The domain
itself and `svc` below it exist without an address, as every name above one that exists (RFC 8020).

While control is away, a name known to be foreign stays foreign, and control is given little time to say otherwise; any
other name fails, since an address that passes the mesh's rules by would be worse than none.
"""

import asyncio
import dataclasses
import re
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from plait.errors import DeadlineError, ForbiddenError, PlaitError, RefusedError
from plait.model.view import NameRecord

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_FOREIGN_FOR = 2.0
_DOUBT_FOR = 0.2
"""Seconds that control has to say that a name known to be foreign has become the mesh's."""
_FOREIGN_MOST = 4096
_CHAIN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a name is: of the `mesh` with these addresses, `missing`, or `foreign`.

    `aliases` are the names that it stands for, in order; then the kind is that of the last.
    """

    kind: Literal["mesh", "missing", "foreign"]
    addresses: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    record: NameRecord | None = field(default=None, compare=False)


MISSING = Answer(kind="missing")
FOREIGN = Answer(kind="foreign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The hosts of the mesh that a spelling may mean, in order; `foreign` if it may be none of them."""

    hosts: tuple[str, ...] = ()
    foreign: bool = False


def candidates(spelling: str, namespace: str, *, domain: str = "cluster.local") -> Candidates:
    """The hosts that a name means to a workload of `namespace`."""
    if not _HOST.fullmatch(spelling):
        return Candidates(foreign=not spelling.endswith(f".{domain}"))
    if spelling == domain or spelling.endswith(f".{domain}"):
        inner = spelling.removesuffix(domain).rstrip(".")
        return Candidates(hosts=(spelling,) if _is_service(inner) else ())
    if spelling.endswith(".svc"):
        return Candidates(hosts=(f"{spelling}.{domain}",) if _is_service(spelling) else ())
    own, other = f"{spelling}.{namespace}.svc.{domain}", f"{spelling}.svc.{domain}"
    by_dots = ((own, spelling), (other, own, spelling), (other, spelling))
    dots = spelling.count(".")
    return Candidates(hosts=by_dots[dots] if dots < len(by_dots) else (spelling,), foreign=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """The workload that asks, known by its address: `proxy` is its node id."""

    proxy: str
    namespace: str


Demand = Callable[[str, str], Awaitable[NameRecord | None]]
"""`await demand(proxy, host)`: what the mesh says of a host once the sidecar holds it, None if it has no such host."""


class MeshResolver:
    """Resolves names for the workloads of one machine; the `resolve` of a DnsServer."""

    def __init__(
        self,
        *,
        workload_of: Callable[[str], Asker | None],
        demand: Demand,
        domain: str = "cluster.local",
        known_foreign: Iterable[tuple[str, str]] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._workload_of = workload_of
        self._demand = demand
        self._domain = domain
        self._clock = clock
        self._foreign: dict[tuple[str, str], float] = {}
        self._hosts: dict[str, str] = {}
        self._seeded = frozenset(known_foreign)

    async def __call__(self, client: str, host: str) -> Answer:
        """What `host` is to the workload with the address `client`; raises DeadlineError where that is not known."""
        asker = self._workload_of(client)
        if asker is None:
            raise ForbiddenError(f"no workload of this machine has the address {client}")
        if host in (self._domain, f"svc.{self._domain}"):
            return Answer(kind="mesh")
        aliases: tuple[str, ...] = ()
        while True:
            found = await self._resolved(asker, aliases[-1] if aliases else host)
            if found.record is None or not found.record.alias:
                return dataclasses.replace(found, aliases=aliases) if aliases else found
            aliases = (*aliases, found.record.alias)
            if len(aliases) > _CHAIN or found.record.alias in (host, *aliases[:-1]):
                raise RefusedError(f"{host} stands for {aliases[-1]}, which stands for it again")

    async def _resolved(self, asker: Asker, host: str) -> Answer:
        meant = candidates(host, asker.namespace, domain=self._domain)
        key = (asker.namespace, host)
        if meant.foreign and self._clock() - self._foreign.get(key, float("-inf")) < _FOREIGN_FOR:
            return FOREIGN
        known_foreign = meant.foreign and (key in self._foreign or key in self._seeded)
        try:
            async with asyncio.timeout(_DOUBT_FOR if known_foreign else None):
                found = await self._first(asker.proxy, meant.hosts)
        except (PlaitError, TimeoutError):
            if not known_foreign:
                raise
            self._remember(key)
            return FOREIGN
        if found is not None:
            self._foreign.pop(key, None)
            self._note(found)
            return Answer(kind="mesh", addresses=found.addresses, record=found)
        if not meant.foreign:
            return MISSING
        self._remember(key)
        return FOREIGN

    def host_at(self, address: str) -> str | None:
        """The host that workloads of this machine found at an address of the mesh."""
        return self._hosts.get(address)

    def _note(self, found: NameRecord) -> None:
        instances = found.instances or ("",) * len(found.addresses)
        for address, instance in zip(found.addresses, instances, strict=False):
            self._hosts.pop(address, None)
            self._hosts[address] = f"{instance}.{found.host}" if instance else found.host
        while len(self._hosts) > _FOREIGN_MOST:
            del self._hosts[next(iter(self._hosts))]

    def known_foreign(self) -> tuple[tuple[str, str], ...]:
        """Namespaces and the names found foreign there, for the next start of the agent; the latest come last."""
        known = dict.fromkeys((*self._seeded, *self._foreign))
        for key in self._foreign:
            known[key] = known.pop(key)
        return tuple(known)[-_FOREIGN_MOST:]

    async def _first(self, proxy: str, hosts: tuple[str, ...]) -> NameRecord | None:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(self._asked(proxy, host)) for host in hosts]
            failure: PlaitError | None = None
            for task in asked:
                answer = await task
                if isinstance(answer, NameRecord):
                    for other in asked:
                        other.cancel()
                    return answer
                failure = failure or answer
        if failure is not None:
            raise failure
        return None

    async def _asked(self, proxy: str, host: str) -> NameRecord | PlaitError | None:
        try:
            return await self._demand(proxy, host)
        except TimeoutError:
            return DeadlineError(f"the mesh did not answer for {host} in time")
        except PlaitError as error:
            return error

    def _remember(self, key: tuple[str, str]) -> None:
        self._foreign.pop(key, None)
        self._foreign[key] = self._clock()
        while len(self._foreign) > _FOREIGN_MOST:
            del self._foreign[next(iter(self._foreign))]


def _is_service(inner: str) -> bool:
    parts = inner.split(".")
    return len(parts) in (3, 4) and parts[-1] == "svc"
