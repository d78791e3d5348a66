"""One endpoint's change, written for ten proxies by protocol objects in this process: no sockets, no threads."""

from envoy.service.discovery.v3 import discovery_pb2

from bench import control
from bench.rows import Row
from plait.ads.stream import DeltaStream
from plait.controlplane.publisher import Publisher
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER, ENDPOINT, LISTENER, NAME, ROUTE, SCOPE, SECRET
from plait.snapshot.build import Builder

WHOLESALE = (CLUSTER, ENDPOINT, SECRET, LISTENER, ROUTE, SCOPE)
Request = discovery_pb2.DeltaDiscoveryRequest


def subscriptions(host: str) -> list[Request]:
    """What a relay asks for first: the hosts its proxy calls, then everything in its view."""
    first = Request(type_url=NAME, resource_names_subscribe=[host])
    return [first, *(Request(type_url=url, resource_names_subscribe=["*"]) for url in WHOLESALE)]


def answer(response: discovery_pb2.DeltaDiscoveryResponse) -> Request:
    """The acknowledgement of a response."""
    return Request(type_url=response.type_url, response_nonce=response.nonce)


class Subscribers:
    """Ten streams that hold what the publisher sends, and count the endpoint sets that were written."""

    def __init__(self, builder: Builder) -> None:
        self.streams: dict[str, DeltaStream] = {}
        self.written = 0
        self.publisher = Publisher(self._send, builder.snapshot)
        for proxy, node in control.callers():
            stream = self.streams[proxy] = DeltaStream(deferred=(NAME,))
            for request in subscriptions(control.CALLED):
                stream.receive(request)
            self.publisher.connect(proxy, node)
            self.publisher.demand(proxy, frozenset([control.CALLED]))
        self.settle()

    def settle(self) -> None:
        """Write and acknowledge until every stream rests."""
        for stream in self.streams.values():
            while written := stream.responses():
                for wire in written:
                    response = discovery_pb2.DeltaDiscoveryResponse.FromString(wire)
                    self.written += response.type_url == ENDPOINT
                    stream.receive(answer(response))

    def _send(self, proxy: str, resources: ResourceSet, demand: frozenset[str]) -> None:
        self.streams[proxy].publish(resources, answered={NAME: demand})


def one_endpoint(builder: Builder) -> Row:
    """The row of one endpoint's change; reading and acknowledging by the ten proxies is in the figure."""
    subscribers = Subscribers(builder)
    readings: list[float] = []
    for number in range(control.CHANGES):
        before = subscribers.written

        def change(revision: int = number) -> None:
            control.take(builder, subscribers.publisher, revision, ready=revision % 2 == 1)
            subscribers.settle()

        readings.append(control.cpu_of(change))
        if subscribers.written != before + control.CALLERS:
            raise AssertionError(f"{subscribers.written - before} endpoint sets were written, not {control.CALLERS}")
    return control.change_row(f"control: one endpoint changed, written for {control.CALLERS} proxies", readings)
