"""The launcher, run as the agent runs it: a real process with a real app."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from plait.node import launches, wire

PYTHON = sys.executable


def document(folder: Path, *command: str, **fields: Any) -> dict[str, Any]:
    base = {"env": dict(os.environ), "cwd": str(folder), "grace": 0.3}
    places = {"socket": str(folder / "launcher.sock"), "exit_file": str(folder / "exit.json")}
    return {"command": list(command), **base, **places, **fields}


@asynccontextmanager
async def launched(folder: Path, *command: str, **fields: Any) -> AsyncGenerator[tuple[launches.Launch, socket.socket]]:
    mine, theirs = socket.socketpair()
    nothing = os.open(os.devnull, os.O_RDWR)
    output = os.open(folder / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    process = launches.spawn(document(folder, *command, **fields), (nothing, output, output), client=theirs.fileno())
    theirs.close()
    os.close(nothing)
    os.close(output)
    launch = await launches.attach(folder / "launcher.sock", process)
    mine.settimeout(5)
    try:
        yield launch, mine
    finally:
        await launch.order(do="signal", number=signal.SIGKILL)
        mine.close()
        await launch.close()


async def until(launch: launches.Launch, event: str) -> dict[str, Any]:
    async for message in launch.events():
        if message["event"] == event:
            return message
    raise AssertionError(f"the launcher ended without {event}: {launch.state}")


async def started(launch: launches.Launch) -> dict[str, Any]:
    await until(launch, "held")
    await launch.order(do="start")
    return await until(launch, "started")


def heard(client: socket.socket) -> list[dict[str, Any]]:
    decoder, messages = wire.Decoder(), list[dict[str, Any]]()
    while (received := wire.receive(client, decoder)) is not None:
        messages += [message for message, _fds in received]
    return messages


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 15))


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("exit 0", 0), ("kill -TERM $$", 143)])
def test_exit_code_reaches_client_agent_and_disk(tmp_path: Path, script: str, code: int) -> None:
    """The command's own exit code is told to both and written down; a signal counts as 128 and its number."""

    async def scenario() -> None:
        async with launched(tmp_path, "sh", "-c", script) as (launch, client):
            await launch.order(do="start")
            assert (await until(launch, "exited"))["code"] == code
            assert heard(client)[-1]["code"] == code
        assert json.loads((tmp_path / "exit.json").read_text())["code"] == code

    run(scenario)


@pytest.mark.parametrize(
    ("name", "code", "word"), [("no-such-thing", 127, "not found"), ("/etc/hosts", 126, "execute")]
)
def test_own_failures_are_those_of_env(tmp_path: Path, name: str, code: int, word: str) -> None:
    """A command that does not exist is 127, one that cannot be executed 126, each with a sentence."""

    async def scenario() -> None:
        async with launched(tmp_path, name) as (launch, client):
            await launch.order(do="start")
            failed = await until(launch, "failed")
            assert failed["code"] == code
            assert word in failed["problem"]
            assert failed["remedy"]
            assert heard(client)[-1]["code"] == code

    run(scenario)


def test_app_waits_for_the_order_to_start(tmp_path: Path) -> None:
    """Nothing of the app runs before the agent says start."""

    async def scenario() -> None:
        async with launched(tmp_path, "sh", "-c", "echo ran > ran; sleep 60") as (launch, _client):
            await until(launch, "held")
            assert not (tmp_path / "ran").exists()
            await launch.order(do="start")
            assert (await until(launch, "started"))["pid"] > 0

    run(scenario)


def test_the_app_ignores_and_blocks_no_signal(tmp_path: Path) -> None:
    """Whatever the agent was started with: a background shell ignores SIGINT and SIGQUIT, nohup SIGHUP."""

    async def scenario() -> None:
        command = ("grep", "-E", "^Sig(Ign|Blk)", "/proc/self/status")
        async with launched(tmp_path, *command) as (launch, _client):
            await launch.order(do="start")
            assert (await until(launch, "exited"))["code"] == 0

    ignored = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    try:
        run(scenario)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in before.items():
            signal.signal(number, handler)
    words = (tmp_path / "out").read_text().split()
    settable = sum(1 << (number - 1) for number in signal.valid_signals())  # the others are the C library's own
    assert [int(word, 16) & settable for word in words[1::2]] == [0, 0]


def test_terminating_signals_go_through_the_agent_first(tmp_path: Path) -> None:
    """The client's SIGTERM is told to the agent; only the agent's order delivers it to the app."""

    async def scenario() -> None:
        async with launched(tmp_path, "sleep", "60") as (launch, client):
            await started(launch)
            wire.send(client, {"signal": signal.SIGTERM})
            assert (await until(launch, "signal"))["number"] == signal.SIGTERM
            await launch.order(do="signal", number=signal.SIGTERM)
            assert (await until(launch, "exited"))["code"] == 143

    run(scenario)


