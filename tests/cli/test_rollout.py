"""`plait rollout`: steps, counters, the route that it writes, and how it ends."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from plait.analysis.rollout import Figures, Guard, Verdict
from plait.cli.errors import CheckError
from plait.cli.rollout_figures import Counters
from plait.cli.rollout_plan import share, steps
from plait.cli.rollout_route import backends_of, made, shifted, weight_of
from plait.cli.rollout_run import Clock, Mesh, Rollout, Step
from plait.cli.rollout_state import Backend, Phase, Plan, State, annotations, read
from plait.errors import DeadlineError, PlaitError, UnreachableError
from tests.cli.conftest import Plait
from tests.cli.fake_mesh import FakeMesh

OLD = Backend(namespace="default", name="web-v1", port=80)
NEW = Backend(namespace="default", name="web-v2", port=80)
PLAN = Plan(old=OLD, new=NEW, steps=(10, 50, 100), every=5, timeout=20, guard=Guard())


def edge(service: str, *, good: int, bad: int = 0, slow: int = 0, source: str = "caller") -> dict[str, Any]:
    """An edge as the API tells it, with cumulative counters."""
    total = good + bad
    return {
        "reporter": "source",
        "source": source,
        "destination": service,
        "destinationService": f"{service}.default.svc.cluster.local:80",
        "counts": {"200": good, **({"503": bad} if bad else {})},
        "buckets": [[1.0, total - slow], [50.0, total]],
    }


class Traffic:
    """Requests that go on at a constant pace in a time of their own, shared as the route says."""

    def __init__(self, *, rate: int = 100, failing: bool = False, fails_from: int = 0, away: range = range(0)) -> None:
        self.now = 0.0
        self.states: list[State] = []
        self._rate, self._failing, self._fails_from = rate, failing, fails_from
        self._away = away
        self._counts = {"web-v1": [0, 0], "web-v2": [0, 0]}

    def sleep(self, seconds: float) -> None:
        """Let time pass, and requests with it."""
        self.now += seconds
        weight = self.states[-1].weight
        new = round(self._rate * seconds * weight / 100)
        bad = new if self._failing and weight >= self._fails_from else 0
        self._counts["web-v2"][0] += new - bad
        self._counts["web-v2"][1] += bad
        self._counts["web-v1"][0] += round(self._rate * seconds) - new

    def read(self, counters: Counters) -> None:
        """Read all counters."""
        counters.read([edge(name, good=good, bad=bad) for name, (good, bad) in self._counts.items()])

    def check(self) -> None:
        """Nobody else changes the route, but control may be away."""
        if self.now in self._away:
            raise UnreachableError("no mesh answers")

    def write(self, state: State) -> int:
        """Keep what was written."""
        self.states.append(state)
        return len(self.states)

    def rollout(self, told: list[Step], state: State | None = None) -> Rollout:
        """A rollout in this traffic."""
        mesh = Mesh(route=self, read=self.read, settle=lambda _revision: None)
        clock = Clock(now=lambda: self.now, sleep=self.sleep)
        return Rollout(mesh, state or State(plan=PLAN), told.append, clock)


def test_a_good_version_takes_every_step():
    """Each step lasts its time and is told; the last write promotes."""
    traffic, told = Traffic(), list[Step]()

    ended = traffic.rollout(told).run()

    assert ended.phase is Phase.PROMOTED
    assert [state.weight for state in traffic.states] == [10, 50, 100, 100]
    assert [step.decision.verdict for step in told] == [Verdict.GO_ON] * 3
    assert traffic.now == 15
    assert told[0].new == Figures(requests=50, failed=0, p50=0.5, p99=0.99)
    assert told[2].old == told[1].old, "without requests of its own the old version is what it was"


def test_a_bad_version_goes_back_at_once():
    """It is rolled back within the step in which it begins to fail, long before that step's time is over."""
    traffic, told = Traffic(failing=True, fails_from=50), list[Step]()

    ended = traffic.rollout(told).run()

    assert (ended.phase, ended.weight) == (Phase.ROLLED_BACK, 0)
    assert [state.weight for state in traffic.states] == [10, 50, 0]
    assert traffic.now == 6
    assert "50 of 50 requests to the new version failed" in ended.reason


def test_too_few_requests_never_promote():
    """It waits for the time that it may, then ends with the weights as they are, for others to go on."""
    traffic, told = Traffic(rate=1), list[Step]()

    with pytest.raises(DeadlineError, match=r"too few requests: 0 to the new .* stays at 10%"):
        traffic.rollout(told).run()

    assert traffic.now == 20
    assert traffic.states[-1].phase is Phase.PROGRESSING


def test_a_resumed_rollout_begins_with_its_step():
    """Steps that ended are not repeated, and the old version's figures are those that were kept."""
    traffic, told = Traffic(), list[Step]()
    kept = Figures(requests=500, p50=0.5, p99=1.0)

    ended = traffic.rollout(told, State(plan=PLAN, step=2, reference=kept)).run()

    assert ended.phase is Phase.PROMOTED
    assert [(step.weight, step.old) for step in told] == [(100, kept)]


def test_control_may_be_started_anew_meanwhile():
    """While control does not answer nothing is decided; then it goes on with what was counted."""
    traffic, told = Traffic(away=range(3, 7)), list[Step]()

    assert traffic.rollout(told).run().phase is Phase.PROMOTED
    assert traffic.now == 17
    assert told[0].new.requests == 70


