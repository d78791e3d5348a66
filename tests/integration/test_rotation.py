"""Certificates change under load: leaves, the intermediate, the root through all its stages; nothing is lost.

One mesh with short-lived leaves under counted load for the whole module, in which connections are kept and made anew
all the time, and streams of gRPC are in hand. What is trusted at the end is tried by a handshake with a certificate of
the root that went.
"""

import asyncio
import contextlib
import json
import signal
import socket
import ssl
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from plait.errors import ForbiddenError
from plait.identity.authority import open_authority
from plait.identity.spiffe import workload_id
from plait.identity.svid import new_key, signing_request
from plait.identity.trust import fingerprints, signer_of
from plait.node import join, settings
from plait.node.join import Member
from plait.node.state import NodeDirectory
from tests.integration.counted_load import api, apply, serve
from tests.integration.machines import Machine, mesh, needs_root, until
from tests.integration.mixed_load import MixedLoad, serve_grpc

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]

STREAMS: dict[str, dict[str, Any]] = {
    "kept": {"url": "http://web/", "workers": 3, "pause": 0.02},
    "direct": {"url": "http://one/", "workers": 2, "pause": 0.02},
    "fresh": {"url": "http://one/", "fresh": True, "pause": 0.05},
    "slow": {"url": "http://web/slow/0.5", "workers": 4},
    "unary": {"url": "grpc://rpc:80", "pause": 0.02},
    "streamed": {"url": "grpc://rpc:80", "workers": 2, "messages": 8, "over": 2.0},
}
SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8000}]
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m"), environment={"PLAIT_LEAF_TTL": "2m"}) as started:
        apply(started, SERVICE)
        for name, service in (("one-1", "one"), ("two-1", "two")):
            serve(started, name, service)
        serve_grpc(started, "rpc-1", "rpc")
        yield started


@pytest.fixture(scope="module")
def load(machine: Machine) -> Generator[MixedLoad]:
    with MixedLoad(machine, STREAMS) as running:
        running.goes()
        yield running


def status(machine: Machine) -> Mapping[str, Any]:
    """What `plait ca status` says."""
    return json.loads(machine.plait("ca", "status", "-o", "json"))


def stage(machine: Machine) -> str:
    """The stage on control's disk, without asking control."""
    return str(json.loads((machine.state / "control" / "ca" / "authority.json").read_text())["stage"])


def leaves(machine: Machine) -> list[bytes]:
    """The certificate chains of all workloads, and the machine's own."""
    node = machine.state / "node"
    return [path.read_bytes() for path in (*(node / "workloads").rglob("chain.pem"), node / "identity" / "chain.pem")]


def all_followed(machine: Machine) -> bool:
    """Whether no rotation is under way and everybody has followed the last one."""
    found = status(machine)
    return found["stage"] == "steady" and not found["behind"]


@pytest.mark.long
def test_the_intermediate_is_replaced_under_load(machine: Machine, load: MixedLoad) -> None:
    """Every leaf is signed anew at once by a new intermediate under the same root."""
    before = status(machine)
    with load.loses_nothing():
        machine.plait("ca", "rotate", "--within", "2s", "--wait", "--timeout", "30s")
    after = status(machine)
    assert after["roots"] == before["roots"]
    assert after["signer"]["fingerprint"] != before["signer"]["fingerprint"]
    assert {signer_of(chain) for chain in leaves(machine)} == {after["signer"]["fingerprint"]}


def test_the_root_is_replaced_under_load_while_control_dies(machine: Machine, load: MixedLoad, tmp_path: Path) -> None:
    """Control is killed in every stage: what the old root signed serves until the end and is refused then."""
    before = status(machine)["roots"][0]["fingerprint"]
    stale = intruder(machine, tmp_path)
    assert admitted(machine, stale)
    seen: list[str] = []
    with load.loses_nothing():
        machine.plait("ca", "rotate", "--root", "--within", "3s")
        for _ in range(3):
            seen.append(stage(machine))
            machine.end("control", signal.SIGKILL)
            machine.start("control")
            until(lambda: stage(machine) != seen[-1] or seen[-1] == "steady", within=30, what=f"beyond {seen}")
        until(lambda: all_followed(machine), within=30, what="not everybody followed")
    assert seen == ["distributing", "replacing", "steady"]
    [root] = status(machine)["roots"]
    assert root["fingerprint"] != before
    assert not admitted(machine, stale)
    assert admitted(machine, intruder(machine, tmp_path))


