"""The relay of a machine: one stream to control for each proxy, and the server of the machine's Envoys.

What the streams mean to each other is decided in `relayed`; here are the sockets, the disk and the waiting.

    control ──delta stream──> RelayedProxy ──DeltaStream──> Envoy (unix socket)
                                   └─ good ──> disk

All tasks run inside `serve`, each supervised; proxies may be added before it runs. A proxy may
have several Envoys while one takes over from another (see `envoys`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from plait.ads.envoys import Envoys
from plait.ads.last_good import LastGood
from plait.ads.name_record import name_record, remembered
from plait.ads.relayed import RelayedProxy
from plait.ads.server import AdsService, Peer, Session
from plait.ads.stream import Event
from plait.ads.transport import Channels, GrpcServer
from plait.ads.uplink import Uplink
from plait.aio.latest import Latest
from plait.aio.signal import Condition
from plait.aio.supervise import supervise
from plait.envoy.bootstrap import parse_node_id
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.types import CLUSTER, ROUTE, SECRET
from plait.errors import DeadlineError, ForbiddenError, NotFoundError
from plait.model.view import NameRecord

logger = logging.getLogger(__name__)

DEFERRED = (CLUSTER, ROUTE, SECRET)
"""What an Envoy may ask for by name before it is known whether it exists."""
_SAVE_PAUSE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayState:
    """How a proxy stands at its relay: connected to control, its Envoy connected, warm; what Envoy refused."""

    proxy: str
    connected: bool
    attached: bool
    warm: bool
    refused: tuple[tuple[str, str, str], ...]
    problem: str


@dataclass(slots=True, kw_only=True, eq=False)
class _Relayed:
    """A proxy with its tasks' means."""

    state: RelayedProxy
    uplink: Uplink
    envoys: Envoys
    saved: ResourceSet
    unsaved: Latest[ResourceSet] = field(default_factory=Latest[ResourceSet])
    moved: Condition = field(default_factory=Condition)
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def wake(self) -> None:
        """Write what follows from a change to every Envoy, and let those who wait look again."""
        self.envoys.wake()
        self.moved.notify()


