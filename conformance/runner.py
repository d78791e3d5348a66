"""Runs cases: apply, start gateways, call until all is as expected or the time is over, look at conditions, remove."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from conformance import judge
from conformance.case import Attached, Call, Case, Expected, Mirrored, Step
from conformance.environment import BACKENDS, Environment
from plait.cli import kinds
from plait.errors import InvalidInputError, NotFoundError, PlaitError

IN_A_ROW: Final = 3
PAUSE: Final = 0.1
WITHIN: Final = 15.0
TRIES_AT_SHARES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a case: no problems, or sentences; seconds that it took."""

    case: Case
    problems: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


class Runner:
    """Runs one case after the other in an environment."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._client = environment.client

    def run(self, case: Case) -> Result:
        """Run a case; whatever goes wrong is a problem of it."""
        began = time.monotonic()
        try:
            problems = tuple(self._problems(case))
        except (PlaitError, RuntimeError, LookupError, OSError) as error:
            problems = (f"{type(error).__name__}: {error}",)
        return Result(case=case, problems=problems, seconds=round(time.monotonic() - began, 1))

    def _problems(self, case: Case) -> Generator[str]:
        for document in case.refused:
            yield from self._refused(document)
        with self._applied(case.objects), self._gateways(case.gateways):
            for condition in case.conditions:
                looked = self._looked_at(condition.object)
                yield from _until(lambda: judge.condition_differences(condition, looked()))  # noqa: B023 - called at once
            for borne in case.borne:
                found = self._looked_at(borne.object)
                yield from _until(lambda: judge.borne_differences(borne, found()))  # noqa: B023 - called at once
            for attached in case.attached:
                yield from _until(lambda: self._attached(attached))  # noqa: B023 - called at once
            for step in case.steps:
                yield from (f"{step.name or _words(step.call)}: {problem}" for problem in self._step(step))
            for mirrored in case.mirrored:
                yield from self._mirrored(mirrored)

    def _refused(self, document: dict[str, Any]) -> Generator[str]:
        try:
            self._client.apply([document], fieldManager="conformance")
        except InvalidInputError:
            return
        self._client.delete(self._path(document))
        yield f"{document['kind']} {document['metadata']['name']} was taken, and should have been refused"

    @contextmanager
    def _applied(self, documents: Sequence[dict[str, Any]]) -> Generator[None]:
        if documents:
            answer = self._client.apply(list(documents), fieldManager="conformance")
            self._client.wait(answer.get("revision", 0), timeout=10)
        try:
            yield
        finally:
            for document in reversed(documents):
                try:
                    self._client.delete(self._path(document))
                except NotFoundError:
                    continue

    def _path(self, document: dict[str, Any]) -> str:
        group = str(document["apiVersion"]).rpartition("/")[0]
        place = kinds.place(f"{document['kind']}.{group}" if group else document["kind"], self._client)
        return place.path(document["metadata"].get("namespace", "default"), document["metadata"]["name"])

    @contextmanager
    def _gateways(self, gateways: Sequence[str]) -> Generator[None]:
        started: list[tuple[str, str]] = []
        try:
            for gateway in gateways:
                namespace, _, name = gateway.partition("/")
                self._environment.mesh.plait("gateway", name, "-n", namespace, "--detach")
                started.append((namespace, name))
            yield
        finally:
            for namespace, name in started:
                self._environment.mesh.plait("stop", name, "-n", namespace)

    def _looked_at(self, words: str) -> Callable[[], dict[str, Any]]:
        kind, namespace, name = words.split("/")
        path = kinds.place(kind, self._client).path(namespace, name)
        return lambda: self._client.get(path)

    def _attached(self, wanted: Attached) -> list[str]:
        listeners = self._looked_at(wanted.object)().get("status", {}).get("listeners", [])
        found = {item["name"]: item.get("attachedRoutes") for item in listeners}
        if found.get(wanted.listener) == wanted.routes:
            return []
        return [f"{wanted.object}: {wanted.listener} has {found.get(wanted.listener)} routes, not {wanted.routes}"]

    def _step(self, step: Step) -> list[str]:
        if step.shares:
            tries = (self._environment.call(step.call, step.times) for _ in range(TRIES_AT_SHARES))
            problems: list[str] = []
            for answers in tries:
                if not (problems := judge.share_differences(step, answers)):
                    break
            return problems
        return _until(lambda: self._three_times(step.call, step.expect))

    def _three_times(self, call: Call, expected: Expected) -> list[str]:
        once = expected.calls is not None
        try:
            answers = self._environment.call(call, 1 if once else IN_A_ROW)
        except LookupError as error:
            return [str(error)]
        found = [judge.differences(expected, answer) for answer in answers]
        return next((problems for problems in found if problems), list[str]())

    def _mirrored(self, mirrored: Mirrored) -> list[str]:
        key = f"mirror-{time.monotonic_ns()}"
        joint = "&" if "?" in mirrored.call.path else "?"
        marked = mirrored.call.model_copy(update={"path": f"{mirrored.call.path}{joint}key={key}"})
        self._environment.call(marked, mirrored.times)
        time.sleep(0.5)
        return [
            problem
            for backend, share in mirrored.shares.items()
            for problem in self._copies(mirrored, backend, share=share, key=key)
        ]

    def _copies(self, mirrored: Mirrored, backend: str, *, share: float, key: str) -> list[str]:
        source = next(name for name in ("client", "infra") if name in self._environment.callers)
        asked = Call(source=source, to=f"{backend}.{BACKENDS[backend]}", port=8080, path=f"/?key={key}")
        [answer] = self._environment.call(asked)
        seen = int(answer["body"]["call"]) - 1 if "body" in answer else -1
        if abs(seen / mirrored.times - share) <= mirrored.within:
            return []
        return [f"{backend} had {seen} of {mirrored.times} copies instead of {share:.0%} ({answer.get('error', '')})"]


def _until(look: Callable[[], list[str]]) -> list[str]:
    """The problems that are left when there are none any more, or when the time is over."""
    deadline = time.monotonic() + WITHIN
    while (problems := look()) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return problems


def _words(call: Call) -> str:
    where = call.gateway or f"{call.source} to {call.to}:{call.port}"
    return f"{call.protocol} {where} {call.method} {call.host}{call.path} {dict(call.headers) or ''}".strip()
