"""Istio's YAML for its own example, applied unchanged: traffic goes as it would in Istio."""

import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.integration.machines import Machine, mesh, needs_root, server, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(150), needs_root]

YAML = Path(__file__).parent / "bookinfo.yaml"
REVIEWS, RATINGS = "http://reviews:9080", "http://ratings:9080"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Generator[Machine]:
    """Two versions of reviews, one ratings, and who calls them."""
    with mesh(tmp_path_factory.mktemp("m")) as started:
        started.plait("apply", "-f", str(YAML), "--wait")
        for app, version in (("reviews", "v1"), ("reviews", "v2"), ("ratings", "v1")):
            labels = ("--labels", f"app={app},version={version}", "--port", "9080/http")
            command = server(9080, f"{app}-{version}")
            started.plait("run", "--name", f"{app}-{version}", *labels, "--detach", "--", *command)
        for app in ("productpage", "batch"):
            started.plait("run", "--name", app, "--labels", f"app={app}", "--detach", "--", "sleep", "600")
        until(lambda: ask(started, f"{REVIEWS}/api")[0] == "200", what="reviews answers")
        yield started


def ask(machine: Machine, url: str, *headers: str, caller: str = "productpage") -> tuple[str, str]:
    """(status, body) of a call."""
    flags = [word for header in headers for word in ("-H", header)]
    printed = machine.plait(
        "exec", caller, "--", "curl", "-s", "-m", "5", "-w", "\n%{http_code}", *flags, url, code=None
    )
    body, _, status = printed.rstrip().rpartition("\n")
    return status, body


def app(body: str) -> str:
    """The app that answered."""
    return body.partition(" ")[0]


def test_a_header_leads_to_a_subset(machine: Machine) -> None:
    """Jason reaches v2 at every path; nobody else matches a rule at `/`, which gives 404."""
    answers = {app(ask(machine, f"{REVIEWS}/x", "end-user: jason")[1]) for _ in range(4)}

    assert answers == {"reviews-v2"}
    assert ask(machine, f"{REVIEWS}/")[0] == "404"


def test_weights_split(machine: Machine) -> None:
    """Three of four requests go to v1, and only its answers have its header."""
    loop = f"for i in $(seq 100); do curl -s -D - {REVIEWS}/api/1; echo; done"
    printed = machine.plait("exec", "productpage", "--", "sh", "-c", loop, wait=60)
    found = Counter(line.partition(" ")[0] for line in printed.splitlines() if line.startswith("reviews-"))

    assert found.total() == 100
    assert 55 <= found["reviews-v1"] <= 92
    assert printed.lower().count("x-version: v1") == found["reviews-v1"]


def test_a_time_limit_ends_in_504_and_a_missing_subset_in_503(machine: Machine) -> None:
    """As in Istio."""
    began = time.monotonic()
    assert ask(machine, f"{REVIEWS}/slow")[0] == "504"
    assert time.monotonic() - began < 3
    assert ask(machine, f"{REVIEWS}/missing")[0] == "503"


def test_labels_of_the_caller_choose_its_rules(machine: Machine) -> None:
    """The same call from another workload is answered at once, by its own sidecar."""
    assert ask(machine, f"{REVIEWS}/api", caller="batch") == ("429", "not for batches\n")
    assert ask(machine, f"{REVIEWS}/api")[0] == "200"


def test_faults_abort_and_delay_by_header(machine: Machine) -> None:
    """555 for Jason; a delay counts in no time limit, as a rule with a fault has none."""
    assert ask(machine, f"{RATINGS}/1", "end-user: jason")[0] == "555"
    assert app(ask(machine, f"{RATINGS}/1")[1]) == "ratings-v1"
    began = time.monotonic()
    status, _ = ask(machine, f"{RATINGS}/1", "end-user: slow")
    assert status == "200"
    assert time.monotonic() - began >= 1


def test_why_tells_the_rule_its_file_and_line(machine: Machine) -> None:
    """And which rules were passed by."""
    printed = machine.plait("why", "--from", "productpage", "GET", f"{REVIEWS}/", "-H", "end-user: jason")
    lines = YAML.read_text().splitlines()
    line = lines.index("  - match:", lines.index("  - reviews")) + 1
    nearest = machine.plait("why", "--from", "productpage", "GET", f"{REVIEWS}/", code=None)

    assert "VirtualService default/reviews spec.http[0]" in printed
    assert f"bookinfo.yaml:{line})" in printed, printed
    assert "header end-user is missing, must be 'jason'" in nearest
    assert "404" in nearest