class Relay:
    """Relays between control and the Envoys of this machine."""

    def __init__(self, *, directory: Path, channels: Channels, beside: Sequence[grpc.GenericRpcHandler] = ()) -> None:
        """`beside`: what else Envoys are served at the same address."""
        self._last_good = LastGood(directory)
        self._channels = channels
        self._proxies: dict[str, _Relayed] = {}
        self._group: asyncio.TaskGroup | None = None
        self._service = AdsService(self, deferred=DEFERRED)
        self._beside = beside

    async def serve(self, address: str, *, ready: Callable[[], None] = lambda: None) -> None:
        """Serve Envoys at `unix:PATH` and keep the streams to control; `ready` is called once bound. Never returns."""
        server = GrpcServer([self._service.handler(), *self._beside])
        await server.listen(address)
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for relayed in self._proxies.values():
                    self._start(group, relayed)
                ready()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            await server.close()
            self._save_all()

    def add(self, proxy: str, hosts: Iterable[str] = (), *, resume: bool = True, generation: int = 0) -> None:
        """Relay for that proxy; `hosts` is demand known from before, `generation` that of the Envoy that serves.

        `resume` starts from the last good configuration on disk; without it the proxy is new and waits for control.
        """
        if proxy in self._proxies:
            return
        kept = self._last_good.load(proxy)
        good = kept if resume else ResourceSet()
        state = RelayedProxy(proxy, good=good, hosts=hosts)
        uplink = Uplink(state, self._channels, self._moved)
        relayed = _Relayed(state=state, uplink=uplink, envoys=Envoys(state, generation), saved=good)
        self._proxies[proxy] = relayed
        if self._group is not None:
            self._start(self._group, relayed)

    def remove(self, proxy: str, *, forget: bool = True) -> None:
        """Relay for it no longer; `forget` deletes its last good configuration too."""
        relayed = self._proxies.pop(proxy, None)
        if relayed is not None:
            for task in relayed.tasks:
                task.cancel()
            relayed.envoys.end(f"{proxy} was removed from this machine")
            relayed.moved.notify()
        if forget:
            self._last_good.remove(proxy)
        elif relayed is not None:
            self._last_good.save(proxy, relayed.state.good)

    def detach(self, proxy: str) -> None:
        """The serving Envoy was seen to end: what its stream said counts no longer, whether or not it broke yet."""
        self._proxy(proxy).envoys.end_serving()
        self._moved(proxy)

    def promote(self, proxy: str, generation: int) -> None:
        """The Envoy of that generation serves from now on; the one before is sent everything for as long as it asks."""
        self._proxy(proxy).envoys.promote(generation)
        self._moved(proxy)

    def set_secrets(self, proxy: str, secrets: Mapping[str, Entry]) -> None:
        """Serve these secrets (identity, bundle) to that proxy's Envoy; they replace those given before."""
        self._proxy(proxy).state.set_secrets(secrets)
        self._moved(proxy)

    def holds_secrets(self, proxy: str) -> bool:
        """Whether the proxy's Envoy has acknowledged the secrets set last, as far as it asks for them."""
        relayed = self._proxies.get(proxy)
        return relayed is not None and relayed.state.holds_secrets

    async def demand(self, proxy: str, host: str, limit: float) -> NameRecord | None:
        """The host's record once the proxy's Envoy holds all that belongs to it; None if there is no such name."""
        relayed = self._proxy(proxy)
        state = relayed.state
        state.want(host)
        self._moved(proxy)

        def decided() -> bool:
            return state.found(host) is not None or state.absent(host) or proxy not in self._proxies

        try:
            async with asyncio.timeout(limit):
                await relayed.moved.until(decided)
        except TimeoutError as error:
            away = "" if relayed.uplink.connected else ", and control cannot be reached"
            raise DeadlineError(
                f"{proxy} does not hold what {host} needs after {limit:g} s{away}", "see `plait proxy list`"
            ) from error
        self._proxy(proxy)
        item = state.found(host)
        return name_record(item) if item is not None else None

    async def warm(self, proxy: str, limit: float) -> None:
        """Wait until the proxy's Envoy has acknowledged its configuration; DeadlineError after `limit` seconds.

        Its listeners open a moment later: `/ready` of its administration interface says when.
        """
        relayed = self._proxy(proxy)
        try:
            async with asyncio.timeout(limit):
                await relayed.moved.until(lambda: relayed.state.warm or proxy not in self._proxies)
        except TimeoutError as error:
            state = relayed.state
            reason = "its Envoy has not connected" if not state.attached else relayed.uplink.problem
            raise DeadlineError(
                f"{proxy} is not warm after {limit:g} s: {reason or 'its Envoy has not taken its configuration'}",
                "see `plait proxy logs`",
            ) from error

    async def warm_beside(self, proxy: str, generation: int, limit: float) -> None:
        """Wait until the Envoy of a generation that does not serve yet holds what the serving one holds.

        Raises RefusedError when it refuses what that one took, DeadlineError after `limit` seconds.
        """
        relayed = self._proxy(proxy)
        try:
            async with asyncio.timeout(limit):
                await relayed.moved.until(lambda: relayed.envoys.warm(generation))
        except TimeoutError as error:
            what = "has not taken its configuration" if relayed.envoys.connected(generation) else "has not connected"
            raise DeadlineError(
                f"the new Envoy of {proxy} {what} after {limit:g} s", "see `plait proxy logs`"
            ) from error

    def hosts(self, proxy: str) -> frozenset[str]:
        """The hosts that the proxy holds by demand: to be remembered for its next start."""
        return frozenset(remembered(self._proxy(proxy).state.good))

    def states(self) -> tuple[RelayState, ...]:
        """How every proxy stands."""
        return tuple(
            RelayState(
                proxy=proxy,
                connected=relayed.uplink.connected,
                attached=relayed.state.attached,
                warm=relayed.state.warm,
                refused=tuple((*key, refusal.message) for key, refusal in relayed.state.refused.items()),
                problem=relayed.uplink.problem,
            )
            for proxy, relayed in sorted(self._proxies.items())
        )

    def _proxy(self, proxy: str) -> _Relayed:
        try:
            return self._proxies[proxy]
        except KeyError:
            raise NotFoundError(f"{proxy} is not relayed on this machine", "start it with `plait run`") from None

    def _start(self, group: asyncio.TaskGroup, relayed: _Relayed) -> None:
        work: Sequence[tuple[str, Callable[[], Awaitable[None]]]] = (
            ("uplink", relayed.uplink.run),
            ("last good", lambda: self._keep_saving(relayed)),
        )
        name = relayed.state.proxy
        relayed.tasks = [group.create_task(supervise(f"{what} of {name}", run)) for what, run in work]

    def _moved(self, proxy: str) -> None:
        """Something changed at that proxy: pass on what follows from it."""
        relayed = self._proxies.get(proxy)
        if relayed is None:
            return
        relayed.state.settle()
        relayed.uplink.wake()
        if relayed.state.good is not relayed.saved:
            relayed.unsaved.put(relayed.state.good)
        relayed.wake()

    async def _keep_saving(self, relayed: _Relayed) -> None:
        proxy = relayed.state.proxy
        async for good in relayed.unsaved:
            if good is relayed.saved:
                continue
            try:
                await asyncio.to_thread(self._last_good.save, proxy, good)
            except OSError as error:
                logger.warning("%s: the last good configuration cannot be kept: %s", proxy, error)
            relayed.saved = good
            await asyncio.sleep(_SAVE_PAUSE)

    def _save_all(self) -> None:
        for proxy, relayed in self._proxies.items():
            if relayed.state.good is not relayed.saved:
                self._last_good.save(proxy, relayed.state.good)
                relayed.saved = relayed.state.good

    # the host of the Envoys' streams

    def authorize(self, node_id: str, peer: Peer) -> str:  # noqa: ARG002
        """The socket's permissions say who may connect; here only known proxies are served."""
        if parse_node_id(node_id)[0] not in self._proxies:
            raise ForbiddenError(
                f"{node_id or 'a proxy without a name'} does not run on this machine", "start it first"
            )
        return node_id

    def opened(self, session: Session) -> None:
        """An Envoy opened a stream."""
        proxy, generation = parse_node_id(session.proxy)
        self._proxies[proxy].envoys.opened(session, generation)

    def received(self, session: Session, events: Sequence[Event]) -> None:
        """An Envoy asked or answered."""
        proxy, generation = parse_node_id(session.proxy)
        relayed = self._proxies.get(proxy)
        if relayed is not None and relayed.envoys.received(session, generation, events):
            self._moved(proxy)

    def closed(self, session: Session) -> None:
        """An Envoy's stream ended."""
        proxy, generation = parse_node_id(session.proxy)
        relayed = self._proxies.get(proxy)
        if relayed is not None and relayed.envoys.closed(session, generation):
            self._moved(proxy)
