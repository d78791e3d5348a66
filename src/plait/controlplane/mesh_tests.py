"""Runs the cases of a MeshTest: asks `plait why` about each call, and compares the answer with what is expected.

Nothing runs for it: the answers are the simulation of what the proxies would hold.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from plait.api import schemas
from plait.controlplane.offline import OfflineMesh
from plait.envoy import names
from plait.errors import PlaitError
from plait.resources.plait.mesh_test import Expectation, MeshTestSpec, TestCase
from plait.snapshot.names import possible_hosts

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One expectation that does not hold: its field, and what is so instead."""

    field: str
    expected: object
    found: object


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a case ended; `sentence` says what becomes of the call, or why it cannot be asked (`error`)."""

    name: str
    path: str
    differences: tuple[Difference, ...]
    sentence: str
    nearest_miss: str = ""
    error: bool = False
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything expected is so."""
        return not self.differences and not self.error


def run(mesh: OfflineMesh, spec: MeshTestSpec) -> tuple[Verdict, ...]:
    """The verdict on each case."""
    return tuple(_run(mesh, case, f"spec.cases[{index}]") for index, case in enumerate(spec.cases))


def _run(mesh: OfflineMesh, case: TestCase, path: str) -> Verdict:
    began = time.perf_counter()
    question = schemas.WhyQuestion(
        from_workload=case.from_,
        principal=case.principal,
        method=case.request.method,
        url=case.request.url,
        headers={name.lower(): value for name, value in case.request.headers.items()},
    )
    try:
        answer = mesh.why.answer(question)
    except PlaitError as error:
        return Verdict(name=case.name, path=path, differences=(), sentence=str(error), error=True)
    found = tuple(_differences(mesh, case, answer))
    return Verdict(
        name=case.name,
        path=path,
        differences=found,
        sentence=answer.sentence,
        nearest_miss=answer.nearest_miss,
        seconds=time.perf_counter() - began,
    )


def _differences(mesh: OfflineMesh, case: TestCase, answer: schemas.WhyAnswer) -> Iterator[Difference]:
    expect = case.expect
    namespace = case.from_.rpartition("/")[0] or "default"
    found = _plain(answer)
    for name, alias in ((name, field.alias or name) for name, field in Expectation.model_fields.items()):
        if name not in expect.model_fields_set or name not in found:
            continue
        if (wanted := getattr(expect, name)) != found[name]:
            yield Difference(field=alias, expected=wanted, found=found[name])
    yield from _destinations(expect, answer, namespace)
    yield from _others(mesh, expect, answer, namespace)
    yield from _objects(expect, answer)
    if expect.timeout is not None and abs(seconds(expect.timeout) - (answer.timeout or 0)) > 1e-6:
        yield Difference(field="timeout", expected=expect.timeout, found=f"{answer.timeout or 0:g}s")
    if expect.reason is not None and expect.reason not in answer.sentence:
        yield Difference(field="reason", expected=expect.reason, found=answer.sentence)


def _plain(answer: schemas.WhyAnswer) -> Mapping[str, object]:
    """What is compared as it stands."""
    return {
        "verdict": answer.verdict,
        "status": answer.status,
        "rule": answer.rule.path if answer.rule else None,
        "path": answer.path,
        "host": answer.host,
        "location": answer.redirect,
        "retries": answer.retries,
    }


def _destinations(expect: Expectation, answer: schemas.WhyAnswer, namespace: str) -> Iterator[Difference]:
    shares = {name: weight for name, weight in answer.clusters.items() if weight}
    places = {name: names.parse_cluster(name) or (name, 0, "") for name in shares}
    if expect.service is not None and not _only(expect.service, (host for host, _, _ in places.values()), namespace):
        yield Difference(field="service", expected=expect.service, found=_listed(shares))
    if expect.subset is not None and {subset for _, _, subset in places.values()} != {expect.subset}:
        yield Difference(field="subset", expected=expect.subset, found=_listed(shares))
    if expect.weights:
        spelled = {_spelled(text, namespace): weight for text, weight in expect.weights.items() if weight}
        held = {(host, subset): shares[name] for name, (host, _, subset) in places.items()}
        same = len(held) == len(spelled) and all(
            any(host in hosts and subset == part and held[host, subset] == weight for host, subset in held)
            for (hosts, part), weight in spelled.items()
        )
        if not same:
            yield Difference(field="weights", expected=dict(expect.weights), found=dict(answer.clusters))


def _others(mesh: OfflineMesh, expect: Expectation, answer: schemas.WhyAnswer, namespace: str) -> Iterator[Difference]:
    """Copies, and the workloads behind the destinations."""
    if expect.mirrors is not None:
        copies = [(names.parse_cluster(name) or (name, 0, ""))[0] for name in answer.mirrors]
        if len(copies) != len(expect.mirrors) or not all(
            any(host in possible_hosts(text, namespace) for host in copies) for text in expect.mirrors
        ):
            yield Difference(field="mirrors", expected=list(expect.mirrors), found=sorted(answer.mirrors))
    if expect.workload is not None:
        behind = _workloads(mesh, answer.endpoints)
        if not any(_is(expect.workload, *name.split("/", 1)) for name in behind):
            yield Difference(field="workload", expected=expect.workload, found=_listed(behind))


def _only(text: str, hosts: Iterator[str], namespace: str) -> bool:
    found = set(hosts)
    return len(found) == 1 and not found.isdisjoint(possible_hosts(text, namespace))


def _spelled(text: str, namespace: str) -> tuple[tuple[str, ...], str]:
    host, _, subset = text.partition("/")
    return possible_hosts(host, namespace), subset


def _workloads(mesh: OfflineMesh, endpoints: tuple[str, ...]) -> list[str]:
    """The workloads that have these addresses."""
    addresses = {text.rpartition(":")[0].strip("[]") for text in endpoints}
    return [str(name) for name, item in mesh.publisher.snapshot.workloads.items() if item.address in addresses]


def _objects(expect: Expectation, answer: schemas.WhyAnswer) -> Iterator[Difference]:
    if expect.route is not None:
        rule = answer.rule
        kind, _, name = expect.route.rpartition(" ")
        if rule is None or kind not in ("", rule.kind) or not _is(name, rule.namespace, rule.name):
            found = f"{rule.kind} {rule.namespace}/{rule.name}" if rule else "no rule"
            yield Difference(field="route", expected=expect.route, found=found)
    denied = answer.verdict == "denied"
    for alias, wanted, holds in (("deniedBy", expect.denied_by, denied), ("allowedBy", expect.allowed_by, not denied)):
        if wanted is None:
            continue
        policy = answer.policy
        if not holds or policy is None or not _is(wanted, policy.namespace, policy.name):
            named = f"{policy.namespace}/{policy.name}" if policy else "no policy"
            yield Difference(field=alias, expected=wanted, found=f"{answer.verdict} by {named}")


def _is(wanted: str, namespace: str, name: str) -> bool:
    return wanted in (name, f"{namespace}/{name}")


def _listed(found: Mapping[str, object] | list[str]) -> str:
    return ", ".join(found) or "nowhere"


def seconds(text: str) -> float:
    """The seconds of a duration such as `1m30s`."""
    total, number, rest = 0.0, "", text
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        number, rest = rest[:digits], rest[digits:]
        unit = next(unit for unit in ("ms", "s", "m", "h") if rest.startswith(unit))
        total, rest = total + float(number) * _UNITS[unit], rest[len(unit) :]
    return total
