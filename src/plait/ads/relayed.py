"""One proxy between control and its Envoy, without I/O: what came, what is in force, what is acknowledged.

    target    what control sent last
    good      the part of it that Envoy confirmed; this is what is kept on disk and told to control on reconnecting
    refused   versions that Envoy refused; in their place it is served what is good, or nothing

A response of control is acknowledged when Envoy holds what was in it and everything that must come before: its own
stage and the stages before it. It is refused if Envoy refused something in it, with Envoy's words. So a stage that
control sees acknowledged is in force, and a NAME, the last stage, arrives when all that its host needs is there.

Without Envoy nothing is acknowledged; without control everything good is served on.

A route or a direct cluster that Envoy asks for by name is demand for what it leads to, and is denied only when control
says that there is nothing. Addresses that lead nowhere are served too, but only the latest are kept.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.demanding import DEMANDING
from plait.ads.last_good import entries
from plait.ads.name_record import is_nowhere, remembered
from plait.ads.recent import Recent
from plait.ads.stream import DeltaStream, Event, Refused, Subscribed
from plait.ads.subscription import ABSENT, Refusal
from plait.envoy.resource_set import EMPTY, Entry, ResourceSet
from plait.envoy.types import CLUSTER, ENVOY_TYPES, LISTENER, NAME, PUSH_STAGES, SCOPE, SECRET

UNCONFIRMED: Final = "unconfirmed"
"""The version told to control for what was received and not confirmed: control sends it again, or removes it."""
_REMEMBERED: Final = 256
"""Names that do not exist, addresses that lead nowhere, and names wanted while control is away: of each the latest."""
_ALWAYS_ASKED: Final = (CLUSTER, LISTENER)

Request = discovery_pb2.DeltaDiscoveryRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A response of control that is not answered yet."""

    nonce: str
    type_url: str
    added: Mapping[str, Entry]
    removed: tuple[str, ...]

    @property
    def versions(self) -> Mapping[str, str]:
        """What must be held for it to be in force, ABSENT for what must be gone."""
        return {name: item.version for name, item in self.added.items()} | dict.fromkeys(self.removed, ABSENT)


