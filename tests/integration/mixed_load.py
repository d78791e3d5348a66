"""Load that speaks gRPC beside HTTP/1.1, and the gRPC servers that it calls."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.integration.counted_load import CountedLoad
from tests.integration.machines import Machine

CALLER = Path(__file__).with_name("grpc_caller.py")
ANSWERER = Path(__file__).with_name("grpc_answerer.py")


class MixedLoad(CountedLoad):
    """Counted load with streams of gRPC, as `grpc_caller.py` plans them."""

    def __init__(self, machine: Machine, plan: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(machine, plan)
        program = (sys.executable, str(CALLER), json.dumps(plan))
        self._command = (*machine.program, "run", "--name", "load", "--service-account", "load", "--", *program)


def serve_grpc(machine: Machine, name: str, service: str, protocol: str = "grpc") -> None:
    """Start a workload of a service that speaks gRPC, on a port of that protocol."""
    words = (
        "run",
        "--name",
        name,
        "--service",
        f"{service}:80",
        "--port",
        f"8000/{protocol}",
        "--labels",
        f"app={service}",
    )
    machine.plait(*words, "--detach", "--", sys.executable, str(ANSWERER), "8000", name)
