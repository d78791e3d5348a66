"""What a client asks to run, typed and checked."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.model.services import Protocol
from plait.node.workload_spec import SIDECAR_PORTS, AppPort, Publication, ServiceOffer, WorkloadSpec, parse

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
PORTS = st.integers(1, 65535).filter(lambda port: port not in SIDECAR_PORTS)


def spec(**fields: Any) -> WorkloadSpec:
    return parse({"name": "web", "command": ["true"], **fields})


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    numbers = draw(st.lists(PORTS, min_size=1, max_size=3, unique=True))
    ports = [draw(st.sampled_from(["{}", "a{}:{}", "{}/http", "a{}:{}/grpc"])).replace("{}", str(n)) for n in numbers]
    return {
        "name": draw(NAMES),
        "namespace": draw(NAMES),
        "serviceAccount": draw(NAMES),
        "ports": ports,
        "services": [*draw(st.lists(NAMES, max_size=2)), f"{draw(NAMES)}:{draw(PORTS)}"],
        "publish": draw(st.sampled_from([[], ["8080"], ["0.0.0.0:8080:80"], ["8080:80"]])),
        "hostPorts": draw(st.lists(PORTS, max_size=2)),
        "labels": draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        "probe": draw(st.sampled_from(["", "tcp", "http:/ready"])),
        "command": ["run", "it"],
    }


@given(documents())
def test_what_is_written_down_is_read_again(document: dict[str, Any]) -> None:
    """A restarted agent has the same spec, except the app's environment, which is never written down."""
    before = parse({**document, "env": {"SECRET": "x"}})
    assert "SECRET" not in str(before.document()) + repr(before)
    assert parse(before.document()) == WorkloadSpec(**{name: getattr(before, name) for name in FIELDS})


FIELDS = [name for name in WorkloadSpec.__dataclass_fields__ if name != "env"]


@pytest.mark.parametrize(
    ("service", "ports", "offer"),
    [
        ("web:80", ["8000"], ServiceOffer(name="web", port=80, app_port=8000)),
        ("web:9000", ["8000", "9000"], ServiceOffer(name="web", port=9000, app_port=9000)),
        ("web", ["8000"], ServiceOffer(name="web", port=8000, app_port=8000)),
        ("web:80", [], ServiceOffer(name="web", port=80, app_port=80)),
    ],
)
def test_a_service_finds_the_apps_port(service: str, ports: list[str], offer: ServiceOffer) -> None:
    """A service's port leads to the app's port of that number, else to its first."""
    assert spec(services=[service], ports=ports).services == (offer,)


def test_an_offered_port_is_a_port_of_the_app() -> None:
    """A service without declared ports declares its own."""
    assert spec(services=["web:80"]).ports == (AppPort(number=80),)


def test_ports_have_names_and_protocols() -> None:
    """[NAME:]NUMBER[/PROTOCOL], with h2c for HTTP/2 without TLS."""
    assert spec(ports=["web:8080/h2c"]).ports == (AppPort(number=8080, name="web", protocol=Protocol.HTTP2),)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("8080", Publication(host="127.0.0.1", port=8080, app_port=80)),
        ("8080:90", Publication(host="127.0.0.1", port=8080, app_port=90)),
        ("0.0.0.0:8080:90", Publication(host="0.0.0.0", port=8080, app_port=90)),
        ("localhost:8080", Publication(host="localhost", port=8080, app_port=80)),
        ("[::1]:8080", Publication(host="::1", port=8080, app_port=80)),
    ],
)
def test_publications(text: str, found: Publication) -> None:
    """[HOST:]PORT[:APP]; without APP the first port of the app."""
    assert spec(publish=[text], ports=["80"]).publish == (found,)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "Big"},
        {"name": 7},
        {"command": []},
        {"command": "true"},
        {"ports": ["x"]},
        {"ports": ["80/smtp"]},
        {"ports": ["70000"]},
        {"services": ["web"]},
        {"services": ["Web:80"]},
        {"publish": ["a:b:c"]},
        {"hostPorts": ["x"]},
        {"capture": "some"},
        {"env": ["a"]},
        {"labels": "a"},
    ],
)
def test_what_is_wrong_is_refused_with_a_remedy(fields: dict[str, Any]) -> None:
    """Whatever a client sends, the agent answers with a sentence."""
    with pytest.raises(RefusedError) as refusal:
        spec(**fields)
    assert refusal.value.problem
    assert refusal.value.remedy


@pytest.mark.parametrize("port", ["15001", "web:15006/http"])
def test_trap_34_the_sidecars_ports_are_not_the_apps(port: str) -> None:
    """An app that listens where its sidecar does is refused before it starts, with the number."""
    with pytest.raises(RefusedError, match="belongs to the sidecar"):
        spec(ports=[port])
