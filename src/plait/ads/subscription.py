"""One resource type on one delta stream: what the peer asked for, what it was sent, what it holds.

`sent` is what the peer has once every response under way is acknowledged, `held` what it has acknowledged; the
difference between `sent` and the target is what is still to be sent. A name that the peer asked for and that
does not exist is answered once as removed; it is then `sent` as `ABSENT`. For a deferred type that answer is
given only for names that the publisher has looked for, since a name may exist without being in the set yet.

A refused response is sent again in halves until the single resources that are at fault are known. Those stay
refused, and the peer keeps what it held, until their content changes.

https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol (incremental xDS)
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from plait.ads.versions import Versions
from plait.envoy.overlaid import sorted_entries
from plait.envoy.resource_set import EMPTY, Entry
from plait.envoy.types import ENDPOINT, NAME

ABSENT: Final = ""
"""Stands for the version of what does not exist."""

WILDCARD: Final = "*"
_PIPELINED: Final = {ENDPOINT: 16, NAME: 16}
"""Types whose next response need not wait for the acknowledgement of the one before, and how many may be under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A resource that the peer refused, at which version, and what it said."""

    version: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is still to be sent: resources, names that do not exist, and names that exist no longer."""

    add: tuple[Entry, ...] = ()
    deny: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.add or self.deny or self.remove)


