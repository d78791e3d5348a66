"""Replacing roots and intermediates while the mesh runs: who has followed, and when the next stage begins.

A machine says with each question for the mesh's settings what it and its proxies hold (their Envoys acknowledged it).
Everybody that the store knows is waited for: every machine, and every workload that a machine runs. What was reported
is kept in memory alone; after a restart of control the machines say it again within seconds, and the stage is on disk.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from plait.ads.peer_service import Method
from plait.api.shapes import map_at
from plait.controlplane.asking import Ask, nobody
from plait.controlplane.objects import Objects
from plait.identity import rotation
from plait.identity.authority import CertificateAuthority
from plait.identity.certificates import LEAF_LIFE, utc_now
from plait.identity.rotation import Holding, Line, Stage
from plait.identity.trust import fingerprint

log = logging.getLogger(__name__)

_EVERY: Final = 0.5
_ASKED_WITHIN: Final = 1.0
_ROOT_RENEWED_AT: Final = 0.9
"""The share of its life after which a root of our own is replaced without being told to."""
_ENTRIES: Final = ("networking.istio.io", "WorkloadEntry")
_NODE: Final = "plait.dev/node"
_PHASE: Final = "plait.dev/phase"
_WITHOUT_PROXY: Final = ("Pending", "Exited")


class Rotations:
    """Follows what is held, and moves the authority from stage to stage. `now` is given by tests."""

    def __init__(
        self,
        objects: Objects,
        authority: CertificateAuthority,
        *,
        leaf_life: timedelta = LEAF_LIFE,
        now: Callable[[], datetime] = utc_now,
        ask: Ask = nobody,
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        """`ask` asks the other controls; one of them `leads` and moves the stages."""
        self._objects = objects
        self._authority = authority
        self.leaf_life = leaf_life
        self._now = now
        self._ask = ask
        self._leads = leads
        self._held: dict[str, tuple[float, Mapping[str, Any]]] = {}

    def report(self, node: str, holds: Mapping[str, Any]) -> None:
        """Take what a machine says that it (`machine`) and its proxies (`proxies`, by namespace/name) hold."""
        told = {"machine": map_at(holds, "machine"), "proxies": map_at(holds, "proxies")}
        self._held[node] = (time.time(), told)

    def methods(self) -> Mapping[str, Method]:
        """What other controls may ask of this."""

        async def holdings(_body: Mapping[str, Any]) -> Mapping[str, Any]:
            return {"held": self._held}

        return {"Holdings": holdings}

    def told(self) -> Mapping[str, Any]:
        """What machines are told: who signs now, and in how many seconds leaves of others are to be renewed.

        None is their usual time. While the root is replaced that is half a leaf's life for the machines' own too.
        """
        state = self._authority.state
        within = state.within if state.stage is not Stage.DISTRIBUTING else None
        if state.stage is Stage.REPLACING and within is None:
            within = self.leaf_life.total_seconds() / 2
        return {"signer": state.signing.signer_print, "root": state.signing.root_print, "renewWithin": within}

    async def behind(self) -> tuple[str, ...]:
        """Who has not followed the stage, as `machine NAME` and `proxy NAMESPACE/NAME`."""
        expected = {_called(*who): who for who in await self._expected()}
        told = await self._told_anywhere()
        held = {name: told[who] for name, who in expected.items() if who in told}
        return rotation.behind(self._authority.state, expected, held)

    async def status(self) -> Mapping[str, Any]:
        """What `plait ca status` shows (`api.schemas.CaStatus`)."""
        state = self._authority.state
        return {
            "stage": state.stage.value,
            "since": state.since.isoformat(),
            "roots": [_root(line, state) for line in state.trusted],
            "signer": {
                "fingerprint": state.signing.signer_print,
                "ends": state.signing.signer.certificate.not_valid_after_utc.isoformat(),
                "rootKeyHere": self._authority.keeps_root_key,
            },
            "renewWithin": self.told()["renewWithin"],
            "leavesEnd": state.leaves_end.isoformat() if state.leaves_end else None,
            "stageEnds": end.isoformat() if (end := rotation.stage_ends(state)) else None,
            "behind": list(await self.behind()),
        }

    def gauges(self) -> Mapping[str, float]:
        """Seconds until the root that signs and its signer end, and whether the root is being replaced."""
        state, now = self._authority.state, self._now()
        return {
            "root_expiry_seconds": (state.signing.root.not_valid_after_utc - now).total_seconds(),
            "signer_expiry_seconds": (state.signing.signer.ends - now).total_seconds(),
            "root_rotation_stage": float(list(Stage).index(state.stage)),
        }

    async def step(self) -> None:
        """Enter the next stage if everybody has followed, or begin one if the root is old."""
        state, now = self._authority.state, self._now()
        if state.stage is Stage.STEADY:
            begin, end = state.signing.root.not_valid_before_utc, state.signing.root.not_valid_after_utc
            if now > begin + (end - begin) * _ROOT_RENEWED_AT and self._authority.keeps_root_key:
                log.warning("the mesh's root ends on %s; its replacement begins", f"{end:%Y-%m-%d}")
                self._authority.rotate_root()
            return
        waiting = await self.behind()
        if self._authority.state is state and rotation.is_over(state, waiting=len(waiting), now=now):
            self._authority.advance()
            if waiting:
                log.warning("the replacement of the root goes on without %s", ", ".join(waiting))
            log.info("the replacement of the root is at stage %s", self._authority.state.stage)

    async def run(self) -> None:
        """Step for ever."""
        self._authority.tidy()
        while True:
            if self._leads():
                await self.step()
            await asyncio.sleep(_EVERY)

    async def _told_anywhere(self) -> dict[tuple[str, str], Holding]:
        """What every machine and proxy said last, to whichever control: by machine and proxy (empty: the machine)."""
        newest = dict(self._held)
        for answer in await self._ask("Holdings", {}, _ASKED_WITHIN):
            for node, (moment, told) in answer["held"].items():
                if node not in newest or newest[node][0] < moment:
                    newest[node] = (moment, told)
        found: dict[tuple[str, str], Holding] = {}
        for node, (_, told) in newest.items():
            found[node, ""] = _holding(told["machine"])
            found |= {(node, name): _holding(map_at(value)) for name, value in told["proxies"].items()}
        return found

    async def _expected(self) -> list[tuple[str, str]]:
        """Every machine (with an empty proxy), and every proxy with its machine.

        The proxies of a machine that was deleted are nobody's, as the machine itself.
        """
        machines = await self._objects.store.list(group="", kind="Node")
        names = [str(item["metadata"]["name"]) for item in machines.items]
        found = [(name, "") for name in names]
        listing = await self._objects.store.list(group=_ENTRIES[0], kind=_ENTRIES[1])
        for item in listing.items:
            metadata = item["metadata"]
            marks: Mapping[str, str] = metadata.get("annotations") or {}
            if marks.get(_NODE) in names and marks.get(_PHASE) not in _WITHOUT_PROXY:
                found.append((marks[_NODE], f"{metadata['namespace']}/{metadata['name']}"))
        return found


def _called(node: str, proxy: str) -> str:
    return f"proxy {proxy}" if proxy else f"machine {node}"


def _holding(value: Mapping[str, Any]) -> Holding:
    roots = value.get("roots") or ()
    return Holding(
        signer=str(value.get("signer", "")),
        root=str(value.get("root", "")),
        roots=frozenset(str(item) for item in roots),
    )


def _root(line: Line, state: rotation.AuthorityState) -> Mapping[str, Any]:
    role = "signs" if line is state.signing else "next" if state.stage is Stage.DISTRIBUTING else "leaving"
    return {"fingerprint": fingerprint(line.root), "ends": line.root.not_valid_after_utc.isoformat(), "role": role}
