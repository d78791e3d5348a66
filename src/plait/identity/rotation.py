"""How one root of the mesh is replaced by another while nothing is interrupted. Pure decisions.

    steady         one root: it signs, and it alone is trusted
    distributing   the next root is trusted too, and signs nothing yet
    replacing      the next root signs; leaves of the one before are still trusted until nobody holds one

A stage is left when everybody has followed it, so that at no time two peers exist of which one shows what the other
does not trust. What a machine or a proxy holds is what it reported, and a proxy reports what its Envoy acknowledged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cryptography import x509

from plait.errors import RefusedError
from plait.identity.certificates import Signer
from plait.identity.trust import fingerprint

LONGEST_LEAF: Final = timedelta(days=30)
"""The longest life of a certificate that is signed here: a machine's own."""


class Stage(StrEnum):
    """Where a rotation of the root stands."""

    STEADY = "steady"
    DISTRIBUTING = "distributing"
    REPLACING = "replacing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A root and the signer under it."""

    root: x509.Certificate
    signer: Signer

    @property
    def root_print(self) -> str:
        """The root's fingerprint."""
        return fingerprint(self.root)

    @property
    def signer_print(self) -> str:
        """The signer's fingerprint."""
        return fingerprint(self.signer.certificate)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorityState:
    """All that an authority must remember.

    `other` is the root to come while distributing, the one to go while replacing. `within`: seconds in which leaves of
    other signers than `signing`'s are to be renewed, None for their usual time; while distributing it is for later.
    `leaves_end` is when the last leaf of the root to go ends. `retired` are the roots that went, by fingerprint.
    """

    signing: Line
    since: datetime
    stage: Stage = Stage.STEADY
    other: Line | None = None
    within: float | None = None
    leaves_end: datetime | None = None
    retired: tuple[str, ...] = ()

    @property
    def trusted(self) -> tuple[Line, ...]:
        """The lines whose roots are trusted, the one that signs first."""
        return (self.signing, self.other) if self.other is not None else (self.signing,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a machine or a proxy reported: its leaf's signer and root, and the roots it trusts, by fingerprint."""

    signer: str
    root: str
    roots: frozenset[str]


def begin(state: AuthorityState, line: Line, *, now: datetime, within: float | None) -> AuthorityState:
    """Trust the next root beside the present one; RefusedError if a rotation is under way or the root is the same."""
    if state.stage is not Stage.STEADY:
        raise RefusedError(
            f"a rotation of the root is under way since {state.since:%Y-%m-%d %H:%M} UTC ({state.stage})",
            "see `plait ca status` for who has not followed; `plait ca rotate --proceed` goes on without them",
        )
    if line.root_print == state.signing.root_print:
        raise RefusedError("that is the root in force", "give another, or leave out --root to replace its intermediate")
    return replace(state, stage=Stage.DISTRIBUTING, other=line, since=now, within=within)


def cancel(state: AuthorityState, *, now: datetime) -> AuthorityState:
    """Give up a root that has signed nothing yet; RefusedError at any other stage."""
    if state.stage is not Stage.DISTRIBUTING:
        raise RefusedError(
            "there is no rotation that could be cancelled" if state.stage is Stage.STEADY else "the new root signs",
            "a rotation can be cancelled until the new root signs; `plait ca status` tells the stage",
        )
    return replace(state, stage=Stage.STEADY, other=None, since=now, within=None)


def advance(state: AuthorityState, *, now: datetime) -> AuthorityState:
    """The next stage, whoever has followed; RefusedError if no rotation is under way."""
    if state.stage is Stage.STEADY or state.other is None:
        raise RefusedError("no rotation of the root is under way", "begin one with `plait ca rotate --root`")
    if state.stage is Stage.DISTRIBUTING:
        return replace(
            state,
            stage=Stage.REPLACING,
            signing=state.other,
            other=state.signing,
            since=now,
            leaves_end=now + LONGEST_LEAF,
        )
    retired = (*state.retired, state.other.root_print)
    return replace(state, stage=Stage.STEADY, other=None, since=now, within=None, leaves_end=None, retired=retired)


def replaced_signer(state: AuthorityState, signer: Signer, *, within: float | None) -> AuthorityState:
    """Sign with another signer of the same root; the one before stays valid, for its root is trusted.

    A haste that belongs to a rotation of the root is kept unless another is given.
    """
    kept = state.within if within is None and state.stage is not Stage.STEADY else within
    return replace(state, signing=replace(state.signing, signer=signer), within=kept)


def follows(state: AuthorityState, holding: Holding | None) -> bool:
    """Whether somebody who reported that is where the stage wants everybody to be."""
    if holding is None:
        return False
    match state.stage:
        case Stage.DISTRIBUTING:
            return holding.roots.issuperset(line.root_print for line in state.trusted)
        case Stage.REPLACING:
            return holding.root == state.signing.root_print
        case Stage.STEADY:
            return holding.signer == state.signing.signer_print and holding.roots == frozenset(
                (state.signing.root_print,)
            )


def behind(state: AuthorityState, expected: Iterable[str], held: Mapping[str, Holding]) -> tuple[str, ...]:
    """Those of the expected ones that have not followed, in order."""
    return tuple(name for name in sorted(expected) if not follows(state, held.get(name)))


def stage_ends(state: AuthorityState) -> datetime | None:
    """When the stage is left at the latest, whoever has not followed; None while no rotation is under way.

    The next root signs while the present one still can: before leaves would be cut short by its end (at the latest
    when half of what was left at the stage's begin is over), or when its signer ends. The root to go leaves with its
    last leaf, or when it ends itself.
    """
    if state.other is None:
        return None
    if state.stage is Stage.REPLACING:
        end = state.other.root.not_valid_after_utc
        return end if state.leaves_end is None else min(end, state.leaves_end)
    end = state.signing.root.not_valid_after_utc
    ahead = min(LONGEST_LEAF, max(end - state.since, timedelta()) / 2)
    return min(end - ahead, state.signing.signer.ends)


def is_over(state: AuthorityState, *, waiting: int, now: datetime) -> bool:
    """Whether the stage may be left: nobody is waited for, or waiting longer would be of no use (`stage_ends`)."""
    end = stage_ends(state)
    return end is not None and (not waiting or now >= end)


def without_ended(state: AuthorityState, now: datetime) -> AuthorityState:
    """The state after control was away so long that the root which signs has ended: the next one signs."""
    over = state.stage is Stage.DISTRIBUTING and now >= state.signing.root.not_valid_after_utc
    return advance(state, now=now) if over else state