def test_other_signals_are_delivered_at_once(tmp_path: Path) -> None:
    """A reload by SIGHUP or a SIGUSR1 does not drain anything."""

    async def scenario() -> None:
        async with launched(tmp_path, "sh", "-c", "trap 'exit 9' USR1; while :; do sleep 0.05; done") as (
            launch,
            client,
        ):
            await started(launch)
            await asyncio.sleep(0.2)
            wire.send(client, {"signal": signal.SIGUSR1})
            assert (await until(launch, "exited"))["code"] == 9

    run(scenario)


def test_app_outlives_the_agent_and_is_found_again(tmp_path: Path) -> None:
    """When the agent is gone the app runs on, signals reach it directly, and a new agent attaches."""

    async def scenario() -> None:
        async with launched(tmp_path, "sleep", "60") as (launch, client):
            pid = (await started(launch))["pid"]
            launch.channel.close()
            again = await launches.attach(tmp_path / "launcher.sock")
            assert (await until(again, "started"))["pid"] == pid
            again.channel.close()
            await asyncio.sleep(0.1)
            wire.send(client, {"signal": signal.SIGTERM})
            assert heard(client)[-1] == {"event": "exited", "code": 143, "pid": pid}

    run(scenario)


def test_lost_client_is_told_to_the_agent(tmp_path: Path) -> None:
    """A client that was killed leaves its workload to the agent, which ends it in order."""

    async def scenario() -> None:
        async with launched(tmp_path, "sleep", "60") as (launch, client):
            await started(launch)
            client.close()
            await until(launch, "client gone")

    run(scenario)


def test_lost_client_without_agent_ends_the_app(tmp_path: Path) -> None:
    """With neither client nor agent the app is ended after a short while."""

    async def scenario() -> None:
        async with launched(tmp_path, "sleep", "60") as (launch, client):
            await started(launch)
            launch.channel.close()
            await asyncio.sleep(0.1)
            client.close()
            assert launch.process is not None
            await asyncio.to_thread(launch.process.wait)
        assert json.loads((tmp_path / "exit.json").read_text())["code"] == 143

    run(scenario)


def test_nothing_of_the_app_is_left_behind(tmp_path: Path) -> None:
    """Processes that detached themselves end with the app, even those that ignore SIGTERM."""
    script = "(trap '' TERM; setsid sleep 60 & echo $! > left; sleep 60) & sleep 0.2; exit 3"

    async def scenario() -> None:
        async with launched(tmp_path, "sh", "-c", script) as (launch, _client):
            await launch.order(do="start")
            assert (await until(launch, "exited"))["code"] == 3

    run(scenario)
    left = int((tmp_path / "left").read_text())
    assert not Path(f"/proc/{left}").exists()


def test_terminal_becomes_the_controlling_one(tmp_path: Path) -> None:
    """With `terminal` the app can open /dev/tty and its shell has job control."""
    master, slave = os.openpty()

    async def scenario() -> None:
        process = launches.spawn(
            document(tmp_path, "sh", "-c", "exec 3</dev/tty && exit 5", terminal=True), (slave,) * 3
        )
        launch = await launches.attach(tmp_path / "launcher.sock", process)
        await launch.order(do="start")
        assert (await until(launch, "exited"))["code"] == 5
        await launch.close()

    try:
        run(scenario)
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")
def test_privileges_are_given_up(tmp_path: Path) -> None:
    """The app has the user asked for, no capability in any set and no_new_privs."""
    tmp_path.chmod(0o777)
    (tmp_path / "out").touch(0o666)
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "secret").write_text("secret")
    (tmp_path / "resolv").write_text("nameserver 10.9.8.7\n")
    script = f"cat /proc/self/status /etc/resolv.conf; ls -A {hidden}"
    fields: dict[str, Any] = {"uid": 12345, "gid": 12346, "groups": [12347], "umask": 0o027, "cwd": "/"}
    fields |= {
        "hide": [str(hidden)],
        "files": {"/etc/resolv.conf": str(tmp_path / "resolv")},
        "limits": {"7": [99, 100]},
    }

    async def scenario() -> None:
        async with launched(tmp_path, "/bin/sh", "-c", f"{script}; ulimit -n; umask", **fields) as (launch, _client):
            await launch.order(do="start")
            assert (await until(launch, "exited"))["code"] == 0

    run(scenario)
    lines = (tmp_path / "out").read_text().splitlines()
    status = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines if ":" in line}
    assert status["Uid"] == ["12345"] * 4
    assert status["Gid"] == ["12346"] * 4
    assert status["Groups"] == ["12347"]
    assert all(int(status[name][0], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
    assert status["NoNewPrivs"] == ["1"]
    assert "nameserver 10.9.8.7" in lines
    assert "secret" not in lines
    assert lines[-2:] == ["99", "0027"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user")
def test_root_gets_no_privileges_either(tmp_path: Path) -> None:
    """An app that runs as root on request keeps its uid but no capability."""

    async def scenario() -> None:
        async with launched(tmp_path, "grep", "Cap", "/proc/self/status", uid=0, gid=0, groups=[]) as (launch, _client):
            await launch.order(do="start")
            assert (await until(launch, "exited"))["code"] == 0

    run(scenario)
    assert {line.split()[1] for line in (tmp_path / "out").read_text().splitlines()} == {"0" * 16}
