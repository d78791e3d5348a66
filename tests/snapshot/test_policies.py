"""PeerAuthentication and AuthorizationPolicy: what is in force for a workload, and conditions of what is not."""

import pytest

from plait.model.security import Action, AuthorizationPolicy, AuthorizationRule, OperationMatch, SourceMatch
from plait.model.snapshot import Snapshot
from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from plait.snapshot.inbound import inbound_ports, policies_for
from tests.snapshot.resources_builders import (
    Document,
    authorization_policy,
    built,
    conditions,
    gateway,
    gateway_proxy,
    key_of,
    name_of,
    peer_authentication,
    snapshot_of,
    workload,
)

APP = workload("app", ports={"http": 8080, "db": 5432})
ROOT = "istio-system"


def modes(snapshot: Snapshot, name: str = "app") -> dict[int, str]:
    return {port.number: port.mutual_tls.value for port in inbound_ports(snapshot, snapshot.workloads[name_of(name)])}


def said(builder: Builder, kind: str, name: str) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses[kind, name_of(name)].conditions)


@pytest.mark.parametrize(
    ("policies", "expected"),
    [
        ([], {8080: "PERMISSIVE", 5432: "PERMISSIVE"}),
        ([peer_authentication(f"{ROOT}/mesh", "STRICT")], {8080: "STRICT", 5432: "STRICT"}),
        (
            [peer_authentication(f"{ROOT}/mesh", "STRICT"), peer_authentication("ns", "DISABLE")],
            {8080: "DISABLE", 5432: "DISABLE"},
        ),
        (
            [
                peer_authentication(f"{ROOT}/mesh", "STRICT"),
                peer_authentication("ns", "UNSET"),
                peer_authentication("x/ns", "DISABLE"),
            ],
            {8080: "STRICT", 5432: "STRICT"},
        ),
        (
            [peer_authentication("ns", "STRICT"), peer_authentication("w", "PERMISSIVE", selector={"app": "app"})],
            {8080: "PERMISSIVE", 5432: "PERMISSIVE"},
        ),
        (
            [
                peer_authentication("ns", "STRICT"),
                peer_authentication("w", selector={"app": "app"}, ports={5432: "DISABLE"}),
            ],
            {8080: "STRICT", 5432: "DISABLE"},
        ),
        (
            [
                peer_authentication("ns", "STRICT"),
                peer_authentication("w", "DISABLE", selector={"app": "app"}, ports={5432: "UNSET"}),
            ],
            {8080: "DISABLE", 5432: "DISABLE"},
        ),
        ([peer_authentication("w", "STRICT", selector={"app": "other"})], {8080: "PERMISSIVE", 5432: "PERMISSIVE"}),
        (
            [peer_authentication(f"{ROOT}/w", "STRICT", selector={"app": "app"})],
            {8080: "PERMISSIVE", 5432: "PERMISSIVE"},
        ),
    ],
)
def test_mutual_tls_of_ports(policies: list[Resource], expected: dict[int, str]):
    """Workload before namespace before mesh before PERMISSIVE; UNSET passes on; ports are the workload's."""
    assert modes(snapshot_of(APP, *policies)) == expected


@pytest.mark.parametrize("selector", [None, {"app": "app"}])
def test_of_two_policies_for_the_same_the_older_is_in_force(selector: dict[str, str] | None):
    """The younger one is told which one is older; when that goes, it takes over."""
    older = peer_authentication("z", "STRICT", selector=selector, created=1)
    younger = peer_authentication("a", "DISABLE", selector=selector, created=2)
    builder = built(APP, younger, older)

    assert modes(builder.snapshot)[8080] == "STRICT"
    assert said(builder, "PeerAuthentication", "z") == {"Accepted": ("True", "Accepted")}
    assert said(builder, "PeerAuthentication", "a") == {"Accepted": ("False", "Conflicted")}
    message = builder.statuses["PeerAuthentication", name_of("a")].conditions[0].message
    assert "default/z" in message

    update = builder.update([], [key_of(older)])
    assert modes(update.snapshot)[8080] == "DISABLE"
    assert said(builder, "PeerAuthentication", "a") == {"Accepted": ("True", "Accepted")}
    assert update.touched.policies == {"default"}


