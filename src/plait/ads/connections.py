"""The proxies connected to control: what each is to hold, what it holds, what it asks for and what it refused.

A relay names a proxy's demand before it asks for anything else, so the first set published for a stream is made for
all of it. A set made for less (demand that came meanwhile) adds and removes nothing: what it lacks may still be
needed. The newest stream of a proxy wins; an older one, half dead, is ended.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final

from plait.ads.server import AdsService, Peer, Session
from plait.ads.stream import Event, Subscribed, Unsubscribed
from plait.aio.signal import Signal
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import NAME
from plait.errors import ForbiddenError
from plait.identity.spiffe import parse_node

DEFERRED: Final = (NAME,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedResource:
    """A resource that a proxy refused, and what it said."""

    type_url: str
    name: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyState:
    """What control knows of a proxy's connection.

    `since` (seconds since 1970) is when `connected` changed last, `sent` how many resources its stream has carried.
    """

    proxy: str
    node: str
    connected: bool
    synced: bool
    refused: tuple[RefusedResource, ...]
    since: float
    sent: int
    demand: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionCallbacks:
    """Who is told, synchronously, what happens; `state` follows whatever may have changed a ProxyState."""

    connect: Callable[[str, str], None]
    """(proxy, node): a stream was opened; its demand, if any, is told next, before anything else."""
    disconnect: Callable[[str], None]
    demand: Callable[[str, frozenset[str]], None]
    """(proxy, hosts): all that it asks for now."""
    state: Callable[[str], None] = lambda _proxy: None


@dataclass(slots=True, kw_only=True)
class _Connection:
    node: str
    since: float
    session: Session | None = None
    published: tuple[ResourceSet, frozenset[str]] | None = None

    @property
    def demand(self) -> frozenset[str]:
        return self.session.stream.names(NAME) if self.session else frozenset()

    @property
    def synced(self) -> bool:
        if self.session is None or self.published is None:
            return False
        return self.demand <= self.published[1] and self.session.stream.in_sync()

    @property
    def refused(self) -> tuple[RefusedResource, ...]:
        if self.session is None:
            return ()
        found = self.session.stream.refusals().items()
        return tuple(RefusedResource(type_url=key[0], name=key[1], message=item.message) for key, item in found)


@dataclass(slots=True, eq=False)
class _Watch:
    """The proxies that moved since somebody looked last."""

    signal: Signal = field(default_factory=Signal)
    moved: set[str] = field(default_factory=set[str])


class Connections:
    """Every proxy that ever opened a stream and was not forgotten."""

    def __init__(
        self,
        *,
        trust_domain: str,
        registered: Callable[[str, str], bool],
        callbacks: ConnectionCallbacks,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`registered(proxy, node)` says whether that workload runs on that machine."""
        self._trust_domain = trust_domain
        self._registered = registered
        self._callbacks = callbacks
        self._clock = clock
        self._connections: dict[str, _Connection] = {}
        self._watches: list[_Watch] = []
        self.service = AdsService(self, deferred=DEFERRED)

    def publish(self, proxy: str, resources: ResourceSet, *, demand: frozenset[str]) -> bool:
        """Bring the proxy to these resources, made for that demand; False if it is not connected.

        Hosts of the demand without a NAME resource are told not to exist.
        """
        connection = self._connections.get(proxy)
        if connection is None or connection.session is None:
            return False
        connection.published = (resources, demand)
        self._apply(connection)
        self._moved(proxy)
        return True

    def demand(self, proxy: str) -> frozenset[str]:
        """The hosts that the proxy asks for now."""
        connection = self._connections.get(proxy)
        return connection.demand if connection else frozenset()

    def connected(self) -> tuple[str, ...]:
        """The proxies with an open stream."""
        return tuple(proxy for proxy, connection in self._connections.items() if connection.session)

    def state(self, proxy: str) -> ProxyState | None:
        """The state of one proxy; None if it never connected."""
        connection = self._connections.get(proxy)
        return _state(proxy, connection) if connection else None

    def states(self) -> tuple[ProxyState, ...]:
        """The state of every proxy, by name."""
        return tuple(_state(proxy, connection) for proxy, connection in sorted(self._connections.items()))

    def refusals(self) -> tuple[tuple[str, RefusedResource], ...]:
        """What is refused at present, by proxy."""
        return tuple(
            (proxy, item) for proxy, connection in sorted(self._connections.items()) for item in connection.refused
        )

    def forget(self, proxy: str) -> None:
        """The workload is gone: end its stream and drop its state."""
        connection = self._connections.pop(proxy, None)
        if connection and connection.session:
            connection.session.end(f"{proxy} is registered no longer")
        self._moved(proxy)

    def send_away(self, reason: str) -> None:
        """End every stream; the proxies come again, here or at another control."""
        for connection in list(self._connections.values()):
            if connection.session is not None:
                connection.session.end(reason)

    async def settled(self, proxies: Collection[str], limit: float) -> frozenset[str]:
        """Wait until these proxies hold what was published for them; those that do not within `limit` seconds."""
        wanted, watch = frozenset(proxies), _Watch()
        self._watches.append(watch)
        missing = self._unsettled(wanted)
        try:
            async with asyncio.timeout(limit):
                while missing:
                    await watch.signal.wait()
                    moved, watch.moved = watch.moved & wanted, set()
                    missing = (missing - moved) | self._unsettled(moved)
        except TimeoutError:
            pass
        finally:
            self._watches.remove(watch)
        return missing

    def _unsettled(self, proxies: Collection[str]) -> frozenset[str]:
        known = self._connections
        return frozenset(proxy for proxy in proxies if proxy not in known or not known[proxy].synced)

    def _moved(self, proxy: str) -> None:
        self._callbacks.state(proxy)
        for watch in self._watches:
            watch.moved.add(proxy)
            watch.signal.notify()

    def _apply(self, connection: _Connection) -> None:
        if connection.session is None or connection.published is None:
            return
        resources, demand = connection.published
        complete = connection.demand <= demand
        connection.session.stream.publish(resources, answered={NAME: demand}, complete=complete)
        connection.session.wake()

    def authorize(self, node_id: str, peer: Peer) -> str:
        """The proxy of that node id, if the machine that certifies itself runs it."""
        node = parse_node(peer.spiffe_id, self._trust_domain)
        if node is None:
            raise ForbiddenError(
                f"{peer.spiffe_id or 'the peer'} is no machine of trust domain {self._trust_domain}",
                "join the machine to this mesh",
            )
        if not self._registered(node_id, node):
            raise ForbiddenError(
                f"workload {node_id or '(unnamed)'} is not registered with machine {node}", "register it first"
            )
        return node_id

    def opened(self, session: Session) -> None:
        """A stream was opened: it replaces the proxy's older one."""
        node = parse_node(session.peer.spiffe_id, self._trust_domain) or ""
        connection = self._connections.get(session.proxy)
        if connection and connection.session:
            connection.session.end("a newer stream took over")
        self._connections[session.proxy] = _Connection(node=node, since=self._clock(), session=session)
        self._callbacks.connect(session.proxy, node)

    def received(self, session: Session, events: Sequence[Event]) -> None:
        """Something happened on a stream."""
        connection = self._connections.get(session.proxy)
        if connection is None or connection.session is not session:
            return
        if any(isinstance(event, Subscribed | Unsubscribed) and event.type_url == NAME for event in events):
            self._apply(connection)
            self._callbacks.demand(session.proxy, connection.demand)
        self._moved(session.proxy)

    def closed(self, session: Session) -> None:
        """A stream ended."""
        connection = self._connections.get(session.proxy)
        if connection is None or connection.session is not session:
            return
        self._connections[session.proxy] = _Connection(node=connection.node, since=self._clock())
        self._callbacks.disconnect(session.proxy)
        self._moved(session.proxy)


def _state(proxy: str, connection: _Connection) -> ProxyState:
    return ProxyState(
        proxy=proxy,
        node=connection.node,
        connected=connection.session is not None,
        synced=connection.synced,
        refused=connection.refused,
        since=connection.since,
        sent=connection.session.stream.resources_sent if connection.session else 0,
        demand=connection.demand,
    )
