"""Whatever a client sends, the server answers with a decision, never with an internal error."""

import copy
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from plait.api.app import create_app
from tests.api.calling import Api
from tests.api.objects import Document, config_map, gateway, http_route, service
from tests.api.serving import backend

_NAMES = st.text(max_size=5) | st.sampled_from(["$patch", "$retainKeys", "$setElementOrder/ports", "port", "name"])
_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5) | st.just("$patch"), inner, max_size=2)
    ),
    max_leaves=4,
)
_PATHS = {
    "Service": "/api/v1/namespaces/default/services",
    "ConfigMap": "/api/v1/namespaces/default/configmaps",
    "Gateway": "/apis/gateway.networking.k8s.io/v1/namespaces/default/gateways",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes",
}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside a value."""
    parts: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        parts = list(value.items())  # pyright: ignore[reportUnknownArgumentType]
    elif isinstance(value, list):
        parts = list(enumerate(value))  # pyright: ignore[reportUnknownArgumentType]
    return [place for key, part in parts for place in ((*path, key), *_places(part, (*path, key)))]


@st.composite
def _broken(draw: st.DrawFn) -> Document:
    """An object with up to three of its parts replaced by anything."""
    document = copy.deepcopy(
        draw(st.sampled_from([service(tier="a"), http_route(), gateway("a", "b"), config_map("c", a="b")]))
    )
    extra = {"managedFields": draw(_VALUES), "generateName": draw(_VALUES), "uid": draw(_VALUES)}
    if draw(st.booleans()):
        document["metadata"] |= extra
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(_places({key: document[key] for key in document if key != "kind"}) or [("kind",)]))
        inside: Any = document
        for key in place[:-1]:
            inside = inside[key]
        inside[place[-1]] = draw(_VALUES)
    return document


def _api_with(document: Document) -> Api:
    api = Api(create_app(backend()))
    for valid in (service(), http_route(), gateway("a"), config_map("c", x="y")):
        if valid["kind"] == document["kind"]:
            assert api.post(_PATHS[valid["kind"]], json=valid).status_code == 201
    return api


@settings(max_examples=60, deadline=None)
@given(_broken())
def test_broken_objects(document: Document) -> None:
    """Creating, replacing, patching and applying an object with broken parts is done or refused."""
    api = _api_with(document)
    path = _PATHS[document["kind"]]
    name = {"Service": "reviews", "HTTPRoute": "reviews", "Gateway": "edge", "ConfigMap": "c"}[document["kind"]]
    answers = [
        api.post(path, content=json.dumps(document)),
        api.put(f"{path}/{name}", content=json.dumps(document)),
        api.put(f"{path}/{name}/status", content=json.dumps(document)),
        api.patch(f"{path}/{name}", document, "apply", params={"fieldManager": "f", "force": "true"}),
        api.patch(f"{path}/{name}", document, "merge"),
        api.patch(f"{path}/{name}", document, "strategic-merge"),
        api.post("/plait/v1/apply", content=json.dumps({"documents": [document], "owner": "o"})),
        api.get(path),
        api.get(path, headers={"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}),
        api.delete(path, params={"labelSelector": "tier"}),
    ]
    assert [answer.status_code for answer in answers if answer.status_code >= 500] == []


@settings(max_examples=60, deadline=None)
@given(_VALUES, st.sampled_from(["merge", "json", "strategic-merge", "apply"]))
def test_broken_patches(patch: Any, kind: str) -> None:
    """Any JSON as a patch is done or refused."""
    api = _api_with(service())
    wrapped = (
        [{"op": "add", "path": "/spec/ports/0", "value": patch}] if kind == "json" else {"spec": {"ports": [patch]}}
    )
    for body in (patch, wrapped, {"metadata": patch}, {"spec": patch}):
        answer = api.patch(f"{_PATHS['Service']}/reviews", body, kind, params={"fieldManager": "f"})
        assert answer.status_code < 500, answer.text