def test_of_two_selectors_that_meet_the_older_policy_counts():
    """Different selectors may choose one workload: both are accepted, the older one applies there."""
    wide = peer_authentication("a", "DISABLE", selector={"app": "app"}, created=2)
    other = peer_authentication("b", "STRICT", selector={"tier": "front"}, created=1)
    builder = built(workload("app", labels={"tier": "front"}), wide, other)

    assert modes(builder.snapshot)[8080] == "STRICT"


def test_a_selector_in_the_root_namespace_is_told():
    """It has no effect and its condition says where to put the policy."""
    builder = built(APP, peer_authentication(f"{ROOT}/w", "STRICT", selector={"app": "app"}))

    assert said(builder, "PeerAuthentication", f"{ROOT}/w") == {"Accepted": ("False", "UnsupportedValue")}


def policies(snapshot: Snapshot, name: str = "app") -> tuple[AuthorizationPolicy, ...]:
    return policies_for(snapshot, snapshot.workloads[name_of(name)])


def source(**fields: list[str]):
    return {"source": fields}


def operation(**fields: list[str]):
    return {"operation": fields}


def test_a_policy_as_written():
    """Sources and operations keep every field; rules know where they were written."""
    rule = {
        "from": [
            source(principals=["cluster.local/ns/default/sa/a"], notNamespaces=["bad"]),
            source(namespaces=["shop"]),
        ],
        "to": [
            operation(methods=["GET"], paths=["/a*"], ports=["8080"]),
            operation(notMethods=["PUT"], notPaths=["/x"], notPorts=["1"]),
        ],
    }
    (found,) = policies(snapshot_of(APP, authorization_policy("p", rule, action="DENY")))

    assert (found.name, found.action) == (name_of("p"), Action.DENY)
    assert found.rules[0] == AuthorizationRule(
        sources=(
            SourceMatch(principals=("cluster.local/ns/default/sa/a",), not_namespaces=("bad",)),
            SourceMatch(namespaces=("shop",)),
        ),
        operations=(
            OperationMatch(methods=("GET",), paths=("/a*",), ports=(8080,)),
            OperationMatch(not_methods=("PUT",), not_paths=("/x",), not_ports=(1,)),
        ),
        origin=found.rules[0].origin,
    )
    assert found.rules[0].origin is not None
    assert found.rules[0].origin.path == "spec.rules[0]"


def test_no_rules_and_an_empty_rule():
    """Without rules a policy matches nothing, with an empty rule everything: the difference stays visible."""
    nothing, everything = policies(snapshot_of(APP, authorization_policy("a"), authorization_policy("b", {})))

    assert (nothing.rules, len(everything.rules)) == ((), 1)


def test_service_accounts_are_principals_of_any_trust_domain():
    """NAME is of the policy's namespace, NAMESPACE/NAME of another."""
    rule = {"from": [source(serviceAccounts=["a", "shop/b"], notServiceAccounts=["c"])]}
    (found,) = policies(snapshot_of(APP, authorization_policy("p", rule)))

    assert found.rules[0].sources[0] == SourceMatch(
        principals=("*/ns/default/sa/a", "*/ns/shop/sa/b"), not_principals=("*/ns/default/sa/c",)
    )


def test_which_workloads_a_policy_is_for():
    """Its namespace's, those it selects, or with the root namespace every one; in order of names."""
    snapshot = snapshot_of(
        APP,
        workload("shop/app"),
        authorization_policy("b"),
        authorization_policy("a", selector={"matchLabels": {"app": "app"}}),
        authorization_policy("other", selector={"matchLabels": {"app": "x"}}),
        authorization_policy(f"{ROOT}/mesh"),
        authorization_policy(f"{ROOT}/picky", selector={"matchLabels": {"app": "x"}}),
    )

    assert [str(item.name) for item in policies(snapshot)] == [f"{ROOT}/mesh", "default/a", "default/b"]
    assert [str(item.name) for item in policies(snapshot, "shop/app")] == [f"{ROOT}/mesh"]


