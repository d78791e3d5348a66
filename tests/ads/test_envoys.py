"""The Envoys of one proxy: all are sent the same, and only what the serving one answers counts."""

import asyncio

import pytest

from plait.ads.envoys import Envoys
from plait.ads.relayed import RelayedProxy
from plait.ads.server import Peer, Session
from plait.ads.stream import DeltaStream, Refused
from plait.envoy.bootstrap import node_id, parse_node_id
from plait.envoy.resource_set import ResourceSet
from plait.envoy.types import CLUSTER


def session(generation: int) -> Session:
    """A stream of the Envoy of that generation."""
    return Session(proxy=node_id("default/web", generation), peer=Peer(spiffe_id="", address=""), stream=DeltaStream())


def refusal() -> Refused:
    """What an Envoy says against a cluster."""
    return Refused(type_url=CLUSTER, name="outbound", version="1", message="unknown field")


@pytest.mark.parametrize(("proxy", "generation"), [("default/web", 0), ("default/web", 1), ("a/b", 12)])
def test_node_ids_tell_generations_apart(proxy: str, generation: int) -> None:
    """A node id says whose Envoy it is and of which generation."""
    assert parse_node_id(node_id(proxy, generation)) == (proxy, generation)


def test_only_the_serving_envoy_s_refusals_count() -> None:
    """What the next one refuses is its own affair until it serves."""

    async def scenario() -> None:
        state = RelayedProxy("default/web", good=ResourceSet())
        envoys = Envoys(state)
        first, second = session(0), session(1)
        envoys.opened(first, 0)
        envoys.opened(second, 1)
        assert envoys.received(second, 1, [refusal()])
        assert not state.refused
        envoys.promote(1)
        assert envoys.received(second, 1, [refusal()])
        assert set(state.refused) == {(CLUSTER, "outbound")}

    asyncio.run(scenario())


def test_the_proxy_is_attached_while_its_serving_envoy_is() -> None:
    """The end of an Envoy beside changes nothing, before and after another one has begun to serve."""

    async def scenario() -> None:
        state = RelayedProxy("default/web", good=ResourceSet())
        envoys = Envoys(state)
        first, second = session(0), session(1)
        envoys.opened(second, 1)
        assert not state.attached
        envoys.opened(first, 0)
        assert state.attached
        envoys.promote(1)
        assert envoys.closed(first, 0)
        assert state.attached
        assert not envoys.closed(first, 0)
        envoys.end_serving()
        assert not state.attached

    asyncio.run(scenario())


def test_a_newer_stream_of_the_same_envoy_takes_over() -> None:
    """An Envoy that connects again is not mistaken for one beside; its old stream says nothing any more."""

    async def scenario() -> None:
        state = RelayedProxy("default/web", good=ResourceSet())
        envoys = Envoys(state, serving=3)
        first, second = session(3), session(3)
        envoys.opened(first, 3)
        envoys.opened(second, 3)
        assert not envoys.received(first, 3, [refusal()])
        assert not envoys.closed(first, 3)
        assert state.attached
        assert envoys.closed(second, 3)
        assert not state.attached

    asyncio.run(scenario())


def test_an_envoy_that_has_no_stream_is_not_warm() -> None:
    """One that has connected but asked for nothing is not warm either."""

    async def scenario() -> None:
        envoys = Envoys(RelayedProxy("default/web", good=ResourceSet()))
        assert not envoys.warm(1)
        envoys.opened(session(1), 1)
        assert envoys.connected(1)
        assert not envoys.warm(1)

    asyncio.run(scenario())
