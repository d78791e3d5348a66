"""This control among the others of its mesh: with one store in etcd they share the work, and any may die.

Each serves API and configuration alone. Together they have the store, what is in common beside it (`joint_secrets`),
and one that leads: it writes statuses and moves the authority from stage to stage. What only the control knows that a
proxy or a machine is connected to, the others ask it for (`ads.peer_service`).
"""

import asyncio
import fcntl
import json
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

from plait.ads.peer_service import Method, PeerClient
from plait.ads.transport import TlsIdentity
from plait.aio.supervise import supervise
from plait.controlplane.admission import claims
from plait.controlplane.joint_secrets import JointSecrets
from plait.controlplane.moved_in import moved_in
from plait.controlplane.settings import ControlSettings
from plait.controlplane.state import StateDirectory
from plait.errors import PlaitError, RefusedError
from plait.identity.authority import CertificateAuthority
from plait.store.etcd import EtcdStore
from plait.store.etcd_attendance import EtcdAttendance
from plait.store.etcd_client import EtcdClient, EtcdTls
from plait.store.etcd_keys import Keys
from plait.store.seal import Seal

log = logging.getLogger(__name__)

PREFIX: Final = "/plait"
SCHEME: Final = "etcd://"
ASKED_WITHIN: Final = 1.0
"""Seconds that another control has to answer."""
_AGAIN_AFTER: Final = 1.0
_LOOK_EVERY: Final = 1.0
_CUT_OFF_AFTER: Final = 3.0
_HEARD_WITHIN: Final = 5.0
"""Seconds in which machines ask for settings, and hear where to go."""


class Cluster:
    """The controls of a mesh. Made by `join`; `store` is there from then on."""

    def __init__(self, client: EtcdClient, state: StateDirectory, seal: Seal, name: str) -> None:
        self.attendance = EtcdAttendance(client, PREFIX, name)
        self._client = client
        self._state = state
        self._lock = (state.control / "lock").open("w")
        self._joint = JointSecrets(state, self.attendance, seal)
        self._keys = Keys(PREFIX, seal)
        self._authority: CertificateAuthority | None = None
        self._peers: PeerClient | None = None
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._opened = False
        self._cut_off = False
        self.store: EtcdStore

    @property
    def leads(self) -> bool:
        """Whether this control leads now."""
        return self.attendance.leads

    def addresses(self) -> tuple[str, ...]:
        """Where the controls answer machines that machines should go to."""
        own = self.attendance.name if self._cut_off else ""
        return tuple(address for name, address in sorted(self._cards()) if address and name != own)

    def methods(self) -> Mapping[str, Method]:
        """What other controls may ask of this."""

        async def store(_body: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"connected": self.store.connected}

        return {"Store": store}

    async def take(self) -> None:
        """Own the state directory, and have what other controls put in common; RefusedError says why that cannot be."""
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RefusedError(
                f"another control uses {self._state.root}", "stop it first, or use another --state-dir"
            ) from None
        await self._joint.take()

    async def put(self) -> bool:
        """Put in common what is new here; False if another control was quicker, whose is taken then."""
        if await self._joint.put():
            return True
        self._joint.adopt()
        return False

    async def open(self, authority: CertificateAuthority) -> EtcdStore:
        """Open the store, and follow from now on what becomes of the authority."""
        self._authority = authority
        authority.changed.append(self._work.set)
        self.attendance.changed.append(self._work.set)
        owner = self.attendance.name
        self.store = await EtcdStore.open(self._client, keys=self._keys, owner=owner, unique=claims)
        self._opened = True
        await moved_in(self.store, self._state.database)
        return self.store

    async def attend(
        self, ads_address: str, identity: Callable[[], TlsIdentity], send_away: Callable[[str], object]
    ) -> None:
        """Let others know where this control answers machines, and serve from now on.

        `send_away` ends the proxies' streams, with the reason: they are better served by another control.
        """
        self._peers = PeerClient(identity)
        await self.attendance.attend(json.dumps({"ads": ads_address}).encode())
        for name, start in (
            ("attendance", self.attendance.follow),
            ("lease", self.attendance.keep),
            ("joint secrets", self._keep_joint),
            ("cut off", lambda: self._notice_cut_off(send_away)),
        ):
            self._tasks.append(asyncio.create_task(supervise(name, start)))

    async def ask(self, method: str, body: Mapping[str, Any], limit: float = ASKED_WITHIN) -> list[Mapping[str, Any]]:
        """What the other controls answer; one that does not within `limit` seconds is left out."""
        others = {name: address for name, address in self._cards() if name != self.attendance.name}
        if self._peers is None or not others:
            return []
        return list((await self._peers.ask(others, method, body, limit)).values())

    async def close(self) -> None:
        """Leave the others."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.attendance.leave()
        if self._peers is not None:
            await self._peers.close()
        if self._opened:
            await self.store.close()
        await self._client.close()
        self._lock.close()

    def _cards(self) -> list[tuple[str, str]]:
        found = [(name, json.loads(card)) for name, card in self.attendance.cards.items() if card]
        return [(name, str(card.get("ads", ""))) for name, card in found]

    async def _keep_joint(self) -> None:
        """Put in common what changes here, and adopt what others put, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            await self._exchange()

    async def _notice_cut_off(self, send_away: Callable[[str], object]) -> None:
        """Let machines go to a control that has the store while this one has not, for ever."""
        lost, sent = 0.0, False
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            lost = 0.0 if self.store.connected else lost + _LOOK_EVERY
            if lost < _CUT_OFF_AFTER:
                self._cut_off, sent = False, False
                continue
            self._cut_off = any(answer["connected"] for answer in await self.ask("Store", {}))
            if self._cut_off and lost > _CUT_OFF_AFTER + _HEARD_WITHIN and not sent:
                log.warning("another control has the store, this one has not: machines go there")
                send_away("this control has lost its store; another one has it")
                sent = True

    async def _exchange(self) -> None:
        authority = self._authority
        if authority is None:
            return
        try:
            while not await self.put():
                authority.reload()
        except PlaitError as error:
            log.warning("the authority's change is not shared with other controls yet: %s", error)
            await asyncio.sleep(_AGAIN_AFTER)
            self._work.set()


