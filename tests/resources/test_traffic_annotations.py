"""Annotations `traffic.plait.dev/*`: what may be written, what is wrong with the rest, and what is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plait.model.protection import CountedBy, Quota, RateLimit
from plait.resources.core import shared_limit_annotations as shared
from plait.resources.core import traffic_annotations as asked
from plait.resources.parse import parse

GOOD = {
    asked.CALLER_IDENTITY: "header",
    asked.CONCURRENCY: "8",
    asked.QUEUE: "16",
    asked.RATE_LIMIT: "100/s",
    asked.BURST: "5",
    asked.ADMISSION_CONTROL: "on",
    asked.MAX_CONNECTIONS: "1",
    asked.MAX_REQUESTS: "1000000000",
    asked.MAX_PENDING: "7",
    asked.RETRY_BUDGET: "20%",
    asked.EJECT_AFTER_FAILURES: "off",
    asked.EJECT_AFTER_ERRORS: "5",
    asked.EJECT_FOR: "1m30s",
    asked.EJECT_AT_MOST: "100%",
    asked.PANIC_BELOW: "1%",
    asked.KEEP_ALIVE: "500ms",
    shared.EVERYBODY: "1000/s, 20000/minute",
    shared.PER_CALLER: "10/second",
    shared.PER_ADDRESS: "5/h,100/day",
    shared.PER_HEADER: "X-User=10/s, x-tenant=1000/m, x-user=100/m",
    shared.PATHS: "/login=5/m, /a/b.c=7/d",
    shared.TIMEOUT: "20ms",
    shared.FAILURE: "deny",
}


def problems(annotations: dict[str, str]) -> dict[str, str]:
    """What is wrong with annotations, by name."""
    return {str(finding.path[-1]): finding.problem for finding in asked.broken(annotations)}


def test_every_annotation_can_be_written() -> None:
    """No setting is without a value that it takes."""
    assert problems(GOOD) == {}
    adaptive = {asked.CONCURRENCY: "adaptive", asked.USUAL_LATENCY: "20ms"}
    assert problems(adaptive) == {}
    assert asked.SETTINGS.keys() == GOOD.keys() | adaptive.keys()


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        (asked.CONCURRENCY, "0", 'must be "adaptive" or a whole number'),
        (asked.CONCURRENCY, "many", 'must be "adaptive" or a whole number'),
        (asked.MAX_REQUESTS, "-1", "must be a whole number from 1"),
        (asked.MAX_REQUESTS, "٣", "must be a whole number from 1"),
        (asked.RATE_LIMIT, "100", "number per second, minute or hour"),
        (asked.RATE_LIMIT, "0/s", "number per second, minute or hour"),
        (asked.RETRY_BUDGET, "0.2", "whole per cent"),
        (asked.EJECT_AT_MOST, "101%", "whole per cent"),
        (asked.EJECT_FOR, "5", "must be a duration"),
        (asked.KEEP_ALIVE, "0s", "must be a duration"),
        (asked.ADMISSION_CONTROL, "true", 'supported values: "on"'),
        (shared.EVERYBODY, "20", "must be rates per s, m, h or d"),
        (shared.EVERYBODY, "20/s,", "must be rates per s, m, h or d"),
        (shared.EVERYBODY, "0/s", "must be rates per s, m, h or d"),
        (shared.PER_CALLER, "20/week", "must be rates per s, m, h or d"),
        (shared.PER_ADDRESS, ",".join(["1/s"] * 17), "at most 16 rates"),
        (shared.PER_HEADER, "10/s", "must be a header with its rate"),
        (shared.PER_HEADER, ":path=10/s", "must be a header with its rate"),
        (shared.PER_HEADER, "x-user:10/s", "must be a header with its rate"),
        (shared.PATHS, "login=5/m", "must be a path with its rate"),
        (shared.PATHS, "/a?b=5/m", "must be a path with its rate"),
        (shared.TIMEOUT, "6s", "must be at most 5s"),
        (shared.FAILURE, "open", 'supported values: "allow", "deny"'),
        (f"{asked.PREFIX}concurency", "8", f"did you mean {asked.CONCURRENCY}?"),  # codespell:ignore concurency
    ],
)
def test_what_is_wrong_is_said(name: str, value: str, part: str) -> None:
    """Each mistake names the value and what may stand there."""
    found = problems({name: value})
    assert found.keys() == {name}
    assert part in found[name]


@pytest.mark.parametrize("name", [asked.MAX_REQUESTS, asked.CONCURRENCY, asked.RETRY_BUDGET, asked.RATE_LIMIT])
def test_a_number_that_python_would_not_read_is_told_like_any_other(name: str) -> None:
    """A sentence about the value, which is not repeated whole."""
    found = problems({name: "9" * 5000 + ("%" if name == asked.RETRY_BUDGET else "")})
    assert found.keys() == {name}
    assert found[name].startswith(f'Invalid value: "{"9" * 60}...": must be')
    assert len(found[name]) < 200


@pytest.mark.parametrize(
    ("annotations", "lonely"),
    [
        ({asked.BURST: "5"}, asked.BURST),
        ({asked.QUEUE: "5"}, asked.QUEUE),
        ({asked.QUEUE: "5", asked.CONCURRENCY: "adaptive"}, asked.QUEUE),
        ({asked.USUAL_LATENCY: "5ms", asked.CONCURRENCY: "8"}, asked.USUAL_LATENCY),
        ({asked.EJECT_FOR: "5s", asked.EJECT_AFTER_FAILURES: "off"}, asked.EJECT_FOR),
        ({asked.EJECT_AT_MOST: "50%", asked.EJECT_AFTER_FAILURES: "off"}, asked.EJECT_AT_MOST),
        ({asked.PANIC_BELOW: "50%", asked.EJECT_AFTER_FAILURES: "off"}, asked.PANIC_BELOW),
        ({shared.TIMEOUT: "20ms"}, shared.TIMEOUT),
        ({shared.FAILURE: "deny", asked.RATE_LIMIT: "5/s"}, shared.FAILURE),
    ],
)
def test_a_setting_without_the_one_it_belongs_to_is_told(annotations: dict[str, str], lonely: str) -> None:
    """Nothing that is written is without effect in silence."""
    found = problems(annotations)
    assert found.keys() == {lonely}
    assert "has no effect without" in found[lonely]


def test_a_service_with_a_wrong_annotation_is_refused_with_its_path() -> None:
    """The violation names the annotation as a field."""
    document = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default", "annotations": {asked.RATE_LIMIT: "fast"}},
        "spec": {"ports": [{"port": 80}]},
    }
    found = parse(document, lines={}, file="web.yaml")
    assert isinstance(found, tuple)
    assert [violation.path for violation in found] == [f"metadata.annotations[{asked.RATE_LIMIT}]"]


def test_values_are_read_in_their_units() -> None:
    """Seconds, per cent, and rates with the burst of a second."""
    assert asked.read(GOOD, asked.EJECT_FOR) == 90.0
    assert asked.read(GOOD, asked.RETRY_BUDGET) == 20
    assert asked.read({asked.RATE_LIMIT: "90/m"}, asked.RATE_LIMIT) == RateLimit(count=90, per=60.0, burst=2)
    assert asked.read({}, asked.QUEUE) is None


@given(st.sampled_from(sorted(asked.SETTINGS)), st.text(max_size=20))
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    """What is not refused has a value; nothing else is raised."""
    wrong = problems({name: text}).get(name, "")
    assert (asked.read({name: text}, name) is None) == (bool(wrong) and "has no effect" not in wrong)


def test_limits_that_instances_share_are_read_narrowest_first() -> None:
    """Rates of one key together, in the order of the text."""
    ten_a_second, a_hundred_a_minute = Quota(count=10, per=1), Quota(count=100, per=60)
    assert list(shared.read_limits(GOOD)) == [
        (CountedBy.PATH, "/login", (Quota(count=5, per=60),)),
        (CountedBy.PATH, "/a/b.c", (Quota(count=7, per=86400),)),
        (CountedBy.HEADER, "x-user", (ten_a_second, a_hundred_a_minute)),
        (CountedBy.HEADER, "x-tenant", (Quota(count=1000, per=60),)),
        (CountedBy.ADDRESS, "", (Quota(count=5, per=3600), Quota(count=100, per=86400))),
        (CountedBy.CALLER, "", (ten_a_second,)),
        (CountedBy.ALL, "", (Quota(count=1000, per=1), Quota(count=20000, per=60))),
    ]
    assert list(shared.read_limits({})) == []


@given(st.sampled_from(sorted(shared.LIMITS)), st.text(max_size=20))
def test_a_limit_has_quotas_or_is_refused(name: str, text: str) -> None:
    """Nothing that is accepted limits nothing."""
    assert bool(list(shared.read_limits({name: text}))) == (not problems({name: text}))
