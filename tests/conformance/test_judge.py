"""What the judge of conformance cases sees, and what it lets pass."""

from typing import Any

import pytest

from conformance.case import Borne, Call, Condition, Expected, Step
from conformance.judge import borne_differences, condition_differences, differences, share_differences


def answer(**changes: Any) -> dict[str, Any]:
    """An answer of a backend."""
    body = {"backend": "one", "path": "/x", "host": "h", "protocol": "1.1", "headers": {"a": ["1"]}, "call": 2}
    return {"status": 200, "headers": {"location": ["/y"], "x": ["1, 2"]}, "body": body, "seconds": 0.5} | changes


RIGHT = Expected(
    status=[200, 204],
    backend=["one", "two"],
    path="/x",
    host="h",
    protocol="1.1",
    headers={"A": "1"},
    absent=("b",),
    answers={"X": "1,2"},
    unanswered=("Y",),
    location="/y",
    calls=2,
    at_least=0.4,
    at_most=0.6,
)


def test_an_answer_as_expected_has_no_differences() -> None:
    assert differences(RIGHT, answer()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"status": 500},
        {"backend": "three"},
        {"path": "/z"},
        {"host": "other"},
        {"protocol": "2"},
        {"headers": {"A": "2"}},
        {"absent": ("a",)},
        {"answers": {"X": "1"}},
        {"unanswered": ("X",)},
        {"location": "/z"},
        {"calls": 1},
        {"at_least": 0.6},
        {"at_most": 0.4},
        {"failed": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_expectation_can_fail(change: dict[str, Any]) -> None:
    assert len(differences(RIGHT.model_copy(update=change), answer())) == 1


def test_a_failed_call_is_a_difference_unless_expected() -> None:
    failed = {"error": "ConnectionResetError", "seconds": 0.1}
    assert differences(RIGHT, failed) == ["ConnectionResetError"]
    assert differences(Expected(failed=True), failed) == []


def test_shares_hold_within_a_tolerance() -> None:
    step = Step(call=Call(), shares={"one": 0.75, "two": 0.25}, within=0.05)
    answers = [answer(body={"backend": name}) for name in ("one", "one", "one", "two")]
    assert share_differences(step, answers) == []
    assert len(share_differences(step, answers[1:])) == 2


def test_labels_and_annotations_are_compared() -> None:
    wanted = Borne(object="WorkloadEntry/a/b", labels={"x": "1"}, annotations={"y": "2"})
    assert borne_differences(wanted, {"metadata": {"labels": {"x": "1"}, "annotations": {"y": "2"}}}) == []
    assert len(borne_differences(wanted, {"metadata": {"labels": {"x": "2"}}})) == 2


def told(status: str, reason: str, generation: int) -> dict[str, Any]:
    """A route's status with one condition."""
    condition = {"type": "Accepted", "status": status, "reason": reason, "observedGeneration": generation}
    return {
        "metadata": {"generation": 2},
        "status": {"parents": [{"parentRef": {"name": "p"}, "conditions": [condition]}]},
    }


def test_conditions_need_status_reason_and_generation() -> None:
    wanted = Condition(object="HTTPRoute/a/b", parent="p", type="Accepted", status="True", reason="Accepted")
    assert condition_differences(wanted, told("True", "Accepted", 2)) == []
    assert len(condition_differences(wanted, told("False", "Pending", 2))) == 1
    assert len(condition_differences(wanted, told("True", "Accepted", 1))) == 1
    assert len(condition_differences(wanted, {"metadata": {"generation": 2}})) == 1
    elsewhere = wanted.model_copy(update={"parent": "q"})
    assert len(condition_differences(elsewhere, told("True", "Accepted", 2))) == 1
