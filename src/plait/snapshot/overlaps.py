"""Policies that choose a workload beside an older one, which is in force: what their statuses say of it.

Whether selectors overlap shows only on workloads that have the labels of both, so it is noted for each workload as it
changes, and told on the policy that is not in force there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from plait.model.ids import ObjectName
from plait.model.snapshot import Condition
from plait.snapshot.conditions import PARTIALLY_INVALID, Problem, partially_invalid, sentences

_OfKind = tuple[str, ObjectName]


@dataclass(slots=True)
class Overlaps:
    """By kind: the policies that choose each workload, and the workloads where each is not in force."""

    _chosen: dict[_OfKind, tuple[ObjectName, ...]] = field(default_factory=dict[_OfKind, tuple[ObjectName, ...]])
    _lost: dict[_OfKind, dict[ObjectName, ObjectName]] = field(
        default_factory=dict[_OfKind, dict[ObjectName, ObjectName]]
    )

    def put(self, kind: str, workload: ObjectName, policies: Sequence[ObjectName]) -> frozenset[str]:
        """Note which policies choose a workload, the one in force first; the namespaces with others to tell of it."""
        former = self._chosen.get((kind, workload), ())
        new: tuple[ObjectName, ...] = tuple(policies) if len(policies) > 1 else ()
        if new == former:
            return frozenset()
        for policy in former[1:]:
            lost = self._lost[kind, policy]
            del lost[workload]
            if not lost:
                del self._lost[kind, policy]
        for policy in new[1:]:
            self._lost.setdefault((kind, policy), {})[workload] = policies[0]
        if new:
            self._chosen[kind, workload] = new
        else:
            del self._chosen[kind, workload]
        return frozenset(policy.namespace for policy in (*former[1:], *new[1:]))

    def told(self, kind: str, policy: ObjectName, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
        """The conditions of a policy, with where it is not in force."""
        lost = self._lost.get((kind, policy))
        if not lost:
            return conditions
        workload = min(lost)
        sentence = (
            f"for {workload} {kind} {lost[workload]} is in force, which chooses it too and is older;"
            " let their selectors exclude each other"
        )
        before = next((item for item in conditions if item.type == PARTIALLY_INVALID), None)
        message = sentences((before.message, sentence)) if before else sentence
        reason = before.reason if before else "Conflicted"
        others = tuple(item for item in conditions if item.type != PARTIALLY_INVALID)
        return (*others, *partially_invalid((Problem(reason=reason, message=message),)))
