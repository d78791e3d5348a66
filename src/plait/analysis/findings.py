"""What an analyzer says: a message of the catalogue, about a field of an object, as a sentence with its remedy."""

from dataclasses import dataclass
from enum import StrEnum

from plait.model.ids import Origin


class Severity(StrEnum):
    """An error does not work, a warning most likely does not do what was meant, info is worth knowing."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """Less is worse."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A kind of mistake: its code here and at `istioctl analyze`, a title, and why it matters."""

    code: str
    istio: tuple[str, ...]
    severity: Severity
    title: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One mistake: `sentence` says what is wrong, `remedy` how to mend it, `origin` where it was written."""

    message: Message
    origin: Origin
    sentence: str
    remedy: str

    @property
    def order(self) -> tuple[object, ...]:
        """Findings are told file by file, from top to bottom, the worst of a line first."""
        origin = self.origin
        place = (origin.file, origin.line, origin.kind, origin.namespace, origin.name)
        return (*place, self.message.severity.rank, self.message.code, origin.path, self.sentence)
