"""A conformance case as its YAML says it: objects to apply, calls and what must come of them, conditions to hold."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict

FOLDER: Final = Path(__file__).parent / "cases"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Call(_Strict):
    """A call from a workload (`source`) to a host of the mesh, or from outside to a Gateway (`NAMESPACE/NAME`)."""

    source: str = "client"
    gateway: str = ""
    protocol: Literal["http", "https", "grpc", "ws", "tcp", "tls"] = "http"
    to: str = "echo"
    """The name that is connected to; the instance of a backend as `pod:NAME`."""
    port: int = 80
    host: str = ""
    sni: str = ""
    method: str = "GET"
    path: str = "/"
    headers: Mapping[str, str | list[str]] = {}
    body: str = ""
    trusts: bool = False
    """Whether the server's certificate is checked against the authority of the cases."""
    certificate: Literal["", "client", "stranger"] = ""
    """The certificate that the caller shows: of the cases' authority, or of another."""
    timeout: float = 15.0


class Expected(_Strict):
    """What must come of a call; what is not named is not checked. `failed` means that no answer comes at all."""

    status: int | list[int] | None = None
    failed: bool = False
    backend: str | list[str] = ""
    path: str = ""
    """Path and query as the backend saw them."""
    host: str = ""
    protocol: str = ""
    headers: Mapping[str, str | list[str]] = {}
    """Headers of the request at the backend."""
    absent: tuple[str, ...] = ()
    answers: Mapping[str, str | list[str]] = {}
    """Headers of the answer."""
    unanswered: tuple[str, ...] = ()
    """Headers that the answer must not have."""
    location: str = ""
    calls: int | None = None
    """How often the backend had been called, this call included."""
    at_least: float = 0.0
    """Seconds that it took at the least, and below: at the most."""
    at_most: float = 0.0


class Step(_Strict):
    """Calls (each must be as expected three times in a row), or shares among backends of `times` calls."""

    name: str = ""
    call: Call
    expect: Expected = Expected()
    shares: Mapping[str, float] = {}
    times: int = 500
    within: float = 0.05


class Borne(_Strict):
    """Labels and annotations that an object (KIND/NAMESPACE/NAME) must have."""

    object: str
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Condition(_Strict):
    """A condition that an object's status must have, at a parent (routes), an ancestor or a listener if given."""

    object: str
    """KIND/NAMESPACE/NAME."""
    parent: str = ""
    listener: str = ""
    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str = ""


class Attached(_Strict):
    """How many routes a listener must have."""

    object: str
    listener: str
    routes: int


class Mirrored(_Strict):
    """Backends that must get copies of a call: the share of `times` calls that each gets, within a part of them."""

    call: Call
    times: int = 20
    shares: Mapping[str, float]
    within: float = 0.15


class Case(_Strict):
    """One case. It counts for a profile if all its features are of that profile."""

    name: str
    description: str
    features: tuple[str, ...]
    claims: bool = True
    """Whether passing it means that the features are there; else it only holds what is done of them."""
    objects: tuple[dict[str, Any], ...] = ()
    refused: tuple[dict[str, Any], ...] = ()
    """Objects that the API must refuse."""
    gateways: tuple[str, ...] = ()
    """Gateways (`NAMESPACE/NAME`) whose proxies are started for it."""
    steps: tuple[Step, ...] = ()
    conditions: tuple[Condition, ...] = ()
    attached: tuple[Attached, ...] = ()
    borne: tuple[Borne, ...] = ()
    mirrored: tuple[Mirrored, ...] = ()


def read(path: Path) -> list[Case]:
    """The cases of a file; raises pydantic's ValidationError if one is not written as a case is."""
    return [Case.model_validate(document) for document in yaml.safe_load_all(path.read_text()) if document]


def claimed(cases: Iterable[Case]) -> frozenset[str]:
    """The features that these cases prove."""
    return frozenset(feature for case in cases if case.claims for feature in case.features)


def all_cases() -> list[Case]:
    """Every case there is, by file and place."""
    return [case for path in sorted(FOLDER.glob("*.yaml")) for case in read(path)]
