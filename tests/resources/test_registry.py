"""Kinds are found by every name that users and tools write."""

import pytest

from plait.resources import registry
from plait.resources.stored_kinds import guess_plural


@pytest.mark.parametrize(
    ("name", "group", "found"),
    [
        ("HTTPRoute", None, "HTTPRoute.gateway.networking.k8s.io"),
        ("httproutes", None, "HTTPRoute.gateway.networking.k8s.io"),
        ("svc", None, "Service"),
        ("ns", "", "Namespace"),
        ("gateway", None, "Gateway.gateway.networking.k8s.io"),
        ("gateways.networking.istio.io", None, "Gateway.networking.istio.io"),
        ("gateways", "networking.istio.io", "Gateway.networking.istio.io"),
        ("deploy", None, "Deployment.apps"),
        ("peerauthentications", None, "PeerAuthentication.security.istio.io"),
    ],
)
def test_kinds_are_found(name: str, group: str | None, found: str):
    """Kind, plural, short name, with or without group."""
    assert str(registry.find(name, group)) == found


@pytest.mark.parametrize(("name", "group"), [("nothing", None), ("svc", "apps"), ("", None)])
def test_unknown_names_are_not_found(name: str, group: str | None):
    """What is no kind is None."""
    assert registry.find(name, group) is None


def test_names_are_unique_in_a_group():
    """No two kinds of a group share a kind, plural or short name."""
    names = [(kind.group, name) for kind in registry.KINDS for name in {kind.kind, kind.plural, *kind.short_names}]

    assert len(names) == len(set(names))


def test_kinds_without_effect_say_so():
    """A kind that is only stored, or does not act yet, has a note for the user; the others have a model."""
    for kind in registry.KINDS:
        acts = kind.effective and not kind.stored_only
        assert acts == (kind.note == ""), kind
        assert (kind.model is None) == kind.stored_only, kind


def test_unknown_kinds_are_only_stored():
    """A kind of an unknown group gets a plural and a note; in a known group it is a slip."""
    stored = registry.of("example.com/v1alpha1", "Policy")
    assert stored is not None
    assert (stored.plural, stored.stored_only, stored.api_version) == ("policies", True, "example.com/v1alpha1")
    assert registry.of("networking.istio.io/v1", "VirtualServce") is None


@pytest.mark.parametrize(
    ("kind", "plural"), [("Ingress", "ingresses"), ("Gateway", "gateways"), ("Policy", "policies"), ("Box", "boxes")]
)
def test_plurals(kind: str, plural: str):
    """Plurals are those that Kubernetes' tools guess."""
    assert guess_plural(kind) == plural
