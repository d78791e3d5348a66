"""Hostnames that listeners and routes share, and references across namespaces."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.snapshot.attach import covers, granted, shared_hostnames
from plait.snapshot.declared import DeclaredGrant, Reference
from tests.snapshot.resources_builders import name_of


@pytest.mark.parametrize(
    ("listener", "route", "shared"),
    [
        ("", (), ()),
        ("", ("a.com",), ("a.com",)),
        ("a.com", (), ("a.com",)),
        ("a.com", ("a.com",), ("a.com",)),
        ("a.com", ("b.com",), None),
        ("*.a.com", ("x.a.com", "a.com", "b.com"), ("x.a.com",)),
        ("*.a.com", ("x.y.a.com",), ("x.y.a.com",)),
        ("x.a.com", ("*.a.com",), ("x.a.com",)),
        ("*.a.com", ("*.x.a.com",), ("*.x.a.com",)),
        ("*.x.a.com", ("*.a.com",), ("*.x.a.com",)),
        ("*.a.com", ("*.b.com",), None),
        ("a.com", ("*.a.com",), None),
    ],
)
def test_shared_hostnames(listener: str, route: Sequence[str], shared: tuple[str, ...] | None):
    """Of two hostnames that meet, the more precise one is shared; a wildcard does not cover its own domain."""
    assert shared_hostnames(listener, route) == shared


LABELS = st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map(".".join)
HOSTS = LABELS | LABELS.map("*.{}".format)


def admits(pattern: str, host: str) -> bool:
    """Whether a precise host is one of the pattern's, from the standard's words."""
    return not pattern or (host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern)


@given(HOSTS | st.just(""), st.lists(HOSTS, max_size=4), LABELS)
def test_a_host_is_shared_exactly_if_both_admit_it(listener: str, route: Sequence[str], host: str):
    """A request's host reaches the route at the listener if and only if the listener and the route take it."""
    shared = shared_hostnames(listener, route)

    wanted = admits(listener, host) and (not route or any(admits(pattern, host) for pattern in route))
    reached = shared is not None and (not shared or any(admits(pattern, host) for pattern in shared))
    assert reached == wanted


@given(HOSTS, LABELS)
def test_covering_a_precise_host_is_admitting_it(pattern: str, host: str):
    """`covers` says of a precise host what matching says."""
    assert covers(pattern, host) == admits(pattern, host)


GRANT = DeclaredGrant(
    name=name_of("shop/g"),
    sources=(("gateway.networking.k8s.io", "HTTPRoute", "default"),),
    targets=(("", "Service", ""), ("", "Secret", "tls")),
)


@pytest.mark.parametrize(
    ("kind", "namespace", "target", "allowed"),
    [
        ("HTTPRoute", "shop", ("", "Service", name_of("shop/a")), True),
        ("HTTPRoute", "default", ("", "Service", name_of("shop/a")), True),
        ("HTTPRoute", "default", ("", "Secret", name_of("shop/tls")), True),
        ("HTTPRoute", "default", ("", "Secret", name_of("shop/other")), False),
        ("HTTPRoute", "other", ("", "Service", name_of("shop/a")), False),
        ("Gateway", "default", ("", "Service", name_of("shop/a")), False),
    ],
)
def test_grants(kind: str, namespace: str, target: Reference, allowed: bool):
    """One's own namespace is free; another one needs a grant for the source's kind and namespace and for the target."""
    assert granted([GRANT], ("gateway.networking.k8s.io", kind, namespace), target) is allowed
