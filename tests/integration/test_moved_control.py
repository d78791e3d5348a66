"""Control's machine is lost; its backup starts at another address, and the machines follow it there."""

import json
import signal
from pathlib import Path

import pytest

from tests.integration.counted_load import CountedLoad, serve
from tests.integration.machines import Machine, free_port, mesh, needs_root, until

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.timeout(120), needs_root]
THERE, ELSEWHERE = "127.0.0.2", "127.0.0.3"


@pytest.mark.long
def test_machines_follow_control_to_another_address(tmp_path: Path):
    """Restored at another address, control has the machine back without a token, and not one call is lost."""
    second, restored = Machine(tmp_path / "second"), Machine(tmp_path / "restored")
    with mesh(tmp_path / "first", "--listen", f"{THERE}:{free_port()}", node=False) as first:
        try:
            made = first.plait("token", "create", "--node", "second", "--allow", "default/*", "-o", "json")
            second.start("node", "--join", json.loads(made)["token"], "--control", THERE, "--address", "127.0.0.1")
            serve(second, "web-1", "web")
            with CountedLoad(second, {"fresh": {"url": "http://web/", "fresh": True, "pause": 0.02}}) as load:
                load.goes()
                first.plait("backup", str(tmp_path / "saved"))
                with load.loses_nothing():
                    first.end("control", signal.SIGKILL)
                    restored.plait("restore", str(tmp_path / "saved"))
                    port = free_port()
                    restored.start("control", "--listen", f"{ELSEWHERE}:{port}")
                    second.end("node")
                    second.start("node", "--control", f"{ELSEWHERE}:{port}")
                    serve(second, "web-2", "web")
                    until(lambda: restored.workloads().keys() >= {"web-1", "web-2"}, what="the machine is back")
                    machines = json.loads(restored.plait("status", "-o", "json"))["nodes"]
                assert [(item["name"], item["connected"]) for item in machines] == [("second", True)]
        finally:
            second.close()
            restored.close()