def joining(settings: ControlSettings, state: StateDirectory) -> Cluster | None:
    """What makes this control one of several, if the settings name a store in etcd; not connected yet."""
    if not settings.store:
        return None
    if not settings.store.startswith(SCHEME):
        raise RefusedError(f"--store {settings.store!r} is not known", "write etcd://HOST:PORT[,HOST:PORT...]")
    members = [member.strip() for member in settings.store.removeprefix(SCHEME).split(",")]
    if not all(member.rpartition(":")[0] and member.rpartition(":")[2].isdecimal() for member in members):
        raise RefusedError(f"--store {settings.store!r}: a member is HOST:PORT", "write etcd://127.0.0.1:2379")
    if bool(settings.store_cert) != bool(settings.store_key):
        raise RefusedError("--store-cert and --store-key belong together", "give both, or none")
    seal = Seal.load(settings.seal_key or state.control / "seal.key")
    return Cluster(EtcdClient(members, _tls(settings)), state, seal, _name(state))


def _tls(settings: ControlSettings) -> EtcdTls | None:
    """How etcd is verified and what it is shown, if anything is said of that."""
    files = (settings.store_ca, settings.store_cert, settings.store_key)
    if not any(files):
        return None
    try:
        roots, chain, key = (path.read_bytes() if path else None for path in files)
    except OSError as error:
        raise RefusedError(f"{error.filename} cannot be read: {error.strerror}", "check its name and owner") from error
    return EtcdTls(roots=roots, chain=chain, key=key)


def _name(state: StateDirectory) -> str:
    """This control's name among the others, made at first use."""
    path = state.control / "name"
    if not path.exists():
        state.write_private(path, secrets.token_hex(6))
    return path.read_text().strip()
