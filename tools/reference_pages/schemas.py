"""A JSON schema for every `-o json`: from the models of the API, or from the very dataclasses that are printed."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from plait.analysis.findings import Severity
from plait.analysis.rollout import Figures, Verdict
from plait.api import schemas as answers
from plait.cli.demo_checks import Observation
from plait.cli.findings import Finding
from plait.cli.rollout_state import Phase
from plait.controlplane.archive import Manifest
from plait.resources.violations import Violation


class Validated(TypedDict):
    """What `plait validate` found."""

    objects: int
    violations: list[Violation]


class Bundled(TypedDict):
    """A bundle that was written."""

    file: str
    objects: int
    bytes: int
    digest: str


class Found(TypedDict):
    """A finding of `plait analyze`: `istio` are the codes of `istioctl analyze` for it; line 0 is unknown."""

    code: str
    istio: list[str]
    severity: Severity
    title: str
    message: str
    remedy: str
    kind: str
    namespace: str
    name: str
    path: str
    file: str
    line: int


class Analyzed(TypedDict):
    """What `plait analyze` found."""

    objects: int
    findings: list[Found]


class Unlike(TypedDict):
    """An expectation that does not hold."""

    field: str
    expected: Any
    found: Any


class Tested(TypedDict):
    """A case of a MeshTest."""

    test: str
    case: str
    passed: bool
    file: str
    line: int
    sentence: str
    nearestMiss: str
    differences: list[Unlike]


class Changed(TypedDict):
    """An object before and after; null where it does not exist."""

    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class _Grant(TypedDict):
    name: str
    allow: list[str]


class Grant(_Grant, total=False):
    """Who may run workloads under which identity; of `uid`, `executable` and `cgroup` those that are asked for."""

    uid: int
    executable: str
    cgroup: str


class JoinToken(TypedDict):
    """A token by which one machine joins."""

    token: str
    node: str
    allow: list[str]
    control: str


class UserToken(TypedDict):
    """A token for the API."""

    token: str
    user: str


class RolloutStep(TypedDict):
    """What was seen of both versions in a step of a rollout; `weight` is the new version's share in percent."""

    weight: int
    old: Figures
    new: Figures
    decision: Verdict
    reason: str


RolloutReport = TypedDict(
    "RolloutReport",
    {
        "route": str,
        "namespace": str,
        "from": str,
        "to": str,
        "phase": Phase,
        "weight": int,
        "reason": str,
        "steps": list[RolloutStep],
    },
)
"""How a rollout is; `steps` are those that this command watched."""


class ObjectOrList(TypedDict):
    """A Kubernetes object, or a list of them in `items`."""

    apiVersion: str
    kind: str


class Asking(TypedDict):
    """What needs the requests to a port."""

    kind: str
    namespace: str
    name: str
    asks: str
    file: str
    line: int


class Inbound(TypedDict):
    """How the sidecar treats a port: `mode` is `http` or `bytes`; port 0 stands for those that nobody listed."""

    port: int
    protocol: str
    mutualTls: str
    mode: str
    because: list[Asking]
    policies: list[str]


class Configuration(TypedDict):
    """What a proxy holds: how it treats its own ports, and lists of Envoy's messages by type."""

    inbound: list[Inbound]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSchema:
    """What a command prints with `-o json`: `words` is the command line, `name` the file."""

    command: str
    words: str
    name: str
    form: Any


OUTPUTS = (
    OutputSchema(command="status", words="status", name="status", form=answers.Status),
    OutputSchema(command="get", words="get workloads", name="get-workloads", form=list[answers.Workload]),
    OutputSchema(command="get", words="get workloads NAME", name="get-workload", form=answers.Workload),
    OutputSchema(command="get", words="get KIND [NAME]", name="get", form=ObjectOrList),
    OutputSchema(command="apply", words="apply -f PATH", name="apply", form=answers.ApplyAnswer),
    OutputSchema(command="diff", words="diff -f PATH", name="diff", form=list[Changed]),
    OutputSchema(command="bundle", words="bundle -f PATH --to FILE", name="bundle", form=Bundled),
    OutputSchema(command="validate", words="validate -f PATH", name="validate", form=Validated),
    OutputSchema(command="analyze", words="analyze [-f PATH]", name="analyze", form=Analyzed),
    OutputSchema(command="test", words="test -f PATH", name="test", form=list[Tested]),
    OutputSchema(command="why", words="why --from WORKLOAD URL", name="why", form=answers.WhyAnswer),
    OutputSchema(command="top", words="top", name="top", form=list[answers.Edge]),
    OutputSchema(command="rollout", words="rollout HTTPROUTE", name="rollout", form=RolloutReport),
    OutputSchema(command="doctor", words="doctor", name="doctor", form=list[Finding]),
    OutputSchema(command="backup", words="backup FILE", name="backup", form=Manifest),
    OutputSchema(command="demo", words="demo --check", name="demo-check", form=list[Observation]),
    OutputSchema(command="proxy list", words="proxy list", name="proxy-list", form=list[answers.Proxy]),
    OutputSchema(command="proxy config", words="proxy config NAME", name="proxy-config", form=Configuration),
    OutputSchema(command="token create", words="token create --node NAME", name="token-node", form=JoinToken),
    OutputSchema(command="token create", words="token create --user NAME", name="token-user", form=UserToken),
    OutputSchema(command="grant list", words="grant list", name="grant-list", form=list[Grant]),
)
"""Every output; the problem that the API answers with is `problem.json`."""


def pages() -> dict[str, str]:
    """The files below schemas/."""
    made = {f"schemas/{output.name}.json": _file(output.form, f"plait {output.words} -o json") for output in OUTPUTS}
    made["schemas/problem.json"] = _file(answers.Problem, "What /plait/v1 answers when it refuses")
    return made


def _file(form: Any, title: str) -> str:
    schema = TypeAdapter(form).json_schema(by_alias=True, mode="serialization")
    for part in (schema, *schema.get("$defs", {}).values()):
        if part.get("title") != Grant.__name__ and "properties" in part:
            part["required"] = list(part["properties"])  # nothing is left out where a value is the default
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": title}
    return json.dumps(head, indent=2) + "\n"
