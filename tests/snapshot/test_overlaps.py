"""Two policies with different selectors that choose one workload: the newer one says where it is not in force."""

from collections.abc import Callable

import pytest

from plait.resources.parse import Resource
from plait.snapshot.build import Builder
from tests.snapshot.resources_builders import built, conditions, key_of, name_of, peer_authentication, sidecar, workload

BOTH = workload("both", app="web", labels={"tier": "front"})
ONE = workload("one", "10.0.0.2", app="web")
OK = {"Accepted": ("True", "Accepted")}
LOST = {**OK, "PartiallyInvalid": ("True", "Conflicted")}
Pair = tuple[Resource, Resource]


def sidecars() -> Pair:
    """An older one for app=web, a newer one for tier=front."""
    old = sidecar("old", "./*", selector={"app": "web"}, created=1)
    return old, sidecar("new", "./*", selector={"tier": "front"}, created=2)


def peers() -> Pair:
    """The same of PeerAuthentications."""
    old = peer_authentication("old", "STRICT", selector={"app": "web"}, created=1)
    return old, peer_authentication("new", "DISABLE", selector={"tier": "front"}, created=2)


def said(builder: Builder, policy: Resource) -> dict[str, tuple[str, str]]:
    return conditions(builder.statuses[policy.kind.kind, policy.object_name].conditions)


@pytest.mark.parametrize("pair", [sidecars, peers], ids=["Sidecar", "PeerAuthentication"])
class TestOverlaps:
    """Of both kinds."""

    def test_selectors_that_meet_on_no_workload_are_not_spoken_of(self, pair: Callable[[], Pair]):
        """They could, but they do not."""
        old, new = pair()
        builder = built(ONE, old, new)

        assert said(builder, new) == OK

    def test_the_one_that_is_not_in_force_says_for_whom(self, pair: Callable[[], Pair]):
        """And which one is."""
        old, new = pair()
        builder = built(ONE, BOTH, old, new)

        assert said(builder, old) == OK
        assert said(builder, new) == LOST
        status = builder.statuses[new.kind.kind, name_of("new")]
        message = f"for default/both {new.kind.kind} default/old is in force, which chooses it too and is older"
        assert message in status.conditions[1].message

    def test_it_follows_the_workloads(self, pair: Callable[[], Pair]):
        """The condition comes and goes with who has the labels of both."""
        old, new = pair()
        builder = built(old, new)
        for _ in range(2):
            update = builder.update([BOTH])
            assert [(item.kind, item.name.name) for item in update.statuses] == [(new.kind.kind, "new")]
            assert said(builder, new) == LOST
            builder.update([], [key_of(BOTH)])
            assert said(builder, new) == OK

    def test_it_goes_with_the_older_one(self, pair: Callable[[], Pair]):
        """What was overruled is in force then."""
        old, new = pair()
        builder = built(BOTH, old, new)

        builder.update([], [key_of(old)])

        assert said(builder, new) == OK
