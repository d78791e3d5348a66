"""Server-side apply: ownership of fields, conflicts, lists that merge."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from plait.api.field_sets import EMPTY, leaves, read, write
from plait.api.list_types import list_types
from plait.api.server_side_apply import Application, apply
from tests.api.calling import Api
from tests.api.objects import deployment, gateway, service

SERVICE = "/api/v1/namespaces/default/services/reviews"
_LISTS = list_types("", "Service")
_PORTS = st.lists(st.integers(1, 4), max_size=3, unique=True).map(
    lambda numbers: [{"port": number, "name": f"p{number}"} for number in numbers]
)
_SERVICES = st.fixed_dictionaries(
    {"metadata": st.fixed_dictionaries({"labels": st.dictionaries(st.sampled_from("abc"), st.sampled_from("xy"))})},
    optional={"spec": st.fixed_dictionaries({"ports": _PORTS}, optional={"type": st.sampled_from(["A", "B"])})},
)


def _apply(api: Api, document: Any, manager: str, *, force: bool = False) -> Any:
    query = {"fieldManager": manager, **({"force": "true"} if force else {})}
    return api.patch(SERVICE, document, "apply", params=query)


def _applied(live: Any, document: Any, manager: str) -> dict[str, Any]:
    return apply(Application(document=document, manager=manager, force=True, lists=_LISTS), live)


def _managers(document: Any) -> dict[tuple[str, str], set[str]]:
    return {
        (manager.name, manager.operation): {"/".join(path) for path in manager.fields} for manager in read(document)
    }


def test_apply_creates_and_then_changes_nothing(api: Api) -> None:
    """The first apply creates, the same again leaves the object as it is, revision and all."""
    first = _apply(api, service(), "me")
    second = _apply(api, service(), "me")

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert [entry["manager"] for entry in first.json()["metadata"]["managedFields"]] == ["me"]


def test_a_field_left_out_goes(api: Api) -> None:
    """What a manager no longer wants is removed, what others set stays."""
    _apply(api, service(ports=(80, 81), tier="front"), "me")
    api.patch(SERVICE, {"metadata": {"labels": {"zone": "a"}}}, "merge", params={"fieldManager": "other"})

    after = _apply(api, service(ports=(80,)), "me").json()

    assert [port["port"] for port in after["spec"]["ports"]] == [80]
    assert after["metadata"]["labels"] == {"zone": "a"}


def test_a_conflict_names_the_manager_and_the_field(api: Api) -> None:
    """Another manager's value is not overwritten, unless forced; then the field changes hands."""
    _apply(api, service(tier="front"), "me")

    refused = _apply(api, service(tier="back"), "you")
    forced = _apply(api, service(tier="back"), "you", force=True)
    mine_again = _apply(api, service(tier="front"), "me")

    assert refused.status_code == 409
    cause = refused.json()["details"]["causes"][0]
    assert cause == {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "me"',
        "field": ".metadata.labels.tier",
    }
    assert refused.json()["message"].startswith("Apply failed with 1 conflict: ")
    assert forced.json()["metadata"]["labels"] == {"tier": "back"}
    assert mine_again.status_code == 409


def test_equal_values_are_shared(api: Api) -> None:
    """Two managers may want the same; the field goes when the last gives it up."""
    _apply(api, service(tier="front"), "me")
    assert _apply(api, service(tier="front"), "you").status_code == 200

    still = _apply(api, service(), "me").json()
    gone = _apply(api, service(), "you").json()

    assert still["metadata"]["labels"] == {"tier": "front"}
    assert "labels" not in gone["metadata"]


def test_writes_of_other_forms_own_fields_too(api: Api) -> None:
    """A PUT or a patch makes its user the owner of what it changed, and takes it from others."""
    _apply(api, service(tier="front"), "me")
    api.patch(SERVICE, {"metadata": {"labels": {"tier": "mid"}}}, "merge", params={"fieldManager": "editor"})

    refused = _apply(api, service(tier="front"), "me")
    document = api.get(SERVICE).json()

    assert refused.status_code == 409
    assert _managers(document)["editor", "Update"] == {"f:metadata/f:labels/f:tier"}
    assert "f:metadata/f:labels/f:tier" not in _managers(document)["me", "Apply"]


def test_ports_are_told_apart_by_number_and_protocol() -> None:
    """The same number for TCP and UDP is two ports; a protocol left out is TCP."""
    live = _applied(None, {"spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "name": "t"}]}}, "a")

    merged = _applied(live, {"spec": {"ports": [{"port": 53, "protocol": "TCP", "name": "x"}]}}, "b")

    assert merged["spec"]["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP", "name": "x"}]


def test_listeners_keep_the_order_applied() -> None:
    """Who applies a list decides the order of its items; those of others stay behind what they followed."""
    lists = list_types("gateway.networking.k8s.io", "Gateway")

    def applied(live: Any, *names: str, manager: str = "a") -> Any:
        return apply(Application(document=gateway(*names), manager=manager, force=True, lists=lists), live)

    live = applied(applied(None, "x", "y"), "z", manager="b")
    swapped = applied(live, "y", "x")

    assert [listener["name"] for listener in live["spec"]["listeners"]] == ["x", "y", "z"]
    assert [listener["name"] for listener in swapped["spec"]["listeners"]] == ["y", "z", "x"]


def test_containers_merge_deeply() -> None:
    """Two managers may own different variables of one container."""
    lists = list_types("apps", "Deployment")

    def applied(live: Any, document: Any, manager: str) -> Any:
        return apply(Application(document=document, manager=manager, force=True, lists=lists), live)

    both = applied(applied(None, deployment(A="1"), "a"), deployment(B="2"), "b")
    one = applied(both, deployment(), "a")

    def env(document: Any) -> list[str]:
        container = document["spec"]["template"]["spec"]["containers"][0]
        return [item["name"] for item in container["env"]]

    assert env(both) == ["A", "B"]
    assert env(one) == ["B"]


def test_apply_needs_a_manager(api: Api) -> None:
    """Without a field manager nobody could own the fields."""
    answer = api.patch(SERVICE, service(), "apply")
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


@given(_SERVICES, _SERVICES)
def test_what_is_applied_is_there(first: Any, second: Any) -> None:
    """After two managers applied, the last one's wishes hold, and applying again changes nothing."""
    live = _applied(_applied(None, first, "a"), second, "b")

    there = leaves(live, _LISTS)
    assert all(there[path] == value for path, value in leaves(second, _LISTS).items() if value != EMPTY)
    again = _applied(live, second, "b")
    assert again == live


@given(_SERVICES, _SERVICES)
def test_only_manager_gets_exactly_what_it_applies(first: Any, second: Any) -> None:
    """With one manager the object's leaves are those of its last document."""
    live = _applied(_applied(None, first, "a"), second, "a")

    wanted = {path: value for path, value in leaves(second, _LISTS).items() if value != EMPTY}
    assert {path: value for path, value in leaves(live, _LISTS).items() if value != EMPTY} == wanted


@given(_SERVICES)
def test_managed_fields_survive_their_json(document: Any) -> None:
    """Written and read again they are the same sets."""
    live = _applied(None, document, "a")
    assert write(read(live)) == live["metadata"]["managedFields"]
