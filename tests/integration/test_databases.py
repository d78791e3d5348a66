"""PostgreSQL, MariaDB and Redis of Debian's packages as workloads, called by their own clients through the mesh.

Whether a port's protocol is declared, known by its number or learnt from the program: the answer is the same, it comes
by mutual TLS, and it comes without the wait that looking into connections would cost.
"""

import contextlib
import json
from collections.abc import Generator

import pytest

from tests import databases
from tests.databases import Database
from tests.integration.machines import Machine, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.long, pytest.mark.timeout(120), needs_root]

APP_PORT = 9001
SNIFFING = 0.3
"""Seconds that a proxy waits which looks for HTTP where the server speaks first."""
TIMED = """
import json, subprocess, sys, time
times, said = [], ""
for _ in range(5):
    start = time.monotonic()
    done = subprocess.run(json.loads(sys.argv[1]), capture_output=True, text=True, timeout=20)
    times.append(time.monotonic() - start)
    said = done.stdout + done.stderr
print(json.dumps([min(times), said]))
"""
STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
"""
ONLY_CLIENT = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: databases, namespace: default}
spec:
  selector: {matchLabels: {kind: database}}
  action: ALLOW
  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/client]}}]}]
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """A STRICT mesh with a client."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        started.apply(STRICT)
        started.apply(ONLY_CLIENT)
        for name in ("client", "stranger"):
            started.plait("run", "--name", name, "--service-account", name, "--detach", "--", "sleep", "600")
        yield started


def serve(machine: Machine, database: Database, name: str, port: int) -> None:
    """Start the database as a workload that says nothing about its port, and wait until the mesh knows it."""
    words = ("run", "--name", name, "--labels", f"kind=database,app={name}", "--service", f"{name}:{port}")
    user = ("--user", database.user) if database.user else ()
    machine.plait(*words, *user, "--detach", "--", *database.server("0.0.0.0", port))
    until(lambda: spoken(machine, name) == "tcp", what=f"{name} is not known to take bytes")


def spoken(machine: Machine, name: str) -> str:
    """What the mesh takes a workload's port to speak."""
    return next((str(port["protocol"]) for port in machine.workload(name)["ports"]), "")


def declare(machine: Machine, name: str, service: str, *, port: int, port_name: str, target: int) -> None:
    """A Service of its own that leads to the database."""
    spec = {"selector": {"app": name}, "ports": [{"name": port_name, "port": port, "targetPort": target}]}
    metadata = {"name": service, "namespace": "default"}
    machine.apply(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}))


def asked(machine: Machine, database: Database, host: str, port: int, *, who: str = "client") -> tuple[float, str]:
    """What its client prints in that workload, and the seconds that the fastest of five took."""
    question = json.dumps(list(database.question(host, port)))
    seconds, said = json.loads(machine.plait("exec", who, "--", "/usr/bin/python3", "-c", TIMED, question))
    return float(seconds), str(said)


@pytest.mark.parametrize(("prepared", "number"), [
    (databases.postgresql, 5432), (databases.mariadb, 3306), (databases.redis, 6379),
])  # fmt: skip
def test_a_database_is_called_by_its_own_client(machine: Machine, prepared: databases.Prepared, number: int) -> None:
    """By a port that was learnt from it, one known by its number, and one declared; only by whom the policy lets in."""
    with prepared() as database, contextlib.ExitStack() as stack:
        name = database.name
        stack.callback(machine.plait, "stop", name, code=None)
        serve(machine, database, name, APP_PORT)
        declare(machine, name, f"{name}-known", port=number, port_name="main", target=APP_PORT)
        declare(machine, name, f"{name}-declared", port=9002, port_name="tcp-main", target=APP_PORT)

        beside, said = asked(machine, database, "127.0.0.1", APP_PORT, who=name)
        assert database.answer in said
        for host, port in ((name, APP_PORT), (f"{name}-known", number), (f"{name}-declared", 9002)):
            through, said = asked(machine, database, host, port)
            assert database.answer in said
            assert through - beside < SNIFFING / 2, f"{host}:{port} took {through} s, beside the server {beside} s"
        assert database.answer not in asked(machine, database, name, APP_PORT, who="stranger")[1]


def test_services_share_a_port_number(machine: Machine) -> None:
    """Two databases and a web server on one port number, each called by its name, keep apart."""
    with databases.redis() as database, contextlib.ExitStack() as stack:
        for name in ("red", "blue"):
            stack.callback(machine.plait, "stop", name, code=None)
            serve(machine, database, name, 6379)
            client = database.question(name, 6379)[0]
            machine.plait("exec", "client", "--", client, "-h", name, "set", "who", name)
        stack.callback(machine.plait, "stop", "web", code=None)
        words = ("run", "--name", "web", "--service", "web:6379", "--port", "6379/http", "--detach")
        machine.plait(*words, "--", *server(6379, "web"))

        for name in ("red", "blue"):
            assert machine.plait("exec", "client", "--", client, "-h", name, "get", "who").strip() == name
        assert machine.plait("exec", "client", "--", "curl", "-sS", "http://web:6379/").startswith("web ")
