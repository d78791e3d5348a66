"""What Envoys are answered: by the mesh's numbers, for services that the asking machine serves."""

import asyncio
from collections.abc import Sequence

import pytest
from envoy.service.ratelimit.v3 import rls_pb2
from hypothesis import given
from hypothesis import strategies as st

from plait.errors import RefusedError
from plait.limiting.counting import Counting, Taken, in_memory, in_redis
from plait.limiting.memory import BoundedMemory
from plait.limiting.service import RateLimits
from plait.model.protection import CountedBy, Quota, SharedLimit
from tests import builders as b

Response = rls_pb2.RateLimitResponse
NOW = 1_000_000.0


def limit(*quotas: tuple[int, int], by: CountedBy = CountedBy.ALL, of: str = "", name: str = "web") -> SharedLimit:
    """A limit with quotas of so many in so many seconds."""
    given = tuple(Quota(count=count, per=per) for count, per in quotas)
    return SharedLimit(service=b.name(name), counted_by=by, of=of, quotas=given)


def request(*descriptors: Sequence[str], domain: str = "plait", addend: int = 0) -> rls_pb2.RateLimitRequest:
    """What Envoy asks: service, limit and value of each descriptor."""
    message = rls_pb2.RateLimitRequest(domain=domain, hits_addend=addend)
    for values in descriptors:
        entries = message.descriptors.add().entries
        for key, value in zip(("service", "limit", "value"), values, strict=False):
            entries.add(key=key, value=value)
    return message


class Asked:
    """A service in which only `here` serves the limits, at a time that stands still."""

    def __init__(self, *limits: SharedLimit) -> None:
        by_service: dict[str, dict[str, SharedLimit]] = {}
        for item in limits:
            by_service.setdefault(str(item.service), {})[item.id] = item
        counting = Counting(lambda _service: BoundedMemory(1000, lambda: NOW))
        self.service = RateLimits(lambda machine: by_service if machine == "here" else {}, counting)

    def answer(self, *descriptors: Sequence[str], machine: str = "here", addend: int = 0) -> Response:
        """The answer to a request."""
        return asyncio.run(self.service.answer(machine, request(*descriptors, addend=addend)))

    def passes(self, *descriptors: Sequence[str], machine: str = "here", addend: int = 0) -> bool:
        """Whether a request may pass."""
        return self.answer(*descriptors, machine=machine, addend=addend).overall_code == Response.OK


ALL = ("default/web", "all")


def test_so_many_pass_and_what_is_left_is_told() -> None:
    """With the numbers that Envoy makes headers of."""
    asked = Asked(limit((3, 60)))
    answers = [asked.answer(ALL) for _ in range(4)]
    assert [item.overall_code for item in answers] == [Response.OK] * 3 + [Response.OVER_LIMIT]
    assert [item.statuses[0].limit_remaining for item in answers] == [2, 1, 0, 0]
    status = answers[-1].statuses[0]
    assert (status.current_limit.requests_per_unit, status.current_limit.unit) == (3, Response.RateLimit.MINUTE)
    assert 0 < status.duration_until_reset.seconds <= 60
    assert asked.service.gauges() == {"rate_limits_passed": 3, "rate_limits_limited": 1, "rate_limits_failed": 0}


def test_every_quota_must_have_room() -> None:
    """Five at once, but eight in an hour; told is the one that has least room."""
    asked = Asked(limit((5, 1), (3, 3600)))
    answers = [asked.answer(ALL) for _ in range(4)]
    assert [item.overall_code == Response.OK for item in answers] == [True, True, True, False]
    assert {item.statuses[0].current_limit.unit for item in answers} == {Response.RateLimit.HOUR}


def test_values_are_counted_apart_and_requests_without_one_together() -> None:
    """A header that is left out is no way around the limit."""
    asked = Asked(limit((1, 60), by=CountedBy.HEADER, of="x-user"))
    found = [asked.passes(("default/web", "header:x-user", *value)) for value in (["a"], ["b"], ["a"], [], [])]
    assert found == [True, True, False, True, False]


def test_a_caller_is_the_identity_in_its_certificate() -> None:
    """Whatever else of the certificate is new after a renewal."""
    asked = Asked(limit((1, 60), by=CountedBy.CALLER))

    def passes(digest: str, name: str) -> bool:
        certificate = f"By=spiffe://x/ns/default/sa/web;Hash={digest};URI=spiffe://x/ns/default/sa/{name}"
        return asked.passes(("default/web", "caller", certificate))

    assert [passes("1", "ann"), passes("1", "bob"), passes("2", "ann")] == [True, True, False]


