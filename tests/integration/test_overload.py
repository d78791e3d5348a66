"""A service that gets five times what it can do: protected, it goes on at nearly its best; unprotected, it does not.

The app works on four requests at a time, and on all others later, in order, also for callers that have given up. All
figures are ratios within one run: its best, its goodput (answers within the callers' patience) at five times that.
"""

import json
import sys
import time
from collections.abc import Generator, Mapping
from pathlib import Path

import pytest

from tests.integration.counted_load import CountedLoad, serve
from tests.integration.machines import Machine, mesh, needs_root

pytestmark = [pytest.mark.integration, pytest.mark.alone, pytest.mark.long, pytest.mark.timeout(150), needs_root]

CALLS = Path(__file__).with_name("overload_calls.py")
AT_ONCE, TAKES = 4, 0.1
CAPACITY = AT_ONCE / TAKES
PATIENCE = 1.0
SECONDS = 6.0
SLOW = """
import http.server, sys, threading, time
slots = threading.Semaphore(int(sys.argv[2]))
class H(http.server.BaseHTTPRequestHandler):
    protocol_version, wbufsize = "HTTP/1.1", -1
    def do_GET(self):
        with slots: time.sleep(float(sys.argv[3]))
        self.send_response(200); self.send_header("content-length", "2"); self.end_headers(); self.wfile.write(b"ok")
    def log_message(self, *args): pass
class S(http.server.ThreadingHTTPServer):
    request_queue_size = 1000
    def handle_error(self, *args): pass
S(("0.0.0.0", int(sys.argv[1])), H).serve_forever()
"""
PROTECTED: Mapping[str, Mapping[str, str]] = {
    "bare": {},
    "fixed": {"traffic.plait.dev/concurrency": str(AT_ONCE)},
    "adaptive": {"traffic.plait.dev/concurrency": "adaptive"},
    "known": {"traffic.plait.dev/concurrency": "adaptive", "traffic.plait.dev/usual-latency": "100ms"},
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    with mesh(tmp_path_factory.mktemp("m")) as started:
        for number, (name, annotations) in enumerate(PROTECTED.items()):
            started.apply(json.dumps(service(name, 8000 + number, annotations)))
            slow = (sys.executable, "-I", "-c", SLOW, str(8000 + number), str(AT_ONCE), str(TAKES))
            port = f"{8000 + number}/http"
            started.plait("run", "--name", name, "--labels", f"app={name}", "--port", port, "--detach", "--", *slow)
        started.plait("run", "--name", "caller", "--detach", "--", "sleep", "600")
        yield started


def service(name: str, port: int, annotations: Mapping[str, str]) -> Mapping[str, object]:
    """A Service with these annotations."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": annotations},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": port}]},
    }


def calls(machine: Machine, host: str, how: str, number: float) -> dict[str, int]:
    """What became of calls to a service."""
    words = (sys.executable, "-I", "-S", str(CALLS), host, str(SECONDS), str(PATIENCE), how, str(number))
    found: dict[str, int] = json.loads(machine.plait("exec", "caller", "--", *words).splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def peak(machine: Machine) -> float:
    """Good answers of the unprotected app when it has just enough to do."""
    found = calls(machine, "bare", "workers", AT_ONCE)
    assert found["good"] == found["calls"], found
    assert found["good"] > 0.5 * CAPACITY * SECONDS, found
    return found["good"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("fixed", "concurrency"),
        ("known", "adaptive-concurrency"),
        pytest.param("adaptive", "adaptive-concurrency", marks=pytest.mark.long),
    ],
)
def test_a_protected_service_sheds_what_is_too_much(machine: Machine, peak: float, name: str, reason: str) -> None:
    """At five times its capacity it answers at least 80 % of its best in time, and says of the rest why not."""
    found = calls(machine, name, "rate", 5 * CAPACITY)
    assert found["good"] >= 0.8 * peak, (found, peak)
    assert found.get(f"shed {reason}", 0) > 0.5 * found["calls"], found


@pytest.mark.parametrize("name", ["fixed", pytest.param("known", marks=pytest.mark.long)])
def test_a_protected_service_sheds_nothing_that_it_can_do(machine: Machine, name: str) -> None:
    """As many callers as it works on at a time: all are answered."""
    found = calls(machine, name, "workers", AT_ONCE)
    assert found["good"] == found["calls"], found


def test_an_unprotected_service_answers_too_late(machine: Machine, peak: float) -> None:
    """Without protection the same load leaves less than half of its best, or these tests would show nothing."""
    found = calls(machine, "bare", "rate", 5 * CAPACITY)
    assert found.get("good", 0) < 0.5 * peak, (found, peak)


GENEROUS: tuple[Mapping[str, str], ...] = (
    {"traffic.plait.dev/concurrency": "50"},
    {"traffic.plait.dev/concurrency": "60", "traffic.plait.dev/rate-limit": "10000/s"},
    {"traffic.plait.dev/admission-control": "on", "traffic.plait.dev/max-requests": "50"},
    {"traffic.plait.dev/keep-alive": "10s"},
    {},
)
"""Limits that the load does not reach (`adaptive` begins with three at a time, which it would)."""


@pytest.mark.long
def test_limits_change_under_load(machine: Machine) -> None:
    """Every sort of limit turned on, changed and off again: no call is lost, whatever becomes HTTP by it or bytes."""
    serve(machine, "answers", "answers")
    streams = {
        "kept": {"url": "http://answers/", "workers": 3, "pause": 0.02},
        "fresh": {"url": "http://answers/", "fresh": True, "pause": 0.05},
        "slow": {"url": "http://answers/slow/0.5", "workers": 2},
    }
    with CountedLoad(machine, streams) as load:
        load.goes()
        with load.loses_nothing():
            for annotations in GENEROUS * 2:
                machine.apply(json.dumps(service("answers", 8000, annotations)))
                time.sleep(1.2)
