"""HTTP once: a caller's sidecar and a server's that passes bytes, through real Envoys."""

import contextlib
import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace

import pytest

from plait.envoy import access, names
from plait.model.security import Action, AuthorizationPolicy
from plait.model.services import Capture
from plait.model.traffic import Destination, HeaderChange, Rule
from plait.model.view import InboundMode, OutboundCluster, ServerPort
from tests import builders as b
from tests.compiler import loopback
from tests.envoy import certificates, live, real

pytestmark = [pytest.mark.integration, pytest.mark.timeout(60)]

ADDRESS = "127.240.0.1"
ONLY_ALICE = b.policy("only-alice", Action.ALLOW, b.authorization_rule(b.source(b.identity("alice").principal)))
NOT_CLIENT = b.policy("not-client", Action.DENY, b.authorization_rule(b.source(b.identity("client").principal)))


@dataclass(frozen=True)
class Pair:
    """Where the caller's sidecar takes calls to the service, and the caller's administration socket."""

    port: int
    admin: live.Path

    def ask(self, path: str = "/", headers: list[tuple[str, str]] | None = None) -> live.Answer:
        """A call through both sidecars."""
        return live.request((ADDRESS, self.port), path, headers=headers or [])


def _known(cluster: OutboundCluster, app: int, *policies: AuthorizationPolicy, told: bool = False) -> OutboundCluster:
    """The cluster as a caller knows it whose servers pass bytes under these policies."""
    return replace(
        cluster, servers=(ServerPort(port=app, mode=InboundMode.BYTES, policies=policies),), tells_caller=told
    )


@contextlib.contextmanager
def _pair(
    *policies: AuthorizationPolicy,
    known: bool = True,
    told: bool = False,
    frontend_told: bool = False,
    change: HeaderChange | None = None,
) -> Generator[Pair]:
    with live.apps("web") as started, contextlib.ExitStack() as stack:
        app = started["web"].port
        port, sidecar = live.free_port(), live.free_port()
        served = b.inbound(app, *policies, mode=InboundMode.BYTES, sidecar_port=sidecar)
        server = b.view("web", served, capture=Capture.EXPLICIT)
        cluster = _known(b.cluster("web", port), app, *policies, told=told) if known else b.cluster("web", port)
        rules = (
            [Rule(name="r", destinations=(Destination(cluster=cluster.key),), request_headers=change)] if change else []
        )
        frontend = replace(b.frontend("web", port, *rules, address=ADDRESS), tells_caller=frontend_told)
        client = replace(b.view("client", frontend, cluster), outbound_port=port)
        endpoint = b.endpoint("127.0.0.1", sidecar, service_account="web")
        authority = certificates.shared()
        stack.enter_context(live.running(loopback.server(server), real.secrets(authority, str(b.identity("web")))))
        resources = loopback.client(client, {"web": endpoint})
        admin = stack.enter_context(live.running(resources, real.secrets(authority, str(b.identity("client")))))
        yield Pair(port, admin)


@pytest.fixture(scope="module")
def told() -> Iterator[Pair]:
    """A service whose app is told who calls."""
    with _pair(told=True) as made:
        yield made


def test_the_app_is_told_who_calls(told: Pair) -> None:
    """The caller's sidecar names its identity, and what the app's caller claims is thrown away."""
    forged = [("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/admin")]
    for headers in ([], forged):
        answer = told.ask(headers=headers)
        assert answer.status == 200
        assert answer.seen_header("x-forwarded-client-cert") == [f"URI={b.identity('client')}"]


UNDERSCORES = ("X_Forwarded_Client_Cert", "x-forwarded_client-cert", "x_forwarded-client-cert")


@pytest.mark.parametrize("name", UNDERSCORES)
def test_no_other_spelling_of_the_header_arrives(told: Pair, name: str) -> None:
    """Many apps take `_` for `-` in names of headers, so the calling app could name another caller."""
    answer = told.ask(headers=[(name, "URI=spiffe://cluster.local/ns/default/sa/admin"), ("x_mine", "kept")])

    assert answer.seen_header(name.lower()) == []
    assert answer.seen_header("x_mine") == ["kept"]
    assert answer.seen_header("x-forwarded-client-cert") == [f"URI={b.identity('client')}"]


