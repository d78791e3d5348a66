"""`plait ca`: the certificate authority and its rotations, as JSON."""

from typing import Literal

from plait.api.answers import Answer


class CaRoot(Answer):
    """A root that the mesh trusts."""

    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal."""
    ends: str
    """When it ends, RFC 3339."""
    role: Literal["signs", "next", "leaving"]
    """Whether it signs, is only trusted yet, or is only trusted still."""


class CaSigner(Answer):
    """The intermediate that signs certificates now."""

    fingerprint: str
    """SHA-256 of the certificate, in hexadecimal."""
    ends: str
    """When it ends, RFC 3339."""
    root_key_here: bool
    """Whether control has the root's key, so that it can make the next intermediate itself."""


class CaStatus(Answer):
    """The certificate authority of the mesh."""

    stage: Literal["steady", "distributing", "replacing"]
    """`distributing`: a new root is trusted beside the old one. `replacing`: the new one signs, both are trusted."""
    since: str
    """When the stage began, RFC 3339."""
    roots: tuple[CaRoot, ...]
    """The roots that are trusted, the one that signs first."""
    signer: CaSigner
    """Who signs."""
    renew_within: float | None = None
    """Seconds in which certificates of other signers are renewed; null: at half their life, as always."""
    leaves_end: str | None = None
    """When the last certificate of the leaving root ends, RFC 3339: that root is removed then at the latest."""
    stage_ends: str | None = None
    """When the stage is left at the latest, whoever has not followed by then, RFC 3339; null while nothing rotates."""
    behind: tuple[str, ...] = ()
    """Who has not followed yet: `machine NAME`, `proxy NAMESPACE/NAME`."""


class CaRotation(Answer):
    """What to rotate. Nothing said: a new intermediate under the same root."""

    root: bool = False
    """Begin to replace the root."""
    proceed: bool = False
    """Enter the next stage of replacing the root without waiting for those that have not followed."""
    cancel: bool = False
    """Give up replacing the root, which is possible until the new one signs."""
    within: float | None = None
    """Renew certificates within so many seconds, each at a random moment; null: at half their life, as always."""
    certificates: str = ""
    """PEM of an authority of your own: signer first, root last; empty: one is made."""
    key: str = ""
    """PEM of its key."""
