"""Keeping a workload's entry at control."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from plait.errors import ConflictError, UnreachableError
from plait.node.registrar import Registrar
from tests import clock


class FakeControl:
    """Control that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.refuses = False
        self.entries: list[Mapping[str, Any]] = []
        self.deregistered = 0

    async def register(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if self.away:
            raise UnreachableError("away")
        if self.refuses:
            raise ConflictError("taken", "choose another name")
        self.entries.append(document)
        return document

    async def deregister(self, namespace: str, name: str) -> None:
        if self.away:
            raise UnreachableError("away")
        self.deregistered += 1

    async def sign(self, request: bytes, namespace: str, service_account: str) -> bytes:
        raise NotImplementedError

    async def report(self, edges: object) -> None:
        raise NotImplementedError


def test_newest_wins_and_the_same_is_not_sent_twice() -> None:
    """Of what is published while a call is under way only the newest follows, and only if it is new."""

    async def scenario() -> list[Mapping[str, Any]]:
        control = FakeControl()
        registrar = Registrar(control, "default", "web")
        await asyncio.gather(*(registrar.publish({"n": number}) for number in range(5)))
        await registrar.publish({"n": 4})
        return control.entries

    assert clock.run(scenario()) == [{"n": 0}, {"n": 4}]


def test_a_refusal_is_told() -> None:
    """A name that another machine has is the user's to know."""

    async def scenario() -> None:
        control = FakeControl()
        control.refuses = True
        await Registrar(control, "default", "web").publish({"n": 1})

    with pytest.raises(ConflictError):
        clock.run(scenario())


def test_what_control_could_not_take_is_repeated() -> None:
    """While control is away nothing is lost; when it is back it gets what is true then."""

    async def scenario() -> list[Mapping[str, Any]]:
        control = FakeControl()
        control.away = True
        registrar = Registrar(control, "default", "web")
        keeping = asyncio.create_task(registrar.keep_up())
        assert not await registrar.publish({"n": 1})
        assert not await registrar.publish({"n": 2})
        await asyncio.sleep(60)
        control.away = False
        await asyncio.sleep(60)
        await registrar.withdraw()
        keeping.cancel()
        assert control.deregistered == 1
        return control.entries

    assert clock.run(scenario()) == [{"n": 2}]
