"""JSON lines with open files beside them."""

import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.node import wire

MESSAGES = st.lists(st.dictionaries(st.text(max_size=8).filter(lambda key: key != "fds"), st.integers() | st.text()))


@given(MESSAGES, st.integers(1, 7))
def test_any_cut_of_the_stream_gives_the_same_messages(messages: list[wire.Message], size: int) -> None:
    """Messages are found again however the bytes were cut on their way."""
    stream = b"".join(wire.encode(message) for message in messages)
    decoder, found = wire.Decoder(), list[wire.Message]()
    for start in range(0, len(stream), size):
        found += [message for message, _fds in decoder.feed(stream[start : start + size])]
    assert found == messages


def test_files_travel_with_their_message() -> None:
    """Descriptors belong to the message that announced them, and are not inherited by what is started."""
    ours, theirs = socket.socketpair()
    reader, writer = os.pipe()
    with ours, theirs:
        wire.send(ours, {"first": 1})
        wire.send(ours, {"second": 2}, [writer])
        decoder, received = wire.Decoder(), list[tuple[wire.Message, list[int]]]()
        while len(received) < 2:
            received += wire.receive(theirs, decoder) or ()
    assert received[0] == ({"first": 1}, [])
    assert received[1][0] == {"second": 2}
    (copy,) = received[1][1]
    assert not os.get_inheritable(copy)
    os.write(copy, b"x")
    assert os.read(reader, 1) == b"x"
    for fd in (reader, writer, copy):
        os.close(fd)


@pytest.mark.parametrize("line", [b"nothing\n", b"[1]\n", b'{"fds": 1}\n', b'{"fds": -1}\n', b'{"fds": "x"}\n'])
def test_what_is_no_message_is_an_error(line: bytes) -> None:
    """Rubbish, lists and files that did not come are refused."""
    with pytest.raises(wire.WireError):
        list(wire.Decoder().feed(line))


def test_an_endless_line_is_an_error() -> None:
    """Nobody can make the agent remember more than a line's greatest length."""
    with pytest.raises(wire.WireError, match="longer"):
        list(wire.Decoder().feed(b"x" * (wire.LONGEST_LINE + 1)))


def test_sockets_may_lie_deeper_than_an_address_is_long(tmp_path: Path) -> None:
    """A path longer than a socket's address is reached all the same."""
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    with wire.listen(deep / "socket", mode=0o600) as listener, wire.connect(deep / "socket") as channel:
        accepted, _address = listener.accept()
        with accepted:
            channel.sendall(b"x")
            assert accepted.recv(1) == b"x"
    assert (deep / "socket").stat().st_mode & 0o777 == 0o600
