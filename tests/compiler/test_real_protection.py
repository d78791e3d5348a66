"""Limits and ejection as a real Envoy keeps to them, at the caller and at the server."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import names, types
from plait.model.protection import CallerProtection, Ejection, RateLimit, ServerProtection
from plait.model.security import MutualTlsMode
from plait.model.services import Capture, Protocol
from plait.model.traffic import Destination, Rule
from plait.model.traffic_policy import Pool
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"


class Worker:
    """A server that answers as told, each request after `delay` seconds."""

    def __init__(self, *, delay: float = 0.0, status: int = 200) -> None:
        self.delay = delay
        self.status = status
        self.calls = 0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while connection.recv(65536):
                self.calls += 1
                time.sleep(self.delay)
                connection.sendall(f"HTTP/1.1 {self.status} Told\r\ncontent-length: 2\r\n\r\nok".encode())


@contextlib.contextmanager
def worker(**told: float) -> Generator[Worker]:
    """A server until the block ends."""
    started = Worker(delay=told.get("delay", 0.0), status=int(told.get("status", 200)))
    try:
        yield started
    finally:
        started.listener.close()


Ask = Callable[[], live.Answer]


@contextlib.contextmanager
def caller(protection: CallerProtection, *ports: int, timeout: float | None = None) -> Generator[tuple[Ask, live.Path]]:
    """A caller's sidecar with a service of endpoints at these ports; a way to call, and its admin socket."""
    port = live.free_port()
    rule = Rule(name="timed", destinations=(Destination(cluster=b.key("web", port)),), timeout=timeout)
    rules = (rule,) if timeout else ()
    cluster = replace(b.cluster("web", port, secure=False), protection=protection)
    view = replace(b.view("client", b.frontend("web", port, *rules, address=ADDRESS), cluster), outbound_port=port)
    name = names.cluster(cluster.host, port)
    found = cluster_endpoints(name, [b.endpoint("127.0.0.1", item) for item in ports], node="")
    resources = loopback.client(view, {}).replaced(types.ENDPOINT, {name: found})
    with live.running(resources) as admin:
        yield lambda: live.request((ADDRESS, port)), admin


@contextlib.contextmanager
def server(
    protection: ServerProtection, app: int, *, protocol: Protocol = Protocol.HTTP, pool: Pool | None = None
) -> Generator[int]:
    """A server's sidecar in front of an app; the port that it takes plaintext at."""
    sidecar = live.free_port()
    port = b.inbound(app, protocol=protocol, mutual_tls=MutualTlsMode.DISABLE, sidecar_port=sidecar)
    view = b.view("web", replace(port, protection=protection, pool=pool), capture=Capture.EXPLICIT)
    with live.running(loopback.server(view)):
        yield sidecar


def at_once(count: int, ask: Ask) -> list[live.Answer]:
    """The answers to calls made at the same time."""
    with ThreadPoolExecutor(count) as pool:
        return [started.result() for started in [pool.submit(ask) for _ in range(count)]]


def shed(answers: list[live.Answer]) -> Counter[tuple[int, str]]:
    """How many answers there were of each status and reason."""
    return Counter((answer.status, answer.header("x-plait-shed") or "") for answer in answers)


def left_out(admin: live.Path) -> list[str]:
    """The endpoints that an Envoy has ejected."""
    lines = live.ask_admin(admin, "/clusters").splitlines()
    return [line.split("::")[1] for line in lines if "health_flags" in line and "failed_outlier_check" in line]


