"""Traffic policies as a real Envoy follows them: balancers, pools, outliers, TLS to outside, tunnels."""

import contextlib
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plait.compiler.endpoints import of_cluster
from plait.envoy import types
from plait.model.ids import Origin
from plait.model.placement import Placement
from plait.model.protection import Ejection
from plait.model.services import Endpoint, Protocol
from plait.model.traffic_policy import (
    Algorithm,
    Balancer,
    HashCookie,
    HashKey,
    Outliers,
    Pool,
    SlowStart,
    TlsMode,
    TrafficPolicy,
    Tunnel,
    UpstreamTls,
)
from plait.model.view import OutboundCluster
from plait.snapshot.settlement import settled
from tests import builders as b
from tests.compiler import loopback
from tests.compiler.test_real_protection import left_out, worker
from tests.envoy import certificates, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
ORIGIN = Origin(kind="DestinationRule", namespace="default", name="web")
Ask = Callable[..., live.Answer]


def policy(**blocks: object) -> TrafficPolicy:
    """A policy of these blocks."""
    return replace(TrafficPolicy(origin=ORIGIN), **blocks)


@contextlib.contextmanager
def caller(
    asked: TrafficPolicy, *endpoints: Endpoint, placement: Placement | None = None, protocol: Protocol = Protocol.HTTP
) -> Generator[tuple[Ask, live.Path, int]]:
    """A caller's sidecar that follows a policy towards these endpoints; a way to call, its admin socket, its port."""
    port = live.free_port()
    cluster: OutboundCluster = replace(
        b.cluster("web", port, secure=False, protocol=protocol),
        policy=asked,
        placement=placement,
        protection=settled(b.cluster("web").protection, asked),
    )
    frontend = b.frontend("web", port, address=ADDRESS, protocol=protocol)
    view = replace(b.view("client", frontend, cluster), outbound_port=port)
    found = of_cluster(cluster, endpoints, node="")
    with live.running(loopback.client(view, {}).replaced(types.ENDPOINT, {found.name: found})) as admin:
        yield lambda *path, **more: live.request((ADDRESS, port), *path, **more), admin, port


def at(port: int, locality: str = "") -> Endpoint:
    """An endpoint on loopback."""
    return replace(b.endpoint("127.0.0.1", port), locality=locality)


@pytest.fixture
def apps() -> Iterator[dict[str, live.App]]:
    """Three apps."""
    with live.apps("a", "b", "c") as started:
        yield started


def hashing(key: HashKey, algorithm: Algorithm = Algorithm.RING_HASH) -> TrafficPolicy:
    """A policy that sends calls alike to one endpoint."""
    return policy(balancer=Balancer(algorithm=algorithm, key=key))


@pytest.mark.parametrize("algorithm", [Algorithm.RING_HASH, Algorithm.MAGLEV])
def test_calls_with_one_header_go_to_one_endpoint(apps: dict[str, live.App], algorithm: Algorithm) -> None:
    """And calls with others to all of them."""
    everyone = [at(app.port) for app in apps.values()]
    with caller(hashing(HashKey(header="x-user"), algorithm), *everyone) as (ask, _, _):
        assert len({ask(headers=[("x-user", "ann")]).app for _ in range(12)}) == 1
        assert {ask(headers=[("x-user", f"user {number}")]).app for number in range(40)} == {"a", "b", "c"}


def test_calls_with_one_query_parameter_go_to_one_endpoint(apps: dict[str, live.App]) -> None:
    """Whatever else differs."""
    with caller(hashing(HashKey(query="id")), *[at(app.port) for app in apps.values()]) as (ask, _, _):
        assert len({ask(f"/path/{number}?id=7").app for number in range(12)}) == 1
        assert len({ask(f"/?id={number}").app for number in range(40)}) == 3


def test_calls_from_one_address_go_to_one_endpoint(apps: dict[str, live.App]) -> None:
    """All callers of this test have the same."""
    with caller(hashing(HashKey(source_address=True)), *[at(app.port) for app in apps.values()]) as (ask, _, _):
        assert len({ask().app for _ in range(20)}) == 1


def test_a_cookie_is_made_and_keeps_its_endpoint(apps: dict[str, live.App]) -> None:
    """With path, lifetime and attributes as written; who sends it back is sent to the same endpoint."""
    cookie = HashCookie(name="user", path="/", lifetime=60.0, attributes=(("SameSite", "Strict"),))
    with caller(hashing(HashKey(cookie=cookie)), *[at(app.port) for app in apps.values()]) as (ask, _, _):
        first = ask()
        made = first.header("set-cookie") or ""
        assert made.startswith('user="')
        assert {"Max-Age=60", "Path=/", "SameSite=Strict"} <= set(made.split("; ")[1:])
        kept = [ask(headers=[("cookie", made.split(";")[0])]) for _ in range(12)]
        assert {answer.app for answer in kept} == {first.app}
        assert {answer.header("set-cookie") for answer in kept} == {None}


