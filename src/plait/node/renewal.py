"""When certificates of this machine are renewed: between 40 and 50 % of their life, or sooner when control says so.

Control names who signs now, and may want leaves of other signers renewed within some seconds: each waits for a random
moment of them. A leaf that goes back to no root that is trusted any more is renewed at once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from plait.aio.signal import Condition
from plait.identity.svid import Svid, renewal_time
from plait.identity.trust import root_of, signer_of

LEAST_BETWEEN: Final = 5.0
"""Seconds between renewals even where clocks disagree so much that a new certificate looks old."""


_FIRST_AGAIN: Final = 1.0
_LAST_AGAIN: Final = 30.0


def again_after(failures: int, chance: float) -> float:
    """Seconds until a renewal that failed so many times in a row is tried again, `chance` (0 to 1) spreads them."""
    return min(_LAST_AGAIN, _FIRST_AGAIN * 2 ** min(failures - 1, 10)) * (0.5 + chance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Who signs now, by fingerprint, and in how many seconds leaves of others are to be renewed (None: usual time)."""

    signer: str = ""
    root: str = ""
    within: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Signing":
        """As control says it."""
        within = document.get("renewWithin")
        return cls(
            signer=str(document.get("signer") or ""),
            root=str(document.get("root") or ""),
            within=None if within is None else float(within),
        )


class RenewalTimes:
    """Tells when leaves are due. `bundle` are the roots that are trusted now; `now` is given by tests."""

    def __init__(
        self, bundle: Callable[[], bytes] = lambda: b"", *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.now = now
        self._bundle = bundle
        self._signing = Signing()
        self._heard = now()
        self._changed = Condition()

    def told(self, signing: Signing) -> None:
        """Control said who signs, or the roots changed; whoever waits looks again."""
        if signing != self._signing:
            self._signing, self._heard = signing, self.now()
        self._changed.notify()

    def trusted(self, leaf: Svid) -> bool:
        """Whether the leaf goes back to a root that is trusted now."""
        return not self._bundle() or bool(root_of(leaf.chain, self._bundle()))

    def of_present_root(self, leaf: Svid) -> bool:
        """Whether the leaf goes back to the root that signs now, as far as that is known."""
        return not self._signing.root or not self._bundle() or root_of(leaf.chain, self._bundle()) == self._signing.root

    def due(self, leaf: Svid, chance: float) -> datetime:
        """When to renew the leaf; `chance` (0 to 1) chooses the moment."""
        usual = renewal_time(leaf.not_before, leaf.not_after, chance=chance)
        if not self.trusted(leaf):
            return self.now()
        within = self._signing.within
        if within is None or signer_of(leaf.chain) == self._signing.signer:
            return usual
        return min(usual, self._heard + timedelta(seconds=within * chance))

    async def wait(self, leaf: Svid, chance: float) -> None:
        """Return when the leaf is due."""
        earliest = self.now() + timedelta(seconds=LEAST_BETWEEN)
        while (left := (max(earliest, self.due(leaf, chance)) - self.now()).total_seconds()) > 0:
            due = self.due(leaf, chance)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.until(lambda due=due: self.due(leaf, chance) < due)
