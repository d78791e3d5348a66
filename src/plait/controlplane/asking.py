"""How a process that serves streams asks the others of its mesh; one that is alone asks nobody."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

Document = Mapping[str, Any]
Ask = Callable[[str, Document, float], Awaitable[Sequence[Document]]]
"""(method, body, seconds): what the other controls answer; one that does not in time is left out."""


async def nobody(_method: str, _body: Document, _limit: float) -> Sequence[Document]:
    """Asks nobody."""
    return ()


class Others(Protocol):
    """The others."""

    @property
    def leads(self) -> bool:
        """Whether this process leads them."""
        ...

    async def ask(self, method: str, body: Document, limit: float = 1.0) -> Sequence[Document]:
        """What they answer."""
        ...