@pytest.fixture
def dead() -> Iterator[list[int]]:
    """Ports that refuse connections."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(contextlib.closing(socket.socket())) for _ in range(2)]
        for item in held:
            item.bind(("127.0.0.1", 0))
        yield [int(item.getsockname()[1]) for item in held]


def test_by_default_a_dead_endpoint_is_left_out_and_no_call_is_lost(dead: list[int]) -> None:
    """Failures to connect are repeated elsewhere; after twenty in a row the endpoint is asked no more."""
    with worker() as app, caller(CallerProtection(), app.port, dead[0]) as (ask, admin):
        answers = [ask() for _ in range(150)]
        assert {answer.status for answer in answers} == {200}
        assert left_out(admin) == [f"127.0.0.1:{dead[0]}"]


def test_by_default_the_only_endpoint_is_never_left_out(dead: list[int]) -> None:
    """However often it cannot be connected to."""
    with caller(CallerProtection(), dead[0]) as (ask, admin):
        assert {ask().status for _ in range(30)} == {503}
        assert left_out(admin) == []


def test_by_default_never_more_than_half_are_left_out(dead: list[int]) -> None:
    """Two dead endpoints of two: one of them is still asked."""
    with caller(CallerProtection(), *dead) as (ask, admin):
        assert {ask().status for _ in range(60)} == {503}
        assert len(left_out(admin)) == 1


def test_by_default_errors_of_the_app_leave_nobody_out() -> None:
    """An app that answers 503 is asked like the others."""
    with worker() as app, worker(status=503) as bad, caller(CallerProtection(), app.port, bad.port) as (ask, admin):
        statuses = Counter(ask().status for _ in range(60))
        assert statuses[503] > 10
        assert left_out(admin) == []


def test_by_default_timeouts_of_a_steady_load_leave_nobody_out() -> None:
    """Slow apps behind a route with a timeout, called all the time: none loses its share of the calls."""

    def later(ask: Ask, number: int) -> list[int]:
        time.sleep(number * 0.03)
        return [ask().status for _ in range(8)]

    with (
        worker(delay=2) as one,
        worker(delay=2) as two,
        caller(CallerProtection(), one.port, two.port, timeout=0.3) as (ask, admin),
        ThreadPoolExecutor(10) as pool,
    ):
        started = [pool.submit(later, ask, number) for number in range(10)]
        assert {status for item in started for status in item.result()} == {504}
        assert left_out(admin) == []


def test_errors_leave_an_endpoint_out_where_that_is_asked_for() -> None:
    """After so many answers 503 in a row, for as long as is said."""
    asked = CallerProtection(ejection=Ejection(gateway_errors=3, duration=3.0, longest=3.0))
    with worker() as app, worker(status=503) as bad, caller(asked, app.port, bad.port) as (ask, admin):
        statuses = Counter(ask().status for _ in range(60))
        assert statuses[503] == 3
        assert left_out(admin) == [f"127.0.0.1:{bad.port}"]
        deadline = time.monotonic() + 10
        while left_out(admin):
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("limit", "answered"),
    [(CallerProtection(max_requests=2), 2), (CallerProtection(max_connections=1, max_pending=1), 2)],
)
def test_a_callers_limit_sheds_what_is_above_it(limit: CallerProtection, answered: int) -> None:
    """What is above it is answered 503 at once, with the reason."""
    with worker(delay=0.5) as app, caller(limit, app.port) as (ask, _):
        assert shed(at_once(6, ask)) == {(200, ""): answered, (503, "caller-limit"): 6 - answered}


def test_admission_control_holds_back_what_would_fail() -> None:
    """Most calls to an app that fails never reach it; each says why."""
    with worker(status=500) as app, server(ServerProtection(admission_control=True), app.port) as port:
        found = shed([live.request(("127.0.0.1", port)) for _ in range(400)])
        assert app.calls == found[500, ""]
        assert found[503, "admission-control"] > 100, found


def test_admission_control_lets_a_healthy_app_be() -> None:
    """Nothing is held back from an app that answers."""
    with worker() as app, server(ServerProtection(admission_control=True), app.port) as port:
        assert shed([live.request(("127.0.0.1", port)) for _ in range(200)]) == {(200, ""): 200}


def test_an_instance_works_on_so_many_and_lets_so_many_wait() -> None:
    """The rest is answered 503 at once, with the reason."""
    with worker(delay=0.5) as app, server(ServerProtection(concurrency=2, queue=1), app.port) as port:
        at_once(2, lambda: live.request(("127.0.0.1", port)))  # connections that are still being made wait in the queue
        found = shed(at_once(8, lambda: live.request(("127.0.0.1", port))))
        assert found == {(200, ""): 3, (503, "concurrency"): 5}


def test_a_pool_limits_the_connections_to_the_app() -> None:
    """As a Sidecar or a DestinationRule says: one is worked on, one waits, the rest is answered 503."""
    pool = Pool(max_connections=1, max_pending=1, requests_per_connection=1)
    with worker(delay=0.5) as app, server(ServerProtection(), app.port, pool=pool) as port:
        found = at_once(6, lambda: live.request(("127.0.0.1", port)))
        assert Counter(answer.status for answer in found) == {200: 2, 503: 4}


def test_an_instance_takes_so_many_in_a_time() -> None:
    """The burst passes, the rest is answered 429."""
    rate = RateLimit(count=1, per=60.0, burst=5)
    with worker() as app, server(ServerProtection(rate=rate), app.port) as port:
        found = shed([live.request(("127.0.0.1", port)) for _ in range(12)])
        assert found == {(200, ""): 5, (429, "rate-limit"): 7}


def test_adaptive_concurrency_sheds_and_says_so() -> None:
    """With the usual latency known, an app that slows down is protected; its answers are still served."""
    asked = ServerProtection(adaptive=True, usual_latency=0.005)
    with worker(delay=0.1) as app, server(asked, app.port) as port:
        found = shed([answer for _ in range(15) for answer in at_once(30, lambda: live.request(("127.0.0.1", port)))])
        assert found.keys() == {(200, ""), (503, "adaptive-concurrency")}
        assert found[200, ""] > 30


def test_an_apps_own_failures_are_not_called_shedding(dead: list[int]) -> None:
    """An app that is down is a 503 without that header, in front of which adaptive concurrency is or not."""
    both = ServerProtection(adaptive=True, usual_latency=1.0, admission_control=True)
    for protection in (both, ServerProtection(concurrency=5)):
        with server(protection, dead[0]) as port:
            assert shed([live.request(("127.0.0.1", port))]) == {(503, ""): 1}


def connections(port: int, count: int) -> list[bytes]:
    """What the server sends at once on each of so many connections that stay open."""
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5)) for _ in range(count)]
        found: list[bytes] = []
        for item in opened:
            try:
                item.sendall(b"anything that is not TLS")
                found.append(item.recv(5))
            except (ConnectionResetError, BrokenPipeError):
                found.append(b"")
        return found


@pytest.mark.parametrize(
    "protection", [ServerProtection(concurrency=2), ServerProtection(rate=RateLimit(count=1, per=3600.0, burst=2))]
)
def test_ports_without_http_limit_connections(protection: ServerProtection) -> None:
    """So many connections are served, others are closed."""
    app = live.App("db", banner=b"hello")
    with contextlib.closing(app), server(protection, app.port, protocol=Protocol.TCP) as port:
        assert sorted(connections(port, 5)) == [b"", b"", b"", b"hello", b"hello"]
