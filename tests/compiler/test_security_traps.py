"""Policies at a server, trap by trap: the numbers are those of the list of semantics easy to get wrong."""

from collections.abc import Sequence

import pytest

from plait.compiler.compile import compile_view
from plait.envoy import names
from plait.envoy.simulate import Call, Direction, simulate
from plait.model.security import Action, AuthorizationPolicy, MutualTlsMode
from plait.model.services import Protocol
from plait.model.view import InboundMode
from plait.resources.registry import find
from plait.snapshot.inbound import policies_for
from tests import builders as b
from tests.snapshot.resources_builders import Document, authorization_policy, built, name_of, snapshot_of, workload

ANYBODY = b.authorization_rule()
ALICE = b.source(b.identity("alice").principal)


def passes(
    policies: Sequence[AuthorizationPolicy],
    caller: str = "alice",
    path: str = "/",
    *,
    method: str = "GET",
    protocol: Protocol = Protocol.HTTP,
) -> bool:
    """Whether a call to a server under these policies reaches the app; without a caller it is plaintext."""
    mode = InboundMode.HTTP if protocol.is_http else InboundMode.BYTES
    port = b.inbound(8080, *policies, protocol=protocol, mode=mode, mutual_tls=MutualTlsMode.PERMISSIVE)
    call = Call(
        direction=Direction.INBOUND,
        port=8080,
        http=protocol.is_http,
        method=method,
        path=path,
        authority="app",
        identity=str(b.identity(caller)) if caller else "",
        tls=bool(caller),
        server_name=names.MESH_SERVER_NAME,
    )
    outcome = simulate(compile_view(b.view("server", port)), call)
    return bool(outcome.clusters) and not outcome.denied


def test_trap_22_deny_goes_before_allow_and_one_allow_closes_the_rest() -> None:
    """Nobody is asked without policies; with an ALLOW only whom one matches; a DENY wins over all of them."""
    allow_alice = b.policy("allow", Action.ALLOW, b.authorization_rule(ALICE))
    deny_alice = b.policy("deny", Action.DENY, b.authorization_rule(ALICE))

    assert passes([], "bob")
    assert passes([allow_alice], "alice")
    assert not passes([allow_alice], "bob")
    assert passes([deny_alice], "bob")
    assert not passes([allow_alice, deny_alice], "alice")
    assert passes([allow_alice, b.policy("all", Action.ALLOW, ANYBODY)], "bob")


@pytest.mark.parametrize("empty_rules", [0, 1])
def test_trap_22_no_rules_match_nothing_and_an_empty_rule_everything(empty_rules: int) -> None:
    """`spec: {}` lets nobody in, `rules: [{}]` everybody."""
    rules: list[Document] = [{}] * empty_rules
    snapshot = snapshot_of(workload("app"), authorization_policy("p", *rules))

    assert passes(policies_for(snapshot, snapshot.workloads[name_of("app")])) is bool(empty_rules)


def test_trap_23_what_only_requests_have_denies_a_byte_stream_and_never_allows_it() -> None:
    """On a TCP port an ALLOW by method never matches, and a DENY by method always does."""
    by_method = b.authorization_rule(b.operation(methods=("DELETE",)))
    elsewhere = b.authorization_rule(b.operation(methods=("DELETE",), ports=(9999,)))

    assert not passes([b.policy("allow", Action.ALLOW, by_method)], protocol=Protocol.TCP)
    assert not passes([b.policy("deny", Action.DENY, by_method)], protocol=Protocol.TCP)
    assert passes([b.policy("deny", Action.DENY, elsewhere)], protocol=Protocol.TCP)
    assert passes([b.policy("deny", Action.DENY, by_method)], method="GET")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("/api", ["/api"], ["/api/", "/API", "/apis"]),
        ("/api/*", ["/api/", "/api/x"], ["/api", "/Api/x"]),
        ("*.json", ["/a.json"], ["/a.JSON", "/a.jso"]),
        ("*", ["/", "/anything"], []),
    ],
)
def test_trap_24_paths_are_exact_or_begin_or_end_and_keep_their_case(
    pattern: str, matching: list[str], others: list[str]
) -> None:
    """A star stands at the begin or the end; paths are never compared without their case."""
    policies = [b.policy("p", Action.ALLOW, b.authorization_rule(b.operation(paths=(pattern,))))]

    assert [path for path in (*matching, *others) if passes(policies, path=path)] == matching


def test_trap_24_any_principal_is_one_that_is_known() -> None:
    """`*` is not empty: a plaintext caller has no principal and no namespace."""
    for source in (b.source("*"), b.source(namespaces=("*",))):
        policies = [b.policy("p", Action.ALLOW, b.authorization_rule(source))]

        assert passes(policies, "shop/carol")
        assert not passes(policies, "")


def test_trap_25_a_request_authentication_alone_lets_requests_without_token_pass() -> None:
    """It does not act yet, which is said when it is applied; a rule that demands its principals lets nobody in."""
    kind = find("RequestAuthentication", "security.istio.io")
    assert kind is not None
    assert (kind.effective, "do not act yet" in kind.note) == (False, True)

    for action, rule in (
        ("ALLOW", {"from": [{"source": {"requestPrincipals": ["*"]}}]}),
        ("DENY", {"from": [{"source": {"notRequestPrincipals": ["*"]}}]}),
    ):
        snapshot = snapshot_of(workload("app"), authorization_policy("p", rule, action=action))
        assert not passes(policies_for(snapshot, snapshot.workloads[name_of("app")]))


def test_trap_26_a_target_is_never_read_as_the_whole_namespace() -> None:
    """A policy for a target that we do not serve is refused in its status and applies to nobody."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "elsewhere"}
    builder = built(workload("app"), authorization_policy("p", targetRefs=[target]))

    assert policies_for(builder.snapshot, builder.snapshot.workloads[name_of("app")]) == ()


def test_trap_31_telemetry_is_stored_and_says_that_it_does_not_act() -> None:
    """Nobody believes that sampling or tags are in force which are not."""
    kind = find("Telemetry", "telemetry.istio.io")

    assert kind is not None
    assert (kind.effective, "do not act yet" in kind.note) == (False, True)