def test_round_robin_takes_turns(apps: dict[str, live.App]) -> None:
    """Each endpoint gets exactly its part of sequential calls."""
    turns = policy(balancer=Balancer(algorithm=Algorithm.ROUND_ROBIN))
    with caller(turns, *[at(app.port) for app in apps.values()]) as (ask, _, _):
        found = Counter(ask().app for _ in range(60))
        assert min(found.values()) >= 15, found


def test_a_new_endpoint_starts_slowly(apps: dict[str, live.App]) -> None:
    """Envoy takes slow start for both algorithms that know it."""
    for algorithm in (Algorithm.ROUND_ROBIN, Algorithm.LEAST_REQUEST):
        slow = Balancer(algorithm=algorithm, slow_start=SlowStart(duration=30.0, aggression=1.5))
        with caller(policy(balancer=slow), at(apps["a"].port)) as (ask, _, _):
            assert ask().app == "a"


def test_trap_15_one_endpoint_is_left_out_however_few_there_are() -> None:
    """Five errors in a row, of three endpoints, at ten per cent."""
    usual = Outliers(
        ejection=Ejection(
            connection_failures=0,
            server_errors=5,
            interval=10.0,
            duration=30.0,
            max_share=10,
            split=False,
            at_least_one=True,
        )
    )
    with (
        worker() as one,
        worker() as two,
        worker(status=500) as bad,
        caller(policy(outliers=usual), at(one.port), at(two.port), at(bad.port)) as (ask, admin, _),
    ):
        statuses = Counter(ask().status for _ in range(90))
        assert statuses[500] == 5
        assert left_out(admin) == [f"127.0.0.1:{bad.port}"]


def test_answers_that_count_as_errors_can_be_named() -> None:
    """An endpoint that answers 429 is left out, as 5xx are not meant any more."""
    named = Outliers(
        ejection=Ejection(
            connection_failures=0, server_errors=3, interval=1.0, split=False, codes=(429, 409), at_least_one=True
        )
    )
    with (
        worker() as good,
        worker(status=429) as bad,
        caller(policy(outliers=named), at(good.port), at(bad.port)) as (ask, admin, _),
    ):
        statuses = Counter(ask().status for _ in range(60))
        assert statuses[429] == 3
        assert left_out(admin) == [f"127.0.0.1:{bad.port}"]


def test_a_connection_ends_after_its_requests_and_its_age() -> None:
    """So that long-lived clients are balanced anew: each request is on a connection of its own."""
    with worker() as app, caller(policy(pool=Pool(requests_per_connection=1)), at(app.port)) as (ask, admin, _):
        assert {ask().status for _ in range(5)} == {200}
        assert "upstream_cx_total: 5" in live.ask_admin(admin, "/stats?filter=upstream_cx_total")


def test_a_limit_of_a_rule_sheds_what_is_above_it() -> None:
    """As one that an annotation sets."""
    with worker(delay=0.5) as app, caller(policy(pool=Pool(max_requests=2)), at(app.port)) as (ask, _, _):
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(ask().status)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(answers) == {200: 2, 503: 4}


MERGED = 1.3
"""Seconds after which Envoy's workers know what was left out: it gathers changes of health for one second."""
EU_AND_US = Placement(locality="eu/a", takes_over="us")


def test_another_region_takes_over_and_gives_back() -> None:
    """Calls stay in the caller's region; once its endpoints are left out the other gets them, and later back again."""
    quickly = Ejection(
        connection_failures=0, server_errors=3, interval=0.2, duration=4.0, longest=4.0, split=False, at_least_one=True
    )
    asked = policy(outliers=Outliers(ejection=replace(quickly, max_share=100)))
    with live.apps("us") as others, worker() as near, worker() as next_to_it:
        endpoints = (at(near.port, "eu/a"), at(next_to_it.port, "eu/a"), at(others["us"].port, "us/a"))
        with caller(asked, *endpoints, placement=EU_AND_US) as (ask, admin, _):
            assert {ask().app for _ in range(20)} == {""}
            assert others["us"].requests == 0
            near.status = next_to_it.status = 500
            deadline = time.monotonic() + 5
            while len(left_out(admin)) < 2 and time.monotonic() < deadline:
                ask()
            time.sleep(MERGED)
            assert {ask().app for _ in range(10)} == {"us"}
            near.status = next_to_it.status = 200
            deadline = time.monotonic() + 15
            while left_out(admin) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert not left_out(admin)
            time.sleep(MERGED)
            assert {ask().app for _ in range(20)} == {""}


