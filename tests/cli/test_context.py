"""Which mesh a command line means."""

import json
from pathlib import Path

import pytest

from plait.cli import context
from plait.cli.errors import UsageError
from plait.errors import ForbiddenError, UnreachableError


def chosen(*words: str, **environment: str) -> tuple[context.Mesh, list[str]]:
    return context.choose(words, {"HOME": "/home/ada", **environment}, uid=1000)


def test_root_and_others_have_default_places():
    """Without a word from the user the mesh is in the system's place for root, in the home directory for others."""
    assert chosen()[0].state_dir == Path("/home/ada/.local/state/plait")
    assert chosen(XDG_STATE_HOME="/x")[0].state_dir == Path("/x/plait")
    assert context.choose([], {}, uid=0)[0].state_dir == Path("/var/lib/plait")


def test_flag_wins_over_environment():
    """--state-dir wins over PLAIT_STATE_DIR, and over a server named by the environment."""
    mesh, rest = chosen("get", "--state-dir", "/a", "svc", PLAIT_STATE_DIR="/b", PLAIT_SERVER="https://c")

    assert (mesh.state_dir, mesh.server, rest) == (Path("/a"), "", ["get", "svc"])


def test_server_from_flag_or_environment():
    """--server and PLAIT_SERVER name an API elsewhere."""
    assert chosen("--server=https://a", "status")[0].server == "https://a"
    assert chosen(PLAIT_SERVER="https://c")[0].server == "https://c"


def test_words_after_the_dashes_are_the_commands_own():
    """What follows `--` belongs to the command that is run, whatever it looks like."""
    mesh, rest = chosen("run", "--", "tool", "--state-dir", "/other")

    assert mesh.state_dir == Path("/home/ada/.local/state/plait")
    assert rest == ["run", "--", "tool", "--state-dir", "/other"]


def test_flag_without_value():
    """--state-dir at the end, or before `--`, is a usage error."""
    with pytest.raises(UsageError, match="--state-dir needs a value"):
        chosen("run", "--state-dir")
    with pytest.raises(UsageError, match="--state-dir needs a value"):
        chosen("run", "--state-dir", "--", "tool")


def mesh_at(folder: Path, **endpoints: str) -> context.Mesh:
    (folder / "run").mkdir()
    (folder / "run/endpoints.json").write_text(json.dumps(endpoints))
    return context.Mesh(state_dir=folder, environment={})


def test_no_mesh_there(tmp_path: Path):
    """A state directory without a mesh is unreachable, and the hint says how to start or choose one."""
    with pytest.raises(UnreachableError, match=r"no mesh runs with its state in .*; start one with `plait up`"):
        context.Mesh(state_dir=tmp_path, environment={}).client()


def test_damaged_endpoints(tmp_path: Path):
    """A damaged endpoints file is told as such."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run/endpoints.json").write_text("{")

    with pytest.raises(UnreachableError, match="is damaged"):
        context.Mesh(state_dir=tmp_path, environment={}).endpoints()


def test_neither_socket_nor_address(tmp_path: Path):
    """Who may not open the socket of a mesh without an address is told what would help."""
    mesh = mesh_at(tmp_path, socket=str(tmp_path / "absent.sock"))

    with pytest.raises(UnreachableError, match=r"which you may not open; .*--listen"):
        mesh.client()


def test_address_without_token(tmp_path: Path):
    """An address is no use without a token."""
    mesh = mesh_at(tmp_path, api_url="https://127.0.0.1:1", token_file=str(tmp_path / "absent"))

    with pytest.raises(ForbiddenError, match="no token to show"):
        mesh.client()