READINGS = [
    pytest.param([edge("web-v2", good=7)], 0, id="what was before"),
    pytest.param([edge("web-v2", good=7), edge("web-v2", good=9)], 2, id="growth"),
    pytest.param([edge("web-v2", good=7), edge("web-v2", good=3)], 3, id="a sidecar started anew"),
    pytest.param([edge("web-v2", good=7), None, edge("web-v2", good=9)], 2, id="left out of a report"),
    pytest.param([None, edge("web-v2", good=4)], 4, id="a new caller"),
    pytest.param([None, edge("web-v22", good=4)], 0, id="another service"),
]


@pytest.mark.parametrize(("readings", "requests"), READINGS)
def test_what_is_counted(readings: Sequence[dict[str, Any] | None], requests: int):
    """Only what a service's counters grew by while it was watched."""
    counters = Counters((OLD, NEW))
    for reading in readings:
        counters.read([] if reading is None else [reading])

    assert counters.figures(NEW).requests == requests
    assert counters.figures(OLD).requests == 0


def test_state_is_kept_in_annotations():
    """What is written is read again, whatever the phase; damage is told."""
    state = State(plan=PLAN, step=1, reference=Figures(requests=9, failed=1), reason="so").ended(Phase.ABORTED, "why")
    document = {"metadata": {"annotations": {**annotations(state), "other": "kept"}}}

    assert read(document) == state
    assert read({"metadata": {}}) is None
    document["metadata"]["annotations"]["rollout.plait.dev/step"] = "x"
    with pytest.raises(CheckError, match="damaged"):
        read(document)


def test_weights_of_the_rules_that_send_to_the_old_version():
    """The new version joins those rules; a rule that already sends to it alone, and all else, stays as it is."""
    route = made("web", Backend(namespace="default", name="web", port=80), OLD)
    canary = {"matches": [{"headers": [{"name": "x", "value": "y"}]}], "backendRefs": [{"name": "web-v2", "port": 80}]}
    route["spec"]["rules"].insert(0, canary)

    changed = shifted(route, OLD, NEW, 10)

    assert changed["spec"]["rules"][0] == canary
    assert changed["spec"]["rules"][1]["backendRefs"] == [
        {"name": "web-v1", "port": 80, "weight": 90},
        {"name": "web-v2", "port": 80, "weight": 10},
    ]
    assert weight_of(changed, NEW) == 10
    assert backends_of(changed) == [NEW, OLD]
    assert weight_of(route, NEW) is None


def test_a_third_destination_is_refused():
    """Weights of three would not be shares of two."""
    route = made("web", OLD, OLD)
    route["spec"]["rules"][0]["backendRefs"].append({"name": "web-v0", "port": 80})

    with pytest.raises(CheckError, match="sends to web-v0 too"):
        shifted(route, OLD, NEW, 10)


@pytest.mark.parametrize("text", ["", "100", "10,50", "50,10,100", "0,100", "10,x,100", "10,101"])
def test_steps_that_are_none(text: str):
    """Steps rise from above 0 to 100 and leave the old version something to be compared by."""
    with pytest.raises(PlaitError):
        steps(text)


def test_shares():
    """A share is written in percent or as a number."""
    assert (share("1%"), share("0.02")) == (0.01, 0.02)
    with pytest.raises(PlaitError, match="no share"):
        share("150%")


SERVICES = """
{apiVersion: v1, kind: Service, metadata: {name: web-v1}, spec: {ports: [{port: 80}]}}
---
{apiVersion: v1, kind: Service, metadata: {name: web-v2}, spec: {ports: [{port: 80}]}}
"""
QUICK = ("rollout", "web", "--from", "web-v1", "--to", "web-v2", "--every", "1s", "--timeout", "1s")


def test_the_route_is_made_and_left_in_order(plait: Plait, mesh: FakeMesh):
    """Without a call it ends with code 5 at its first step; the route tells how far it is until it is aborted."""
    assert plait("apply", "-f", "-", stdin=SERVICES).code == 0
    assert plait(*QUICK).code == 4, "there is no such route"

    assert plait(*QUICK, "--service", "web:80").code == 5

    assert plait("rollout", "web", "--status").out == "httproute/web is at 1% to web-v2, step 1 of 5\n"
    assert plait(*QUICK).code == 4, "one is in progress"
    aborted = json.loads(plait("rollout", "web", "--abort", "-o", "json").out)
    assert (aborted["phase"], aborted["weight"]) == ("Aborted", 0)
    assert plait("rollout", "web", "--resume").code == 4
    route = json.loads(plait("get", "httproutes", "web", "-o", "json").out)
    assert [ref["weight"] for ref in route["spec"]["rules"][0]["backendRefs"]] == [100, 0]


@pytest.mark.parametrize(
    "words",
    [
        ("rollout", "web"),
        ("rollout", "web", "--from", "web-v1"),
        ("rollout", "web", "--resume", "--abort"),
        ("rollout", "web", "--status", "--to", "web-v2"),
        (*QUICK, "--steps", "1,2"),
        (*QUICK, "--every", "2s"),
        (*QUICK, "--min-requests", "0"),
    ],
)
def test_wrong_command_lines(plait: Plait, mesh: FakeMesh, words: tuple[str, ...]):
    """They end with code 2 and write nothing."""
    assert plait(*words).code == 2
