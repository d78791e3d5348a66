"""Whatever users write, nothing breaks: objects of every kind, bent at random, and text that is hardly YAML.

What is wrong comes back as violations or conditions. What is left compiles for every proxy, refers to nothing that is
missing, and a real Envoy accepts it (a sample).
"""

import copy
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plait.analysis.analyze import analyze
from plait.analysis.mesh import Mesh
from plait.controlplane.offline import OfflineMesh, offline_mesh
from plait.envoy import names
from plait.envoy.references import Reference, missing_references
from plait.envoy.resource_set import ResourceSet
from plait.model.view import View
from plait.resources.yaml import Document, load
from tests.envoy.real import validate

ROOT = Path(__file__).parents[2]
SEEDS = [path.read_text() for path in sorted((ROOT / "tests/compiler/cases").glob("*/mesh.yaml"))]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 65536, 2**63, 1e308, "", " ", "*", "a", "*.example", "(?=a)", "[", "1s", "-5s", "0",
    "http", "STRICT", "reviews", "x" * 300, "\u0000", "\u00e9", "%", "%REQ(x)%", "{a}", "/", "//", "10.0.0.0/33", [],
    {}, [None], {"": ""}, [{}], {"exact": "a"}, {"prefix": ""}, {"regex": "("},
)  # fmt: skip

GONE: Any = object()


def bent(text: str, seed: int) -> list[Document]:
    """The objects of a text with a few fields changed, removed, doubled, or taken from elsewhere."""
    chance = random.Random(seed)
    values = [copy.deepcopy(document.value) for document in load(text).documents]
    places = [place for value in values for place in _places(value)]
    for _ in range(chance.randint(1, 6)):
        _bend(chance, *chance.choice(places), places)
    return [Document(value=value, file="bent.yaml", line=1) for value in values]


def _bend(chance: random.Random, holder: Any, key: Any, places: list[tuple[Any, Any]]) -> None:
    now = _at(holder, key)
    if now is GONE:
        return
    match chance.randint(0, 4):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, list):
            cast("list[Any]", holder).append(copy.deepcopy(now))
        case 2:
            other = _at(*chance.choice(places))
            holder[key] = copy.deepcopy(other) if other is not GONE else None
        case 3 if isinstance(now, str):
            holder[key] = now + chance.choice(("", "x", "*", ".", "%", "("))
        case _:
            holder[key] = copy.deepcopy(chance.choice(ODD))


def _at(holder: Any, key: Any) -> Any:
    """What is at a place, or GONE where a change took the place away."""
    try:
        return holder[key]
    except (KeyError, IndexError):
        return GONE


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) below `spec`, and of labels and annotations."""
    keys: Any = ()
    if isinstance(value, dict):
        keys = list(cast("dict[str, Any]", value))
    elif isinstance(value, list):
        keys = range(len(cast("list[Any]", value)))
    for key in keys:
        if key not in ("apiVersion", "kind"):
            yield value, key
            yield from _places(value[key])


def all_held(mesh: OfflineMesh) -> Iterator[tuple[View, ResourceSet]]:
    """What each proxy holds that calls everything there is."""
    snapshot = mesh.publisher.snapshot
    for workload in snapshot.workloads.values():
        view = mesh.publisher.view_of(workload, snapshot.services)
        yield view, mesh.publisher.resources_for(view)


def missing(view: View, held: ResourceSet) -> list[Reference]:
    """References to nothing, but for clusters that are left out on purpose: calls to those are answered 503."""
    left_out = {names.cluster(item.host, item.key.port, item.key.subset) for item in view.clusters if item.missing}
    return [found for found in missing_references(held) if found.name not in left_out]


def checked(documents: list[Document]) -> list[ResourceSet]:
    """What is held in the mesh of these documents, after every look that is taken."""
    mesh = offline_mesh(documents)
    analyze(Mesh(resources=mesh.resources, statuses=mesh.builder.statuses), mesh.violations)
    held = list(all_held(mesh))
    assert [found for view, item in held for found in missing(view, item)] == []
    return [item for _, item in held]


SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
bents = st.builds(bent, st.sampled_from(SEEDS), st.integers(0, 2**32))


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(documents=bents)
def test_bent_objects_break_nothing(documents: list[Document]) -> None:
    """They are refused with violations, told by conditions, or act."""
    checked(documents)


@pytest.mark.long
@pytest.mark.timeout(600)
@settings(max_examples=2000, deadline=None, suppress_health_check=SLOW)
@given(documents=bents)
def test_many_bent_objects_break_nothing(documents: list[Document]) -> None:
    """The same for longer."""
    checked(documents)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(len(SEEDS)))
def test_envoy_takes_what_is_left(seed: int, tmp_path: Path) -> None:
    """A sample, each of another case."""
    for held in checked(bent(SEEDS[seed], seed))[:1]:
        assert validate(held, tmp_path) == ""


@settings(max_examples=150, deadline=None)
@given(text=st.text(alphabet=st.sampled_from(list("ab:-[]{}&*!|>'\"%@`#,? \n\t\u0000\u2028~<=0")), max_size=80))
def test_text_that_is_hardly_yaml_breaks_nothing(text: str) -> None:
    """It is read, or told what is wrong."""
    loaded = load(text)
    offline_mesh(loaded.documents)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
KINDS = sorted(
    {(document.value["apiVersion"], document.value["kind"]) for text in SEEDS for document in load(text).documents}
)


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(kind=st.sampled_from(KINDS), spec=json_values)
def test_any_json_is_refused_or_understood(kind: tuple[str, str], spec: Any) -> None:
    """An object of a known kind with anything for a spec."""
    value: Mapping[str, Any] = {"apiVersion": kind[0], "kind": kind[1], "metadata": {"name": "a"}, "spec": spec}
    checked(list(load(json.dumps(value)).documents))


def test_an_address_that_is_none_is_told() -> None:
    """Found by bending objects: it ended the control plane."""
    entry = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec: {hosts: [a.example], addresses: [240.240.9.2(], ports: [{number: 80, name: http}], resolution: NONE}
"""

    (violation,) = offline_mesh(load(entry).documents).violations

    assert (violation.path, violation.line) == ("spec.addresses[0]", 4)
    assert "must be an IP address or a CIDR range" in violation.problem
