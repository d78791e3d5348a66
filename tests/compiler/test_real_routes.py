"""What routes do in a real Envoy beyond choosing a backend: time limits, retries, mirrors, shares, and gateways."""

import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from plait.compiler.compile import compile_view
from plait.compiler.endpoints import cluster_endpoints
from plait.envoy import types
from plait.envoy.resource_set import ResourceSet
from plait.model.faults import Fault, FaultAbort, FaultDelay
from plait.model.gateways import GatewayListener, TlsCertificate
from plait.model.services import Capture, Protocol, WorkloadKind
from plait.model.traffic import Destination, Mirror, PathChange, Redirect, Rewrite, Rule
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
_UNAVAILABLE = "14"
"""gRPC's status where HTTP's is 503 or 504."""


@pytest.fixture(scope="module")
def apps() -> Iterator[dict[str, live.App]]:
    """Apps that answer."""
    with live.apps("red", "green") as started:
        yield started


def _resources(port: int, *rules: Rule, **targets: int) -> ResourceSet:
    view = b.view(
        "client", b.frontend("s", port, *rules, address=ADDRESS), *(b.cluster(name, secure=False) for name in targets)
    )
    endpoints = {name: b.endpoint("127.0.0.1", target) for name, target in targets.items() if target}
    return loopback.client(replace(view, outbound_port=port), endpoints)


def test_broken_shares_and_empty_backends(apps: dict[str, live.App]) -> None:
    """A broken destination's share is answered 500, a destination without endpoints 503."""
    port = live.free_port()
    broken = replace(
        b.rule("share", b.path("/share")), destinations=(Destination(cluster=b.key("red")), Destination(cluster=None))
    )
    empty = b.rule("empty", b.path("/empty"), green=1)
    with live.running(_resources(port, broken, empty, red=apps["red"].port, green=0)):
        statuses = [live.request((ADDRESS, port), "/share").status for _ in range(60)]
        assert set(statuses) == {200, 500}
        assert 10 < statuses.count(500) < 50
        assert live.request((ADDRESS, port), "/empty").status == 503


def test_a_rule_that_answers_403_is_no_denial(apps: dict[str, live.App]) -> None:
    """Its body stays what it says, and nobody is told of a policy."""
    port = live.free_port()
    closed = Rule(name="closed", match=b.path("/closed"), status=403, body=b"closed on sundays\n")
    aborted = Rule(
        name="aborted",
        match=b.path("/aborted"),
        destinations=(Destination(cluster=b.key("red")),),
        fault=Fault(abort=FaultAbort(http=403)),
    )
    with live.running(_resources(port, closed, aborted, red=apps["red"].port)):
        for path, body in (("/closed", b"closed on sundays\n"), ("/aborted", b"fault filter abort")):
            answer = live.request((ADDRESS, port), path)
            assert (answer.status, answer.body) == (403, body)
            assert answer.header("x-plait-denied-by") is None


def test_time_limits_end_in_504(apps: dict[str, live.App]) -> None:
    """The whole request's and one try's limits are kept, and without any a slow answer is waited for."""
    port = live.free_port()
    slow = _SlowApp(0.6)
    whole = replace(b.rule("whole", b.path("/whole"), red=1), timeout=0.2)
    once = replace(b.rule("once", b.path("/once"), red=1), backend_timeout=0.2)
    with live.running(_resources(port, whole, once, b.rule("rest", b.path("/"), red=1), red=slow.port)):
        started = time.monotonic()
        statuses = [live.request((ADDRESS, port), path).status for path in ("/whole", "/once")]
        assert time.monotonic() - started < 1.0
        assert statuses == [504, 504]
        assert live.request((ADDRESS, port), "/rest").status == 200
    slow.close()


def test_a_grpc_callers_own_time_limit_counts_up_to_the_rules() -> None:
    """A `grpc-timeout` shorter than the rule's limit ends the call, a longer one does not lengthen it."""
    port = live.free_port()
    slow = _SlowApp(0.6)
    limited = replace(b.rule("limited", b.path("/limited"), red=1), timeout=0.2, grpc_timeout=0.2)
    open_ended = replace(b.rule("open", b.path("/"), red=1), grpc_timeout=0)
    with live.running(_resources(port, limited, open_ended, red=slow.port)):
        assert 0.15 < _grpc_wait(port, "/limited", "5S") < 0.5
        assert _grpc_wait(port, "/limited", "50m") < 0.15
        assert 0.25 < _grpc_wait(port, "/", "300m") < 0.5
        assert live.request((ADDRESS, port), "/limited").status == 504
    slow.close()