class RelayedProxy:
    """The state of one proxy at its relay."""

    def __init__(self, proxy: str, *, good: ResourceSet, hosts: Iterable[str] = ()) -> None:
        self.proxy = proxy
        self.connected = False
        self.good = good.replaced(NAME, remembered(good))
        self.demand: set[str] = {*hosts, *self.good.of(NAME)}
        self.refused: dict[tuple[str, str], Refusal] = {}
        self._target = self.good
        self._known: set[str] = {SECRET, *good.types}
        self._extra: Mapping[str, Entry] = EMPTY
        self._served = ResourceSet()
        self._absent = Recent(_REMEMBERED)
        self._nowhere = Recent(_REMEMBERED)
        self._unasked = Recent(_REMEMBERED)
        self._local: DeltaStream | None = None
        self._beside: list[DeltaStream] = []
        self._unanswered: list[Received] = []
        self._outbox: list[Request] = []
        self._serve(*ENVOY_TYPES)

    # towards control

    def connect(self) -> list[Request]:
        """The requests that open a stream to control: demand first, so that the first answer covers it."""
        self.connected = True
        self._unasked.clear()
        first = Request(type_url=NAME, resource_names_subscribe=sorted(self.demand))
        first.node.id = self.proxy
        requests = [first, *(Request(type_url=url, resource_names_subscribe=["*"]) for url in ENVOY_TYPES)]
        for request in requests:
            request.initial_resource_versions.update(self._holds(request.type_url))
        return requests

    def disconnect(self) -> None:
        """The stream to control ended."""
        self.connected = False
        self._unanswered.clear()
        self._outbox.clear()
        self._absent.clear()

    def receive(self, response: discovery_pb2.DeltaDiscoveryResponse) -> None:
        """Take a response of control and serve what is in it."""
        url, added, removed = response.type_url, entries(response), tuple(response.removed_resources)
        self._unanswered.append(Received(nonce=response.nonce, type_url=url, added=added, removed=removed))
        self._target = _changed(self._target, url, added, removed)
        self._known.add(url)
        if url == NAME:
            self._note_absent(added, removed)
            self._note_nowhere(added, removed)
        target = self._target.of(url)
        for key in [key for key in self.refused if key[0] == url]:
            if key[1] not in target or target[key[1]].version != self.refused[key].version:
                del self.refused[key]
        self._serve(url)
        self._publish()

    def settle(self) -> None:
        """Answer every response of control that Envoy has decided by now."""
        waiting: list[Received] = []
        for received in self._unanswered:
            problem = self._problem(received)
            if problem:
                request = Request(type_url=received.type_url, response_nonce=received.nonce)
                request.error_detail.code = 13
                request.error_detail.message = problem
                self._outbox.append(request)
            elif self._confirmed(received):
                self.good = _changed(self.good, received.type_url, received.added, received.removed)
                self._outbox.append(Request(type_url=received.type_url, response_nonce=received.nonce))
            else:
                waiting.append(received)
        self._unanswered = waiting

    def requests(self) -> list[Request]:
        """The requests to write to control now."""
        written, self._outbox = self._outbox, []
        return written

    # towards Envoy

    def attach(self, stream: DeltaStream) -> None:
        """The serving Envoy opened this stream, or an Envoy beside it with this stream begins to serve."""
        self.detach_beside(stream)
        self._local = stream
        self._publish()

    def detach(self) -> None:
        """The serving Envoy's stream ended."""
        self._local = None

    def attach_beside(self, stream: DeltaStream) -> None:
        """An Envoy that serves not yet, or no longer: it is sent the same, and nothing it answers counts."""
        self._beside.append(stream)
        self._publish()

    def detach_beside(self, stream: DeltaStream) -> None:
        """The stream of an Envoy beside ended."""
        self._beside = [other for other in self._beside if other is not stream]

    def observe(self, events: Sequence[Event]) -> None:
        """Take what Envoy did: refusals are kept; a route or a direct cluster asked for is demand for its host."""
        for event in events:
            match event:
                case Refused(type_url=url, name=name, version=version, message=message):
                    self.refused[url, name] = Refusal(version=version, message=message)
                    self._serve(url)
                    self._publish()
                case Subscribed(type_url=url, names=asked) if url in DEMANDING:
                    for host in map(DEMANDING[url], asked):
                        if host is not None:
                            self.want(host)
                    self._publish()
                case _:
                    pass

    def set_secrets(self, secrets: Mapping[str, Entry]) -> None:
        """Serve these secrets beside control's: they are the machine's own and never leave it."""
        self._extra = dict(secrets)
        self._serve(SECRET)
        self._publish()

    # demand

    def want(self, host: str) -> None:
        """Make the host part of what the proxy holds."""
        if host not in self.demand:
            self.demand.add(host)
            if self.connected:
                self._outbox.append(Request(type_url=NAME, resource_names_subscribe=[host]))
            else:
                self.demand.difference_update(self._unasked.add([host]))

    def found(self, host: str) -> Entry | None:
        """The host's NAME resource, once Envoy holds all that belongs to it."""
        return self.good.of(NAME).get(host)

    def absent(self, host: str) -> bool:
        """Whether control, which is there, says that no such name exists."""
        return self.connected and host in self._absent

    @property
    def attached(self) -> bool:
        """Whether Envoy is connected."""
        return self._local is not None

    @property
    def warm(self) -> bool:
        """Whether Envoy holds all of a configuration that has every type in it."""
        return self._local is not None and self.warm_at(self._local)

    def warm_at(self, stream: DeltaStream) -> bool:
        """The same of the Envoy with this stream."""
        known = self._known.issuperset(ENVOY_TYPES)
        return known and all(map(stream.subscribes, _ALWAYS_ASKED)) and stream.in_sync()

    @property
    def holds_secrets(self) -> bool:
        """Whether Envoy, which is connected, holds the machine's own secrets as they are now."""
        if self._local is None or not all(map(self._local.subscribes, _ALWAYS_ASKED)):
            return False
        return self._local.confirmed(SECRET, {name: item.version for name, item in self._extra.items()})

    def _holds(self, url: str) -> Mapping[str, str]:
        confirmed = {name: item.version for name, item in self.good.of(url).items()}
        return dict.fromkeys(self._target.of(url), UNCONFIRMED) | confirmed

    def _note_absent(self, added: Mapping[str, Entry], removed: Iterable[str]) -> None:
        self._absent.discard(added)
        self._let_go(self._absent.add(removed))

    def _note_nowhere(self, added: Mapping[str, Entry], removed: Iterable[str]) -> None:
        """Let go of the oldest addresses that lead nowhere, so that a port scan does not grow without limit."""
        self._nowhere.discard((*added, *removed))
        oldest = self._nowhere.add(host for host, item in added.items() if is_nowhere(item))
        self._let_go(oldest)
        if oldest:
            self._target, self.good = (_changed(held, NAME, {}, oldest) for held in (self._target, self.good))

    def _let_go(self, hosts: Sequence[str]) -> None:
        if hosts:
            self._outbox.append(Request(type_url=NAME, resource_names_unsubscribe=hosts))
            self.demand.difference_update(hosts)

    def _problem(self, received: Received) -> str:
        """What Envoy said against this response; empty if nothing."""
        found = ((item, self.refused.get((received.type_url, item.name))) for item in received.added.values())
        return "; ".join(
            refusal.message if item.name in refusal.message else f"{item.name}: {refusal.message}"
            for item, refusal in found
            if refusal is not None and refusal.version == item.version
        )

    def _confirmed(self, received: Received) -> bool:
        url = received.type_url
        if not received.added and (url == NAME or not received.removed):
            return True
        if self._local is None:
            return False
        asked = (CLUSTER,) if url in PUSH_STAGES[0] else _ALWAYS_ASKED
        if not all(map(self._local.subscribes, asked)):
            return False
        if url == NAME:
            return self._local.in_sync(through=SCOPE)
        return self._local.in_sync(through=url) and self._local.confirmed(url, received.versions)

    def _serve(self, *types: str) -> None:
        """Renew what Envoy is served of these types."""
        for url in types:
            if url == NAME:
                continue
            served = dict(self._target.of(url))
            for (refused_url, name), refusal in self.refused.items():
                if refused_url == url and name in served and served[name].version == refusal.version:
                    del served[name]
                    if name in self.good.of(url):
                        served[name] = self.good.of(url)[name]
            if url == SECRET:
                served.update(self._extra)
            self._served = self._served.replaced(url, served)

    def _publish(self) -> None:
        for stream in (*([self._local] if self._local is not None else ()), *self._beside):
            answered = {url: frozenset(filter(self._denied(url), stream.names(url))) for url in DEMANDING}
            stream.publish(self._served, answered=answered, known=frozenset(self._known))

    def _denied(self, url: str) -> Callable[[str], bool]:
        """Whether a name of that type that Envoy asks for is known to lead nowhere."""
        host_of = DEMANDING[url]

        def denied(name: str) -> bool:
            host = host_of(name)
            return host in self._absent if host in self.demand else url == CLUSTER

        return denied


def _changed(current: ResourceSet, url: str, added: Mapping[str, Entry], removed: Iterable[str]) -> ResourceSet:
    items = {**current.of(url), **added}
    for name in removed:
        items.pop(name, None)
    return current.replaced(url, items)
