"""The Envoys of one proxy at its relay: usually one; two or more while one takes over from another.

They are told apart by the generation in their node ids. All are sent the same, so that the one that comes is warm
before it serves, and the one that leaves serves its last connections by what holds now. Only what the serving one
answers counts: it is told to control, and kept.
"""

from collections.abc import Sequence

from plait.ads.relayed import RelayedProxy
from plait.ads.server import Session
from plait.ads.stream import Event, Refused
from plait.errors import RefusedError


class Envoys:
    """The sessions of one proxy's Envoys."""

    def __init__(self, state: RelayedProxy, serving: int = 0) -> None:
        self._state = state
        self._serving = serving
        self._sessions: dict[int, Session] = {}

    def opened(self, session: Session, generation: int) -> None:
        """An Envoy opened a stream; one that it had before is over."""
        earlier = self._sessions.get(generation)
        if earlier is not None:
            earlier.end("a newer stream took over")
            self._state.detach_beside(earlier.stream)
        self._sessions[generation] = session
        if generation == self._serving:
            self._state.attach(session.stream)
        else:
            self._state.attach_beside(session.stream)

    def received(self, session: Session, generation: int, events: Sequence[Event]) -> bool:
        """Take what happened on a stream; False if the stream is over already."""
        if self._sessions.get(generation) is not session:
            return False
        serves = generation == self._serving
        self._state.observe([event for event in events if serves or not isinstance(event, Refused)])
        return True

    def closed(self, session: Session, generation: int) -> bool:
        """A stream ended; False if that was known."""
        if self._sessions.get(generation) is not session:
            return False
        del self._sessions[generation]
        if generation == self._serving:
            self._state.detach()
        self._state.detach_beside(session.stream)
        return True

    def promote(self, generation: int) -> None:
        """The Envoy of that generation serves from now on."""
        before, session = self._sessions.get(self._serving), self._sessions.get(generation)
        if self._serving == generation:
            return
        self._serving = generation
        self._state.detach()
        if before is not None:
            self._state.attach_beside(before.stream)
        if session is not None:
            self._state.attach(session.stream)

    def end_serving(self) -> None:
        """The serving Envoy's process has ended."""
        session = self._sessions.get(self._serving)
        if session is not None:
            session.end("its process ended")
            self.closed(session, self._serving)

    def end(self, reason: str) -> None:
        """End every stream."""
        for session in self._sessions.values():
            session.end(reason)

    def wake(self) -> None:
        """There may be something to write to any of them."""
        for session in self._sessions.values():
            session.wake()

    def connected(self, generation: int) -> bool:
        """Whether the Envoy of that generation has a stream."""
        return generation in self._sessions

    def warm(self, generation: int) -> bool:
        """Whether an Envoy holds all that the serving one holds; RefusedError when it refuses what that one took."""
        session = self._sessions.get(generation)
        if session is None:
            return False
        for key, refusal in session.stream.refusals().items():
            if key not in self._state.refused:
                problem = f"the new Envoy of {self._state.proxy} refuses {key[1]}: {refusal.message}"
                raise RefusedError(problem, "use an Envoy that understands what this mesh configures")
        return self._state.warm_at(session.stream)
