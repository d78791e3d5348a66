"""Names of which only the latest are remembered, so that nothing that a workload asks can grow without limit."""

from collections.abc import Iterable


class Recent:
    """Up to `most` names, in the order in which they were added last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[str, None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def add(self, names: Iterable[str]) -> list[str]:
        """Remember these as the latest; the names that are forgotten for them."""
        for name in names:
            self._names.pop(name, None)
            self._names[name] = None
        oldest = list(self._names)[: max(0, len(self._names) - self._most)]
        self.discard(oldest)
        return oldest

    def discard(self, names: Iterable[str]) -> None:
        """Forget these, remembered or not."""
        for name in names:
            self._names.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self._names.clear()