def test_the_mesh_lives_on_the_new_root(machine: Machine, load: MixedLoad) -> None:
    """Agent and control restart and a workload starts, all by the new root alone; nobody joins anew."""
    folder = machine.state / "node" / "identity"
    with load.loses_nothing():
        before = (folder / "chain.pem").read_bytes()
        machine.end("node", signal.SIGKILL)
        machine.start("node")
        assert (folder / "chain.pem").read_bytes() == before
        serve(machine, "one-2", "one")
        until(lambda: load.report()["direct"]["by"].get("one-2", 0) > 3, what="one-2 answers nothing")


@pytest.mark.long
def test_join_tokens_serve_while_their_root_is_trusted(machine: Machine, load: MixedLoad, tmp_path: Path) -> None:
    """One made before lets a machine in until the old root goes, one made meanwhile does after too.

    A machine that joined and says nothing holds each stage up until it is deleted; later it joins again by a new token.
    """
    before, unused = token(machine, "before"), token(machine, "unused")
    left_behind = joined(machine, token(machine, "away"), tmp_path / "away")
    with load.loses_nothing():
        machine.plait("ca", "rotate", "--root", "--within", "1s")
        until(lambda: status(machine)["behind"] == ["machine away"], within=30)
        assert stage(machine) == "distributing"
        forget(machine, "away")
        until(lambda: stage(machine) == "replacing", within=30)
        meanwhile = token(machine, "meanwhile")
        joined(machine, before, tmp_path / "before")
        until(lambda: status(machine)["behind"] == ["machine before"], within=30)
        assert stage(machine) == "replacing"
        forget(machine, "before")
        until(lambda: all_followed(machine), within=30, what="not everybody followed")
    joined(machine, meanwhile, tmp_path / "meanwhile")
    with pytest.raises(ForbiddenError, match="root was replaced"):
        joined(machine, unused, tmp_path / "unused")
    assert joined(machine, unused, tmp_path / "away") == left_behind
    again = joined(machine, token(machine, "away"), tmp_path / "away")
    assert fingerprints(again.bundle) == (status(machine)["roots"][0]["fingerprint"],)
    for name in ("meanwhile", "away"):
        forget(machine, name)


def token(machine: Machine, node: str) -> str:
    """A join token for a machine of that name."""
    made = machine.plait("token", "create", "--node", node, "--allow", "*/*", "-o", "json")
    return str(json.loads(made)["token"])


def forget(machine: Machine, node: str) -> None:
    """Delete a machine."""
    with api(machine) as opened:
        opened.delete(f"/api/v1/nodes/{node}")


def joined(machine: Machine, text: str, state: Path) -> Member:
    """Join as an agent does that is given the token; it asks for no more, and reports nothing."""
    directory = NodeDirectory(state)
    directory.prepare(proxy_uid=0)
    given = settings.load({}, state_dir=state, join=text, control="127.0.0.1")
    return asyncio.run(join.member(given, directory))


def intruder(machine: Machine, folder: Path) -> tuple[Path, Path]:
    """Files with a workload's certificate that the mesh's authority signed just now, and its key."""
    authority = open_authority(machine.state / "control" / "ca", "cluster.local")
    key = new_key()
    name = f"{time.monotonic_ns()}"
    chain, key_file = folder / f"{name}.crt", folder / f"{name}.key"
    chain.write_bytes(authority.sign(signing_request(key), workload_id("cluster.local", "default", "load")))
    key_file.write_bytes(key)
    return chain, key_file


def admitted(machine: Machine, identity: tuple[Path, Path]) -> bool:
    """Whether a workload's sidecar takes a connection with that certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["plait-http1", "http/1.1"])
    context.load_cert_chain(*identity)
    address = str(machine.workload("one-1")["address"])
    with (
        contextlib.suppress(ssl.SSLError, OSError),
        socket.create_connection((address, 8000), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="one") as secured,
    ):
        secured.sendall(b"GET / HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n")
        return secured.recv(12).startswith(b"HTTP/1.1 200")
    return False
