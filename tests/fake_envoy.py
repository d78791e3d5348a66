"""A peer of a delta stream that behaves as Envoy does, driven step by step and without I/O.

It takes what the stream writes, keeps it, and answers when told to: `ack`, or `nack` of what the test calls bad.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from envoy.service.discovery.v3 import discovery_pb2

from plait.ads.stream import DeltaStream, Event
from plait.envoy.resource_set import Entry, ResourceSet, entry, resource_set
from plait.envoy.types import CLUSTER, LISTENER, SCOPE

Resource = tuple[str, Entry]


def made(type_url: str, name: str, content: str = "1") -> tuple[str, Entry]:
    """A resource whose bytes are its name and any content."""
    return type_url, entry(name, type_url, f"{name}={content}".encode())


def made_set(*resources: tuple[str, Entry]) -> ResourceSet:
    """A set of such resources."""
    return resource_set(resources)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A response as the peer sees it."""

    type_url: str
    nonce: str
    versions: dict[str, str]
    removed: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.versions)


def nothing_is_bad(_url: str, _name: str, _version: str) -> bool:
    """Every resource is taken."""
    return False


def everything_is_bad(_url: str, _name: str, _version: str) -> bool:
    """Every resource is refused."""
    return True


class FakeEnvoy:
    """One connection of a peer to a stream; `held` survives into the next one by `reconnect`."""

    def __init__(self, stream: DeltaStream) -> None:
        self.stream = stream
        self.held: dict[str, dict[str, str]] = {}
        self.unanswered: list[Received] = []
        self.events: list[Event] = []
        self.received: list[Received] = []

    def request(self, type_url: str, **fields: Any) -> "FakeEnvoy":
        """Send a request with these fields."""
        request = discovery_pb2.DeltaDiscoveryRequest(type_url=type_url, **fields)
        self.events.extend(self.stream.receive(request))
        return self

    def subscribe(self, type_url: str, *names: str) -> "FakeEnvoy":
        """Ask for names; with none, for everything."""
        return self.request(type_url, resource_names_subscribe=names)

    def unsubscribe(self, type_url: str, *names: str) -> "FakeEnvoy":
        """Ask for names no longer."""
        for name in names:
            self.held.get(type_url, {}).pop(name, None)
        return self.request(type_url, resource_names_unsubscribe=names)

    def subscribe_all(self, types: Iterable[str] = (CLUSTER, LISTENER, SCOPE)) -> "FakeEnvoy":
        """Ask for everything of the types that Envoy takes wholesale."""
        for url in types:
            self.subscribe(url)
        return self

    def receive(self) -> list[Received]:
        """Take what the stream writes now."""
        new: list[Received] = []
        for wire in self.stream.responses():
            response = discovery_pb2.DeltaDiscoveryResponse.FromString(wire)
            versions = {resource.name: resource.version for resource in response.resources}
            assert len(versions) == len(response.resources), "a response names a resource twice"
            removed = tuple(response.removed_resources)
            assert not versions.keys() & set(removed)
            received = Received(type_url=response.type_url, nonce=response.nonce, versions=versions, removed=removed)
            new.append(received)
        self.unanswered.extend(new)
        self.received.extend(new)
        return new

    def ack(self, received: Received | None = None) -> "FakeEnvoy":
        """Take the oldest (or that) unanswered response."""
        received = self._answered(received)
        held = self.held.setdefault(received.type_url, {})
        held.update(received.versions)
        for name in received.removed:
            held.pop(name, None)
        return self.request(received.type_url, response_nonce=received.nonce)

    def nack(self, message: str = "no good", received: Received | None = None) -> "FakeEnvoy":
        """Refuse the oldest (or that) unanswered response as a whole."""
        received = self._answered(received)
        return self.request(
            received.type_url, response_nonce=received.nonce, error_detail={"code": 13, "message": message}
        )

    def _answered(self, received: Received | None) -> Received:
        received = received or self.unanswered[0]
        self.unanswered.remove(received)
        return received

    def settle(self, bad: Callable[[str, str, str], bool] = nothing_is_bad) -> list[Received]:
        """Take and answer until nothing more comes; what is `bad(type, name, version)` gets its response refused."""
        taken: list[Received] = []
        for _ in range(1000):
            taken.extend(self.receive())
            if not self.unanswered:
                return taken
            first = self.unanswered[0]
            if any(bad(first.type_url, name, version) for name, version in first.versions.items()):
                self.nack(f"bad: {', '.join(first.names)}")
            else:
                self.ack()
        raise AssertionError("the stream never comes to rest")

    def publish(self, *resources: tuple[str, Entry], **options: Any) -> "FakeEnvoy":
        """Publish a set of these resources on the stream."""
        self.stream.publish(made_set(*resources), **options)
        return self

    def expect_nothing(self) -> None:
        """Nothing is written now."""
        assert self.receive() == []

    def expect(self, type_url: str, names: Collection[str], removed: Collection[str] = ()) -> Received:
        """Exactly one response comes now: of that type, with these names."""
        received = self.receive()
        seen = [(item.type_url, set(item.names), set(item.removed)) for item in received]
        assert seen == [(type_url, set(names), set(removed))]
        return received[0]

    def reconnect(self, stream: DeltaStream, subscriptions: dict[str, tuple[str, ...]]) -> "FakeEnvoy":
        """Open another stream with what is held: each type with the names it asks for (`*` for all)."""
        again = FakeEnvoy(stream)
        again.held = {url: dict(versions) for url, versions in self.held.items()}
        for url, names in subscriptions.items():
            again.request(url, resource_names_subscribe=names, initial_resource_versions=dict(self.held.get(url, {})))
        return again