def _grpc_wait(port: int, path: str, limit: str) -> float:
    """Seconds until a gRPC call with that `grpc-timeout` fails."""
    began = time.monotonic()
    headers = (("content-type", "application/grpc"), ("grpc-timeout", limit))
    assert live.request((ADDRESS, port), path, headers=headers).header("grpc-status") == _UNAVAILABLE
    return time.monotonic() - began


def test_faults_are_injected_at_the_caller(apps: dict[str, live.App]) -> None:
    """A delay waits first and counts in no limit; an abort answers; shares are kept."""
    port = live.free_port()
    late = replace(b.rule("late", b.path("/late"), red=1), fault=Fault(delay=FaultDelay(seconds=0.5)), timeout=0.3)
    half = replace(b.rule("half", b.path("/half"), red=1), fault=Fault(abort=FaultAbort(http=555, percent=50)))
    grpc = replace(b.rule("grpc", b.path("/grpc"), red=1), fault=Fault(abort=FaultAbort(grpc=14)))
    with live.running(_resources(port, late, half, grpc, b.rule("rest", red=1), red=apps["red"].port)):
        began = time.monotonic()
        assert live.request((ADDRESS, port), "/late").status == 200
        assert time.monotonic() - began > 0.45
        statuses = [live.request((ADDRESS, port), "/half").status for _ in range(60)]
        assert set(statuses) == {200, 555}
        assert 10 < statuses.count(555) < 50
        called = live.request((ADDRESS, port), "/grpc", headers=(("content-type", "application/grpc"),))
        assert called.header("grpc-status") == _UNAVAILABLE
        assert live.request((ADDRESS, port), "/other").status == 200


def test_what_never_reached_an_app_is_tried_elsewhere(apps: dict[str, live.App]) -> None:
    """With one of two endpoints refusing connections, no request fails."""
    port = live.free_port()
    resources = _resources(port, b.rule("r", red=1), red=apps["red"].port)
    name = f"{b.host('red')}:80"
    both = [b.endpoint("127.0.0.1", apps["red"].port), b.endpoint("127.0.0.1", live.free_port())]
    with live.running(resources.replaced(types.ENDPOINT, {name: cluster_endpoints(name, both, node="")})):
        assert {live.request((ADDRESS, port)).status for _ in range(20)} == {200}


def test_mirrors_get_a_copy(apps: dict[str, live.App]) -> None:
    """Every request is copied to the mirror under its own Host, and answered by the destination alone."""
    port = live.free_port()
    rule = replace(b.rule("m", red=1), mirrors=(Mirror(cluster=b.key("green")),))
    before = apps["green"].requests
    with live.running(_resources(port, rule, red=apps["red"].port, green=apps["green"].port)):
        assert [live.request((ADDRESS, port)).app for _ in range(5)] == ["red"] * 5
        deadline = time.monotonic() + 5
        while apps["green"].requests < before + 5 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert apps["green"].requests == before + 5


def test_each_backend_treats_its_own_share(apps: dict[str, live.App]) -> None:
    """Shares are as weighted; a backend's path, redirect and copies are those of its share only."""
    port = live.free_port()
    copies = Mirror(cluster=b.key("copies"), numerator=1, denominator=2)
    parted = replace(
        b.rule("parted", b.path("/a")),
        destinations=(
            Destination(cluster=b.key("red"), weight=2),
            Destination(
                cluster=b.key("green"), weight=1, rewrite=Rewrite(path=PathChange(value="/b")), mirrors=(copies,)
            ),
            Destination(cluster=b.key("red"), weight=1, redirect=Redirect(hostname="elsewhere")),
        ),
    )
    copied = _SlowApp(0)
    with live.running(_resources(port, parted, red=apps["red"].port, green=apps["green"].port, copies=copied.port)):
        answers = [live.request((ADDRESS, port), "/a") for _ in range(400)]
    copied.close()
    seen = Counter((answer.status, answer.app, answer.seen["path"] if answer.app else "") for answer in answers)
    assert seen.keys() == {(200, "red", "/a"), (200, "green", "/b"), (302, "", "")}
    assert abs(seen[200, "red", "/a"] - 200) < 50
    assert abs(seen[200, "green", "/b"] - 100) < 40
    assert 25 < copied.requests < 75


