"""The machine's own certificate while the agent runs: what its channel to control shows, renewed in time."""

import asyncio
import dataclasses
import logging
import random
from collections.abc import Sequence

from plait.ads.transport import TlsIdentity
from plait.errors import PlaitError
from plait.identity.svid import new_key, signing_request, svid
from plait.node.control_link import ControlLink
from plait.node.join import MOST_OTHERS, Member, keep
from plait.node.renewal import RenewalTimes, again_after
from plait.node.state import NodeDirectory

log = logging.getLogger(__name__)


class MachineIdentity:
    """Holds the membership, and renews its certificate; `times` tells when."""

    def __init__(self, member: Member, directory: NodeDirectory) -> None:
        self.member = member
        self._directory = directory
        self._tls = _tls(member)
        self.times = RenewalTimes(self.bundle)
        self._serving: frozenset[str] = frozenset()
        self._named: frozenset[str] = frozenset()

    def tls(self) -> TlsIdentity:
        """What a connection to control shows and trusts now."""
        return self._tls

    def bundle(self) -> bytes:
        """The roots of the mesh."""
        return self.member.bundle

    def trust(self, bundle: bytes) -> bool:
        """Trust these roots from now on; whether that is new."""
        if not bundle or bundle == self.member.bundle:
            return False
        self.member = dataclasses.replace(self.member, bundle=bundle)
        self._tls = _tls(self.member)
        keep(self._directory, self.member)
        return True

    def addresses(self) -> tuple[str, ...]:
        """Where control answers, and where others do; last those that the mesh named once and names no longer."""
        known = (self.member.membership.ads_address, *self.member.membership.others)
        return tuple(sorted(known, key=lambda address: address in self._named and address not in self._serving))

    def hear_of(self, controls: Sequence[str]) -> None:
        """Remember the controls that serve the mesh now; those known before stay known, for they may come back."""
        self._serving = frozenset(controls)
        self._named |= self._serving
        first = self.member.membership.ads_address
        known = dict.fromkeys((*controls, *self.member.membership.others))
        others = tuple(address for address in known if address != first)[:MOST_OTHERS]
        if others == self.member.membership.others:
            return
        membership = dataclasses.replace(self.member.membership, others=others)
        self.member = dataclasses.replace(self.member, membership=membership)
        keep(self._directory, self.member)

    async def renew_for_ever(self, control: ControlLink) -> None:
        """Renew when due, again and again; a machine that control no longer knows is told in the log."""
        failures = 0
        while True:
            if not failures:
                await self.times.wait(self.member.identity, random.random())  # noqa: S311
            try:
                await self._renew(control)
                failures = 0
            except PlaitError as error:
                log.warning("this machine's certificate is not renewed yet: %s", error)
                failures += 1
                await asyncio.sleep(again_after(failures, random.random()))  # noqa: S311

    async def _renew(self, control: ControlLink) -> None:
        key = new_key()
        chain = await control.renew(signing_request(key))
        self.member = dataclasses.replace(self.member, identity=svid(chain, key))
        self._tls = _tls(self.member)
        await asyncio.to_thread(keep, self._directory, self.member)


def _tls(member: Member) -> TlsIdentity:
    return TlsIdentity(chain=member.identity.chain, key=member.identity.key, roots=member.bundle)