def test_a_policy_for_a_gateway():
    """A target Gateway means its proxies and nothing else of the namespace."""
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}
    builder = built(
        APP, gateway("edge"), gateway_proxy("edge-1", serves="edge"), authorization_policy("p", targetRefs=[target])
    )

    assert policies(builder.snapshot) == ()
    assert [item.name for item in policies(builder.snapshot, "edge-1")] == [name_of("p")]
    assert said(builder, "AuthorizationPolicy", "p") == {"Accepted": ("True", "Accepted")}


def test_a_policy_for_something_else_is_told_and_kept_from_the_namespace():
    """A target that we do not know must not be read as the whole namespace."""
    builder = built(APP, authorization_policy("p", targetRefs=[{"group": "", "kind": "Service", "name": "app"}]))

    assert policies(builder.snapshot) == ()
    assert said(builder, "AuthorizationPolicy", "p") == {"Accepted": ("False", "InvalidKind")}


UNCHECKED = [
    {"when": [{"key": "request.headers[x]", "values": ["y"]}]},
    {"from": [source(ipBlocks=["10.0.0.0/8"])]},
    {"from": [source(requestPrincipals=["*"])]},
    {"to": [operation(hosts=["a.com"])]},
    {"to": [operation(paths=["/a/{*}", "/b"])]},
]


@pytest.mark.parametrize("rule", UNCHECKED)
def test_what_cannot_be_checked_never_opens_a_door(rule: Document):
    """An ALLOW rule with it never matches; a DENY rule matches without it; both are told."""
    builder = built(APP, authorization_policy("allow", rule, {}), authorization_policy("deny", rule, action="DENY"))

    allow, deny = policies(builder.snapshot)
    assert [item.origin.path for item in allow.rules if item.origin] == ["spec.rules[1]"]
    (kept,) = deny.rules
    assert kept.sources in ((), (SourceMatch(),))
    assert kept.operations in ((), (OperationMatch(),))
    for name in ("allow", "deny"):
        assert said(builder, "AuthorizationPolicy", name) == {
            "Accepted": ("True", "Accepted"),
            "PartiallyInvalid": ("True", "UnsupportedValue"),
        }


def test_custom_denies_what_nobody_can_be_asked_about():
    """CUSTOM fails closed and says so."""
    builder = built(APP, authorization_policy("p", {}, action="CUSTOM", provider={"name": "x"}))

    assert [item.action for item in policies(builder.snapshot)] == [Action.DENY]
    assert said(builder, "AuthorizationPolicy", "p") == {"Accepted": ("False", "UnsupportedValue")}


def test_audit_decides_nothing():
    """AUDIT is told and left out."""
    builder = built(APP, authorization_policy("p", {}, action="AUDIT"))

    assert policies(builder.snapshot) == ()
    assert said(builder, "AuthorizationPolicy", "p") == {"Accepted": ("False", "UnsupportedValue")}


def test_a_policy_change_touches_its_namespace_only():
    """Other namespaces' policies stay the same objects."""
    builder = built(APP, authorization_policy("p"), authorization_policy("shop/p"))
    before = builder.snapshot

    update = builder.update([authorization_policy("p", {})])

    assert (update.touched.policies, update.touched.hosts, update.touched.clusters) == ({"default"}, set(), set())
    assert update.snapshot.authorization["shop"] is before.authorization["shop"]
    assert update.work == {"translated": 1, "policies": 1}

    gone = builder.update([], [key_of(authorization_policy("p"))])
    assert "default" not in gone.snapshot.authorization
    assert ("AuthorizationPolicy", name_of("p")) not in builder.statuses
