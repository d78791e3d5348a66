"""Limits that instances share, as real Envoys ask for them."""

import contextlib
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import replace

import pytest

from plait.model.protection import CountedBy, Quota, ServerProtection, SharedLimit
from plait.model.security import MutualTlsMode
from plait.model.services import Capture
from tests import builders as b
from tests.compiler import loopback
from tests.compiler.test_real_inbound import client_context, secrets
from tests.envoy import live
from tests.envoy.limiter import Limiter, limiting

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

WEB = b.name("web")
PATIENT = 5.0
"""Seconds that requests wait for a busy machine."""
Pair = tuple[str, str]


def limit(count: int, by: CountedBy = CountedBy.ALL, of: str = "") -> SharedLimit:
    """So many requests a day: no test waits for the next window."""
    return SharedLimit(service=WEB, counted_by=by, of=of, quotas=(Quota(count=count, per=86400),))


def protected(*limits: SharedLimit, denies: bool = False, timeout: float = PATIENT) -> ServerProtection:
    """What instances of a service with these limits keep to."""
    return ServerProtection(shared=limits, shared_denies=denies, shared_timeout=timeout)


@contextlib.contextmanager
def instance(protection: ServerProtection, app: int, limiter: Limiter, *, secure: bool = False) -> Generator[int]:
    """A server's sidecar in front of an app; its port."""
    sidecar = live.free_port()
    mode = MutualTlsMode.PERMISSIVE if secure else MutualTlsMode.DISABLE
    port = b.inbound(app, mutual_tls=mode, sidecar_port=sidecar)
    view = b.view("web", replace(port, protection=protection), capture=Capture.EXPLICIT)
    with live.running(limiter.behind(loopback.server(view)), secrets() if secure else ()):
        yield sidecar


def call(port: int, path: str = "/", *headers: Pair, caller: str = "") -> live.Answer:
    """One call, over mutual TLS if it has a caller."""
    tls = client_context(caller) if caller else None
    return live.request(("127.0.0.1", port), path, headers=headers, tls=tls)


def outcomes(answers: Sequence[live.Answer]) -> Counter[Pair]:
    """How many answers there were of each status and reason."""
    return Counter((str(answer.status), answer.header("x-plait-shed") or "") for answer in answers)


def test_two_instances_take_together_what_is_asked_for() -> None:
    """Whichever instance they come to, and what is left is told; what is too much says so."""
    with (
        live.apps("app") as apps,
        limiting(limit(10)) as limiter,
        instance(protected(limit(10)), apps["app"].port, limiter) as one,
        instance(protected(limit(10)), apps["app"].port, limiter) as two,
    ):
        answers = [call(port) for _ in range(8) for port in (one, two)]
        assert outcomes(answers) == {("200", ""): 10, ("429", "global-rate-limit"): 6}
        assert [answer.header("x-ratelimit-remaining") for answer in answers[:3]] == ["9", "8", "7"]
        assert (answers[0].header("x-ratelimit-limit") or "").startswith("10")
        assert int(answers[0].header("x-ratelimit-reset") or 0) <= 86400
        refused = answers[-1]
        assert refused.header("x-envoy-ratelimited") == "true"
        assert b"all instances of the service together" in refused.body


def test_callers_headers_paths_and_addresses_are_counted_apart() -> None:
    """Who is over a limit of his own takes nothing from the others."""
    limits = (
        limit(2, CountedBy.PATH, "/login"),
        limit(3, CountedBy.HEADER, "x-user"),
        limit(4, CountedBy.ADDRESS),
        limit(100),
    )
    with (
        live.apps("app") as apps,
        limiting(*limits) as limiter,
        instance(protected(*limits), apps["app"].port, limiter) as port,
    ):

        def from_each(*calls: tuple[str, str, str]) -> list[int]:
            return [
                call(port, path, ("x-user", user), ("x-forwarded-for", client)).status for path, user, client in calls
            ]

        paths = [
            (path, "p", f"9.9.1.{number}") for number, path in enumerate(("/login", "/login/x?y", "/login", "/loginx"))
        ]
        assert from_each(*paths) == [200, 200, 429, 200]
        users = [("/", user, f"9.9.2.{number}") for number, user in enumerate("aabaa")]
        assert from_each(*users) == [200, 200, 200, 200, 429]
        clients = [("/", f"u{number}", "9.9.3.1") for number in range(5)]
        assert from_each(*clients) == [200, 200, 200, 200, 429]
        assert call(port).status == 200


def test_callers_are_known_by_their_certificates() -> None:
    """Each identity has its own count, and those who have none share one."""
    with (
        live.apps("app") as apps,
        limiting(limit(2, CountedBy.CALLER)) as limiter,
        instance(protected(limit(2, CountedBy.CALLER)), apps["app"].port, limiter, secure=True) as port,
    ):
        assert [call(port, caller="alice").status for _ in range(3)] == [200, 200, 429]
        assert [call(port, caller="bob").status for _ in range(3)] == [200, 200, 429]
        assert [call(port).status for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize(("denies", "expected"), [(False, ("200", "")), (True, ("503", "global-rate-limit-failure"))])
def test_without_an_answer_requests_pass_or_not_as_asked(denies: bool, expected: Pair) -> None:
    """Whether nobody is there, or somebody who answers too late; none waits longer than it should."""
    with live.apps("app") as apps:
        with limiting(limit(1)) as limiter:
            limiter.delay = 2.0
            with instance(protected(limit(1), denies=denies, timeout=0.2), apps["app"].port, limiter) as port:
                assert outcomes([call(port) for _ in range(3)]) == {expected: 3}
        with instance(protected(limit(1), denies=denies), apps["app"].port, limiter) as port:
            assert outcomes([call(port) for _ in range(3)]) == {expected: 3}


def test_grpc_callers_are_told_in_their_own_words() -> None:
    """RESOURCE_EXHAUSTED, which their libraries know not to try again at once."""
    with (
        live.apps("app") as apps,
        limiting(limit(1)) as limiter,
        instance(protected(limit(1)), apps["app"].port, limiter) as port,
    ):
        found = [call(port, "/", ("content-type", "application/grpc"), ("te", "trailers")) for _ in range(2)]
        assert [(answer.status, answer.header("grpc-status")) for answer in found] == [(200, None), (200, "8")]
        assert "all instances" in (found[1].header("grpc-message") or "")
        assert found[1].header("x-plait-shed") == "global-rate-limit"
