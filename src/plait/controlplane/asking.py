"""How a control asks the others of its mesh; one that is alone asks nobody."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
Ask = Callable[[str, Document, float], Awaitable[Sequence[Document]]]
"""(method, body, seconds): what the other controls answer; one that does not in time is left out."""


async def nobody(_method: str, _body: Document, _limit: float) -> Sequence[Document]:
    """Asks nobody."""
    return ()