def test_who_is_over_a_limit_of_his_own_takes_nothing_from_everybody() -> None:
    """What is asked first is counted first, up to what refuses."""
    asked = Asked(limit((1, 60), by=CountedBy.HEADER, of="x-user"), limit((3, 60)))
    greedy = [asked.passes(("default/web", "header:x-user", "greedy"), ALL) for _ in range(50)]
    assert greedy.count(True) == 1
    assert [asked.passes(("default/web", "header:x-user", user), ALL) for user in "abc"] == [True, True, False]


@pytest.mark.parametrize(
    ("machine", "descriptor"),
    [
        ("elsewhere", ALL),
        ("here", ("default/other", "all")),
        ("here", ("default/web", "caller")),
        ("here", ("default/web",)),
        ("here", ()),
    ],
)
def test_a_machine_cannot_use_up_limits_that_it_does_not_serve(machine: str, descriptor: Sequence[str]) -> None:
    """What it asks so passes and counts for nobody, as what is asked for a limit that is gone."""
    asked = Asked(limit((1, 60)))
    assert all(asked.passes(descriptor, machine=machine) for _ in range(5))
    assert asked.passes(ALL)


def test_other_domains_mean_nothing_here() -> None:
    """Only what our own configuration asks is counted."""
    asked = Asked(limit((1, 60)))
    for _ in range(3):
        answer = asyncio.run(asked.service.answer("here", request(ALL, domain="another")))
        assert answer.overall_code == Response.OK


def test_a_request_may_count_for_several() -> None:
    """As Envoy says."""
    asked = Asked(limit((10, 60)))
    assert [asked.passes(ALL, addend=4) for _ in range(3)] == [True, True, False]
    assert asked.passes(ALL, addend=2)


def test_services_have_counters_of_their_own() -> None:
    """However many values the callers of one name."""
    one, other = limit((1, 60), by=CountedBy.HEADER, of="x"), limit((1, 60), name="other")
    counting = Counting(lambda _service: BoundedMemory(10))

    async def count() -> tuple[Taken, Taken]:
        first = await counting.take(other, "")
        for number in range(100):
            await counting.take(one, str(number))
        return first, await counting.take(other, "")

    first, second = asyncio.run(count())
    assert (first.passes, second.passes) == (True, False)


@pytest.mark.parametrize("url", ["memcached://127.0.0.1", "127.0.0.1:6379", "secret"])
def test_only_redis_keeps_counters_elsewhere(url: str) -> None:
    """A setting that means nothing is refused when control starts, without repeating what may hold a password."""
    with pytest.raises(RefusedError, match="PLAIT_RATE_LIMIT_STORE is no address of a Redis") as refusal:
        in_redis(url, "test")
    assert url not in str(refusal.value)


def test_a_redis_that_is_away_is_said() -> None:
    """Whoever asks learns that nobody counts, and does not wait long for it."""

    async def take() -> None:
        await in_redis("redis://127.0.0.1:1/0", "test").take(limit((1, 60)), "")

    with pytest.raises(ConnectionError, match="cannot be reached"):
        asyncio.run(take())


def test_memory_needs_nothing() -> None:
    """What is used unless a store is given."""
    assert asyncio.run(in_memory().take(limit((1, 60)), "")).passes


@given(st.integers(1, 6), st.lists(st.floats(0, 70, allow_nan=False), min_size=1, max_size=40), st.integers(1, 3))
def test_nothing_passes_before_the_time_that_a_refusal_tells(count: int, pauses: list[float], amount: int) -> None:
    """So whoever was refused may be told so again until then, without being counted."""
    clock = [NOW]
    counting = Counting(lambda _service: BoundedMemory(10, lambda: clock[0]))

    async def take() -> Taken:
        return await counting.take(limit((count, 60)), "", amount)

    async def follow() -> None:
        for pause in pauses:
            clock[0] += pause
            taken = await take()
            if not taken.passes:
                began = clock[0]
                for share in (0.0, 0.5, 0.999):
                    clock[0] = began + taken.reset * share
                    assert not (await take()).passes
                clock[0] = began

    asyncio.run(follow())
