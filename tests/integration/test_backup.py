"""A mesh that lost its control plane's disk comes back from a backup that was taken while it worked."""

import json
import shutil
import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from plait.errors import PlaitError
from tests.integration.counted_load import CountedLoad, api, serve, stop
from tests.integration.machines import Machine, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]


@contextmanager
def writing(machine: Machine) -> Generator[list[int]]:
    """Write objects one after the other during the block; the numbers of those that were acknowledged."""
    done: list[int] = []
    over = threading.Event()

    def write() -> None:
        with api(machine) as client:
            while not over.is_set():
                data = {"number": str(len(done))}
                meta = {"name": f"n{len(done)}", "namespace": "default"}
                client.apply([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}])
                done.append(len(done))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield done
    finally:
        over.set()
        writer.join(20)


def config_maps(machine: Machine) -> dict[str, Any]:
    """The objects that were written, and the revision of their list."""
    with api(machine) as client:
        listing = client.get("/api/v1/namespaces/default/configmaps")
    return {
        "numbers": {int(item["data"]["number"]) for item in listing["items"] if "number" in item.get("data", {})},
        "revision": listing["metadata"]["resourceVersion"],
    }


def told_gone(machine: Machine, revision: str) -> bool:
    """Whether a watcher from that revision is told to list again (status 410)."""
    with api(machine) as client:
        for event in client.watch("/api/v1/namespaces/default/configmaps", since=revision, timeout=2):
            return event["type"] == "ERROR" and event["object"]["code"] == 410
    return False


def verifies(chain: Path, bundle: Path) -> bool:
    """Whether a workload's certificate leads to one of the roots."""
    certificates = x509.load_pem_x509_certificates(chain.read_bytes())
    roots = x509.load_pem_x509_certificates(bundle.read_bytes())
    for certificate, issuer in pairwise(certificates):
        certificate.verify_directly_issued_by(issuer)
    for root in roots:
        with suppress(InvalidSignature, ValueError):
            certificates[-1].verify_directly_issued_by(root)
            return True
    return False


@pytest.mark.long
def test_a_lost_control_plane_is_restored(tmp_path: Path):
    """Saved under writes, killed, its disk lost: restored, it holds all that was saved, and not one call is lost.

    A workload that started after the backup is registered again, one that ended since is not brought back.
    """
    with mesh(tmp_path / "m") as machine:
        serve(machine, "web-1", "web")
        serve(machine, "ended", "other")
        with writing(machine) as numbers:
            until(lambda: len(numbers) > 30, what="objects are written")
            at_least = len(numbers)
            told = json.loads(machine.plait("backup", str(tmp_path / "saved"), "-o", "json"))
            until(lambda: len(numbers) > at_least + 10, what="objects are written on")
        last = config_maps(machine)["revision"]
        serve(machine, "web-2", "web")
        stop(machine, "ended")
        with CountedLoad(machine, {"fresh": {"url": "http://web/", "fresh": True, "pause": 0.02}}) as load:
            load.goes()
            with load.loses_nothing():
                machine.end("control", signal.SIGKILL)
                shutil.rmtree(machine.state / "control")
                machine.plait("restore", str(tmp_path / "saved"))
                machine.start("control")

                found = config_maps(machine)
                assert set(range(at_least)) <= found["numbers"]
                assert len(found["numbers"]) < len(numbers)
                assert int(last) > told["revision"]
                assert told_gone(machine, last)
                assert told_gone(machine, str(told["revision"] + 1))
                until(lambda: machine.workloads().keys() >= {"web-1", "web-2"}, what="web-2 is registered again")
                until(lambda: "ended" not in machine.workloads(), what="what has ended is removed")
        assert verifies(machine.state / "node/workloads/default_web-1/chain.pem", machine.state / "run/ca.pem")


@pytest.mark.long
def test_a_restored_mesh_starts_elsewhere(tmp_path: Path):
    """On another machine: same root, same objects, same owner's token; and the archive is refused a second time."""
    with mesh(tmp_path / "m", node=False) as machine:
        machine.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kept}\ndata: {number: '7'}\n")
        machine.plait("backup", str(tmp_path / "saved"))
        root = (machine.state / "run/ca.pem").read_bytes()
        token = (machine.state / "control/token").read_text()
    (tmp_path / "n").mkdir()
    elsewhere = Machine(tmp_path / "n")
    elsewhere.plait("restore", str(tmp_path / "saved"))
    assert "never overwrites" in elsewhere.plait("restore", str(tmp_path / "saved"), code=4)
    try:
        elsewhere.start("control")
        assert config_maps(elsewhere)["numbers"] == {7}
        assert (elsewhere.state / "run/ca.pem").read_bytes() == root
        assert (elsewhere.state / "control/token").read_text() == token
    finally:
        elsewhere.close()


def test_a_backup_needs_the_owner(tmp_path: Path):
    """Over the network, even with the owner's token, no backup is given."""
    with mesh(tmp_path / "m", node=False) as machine:
        url = json.loads((machine.state / "run/endpoints.json").read_text())["api_url"]
        token = (machine.state / "control/token").read_text()
        from plait.api.client import Client

        with Client(url, token, ca=machine.state / "run/ca.pem") as client, pytest.raises(PlaitError, match="own mach"):
            client.request("POST", "/plait/v1/backup")
