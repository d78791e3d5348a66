"""What differs between what a case expects and what happened. Nothing here talks to anything."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from conformance.case import Borne, Condition, Expected, Step

Answer = Mapping[str, Any]


def differences(expected: Expected, answer: Answer) -> list[str]:
    """Sentences, none if the answer is as expected."""
    if expected.failed:
        return [] if "error" in answer else [f"an answer came (status {answer['status']}), and none should"]
    if "error" in answer:
        return [str(answer["error"])]
    return [
        *_one_of("status", _listed(expected.status), answer["status"]),
        *_seen(expected, _body(answer)),
        *_headers("answer", expected.answers, answer["headers"]),
        *(f"the answer has {name}" for name in expected.unanswered if name.lower() in answer["headers"]),
        *_location(expected.location, answer["headers"]),
        *_duration(expected, float(answer["seconds"])),
    ]


def _seen(expected: Expected, body: Mapping[str, Any]) -> Iterable[str]:
    headers: Mapping[str, list[str]] = body.get("headers", {})
    yield from _one_of("backend", _listed(expected.backend), body.get("backend"))
    yield from _one_of("path at the backend", _listed(expected.path), body.get("path"))
    yield from _one_of("host at the backend", _listed(expected.host), body.get("host"))
    yield from _one_of("protocol at the backend", _listed(expected.protocol), body.get("protocol"))
    yield from _headers("request", expected.headers, headers)
    yield from (f"the backend saw {name}" for name in expected.absent if name.lower() in headers)
    if expected.calls is not None:
        yield from _one_of("calls at the backend", [expected.calls], body.get("call"))


def _body(answer: Answer) -> Mapping[str, Any]:
    body: Any = answer.get("body")
    return cast("Mapping[str, Any]", body) if isinstance(body, dict) else {}


def _listed(value: Any) -> Sequence[Any]:
    if isinstance(value, list):
        return cast("list[Any]", value)
    return [] if value in (None, "") else [value]


def _one_of(what: str, wanted: Sequence[Any], found: Any) -> Iterable[str]:
    if wanted and found not in wanted:
        yield f"{what}: {found!r} instead of {' or '.join(map(repr, wanted))}"


def _headers(where: str, wanted: Mapping[str, Any], found: Mapping[str, list[str]]) -> Iterable[str]:
    for name, value in wanted.items():
        values = [part.strip() for line in found.get(name.lower(), []) for part in line.split(",")]
        expected = [part.strip() for text in _listed(value) for part in str(text).split(",")]
        if values != expected:
            yield f"{where} header {name}: {values} instead of {expected}"


def _location(wanted: str, headers: Mapping[str, list[str]]) -> Iterable[str]:
    if wanted and headers.get("location") != [wanted]:
        yield f"Location: {headers.get('location')} instead of {wanted}"


def _duration(expected: Expected, seconds: float) -> Iterable[str]:
    if seconds < expected.at_least:
        yield f"it took {seconds} s, less than {expected.at_least} s"
    if expected.at_most and seconds > expected.at_most:
        yield f"it took {seconds} s, more than {expected.at_most} s"


def share_differences(step: Step, answers: Sequence[Answer]) -> list[str]:
    """What is wrong with the shares that backends had; calls that failed count against every backend."""
    found = Counter(str(_body(answer).get("backend", answer.get("error", answer.get("status")))) for answer in answers)
    return [
        f"{backend} had {found[backend] / len(answers):.3f} of the calls instead of {share} ({dict(found)})"
        for backend, share in step.shares.items()
        if abs(found[backend] / len(answers) - share) > step.within
    ]


def condition_differences(wanted: Condition, found: Mapping[str, Any]) -> list[str]:
    """What is wrong with a condition in an object's status."""
    generation = found["metadata"].get("generation")
    listed = _conditions(wanted, found.get("status", {}))
    matching = [item for item in listed if item["type"] == wanted.type]
    if not matching:
        return [f"{wanted.object}: no condition {wanted.type}"]
    problems: list[str] = []
    for item in matching:
        if item["status"] != wanted.status or wanted.reason not in ("", item["reason"]):
            told = f"{item['status']} ({item['reason']}: {item.get('message', '')})"
            problems.append(f"{wanted.object}: {wanted.type} is {told} instead of {wanted.status} ({wanted.reason})")
        if item.get("observedGeneration") != generation:
            problems.append(f"{wanted.object}: {wanted.type} is of generation {item.get('observedGeneration')}")
    return problems


def borne_differences(wanted: Borne, found: Mapping[str, Any]) -> list[str]:
    """What of the labels and annotations that an object must have it has not."""
    metadata = found["metadata"]
    return [
        f"{wanted.object}: {what} {key} is {metadata.get(what, {}).get(key)!r} instead of {text!r}"
        for what, texts in (("labels", wanted.labels), ("annotations", wanted.annotations))
        for key, text in texts.items()
        if metadata.get(what, {}).get(key) != text
    ]


def _conditions(wanted: Condition, status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if wanted.listener:
        listeners = [item for item in status.get("listeners", []) if item["name"] == wanted.listener]
        return [condition for item in listeners for condition in item["conditions"]]
    for places, ref in (("parents", "parentRef"), ("ancestors", "ancestorRef")):
        if places in status:
            chosen = [item for item in status[places] if wanted.parent in ("", item[ref]["name"])]
            return [condition for item in chosen for condition in item["conditions"]]
    return list(status.get("conditions", []))
