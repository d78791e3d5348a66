"""A node agent that keeps what it was asked and gives canned answers.

As with the real one, how an app ends is told by the launcher whose socket the agent hands to a client that stays.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from plait.node import wire


@dataclass
class FakeAgent:
    """Answers each connection's first message with `answers`."""

    path: Path
    answers: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    listener: socket.socket | None = None

    def start(self) -> None:
        """Listen, and answer in a thread."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.listener = wire.listen(self.path, mode=0o600)
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self) -> None:
        """End the thread."""
        assert self.listener is not None
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while self.listener is not None:
                channel, _ = self.listener.accept()
                with channel:
                    self._answer(channel)

    def _answer(self, channel: socket.socket) -> None:
        for message, fds in wire.receive(channel, wire.Decoder()) or ():
            for fd in fds:
                os.close(fd)
            self.asked.append(message)
            launchers = self._attach(channel, message) if message.get("detach") is False else [channel]
            for answer in self.answers:
                for told in launchers if "code" in answer else [channel]:
                    wire.send(told, answer)
            for launcher in launchers:
                launcher.close()

    def _attach(self, channel: socket.socket, message: Mapping[str, Any]) -> list[socket.socket]:
        """Hand a launcher's socket over for each app that is asked for; returns the launchers' ends."""
        launchers: list[socket.socket] = []
        for spec in message.get("specs", [{}]):
            ours, theirs = socket.socketpair()
            with theirs:
                wire.send(channel, {"event": "attached", "name": spec.get("name", "")}, [theirs.fileno()])
            launchers.append(ours)
        return launchers
