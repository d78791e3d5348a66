"""Statuses as Kubernetes writes them."""

from typing import Any

from plait.controlplane.statuses import merged_conditions, status_document
from plait.model.ids import ObjectName
from plait.model.snapshot import Condition, ParentStatus, Status

ACCEPTED = Condition(type="Accepted", status="True", reason="Accepted")
REFUSED = Condition(type="Accepted", status="False", reason="NoMatchingParent")


def test_a_condition_keeps_its_time_while_its_status_stays():
    """Only a change of status moves lastTransitionTime."""
    old = [{"type": "Accepted", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}]

    same = merged_conditions([ACCEPTED], old, 2)
    changed = merged_conditions([REFUSED], old, 2)

    assert same[0]["lastTransitionTime"] == "2020-01-01T00:00:00Z"
    assert same[0]["observedGeneration"] == 2
    assert changed[0]["lastTransitionTime"] != "2020-01-01T00:00:00Z"


def test_parents_of_other_controllers_are_left_alone():
    """A route can be served by several controllers; each writes only its own part."""
    theirs: dict[str, Any] = {"parentRef": {"name": "edge"}, "controllerName": "example.com/other", "conditions": []}
    status = Status(
        kind="HTTPRoute",
        name=ObjectName(namespace="default", name="r"),
        generation=1,
        parents=(ParentStatus(parent=(("name", "reviews"),), conditions=(ACCEPTED,)),),
    )

    written = status_document(status, {"parents": [theirs]})

    assert written["parents"][0] == theirs
    assert written["parents"][1]["parentRef"] == {"name": "reviews"}
    assert written["parents"][1]["controllerName"] == "plait.dev/gateway"


def test_a_condition_that_is_said_no_longer_goes():
    """A Service whose ports agree again has no word of it left; what others say of it stays."""
    ours = {"type": "PartiallyInvalid", "status": "True"}
    theirs = {"type": "example.com/Checked", "status": "True"}
    quiet = Status(kind="Service", name=ObjectName(namespace="default", name="web"), generation=1)

    assert status_document(quiet, {"conditions": [ours, theirs]}) == {"conditions": [theirs]}
    assert status_document(quiet, {"conditions": [ours], "loadBalancer": {}}) == {"loadBalancer": {}}
