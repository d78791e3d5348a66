"""The rules of the soak are sound at every step."""

from itertools import pairwise

import pytest

from bench import soak_traffic
from plait.resources.parse import validate
from plait.resources.yaml import Document


@pytest.mark.parametrize("step", range(12))
def test_every_step_is_accepted(step: int) -> None:
    """No step writes something that control would refuse, so a change not taken is a defect of ours."""
    written = [*soak_traffic.services(), *soak_traffic.rules(step)]

    assert validate([Document(value=value) for value in written]) == ()


def test_the_rules_change_all_the_time() -> None:
    """Neighbouring steps differ in route and shares; balancer and delay come and go."""
    steps = [soak_traffic.rules(step) for step in range(12)]

    assert all(one != other for one, other in pairwise(steps))
    assert len({rules[2]["spec"]["trafficPolicy"]["loadBalancer"]["simple"] for rules in steps}) == 3
    assert {"fault" in rules[1]["spec"]["http"][0] for rules in steps} == {True, False}