NO_CHANGES: Final = Changes()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A response under way: versions by name, and whether later stages wait for it."""

    versions: Mapping[str, str]
    gates: bool
    removal: bool
    absent: bool


class Subscription:
    """The state of one type on one stream."""

    def __init__(self, type_url: str, *, deferred: bool = False) -> None:
        self.type_url = type_url
        self.deferred = deferred
        self.active = False
        self.wildcard = False
        self.names: set[str] = set()
        self.sent = Versions()
        self.held = Versions()
        self.refused: dict[str, Refusal] = {}
        self.pending: dict[str, Sent] = {}
        self._target: Mapping[str, Entry] = EMPTY
        self._answered: Collection[str] = ()
        self._known = False
        self._owed: set[str] = set()
        self._owes_reply = False
        self._suspects: list[tuple[str, ...]] = []
        self._changes: Changes | None = NO_CHANGES

    def subscribe(self, names: Iterable[str], initial: Mapping[str, str]) -> None:
        """Take a subscription; `initial` are the versions that a reconnecting peer holds already."""
        first, self.active, self._changes = not self.active, True, None
        asked = set(names)
        if first:
            self.wildcard = not asked and self.type_url != NAME
            self._owes_reply = not initial
        if WILDCARD in asked:
            asked.discard(WILDCARD)
            self._owes_reply |= not self.wildcard and not first
            self.wildcard = True
        if not first:
            self._owed.update(name for name in asked if name in self.sent)
        self.names |= asked
        if first:
            versions = {name: version for name, version in initial.items() if self.wants(name)}
            self.sent, self.held = Versions(versions), Versions(versions)

    def unsubscribe(self, names: Iterable[str]) -> None:
        """Forget names; under a wildcard the peer is told again what they are, since it may have dropped them."""
        dropped, self._changes = set(names), None
        if WILDCARD in dropped:
            dropped.discard(WILDCARD)
            self.wildcard = False
            dropped.update(name for name in self.sent if name not in self.names)
        if self.wildcard:
            self._owed |= dropped & self.names
        self.names -= dropped
        if not self.wildcard:
            for name in dropped:
                self.sent.drop(name)
                self.held.drop(name)
                self.refused.pop(name, None)
                self._owed.discard(name)

    def wants(self, name: str) -> bool:
        """Whether the peer's subscription covers that name."""
        return self.wildcard or name in self.names

    def publish(self, target: Mapping[str, Entry], *, answered: Collection[str], known: bool) -> None:
        """Make this the content to reach; nothing is answered while it is not `known`."""
        if target is self._target and answered == self._answered and known == self._known:
            return
        self._target, self._answered, self._known, self._changes = target, answered, known, None
        for name in [name for name, refusal in self.refused.items() if self.version(name) != refusal.version]:
            del self.refused[name]

    def version(self, name: str) -> str:
        """The version of that name in the target; ABSENT if it is not there."""
        found = self._target.get(name)
        return found.version if found else ABSENT

    def owe(self, names: Iterable[str]) -> None:
        """Send these names again although they have not changed."""
        again = {name for name in self.names.intersection(names) if name in self.sent}
        if again:
            self._owed |= again
            self._changes = None

    def changes(self) -> Changes:
        """What is still to be sent, in a stable order."""
        if self._changes is None:
            self._changes = self._compare() if self.active and self._known else NO_CHANGES
            self._rest()
        return self._changes

    def _compare(self) -> Changes:
        target = self._target
        if self.wildcard and not (self.sent or self.refused or self._owed):
            return Changes(add=sorted_entries(target), deny=self._denied())
        differing = sorted(self.sent.differing(target) | self._owed)
        wanted = differing if self.wildcard else sorted(self.names)
        add = tuple(item for name in wanted if (item := target.get(name)) is not None and self._must_send(item))
        gone = (name for name in differing if self.sent.get(name) and name not in target)
        remove = tuple(name for name in gone if name not in self._owed and self._may_deny(name))
        return Changes(add=add, deny=self._denied(), remove=remove)

    def _denied(self) -> tuple[str, ...]:
        missing = sorted(name for name in self.names | self._owed if name not in self._target)
        return tuple(name for name in missing if self._must_deny(name))

    def _rest(self) -> None:
        """Once the peer has everything, refer to what was published instead of keeping it apart for this stream."""
        if self._changes or self._changes is None or not (self.wildcard and self._known and self.active):
            return
        if self.pending or self.refused or self._owed:
            return
        target = self._target
        beside = ((name, self.sent.get(name)) for name in self.sent.differing(target) if name not in target)
        kept = {name: version for name, version in beside if version is not None}
        self.sent.rest(target, kept)
        self.held.rest(target, {name: version for name, version in kept.items() if version != ABSENT})

    def _must_send(self, item: Entry) -> bool:
        refusal = self.refused.get(item.name)
        if refusal is not None and refusal.version == item.version:
            return False
        return self.sent.get(item.name) != item.version or item.name in self._owed

    def _must_deny(self, name: str) -> bool:
        return (name not in self.sent or name in self._owed) and self._may_deny(name)

    def _may_deny(self, name: str) -> bool:
        return not self.deferred or name not in self.names or name in self._answered

    @property
    def must_reply(self) -> bool:
        """Whether a wildcard subscription waits for its first answer, which is due even if it is empty."""
        return self._owes_reply and self.wildcard and self._known

    @property
    def may_send(self) -> bool:
        """Whether another response may be sent now."""
        if not self.pending:
            return True
        return not self._suspects and len(self.pending) < _PIPELINED.get(self.type_url, 1)

    def next_additions(self) -> tuple[Entry, ...]:
        """The resources for the next response: all that is to be sent, or one group of suspects."""
        add = self.changes().add
        while self._suspects:
            group = tuple(item for item in add if item.name in self._suspects[0])
            if group:
                return group
            self._suspects.pop(0)
        return add

    def mark_sent(self, nonce: str, add: Iterable[Entry], gone: Iterable[str] = (), *, removal: bool = False) -> None:
        """Note that these went out under that nonce."""
        versions = {item.name: item.version for item in add} | dict.fromkeys(gone, ABSENT)
        gates = not removal and any(self._gates(name) for name, version in versions.items() if version != ABSENT)
        self.pending[nonce] = Sent(versions=versions, gates=gates, removal=removal, absent=bool(gone))
        if gone:
            self._mark(versions)
        else:
            self.sent.update(versions)
        self._owed -= versions.keys()
        self._owes_reply, left = False, self.changes()
        if add is left.add and not gone:
            self._changes = Changes(deny=left.deny, remove=left.remove)
            return
        self._changes = Changes(
            add=tuple(item for item in left.add if item.name not in versions),
            deny=tuple(name for name in left.deny if name not in versions),
            remove=tuple(name for name in left.remove if name not in versions),
        )

    def _mark(self, versions: Mapping[str, str]) -> None:
        self.sent.update(versions)
        for name in versions.keys() - self.names:
            if versions[name] == ABSENT:
                self.sent.drop(name)

    def _gates(self, name: str) -> bool:
        """Later stages wait for it; not for new endpoints of a cluster whose endpoints the peer holds."""
        return self.type_url != ENDPOINT or name not in self.held

    @property
    def blocks(self) -> bool:
        """Whether later stages must wait for this type."""
        if any(sent.gates for sent in self.pending.values()) or self.must_reply:
            return True
        return any(self._gates(item.name) for item in self.changes().add)

    def acknowledge(self, nonce: str) -> Sent | None:
        """The peer took the response; what was in it, or None if the nonce is not under way."""
        sent = self.pending.pop(nonce, None)
        if sent is None:
            return None
        if self.wildcard and not sent.absent:
            self.held.update(sent.versions)
        else:
            self._hold(sent.versions)
        self._resolve_suspects(sent)
        self._rest()
        return sent

    def _hold(self, versions: Mapping[str, str]) -> None:
        for name, version in versions.items():
            if version == ABSENT:
                self.held.drop(name)
            elif self.wants(name):
                self.held[name] = version

    def refuse(self, nonce: str, message: str) -> tuple[str, ...]:
        """The peer refused the response; the names found at fault: none yet if it had several resources."""
        sent = self.pending.pop(nonce, None)
        if sent is None:
            return ()
        self._resolve_suspects(sent)
        names = tuple(name for name, version in sent.versions.items() if version != ABSENT and self.wants(name))
        for name in names:
            self._revert(name, sent.versions[name])
        if len(names) > 1:
            half = len(names) // 2
            self._suspects[:0] = [names[:half], names[half:]]
            return ()
        current = tuple(name for name in names if self.version(name) == sent.versions[name])
        self.refused.update({name: Refusal(version=sent.versions[name], message=message) for name in current})
        return current

    def _revert(self, name: str, version: str) -> None:
        """Take the peer to hold what it acknowledged last, unless something newer is under way."""
        self._changes = None
        if self.sent.get(name) != version:
            return
        held = self.held.get(name)
        if held is not None:
            self.sent[name] = held
        else:
            self.sent.drop(name)

    def _resolve_suspects(self, sent: Sent) -> None:
        if self._suspects and sent.versions.keys() & set(self._suspects[0]):
            self._suspects.pop(0)
            self._changes = None