def test_a_gateway_serves_hosts_over_tls_and_plaintext(apps: dict[str, live.App]) -> None:
    """Host chooses rules on plaintext ports, server name the certificate on TLS ports."""
    plain, secure = live.free_port(), live.free_port()
    chain, key = certificates.shared().leaf("", "shop.example")
    certificate = TlsCertificate(name=b.name("shop-tls"), chain=chain, key=key)
    shop = replace(b.rule("shop", red=1), hostnames=("shop.example",))
    wild = replace(b.rule("wild", b.path("/wild"), green=1), hostnames=("*.example",))
    view = replace(
        b.view("edge", b.cluster("red", secure=False), b.cluster("green", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((80, plain), (443, secure)),
        certificates=(certificate,),
        listeners=(
            GatewayListener(name="http", port=80, protocol=Protocol.HTTP, rules=(wild, shop)),
            GatewayListener(
                name="https",
                port=443,
                protocol=Protocol.HTTP,
                hostname="shop.example",
                tls=True,
                certificates=(b.name("shop-tls"),),
                rules=(shop,),
            ),
        ),
    )
    endpoints = {
        name: cluster_endpoints(name, [b.endpoint("127.0.0.1", apps[app].port)], node="")
        for app in ("red", "green")
        for name in (f"{b.host(app)}:80",)
    }
    trusting = ssl.create_default_context(cadata=certificates.shared().bundle.decode())
    with live.running(compile_view(view).replaced(types.ENDPOINT, endpoints)):
        seen = [
            live.request(("127.0.0.1", plain), path, authority=host).app
            for host, path in (
                ("shop.example", "/"),
                ("shop.example:81", "/wild"),
                ("x.example", "/wild"),
                ("x.example", "/"),
            )
        ]
        answer = live.request(("127.0.0.1", secure), authority="shop.example", tls=trusting, server_name="shop.example")
        with pytest.raises((ssl.SSLError, OSError)):
            live.request(("127.0.0.1", secure), authority="x.example", tls=trusting, server_name="x.example")
    assert seen == ["red", "red", "green", ""]
    assert (answer.app, answer.seen_header("x-forwarded-proto")) == ("red", ["https"])
    assert len(answer.seen_header("x-forwarded-for")) == 1


def test_a_request_for_another_listeners_host_is_misdirected(apps: dict[str, live.App]) -> None:
    """On a connection for one TLS listener a host of another one gets 421, a host of none 404."""
    port = live.free_port()
    chain, key = certificates.shared().leaf("", "shop.example")
    shop = GatewayListener(
        name="shop",
        port=443,
        protocol=Protocol.HTTP,
        hostname="shop.example",
        tls=True,
        certificates=(b.name("tls"),),
        rules=(b.rule("shop", red=1),),
    )
    wild = replace(shop, name="wild", hostname="*.example")
    view = replace(
        b.view("edge", b.cluster("red", secure=False), kind=WorkloadKind.GATEWAY),
        gateway=b.name("edge"),
        gateway_ports=((443, port),),
        certificates=(TlsCertificate(name=b.name("tls"), chain=chain, key=key),),
        listeners=(shop, wild),
    )
    name = f"{b.host('red')}:80"
    endpoints = {name: cluster_endpoints(name, [b.endpoint("127.0.0.1", apps["red"].port)], node="")}
    trusting = ssl.create_default_context(cadata=certificates.shared().bundle.decode())
    hosts = ("shop.example", "a.example", "a.test")
    with live.running(compile_view(view).replaced(types.ENDPOINT, endpoints)):
        statuses = [
            live.request(("127.0.0.1", port), authority=host, tls=trusting, server_name="shop.example").status
            for host in hosts
        ]
    assert statuses == [200, 421, 404]


def test_explicit_capture_is_an_http_proxy(apps: dict[str, live.App]) -> None:
    """A request to the proxy's port goes by its authority; an unknown host is refused with a sentence."""
    port = live.free_port()
    view = replace(
        b.view("client", b.frontend("red", 80), b.cluster("red", secure=False), capture=Capture.EXPLICIT),
        outbound_port=port,
    )
    with live.running(loopback.client(view, {"red": b.endpoint("127.0.0.1", apps["red"].port)})):
        found = [
            live.request(("127.0.0.1", port), f"http://{host}/x", authority=host)
            for host in ("red", "red:80", "red.default", "red.default.svc.cluster.local")
        ]
        unknown = live.request(("127.0.0.1", port), "http://example.com/", authority="example.com")
    assert [(answer.app, answer.seen.get("path")) for answer in found] == [("red", "/x")] * 4
    assert unknown.status == 404
    assert b"example.com is no service of this mesh" in unknown.body


class _SlowApp:
    """Answers every request after a while."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.requests = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            if connection.recv(65536):
                self.requests += 1
                time.sleep(self.delay)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
