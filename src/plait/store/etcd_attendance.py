"""Who serves the mesh together: every control's card in etcd, gone soon after it dies, and which of them leads.

    PREFIX/control/card/NAME     what a control says of itself, under its lease
    PREFIX/control/leader        the name of the one that leads, under its lease
    PREFIX/control/sealed        what all have in common (see `controlplane.joint_secrets`)

One watch follows these keys. A control that etcd does not answer loses its lease and thereby its lead; it knows by its
own clock, before anybody else can take over.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from plait.aio.backoff import backoff
from plait.errors import PlaitError
from plait.store.etcd_client import EtcdClient
from plait.store.etcd_messages import CREATE, DELETE, EQUAL, message

log = logging.getLogger(__name__)

LIFE: Final = 6
"""Seconds that a dead control's card outlives it."""
_EVERY: Final = LIFE / 4


class EtcdAttendance:
    """Keeps this control's card, stands for leader, and follows the others. `changed` are called when a key changed."""

    def __init__(
        self, client: EtcdClient, prefix: str, name: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.changed: list[Callable[[], None]] = []
        self._client = client
        self._prefix = f"{prefix}/control/".encode()
        self._clock = clock
        self._values: dict[bytes, tuple[bytes, int]] = {}
        self._card = b""
        self._lease = 0
        self._position = 0
        self._until = 0.0

    @property
    def leads(self) -> bool:
        """Whether this control leads now."""
        return self._clock() < self._until and self._value(b"leader") == self.name.encode()

    @property
    def cards(self) -> Mapping[str, bytes]:
        """The cards by name, this control's too."""
        start = self._prefix + b"card/"
        return {key[len(start) :].decode(): value for key, (value, _) in self._values.items() if key.startswith(start)}

    @property
    def sealed(self) -> tuple[bytes, int]:
        """What all have in common, and the revision of it; 0 if there is nothing."""
        return self._values.get(self._prefix + b"sealed", (b"", 0))

    async def read(self) -> None:
        """Read what is there now."""
        pairs, self._position = await self._client.read_all(self._prefix)
        self._values = {bytes(pair.key): (bytes(pair.value), int(pair.mod_revision)) for pair in pairs}

    async def replace_sealed(self, value: bytes, expected: int) -> bool:
        """Put another common value in place of the one of a revision (0: there is none); False if that is old."""
        key = self._prefix + b"sealed"
        put = message("RequestOp", request_put=message("PutRequest", key=key, value=value))
        unchanged = message("Compare", result=EQUAL, target=2, key=key, mod_revision=expected)
        answer = await self._client.call("TxnRequest", compare=[unchanged], success=[put])
        await self.read()
        return bool(answer.succeeded) or self.sealed[0] == value

    async def attend(self, card: bytes) -> None:
        """Show this card from now on; raises UnreachableError when etcd does not answer."""
        self._card = card
        await self._renew()

    async def follow(self) -> None:
        """Follow the others for ever."""
        while True:
            pauses = backoff()
            with suppress(PlaitError):
                await self.read()
                self._tell()
                async for answer in self._client.watch(self._prefix, self._position):
                    self._take(answer)
            await asyncio.sleep(next(pauses))

    async def keep(self) -> None:
        """Keep the card, and stand for leader, for ever."""
        while True:
            try:
                await self._renew()
            except PlaitError as error:
                log.warning("this control is not heard of by others: %s", error)
            await asyncio.sleep(_EVERY)

    async def leave(self) -> None:
        """Take the card away and stand back, so that others need not wait for the lease to end."""
        self._until = 0.0
        if self._lease:
            with suppress(PlaitError):
                await self._client.call("LeaseRevokeRequest", ID=self._lease)

    async def _renew(self) -> None:
        began = self._clock()
        if not self._lease or not await self._client.keep_alive(self._lease):
            granted = await self._client.call("LeaseGrantRequest", TTL=LIFE)
            self._lease = int(granted.ID)
            card = message("PutRequest", key=self._prefix + b"card/" + self.name.encode(), value=self._card)
            card.lease = self._lease
            await self._client.call("TxnRequest", success=[message("RequestOp", request_put=card)])
        self._until = began + LIFE
        if not self._value(b"leader"):
            await self._stand()

    async def _stand(self) -> None:
        key = self._prefix + b"leader"
        vacant = message("Compare", result=EQUAL, target=CREATE, key=key, create_revision=0)
        put = message("PutRequest", key=key, value=self.name.encode(), lease=self._lease)
        await self._client.call("TxnRequest", compare=[vacant], success=[message("RequestOp", request_put=put)])

    def _value(self, name: bytes) -> bytes:
        return self._values.get(self._prefix + name, (b"", 0))[0]

    def _take(self, answer: object) -> None:
        for event in getattr(answer, "events", ()):
            key, revision = bytes(event.kv.key), int(event.kv.mod_revision)
            self._position = max(self._position, revision)
            if event.type == DELETE:
                self._values.pop(key, None)
            else:
                self._values[key] = (bytes(event.kv.value), revision)
            if key == self._prefix + b"leader" and event.type != DELETE:
                log.info("%s", "this control leads" if self.leads else f"control {event.kv.value.decode()} leads")
        if getattr(answer, "events", ()):
            self._tell()

    def _tell(self) -> None:
        for listener in self.changed:
            listener()