def test_shares_of_localities() -> None:
    """About three of ten calls leave the region, and none goes where no share is."""
    spread = Placement(locality="eu/a", shares=(("eu/*", 70), ("us/*", 30)))
    with live.apps("eu", "us", "asia") as apps:
        endpoints = [at(apps[region].port, f"{region}/a") for region in apps]
        with caller(policy(), *endpoints, placement=spread) as (ask, _, _):
            found = Counter(ask().app for _ in range(200))
    assert found.keys() == {"eu", "us"}
    assert 35 <= found["us"] <= 85


def _tls_app(context: ssl.SSLContext, answer: bytes, seen: list[bytes], *, skip: int = 0) -> socket.socket:
    """A server that ends TLS, after `skip` bytes in plaintext that it keeps."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                if skip:
                    seen.append(connection.recv(skip, socket.MSG_WAITALL))
                with context.wrap_socket(connection, server_side=True) as secured:
                    secured.recv(65536)
                    seen.append((secured.getpeercert(binary_form=True) or b"")[:1])
                    secured.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(answer))
                    secured.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return listener


def _server_context(tmp_path: Path, host: str) -> ssl.SSLContext:
    chain, key = certificates.shared().leaf("", host)
    (tmp_path / "server.pem").write_bytes(chain + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    return context


@pytest.mark.parametrize(("host", "status"), [("api.example.com", 200), ("other.example.com", 503)])
def test_tls_to_outside_checks_the_name(tmp_path: Path, host: str, status: int) -> None:
    """The app speaks plain HTTP; its sidecar adds TLS and refuses a server that proves another name."""
    asked = UpstreamTls(mode=TlsMode.OWN, server_name="api.example.com", authorities=certificates.shared().bundle)
    listener = _tls_app(_server_context(tmp_path, host), b"secured", [])
    with (
        contextlib.closing(listener),
        caller(policy(tls=asked, proxy_protocol=""), at(listener.getsockname()[1])) as (ask, _, _),
    ):
        answer = ask()
        assert answer.status == status
        assert (answer.body == b"secured") == (status == 200)


def test_the_callers_address_goes_before_tls(tmp_path: Path) -> None:
    """In the PROXY protocol, version 1."""
    asked = UpstreamTls(mode=TlsMode.OWN, server_name="a.example", authorities=certificates.shared().bundle)
    seen: list[bytes] = []
    listener = _tls_app(_server_context(tmp_path, "a.example"), b"ok", seen, skip=5)
    with (
        contextlib.closing(listener),
        caller(policy(tls=asked, proxy_protocol="V1"), at(listener.getsockname()[1])) as (ask, _, _),
    ):
        ask()
    assert seen[0] == b"PROXY"


def test_streams_go_through_a_tunnel() -> None:
    """The sidecar asks the endpoint by CONNECT for what is behind it."""
    listener = socket.create_server(("127.0.0.1", 0))
    asked = policy(tunnel=Tunnel(host="db.internal", port=5432))
    heads: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            heads.append(connection.recv(65536))
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nhello")
            connection.recv(1)

    threading.Thread(target=serve, daemon=True).start()
    with (
        contextlib.closing(listener),
        caller(asked, at(listener.getsockname()[1]), protocol=Protocol.TCP) as (_, _, port),
        socket.create_connection((ADDRESS, port), timeout=5) as stream,
    ):
        stream.sendall(b"x")
        assert stream.recv(5) == b"hello"
    assert heads[0].startswith(b"CONNECT db.internal:5432 HTTP/1.1\r\n")


def test_a_stream_ends_at_its_age_and_when_idle() -> None:
    """Whichever comes first."""
    with contextlib.closing(live.App("db", banner=b"hello")) as app:
        for pool in (Pool(max_duration=0.5), Pool(stream_idle_timeout=0.5)):
            with (
                caller(policy(pool=pool), at(app.port), protocol=Protocol.TCP) as (_, _, port),
                socket.create_connection((ADDRESS, port), timeout=5) as stream,
            ):
                assert stream.recv(5) == b"hello"
                started = time.monotonic()
                assert stream.recv(1) == b""
                assert time.monotonic() - started < 3
