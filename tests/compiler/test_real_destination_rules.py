"""Traffic policies as a real Envoy follows them: balancers, pools, outliers, TLS to outside, tunnels."""

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace

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
    TrafficPolicy,
)
from plait.model.view import OutboundCluster
from plait.snapshot.settlement import settled
from tests import builders as b
from tests.compiler import loopback
from tests.compiler.test_real_protection import left_out, worker
from tests.envoy import live

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
