"""The server's side of one delta ADS stream, without I/O: requests in, events and responses out.

    receive(request) -> events      publish(resource set)      responses() -> serialised responses to write now

Additions go in `PUSH_STAGES` order: a stage is sent once the peer has acknowledged (or refused) the ones before
it, so that nothing refers to what is not there yet. Removals come last, referrers first. A type that the peer
does not subscribe to, or names that it does not ask for, hold nothing up: there is nothing to send. New endpoints
of a cluster that the peer knows never wait and never make others wait. A relay, which asks for NAME first, gets
nothing before it has asked for every type.

Versions are content hashes, so what a reconnecting peer holds (`initial_resource_versions`) is not sent again, and
what vanished meanwhile is removed. A changed cluster gets its endpoints again: Envoy warms it until they come and
does not ask. While a peer keeps an older version because it refused the newer, nothing that the older one may
refer to is removed.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.responses import Responses
from plait.ads.subscription import ABSENT, Refusal, Subscription
from plait.envoy.resource_set import Entry, ResourceSet
from plait.envoy.types import (
    ALL_TYPES,
    CLUSTER,
    ENDPOINT,
    ENVOY_TYPES,
    LISTENER,
    NAME,
    PUSH_STAGES,
    ROUTE,
    SCOPE,
    SECRET,
)

REMOVAL_ORDER: Final = (NAME, SCOPE, LISTENER, ROUTE, CLUSTER, ENDPOINT, SECRET)
_REFERRERS: Final = {
    ROUTE: (LISTENER, SCOPE),
    CLUSTER: (LISTENER, SCOPE, ROUTE),
    ENDPOINT: (LISTENER, SCOPE, ROUTE, CLUSTER),
    SECRET: (LISTENER, SCOPE, ROUTE, CLUSTER),
}
_WHOLESALE_FIRST: Final = (ENDPOINT, SECRET, ROUTE)
"""Types that others refer to: who takes all of them gets them before those others, within their stage."""
NO_ANSWERS: Final[Mapping[str, Collection[str]]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """The peer asked for names, or (wildcard) for everything of the type."""

    type_url: str
    names: tuple[str, ...]
    wildcard: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribed:
    """The peer asked no longer for these names."""

    type_url: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The peer took a response with these names."""

    type_url: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The peer refused this version of a resource, and what it said."""

    type_url: str
    name: str
    version: str
    message: str


Event = Subscribed | Unsubscribed | Acknowledged | Refused


class DeltaStream:
    """The state of one delta stream."""

    def __init__(self, *, deferred: Collection[str] = (), responses: Responses | None = None) -> None:
        """`responses` are those that this stream shares with others."""
        self._subscriptions = {url: Subscription(url, deferred=url in deferred) for url in ALL_TYPES}
        self._responses = responses or Responses()
        self._published = False
        self._complete = False
        self._asked_for_all = False
        self._still = False
        self._synced: bool | None = None
        self.resources_sent = 0

    def receive(self, request: discovery_pb2.DeltaDiscoveryRequest) -> tuple[Event, ...]:
        """Take a request of the peer; requests for types that are not served are ignored."""
        subscription = self._subscriptions.get(request.type_url)
        if subscription is None:
            return ()
        self._stir()
        events: list[Event] = []
        if request.response_nonce:
            events.extend(_answer(subscription, request))
        events.extend(_interest(subscription, request))
        return tuple(events)

    def publish(
        self,
        resources: ResourceSet,
        *,
        answered: Mapping[str, Collection[str]] = NO_ANSWERS,
        known: Collection[str] = ALL_TYPES,
        complete: bool = True,
    ) -> None:
        """Make this the state to bring the peer to.

        `answered` are the names of deferred types that were looked for; `known` the types of which anything is
        known; a set that is not `complete` removes nothing.
        """
        self._published, self._complete = True, complete
        self._stir()
        for url, subscription in self._subscriptions.items():
            subscription.publish(resources.of(url), answered=answered.get(url, ()), known=url in known)

    def responses(self) -> list[bytes]:
        """The responses to write now, each serialised; what they carry counts as sent."""
        if self._still or not self._published or self._opening:
            return []
        written = [*self._denials(), *self._additions()]
        if self._complete and not any(subscription.blocks for subscription in self._subscriptions.values()):
            written.extend(self._removals())
        self._still, self._synced = not written, None
        return written

    def _stir(self) -> None:
        """Something happened: there may be something to write."""
        self._still, self._synced = False, None

    def in_sync(self, through: str | None = None) -> bool:
        """Whether the peer holds everything it asked for, as far as it did not refuse it.

        With a type: whether the stages up to that type's would let the next stage go.
        """
        if not self._published or self._opening:
            return False
        if through is None:
            if self._synced is None:
                self._synced = not any(item.pending or self._unsent(item) for item in self._all())
            return self._synced
        return not any(self._subscriptions[url].blocks for url in stages_through(through))

    def confirmed(self, type_url: str, versions: Mapping[str, str]) -> bool:
        """Whether nothing more is to come of the peer for these: it holds them, or does not ask for them.

        A version that is no longer the published one counts as confirmed; ABSENT asks for a removal.
        """
        subscription = self._subscriptions[type_url]
        removing = bool(self._removable(subscription)) or any(sent.removal for sent in subscription.pending.values())
        return not any(
            removing if version == ABSENT else subscription.held.get(name) != version
            for name, version in versions.items()
            if subscription.wants(name) and subscription.version(name) == version
        )

    def subscribes(self, type_url: str) -> bool:
        """Whether the peer has asked for anything of that type."""
        return self._subscriptions[type_url].active

    def names(self, type_url: str) -> frozenset[str]:
        """The names of that type that the peer asks for."""
        return frozenset(self._subscriptions[type_url].names)

    def refusals(self) -> Mapping[tuple[str, str], Refusal]:
        """What the peer refuses at present, by type and name."""
        return {(item.type_url, name): refusal for item in self._all() for name, refusal in item.refused.items()}

    @property
    def _opening(self) -> bool:
        """Whether nothing was asked for yet, or a relay (who else asks for NAME) has not named every type."""
        if self._asked_for_all:
            return False
        asked = {subscription.type_url for subscription in self._all() if subscription.active}
        self._asked_for_all = asked.issuperset(ENVOY_TYPES)
        return not asked or (NAME in asked and not self._asked_for_all)

    def _all(self) -> Iterable[Subscription]:
        return self._subscriptions.values()

    def _unsent(self, subscription: Subscription) -> bool:
        changes = subscription.changes()
        return bool(changes.add or changes.deny or subscription.must_reply or self._removable(subscription))

    def _denials(self) -> Iterator[bytes]:
        for subscription in self._all():
            deny = subscription.changes().deny
            if deny and subscription.may_send:
                yield self._write(subscription, (), deny)

    def _additions(self) -> Iterator[bytes]:
        for stage in PUSH_STAGES:
            subscriptions = [self._subscriptions[url] for url in stage]
            subscriptions.sort(key=lambda item: not (item.wildcard and item.type_url in _WHOLESALE_FIRST))
            for subscription in subscriptions:
                if subscription.may_send and (subscription.changes().add or subscription.must_reply):
                    yield self._write(subscription, subscription.next_additions())
            if any(subscription.blocks for subscription in subscriptions):
                return

    def _removals(self) -> Iterator[bytes]:
        for url in REMOVAL_ORDER:
            subscription = self._subscriptions[url]
            gone = self._removable(subscription)
            if gone and subscription.may_send:
                yield self._write(subscription, (), gone, removal=True)
            if gone or any(sent.removal for sent in subscription.pending.values()):
                return

    def _removable(self, subscription: Subscription) -> tuple[str, ...]:
        gone = subscription.changes().remove
        if not gone or not self._complete or any(map(self._pins, _REFERRERS.get(subscription.type_url, ()))):
            return ()
        return gone

    def _pins(self, type_url: str) -> bool:
        subscription = self._subscriptions[type_url]
        return any(name in subscription.held for name in subscription.refused)

    def _write(
        self, subscription: Subscription, add: tuple[Entry, ...], gone: tuple[str, ...] = (), *, removal: bool = False
    ) -> bytes:
        nonce, wire = self._responses.get(subscription.type_url, add, gone, unlike=subscription.pending)
        if subscription.type_url == CLUSTER:
            self._subscriptions[ENDPOINT].owe(item.name for item in add)
        subscription.mark_sent(nonce, add, gone, removal=removal)
        self.resources_sent += len(add)
        return wire


def stages_through(type_url: str) -> tuple[str, ...]:
    """The types of the push stages up to and including the stage of that type."""
    last = next(index for index, stage in enumerate(PUSH_STAGES) if type_url in stage)
    return tuple(url for stage in PUSH_STAGES[: last + 1] for url in stage)


def _answer(subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> Iterator[Event]:
    url, nonce = request.type_url, request.response_nonce
    if request.HasField("error_detail"):
        message = request.error_detail.message
        for name in subscription.refuse(nonce, message):
            version = subscription.refused[name].version
            yield Refused(type_url=url, name=name, version=version, message=message)
        return
    sent = subscription.acknowledge(nonce)
    if sent is not None:
        yield Acknowledged(type_url=url, names=tuple(sent.versions))


def _interest(subscription: Subscription, request: discovery_pb2.DeltaDiscoveryRequest) -> Iterator[Event]:
    url = request.type_url
    first, asked = not subscription.active, tuple(request.resource_names_subscribe)
    if first or asked:
        subscription.subscribe(asked, request.initial_resource_versions)
        names = tuple(name for name in asked if name != "*")
        yield Subscribed(type_url=url, names=names, wildcard=subscription.wildcard)
    dropped = tuple(request.resource_names_unsubscribe)
    if dropped:
        subscription.unsubscribe(dropped)
        yield Unsubscribed(type_url=url, names=dropped)