def test_who_asks_through_a_split_is_told_too() -> None:
    """It is enough that the service which was called asks; the backends behind its route need not."""
    with _pair(frontend_told=True) as pair:
        assert pair.ask().seen_header("x-forwarded-client-cert") == [f"URI={b.identity('client')}"]


def test_nothing_is_told_unasked() -> None:
    """Without the request for it no identity is in a header, and a forged one does not arrive."""
    with _pair() as pair:
        answer = pair.ask(headers=[("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/default/sa/admin")])
        assert answer.status == 200
        assert answer.seen_header("x-forwarded-client-cert") == []


@pytest.mark.parametrize("asked", [True, False], ids=["told", "not-told"])
@pytest.mark.parametrize("word", ["set", "add"])
def test_no_route_names_another_caller(word: str, *, asked: bool) -> None:
    """Whoever may write routes for a caller cannot let it pass for another one, whether or not the app is told."""
    forged = (("X-Forwarded-Client-Cert", "URI=spiffe://cluster.local/ns/default/sa/admin"), ("x-mine", "kept"))
    with _pair(told=asked, change=HeaderChange(set=forged) if word == "set" else HeaderChange(add=forged)) as pair:
        answer = pair.ask()

    expected = [f"URI={b.identity('client')}"] if asked else []
    assert answer.seen_header("x-forwarded-client-cert") == expected
    assert answer.seen_header("x-mine") == ["kept"]


@pytest.mark.parametrize(
    ("policy", "rule"), [(ONLY_ALICE, access.NONE), (NOT_CLIENT, "default/not-client[0]")], ids=["none", "deny"]
)
def test_a_denied_caller_is_told_so(policy: AuthorizationPolicy, rule: str) -> None:
    """It gets the 403 that a server which looks at requests would give, with the policy and itself named."""
    with _pair(policy) as pair:
        answer = pair.ask()
        counted = live.ask_admin(pair.admin, "/stats/prometheus?filter=mesh.requests_total")

    assert answer.status == 403
    assert names.parse_denial(answer.header(names.DENIED_HEADER) or "") == rule
    assert json.loads(answer.body)["caller"] == str(b.identity("client"))
    assert 'response_code="403"' in counted
    assert f'destination_service="{b.host("web")}:{pair.port}"' in counted


@pytest.mark.parametrize("policy", [ONLY_ALICE, NOT_CLIENT], ids=["none", "deny"])
def test_the_server_decides_all_the_same(policy: AuthorizationPolicy) -> None:
    """A caller whose sidecar does not know better reaches nothing."""
    with _pair(policy, known=False) as pair:
        assert pair.ask().status == 503


def test_an_allowed_caller_passes() -> None:
    """A policy that allows the caller is in nobody's way."""
    allowed = b.policy("clients", Action.ALLOW, b.authorization_rule(b.source(b.identity("client").principal)))
    with _pair(allowed) as pair:
        assert pair.ask().status == 200


def test_only_the_share_of_a_denied_backend_is_refused() -> None:
    """In a split the refusal follows the destination, not the rule."""
    with live.apps("open") as started, contextlib.ExitStack() as stack:
        app = started["open"].port
        port, sidecar = live.free_port(), live.free_port()
        served = b.inbound(app, mode=InboundMode.BYTES, sidecar_port=sidecar)
        split = b.frontend("web", port, b.rule("split", None, open=50, closed=50), address=ADDRESS)
        clusters = (_known(b.cluster("open"), app), _known(b.cluster("closed"), app, NOT_CLIENT))
        client = replace(b.view("client", split, *clusters), outbound_port=port)
        endpoint = b.endpoint("127.0.0.1", sidecar, service_account="open")
        authority = certificates.shared()
        server = b.view("open", served, capture=Capture.EXPLICIT)
        stack.enter_context(live.running(loopback.server(server), real.secrets(authority, str(b.identity("open")))))
        resources = loopback.client(client, {"open": endpoint, "closed": endpoint})
        stack.enter_context(live.running(resources, real.secrets(authority, str(b.identity("client")))))
        answers = [live.request((ADDRESS, port), "/").status for _ in range(60)]

    assert set(answers) == {200, 403}
