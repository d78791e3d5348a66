"""The index of policies leaves out only what cannot choose a workload."""

from hypothesis import given
from hypothesis import strategies as st

from plait.model.security import Action
from plait.model.services import Labels
from plait.model.snapshot import SelectedPolicy
from plait.snapshot.selection import candidates
from plait.snapshot.workloads import labels_of, selects
from tests import builders as b

labels = st.builds(labels_of, st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), max_size=3))
gateways = st.sampled_from([(), (), (), ("gateway",)])


def policies_of(selectors: list[tuple[Labels, tuple[str, ...]]]) -> tuple[SelectedPolicy, ...]:
    return tuple(
        SelectedPolicy(policy=b.policy(f"p{number}", Action.ALLOW), selector=selector, gateways=names)
        for number, (selector, names) in enumerate(selectors)
    )


@given(st.lists(st.tuples(labels, gateways), max_size=8), labels)
def test_no_policy_that_may_choose_a_workload_is_left_out(
    selectors: list[tuple[Labels, tuple[str, ...]]], own: Labels
) -> None:
    """Those that choose it, and those for gateways, come in their order."""
    policies = policies_of(selectors)

    found = [item for item in candidates(policies, own) if item.gateways or selects(item.selector, own)]

    assert found == [item for item in policies if item.gateways or selects(item.selector, own)]


def test_policies_for_other_labels_are_not_asked() -> None:
    """Of a thousand policies for a thousand apps, a workload asks its own."""
    policies = policies_of([(labels_of({"app": f"s{number}"}), ()) for number in range(1000)])

    assert [str(item.policy.name) for item in candidates(policies, labels_of({"app": "s7", "version": "1"}))] == [
        "default/p7"
    ]
