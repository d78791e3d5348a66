"""What callers are told of the servers behind a cluster: never more than the servers' own proxies hold already.

A server whose sidecar passes bytes decides by connection, so a change of how it treats a port ends the connections
that are open when its listener has drained. Callers renew theirs when their cluster changes, without losing a request;
a connection renewed before the server has changed would be ended all the same. Therefore callers' clusters follow when
the proxies behind them have acknowledged, or after `LIMIT`, which is well below the listener's drain time. A server
that changes again meanwhile is waited for anew, up to `MOST` times, so that changes without end keep nobody waiting.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from plait.aio.signal import Condition
from plait.model.ids import ObjectName
from plait.model.snapshot import Snapshot
from plait.model.traffic import ClusterKey
from plait.model.view import ServerPort
from plait.snapshot.inbound import distinct, server_ports
from plait.snapshot.touched import Touched

LIMIT: Final = 0.5
"""Seconds after which callers no longer wait for a server that has not acknowledged."""
MOST: Final = 2
"""How often a wait begins before callers follow all the same: together they are the default of the drain time that a
machine sets (`PLAIT_DRAIN_TIME`). A longer one only leaves more room; 0 cuts connections before callers know."""

Ports = tuple[ServerPort, ...]
Later = Callable[[float, Callable[[], None]], object]
"""Calls a function after so many seconds."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A cluster whose callers wait for these proxies, and how often that began."""

    proxies: set[str] = field(default_factory=set[str])
    begun: int = 0


def _at_once(_seconds: float, function: Callable[[], None]) -> None:
    function()


class Servers:
    """How the servers behind the clusters in use treat their ports, as callers may know it.

    `settled` says whether a proxy holds all that it was sent, and is owed nothing; `moved` is to be called when that
    may have become true, and `released` is told of the clusters whose callers are to be brought up to date.
    """

    def __init__(self, settled: Callable[[str], bool] = lambda _proxy: True, later: Later = _at_once) -> None:
        self.released: Callable[[Iterable[ClusterKey]], None] = lambda _keys: None
        self._settled = settled
        self._later = later
        self._snapshot: Snapshot | None = None
        self._told: dict[ClusterKey, Ports] = {}
        self._ports: dict[ObjectName, dict[int, ServerPort]] = {}
        self._names_of: dict[ClusterKey, tuple[ObjectName, ...]] = {}
        self._keys_of: dict[ObjectName, set[ClusterKey]] = {}
        self._waiting: dict[ClusterKey, _Waiting] = {}
        self._finished = Condition()

    def behind(self, snapshot: Snapshot, key: ClusterKey) -> Ports:
        """What callers are told of a cluster; from now on it is followed."""
        told = self._told.get(key)
        if told is None:
            told = self._told[key] = self._now(snapshot, key)
            self._follow(snapshot, key)
        return told

    def update(self, snapshot: Snapshot, touched: Touched, *, used: Callable[[ClusterKey], bool]) -> None:
        """Move on to a new snapshot, whose changes the servers have been or are being sent."""
        self._snapshot = snapshot
        self._forget_ports(snapshot, touched)
        for key in self._concerned(snapshot, touched):
            if not used(key):
                self._drop(key)
                continue
            if key in touched.servers:
                self._follow(snapshot, key)
            if key in self._waiting or self._now(snapshot, key) != self._told[key]:
                self._wait(snapshot, key)

    def moved(self, proxy: str) -> None:
        """The state of a proxy's stream changed."""
        concerned = [key for key, waiting in self._waiting.items() if proxy in waiting.proxies]
        if not concerned or not self._settled(proxy):
            return
        for key in concerned:
            self._waiting[key].proxies.discard(proxy)
        self._release([key for key in concerned if not self._waiting[key].proxies])

    async def followed(self) -> None:
        """Return once the callers that wait to follow a server have done so, whoever else waits by then."""
        before = set(self._waiting.values())
        await self._finished.until(lambda: before.isdisjoint(self._waiting.values()))

    def _now(self, snapshot: Snapshot, key: ClusterKey) -> Ports:
        found = (self._ports_of(snapshot, name).get(port) for name, port in snapshot.behind.get(key, ()))
        return distinct(item for item in found if item is not None)

    def _ports_of(self, snapshot: Snapshot, name: ObjectName) -> dict[int, ServerPort]:
        ports = self._ports.get(name)
        if ports is None:
            ports = self._ports[name] = server_ports(snapshot, name)
        return ports

    def _forget_ports(self, snapshot: Snapshot, touched: Touched) -> None:
        if snapshot.root_namespace in touched.policies or touched.everyone:
            self._ports.clear()
            return
        for name in touched.workloads:
            self._ports.pop(name, None)
        if touched.policies:
            self._ports = {name: item for name, item in self._ports.items() if name.namespace not in touched.policies}

    def _concerned(self, snapshot: Snapshot, touched: Touched) -> set[ClusterKey]:
        """The followed clusters with a workload whose ports may be treated otherwise, or with other workloads."""
        if snapshot.root_namespace in touched.policies or touched.everyone:
            return set(self._told)
        names = {name for name in self._keys_of if name.namespace in touched.policies} | touched.workloads
        found = {key for name in names for key in self._keys_of.get(name, ())}
        return found | (touched.servers & self._told.keys())

    def _follow(self, snapshot: Snapshot, key: ClusterKey) -> None:
        self._unfollow(key)
        self._names_of[key] = tuple(dict.fromkeys(name for name, _ in snapshot.behind.get(key, ())))
        for name in self._names_of[key]:
            self._keys_of.setdefault(name, set()).add(key)

    def _unfollow(self, key: ClusterKey) -> None:
        for name in self._names_of.pop(key, ()):
            self._keys_of[name].discard(key)
            if not self._keys_of[name]:
                del self._keys_of[name]

    def _drop(self, key: ClusterKey) -> None:
        self._told.pop(key, None)
        self._unfollow(key)
        if self._waiting.pop(key, None) is not None:
            self._finished.notify()

    def _wait(self, snapshot: Snapshot, key: ClusterKey) -> None:
        ready = {name for name, _ in snapshot.behind.get(key, ()) if snapshot.workloads[name].ready}
        waiting = self._waiting.setdefault(key, _Waiting())
        waiting.proxies = {str(name) for name in ready if not self._settled(str(name))}
        if not waiting.proxies:
            self._release([key])
        elif waiting.begun < MOST:
            waiting.begun += 1
            self._later(LIMIT, partial(self._time_is_up, key, waiting, waiting.begun))

    def _time_is_up(self, key: ClusterKey, waiting: _Waiting, begun: int) -> None:
        if self._waiting.get(key) is waiting and waiting.begun == begun:
            self._release([key])

    def _release(self, keys: Iterable[ClusterKey]) -> None:
        changed: list[ClusterKey] = []
        for key in keys:
            del self._waiting[key]
            now = self._now(self._snapshot, key) if self._snapshot else ()
            if now != self._told.get(key):
                self._told[key] = now
                changed.append(key)
        if changed:
            self.released(changed)
        self._finished.notify()
