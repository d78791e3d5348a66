"""Cross-origin resource sharing: which pages of other origins a browser lets use what a rule answers."""

from dataclasses import dataclass

from plait.model.matching import StringMatch


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors:
    """The rule's policy; `max_age` in seconds, None leaves the header out.

    Preflight requests of origins that match are answered by the proxy. `forward_unmatched` passes those of other
    origins on to the destination; else they are answered without permission. `*` among methods or headers allows all.
    """

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int | None = None
    allow_credentials: bool = False
    forward_unmatched: bool = False
