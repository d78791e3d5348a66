"""What a DNS front remembers of the answers it passed on, for as long as its agent is away.

Each workload's memory is its own and bounded by kind of answer, the least recently used forgotten first: a program that
looks up random names forgets only its own foreign and missing names, never those of the mesh. A foreign name is foreign
for every type. Memory of an address that another workload has by now is dropped.
"""

from plait.node import dns_wire as wire
from plait.node.dns_wire import Question

_CLIENTS = 1024
_MOST = {wire.KEEP: 1024, wire.MISSING: 256, wire.FOREIGN: 512}

Wording = tuple[Question, bool]
"""A question and whether it came by TCP; answers differ by what the asker can receive."""
Key = tuple[bytes, bytes, int, bool]


class _Client:
    __slots__ = ("held", "owner")

    def __init__(self, owner: bytes) -> None:
        self.owner = owner
        self.held: dict[int, dict[Key, bytes]] = {verdict: {} for verdict in _MOST}


class Memory:
    """Answers by client and question."""

    def __init__(self) -> None:
        self._clients: dict[bytes, _Client] = {}

    def keep(self, client: bytes, owner: bytes, asked: Wording, found: tuple[int, bytes]) -> None:
        """Remember verdict and reply on what a client asked; what was known of that before is forgotten."""
        verdict, reply = found
        known = self._clients.pop(client, None)
        if known is None or known.owner != owner:
            known = _Client(owner)
        self._clients[client] = known
        while len(self._clients) > _CLIENTS:
            del self._clients[next(iter(self._clients))]
        for held in known.held.values():
            held.pop(_exact(asked), None)
            held.pop(_any_type(asked), None)
        kept = known.held[verdict]
        kept[_any_type(asked) if verdict == wire.FOREIGN else _exact(asked)] = reply
        while len(kept) > _MOST[verdict]:
            del kept[next(iter(kept))]

    def find(self, client: bytes, asked: Wording) -> tuple[int, bytes] | None:
        """The verdict on that question and its reply, if they are remembered."""
        known = self._clients.get(client)
        for verdict, held in known.held.items() if known is not None else ():
            reply = held.get(_any_type(asked) if verdict == wire.FOREIGN else _exact(asked))
            if reply is not None:
                return verdict, reply
        return None

    def __len__(self) -> int:
        return sum(len(held) for known in self._clients.values() for held in known.held.values())


def _exact(asked: Wording) -> Key:
    question, stream = asked
    return question.name, question.kind, question.size, stream


def _any_type(asked: Wording) -> Key:
    return asked[0].name, b"", 0, False
