"""`plait test` without any mesh: what holds, what does not, and what continuous integration runs of it."""

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Outcome, Plait
from tests.cli.test_reports import check_junit, check_sarif

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A checkout with the examples."""
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def first_case(plait: Plait, repository: Path, **changes: object) -> Outcome:
    """The first case of the example, with other expectations."""
    file = repository / "examples/ci/tests.yaml"
    document = yaml.safe_load(file.read_text())
    document["spec"]["cases"] = [{**document["spec"]["cases"][0], "expect": changes}]
    file.write_text(yaml.safe_dump(document))
    return plait("test", "-f", "examples/ci/tests.yaml", "-o", "json")


def test_the_example_holds(plait: Plait, repository: Path):
    """Every case of it, within a second."""
    outcome = plait("test", "-f", "examples/ci/tests.yaml")

    assert (outcome.code, outcome.out.count("ok   ")) == (0, 4), outcome


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("verdict", "denied", "allowed"),
        ("status", 404, None),
        ("route", "HTTPRoute shop/other", "shop/reviews"),
        ("rule", "spec.rules[0]", "spec.rules[1]"),
        ("service", "ratings", None),
        ("subset", "v1", ""),
        ("workload", "orders", "shop/reviews-v1"),
        ("weights", {"reviews-v1": 100}, {"reviews-v1.shop": 90, "reviews-v2": 10}),
        ("deniedBy", "payments-from-orders", None),
        ("allowedBy", "payments-from-orders", None),
        ("path", "/other", "/reviews/1"),
        ("host", "ratings", "reviews"),
        ("location", "http://elsewhere/", ""),
        ("timeout", "3s", None),
        ("retries", 7, None),
        ("mirrors", ["ratings"], []),
        ("reason", "goes home", "It goes to"),
    ],
)
def test_each_expectation_can_fail(plait: Plait, repository: Path, *, field: str, wrong: object, right: object):
    """A wrong one is told with what is so instead and its line; a right one holds."""
    outcome = first_case(plait, repository, **{field: wrong})

    assert outcome.code == 1
    (case,) = json.loads(outcome.out)
    assert [item["field"] for item in case["differences"]] == [field]
    assert case["line"] > 1
    if right is not None:
        assert first_case(plait, repository, **{field: right}).code == 0


def test_a_rule_that_was_nearly_taken_is_told(plait: Plait, repository: Path):
    """The nearest miss says what the request lacks."""
    (case,) = json.loads(first_case(plait, repository, service="reviews-v2").out)

    assert "x-beta" in case["nearestMiss"]


def test_a_mistake_in_a_test_is_told_at_its_line(plait: Plait, repository: Path):
    """Like a mistake in any object."""
    file = repository / "examples/ci/tests.yaml"
    file.write_text(file.read_text().replace("verdict: denied", "verdct: denied"))

    outcome = plait("test", "-f", "examples/ci/tests.yaml")

    line = 1 + file.read_text()[: file.read_text().index("verdct")].count("\n")
    assert outcome.code == 1
    assert f"tests.yaml:{line}: " in outcome.err
    assert "verdict" in outcome.err


def test_workloads_and_objects_may_be_in_the_test(plait: Plait, tmp_path: Path):
    """Nothing else is needed; a caller that nobody planned is told."""
    (tmp_path / "one.yaml").write_text(
        "apiVersion: plait.dev/v1\nkind: MeshTest\nmetadata: {name: one}\nspec:\n"
        "  workloads:\n  - {name: web, services: [web:80], ports: ['8080']}\n  - {name: client}\n"
        "  cases:\n"
        "  - {name: it is called, from: client, request: {url: http://web/}, expect: {workload: web}}\n"
        "  - {name: nobody calls, from: nobody, request: {url: http://web/}, expect: {workload: web}}\n"
    )

    outcome = plait("test", "-f", "one.yaml")

    assert outcome.code == 1
    assert "ok   default/one: it is called" in outcome.out
    assert "workload default/nobody does not exist" in outcome.out


def commands(name: str) -> list[str]:
    """What a pipeline of the examples runs."""
    text = (EXAMPLES / "ci" / name).read_text()
    if name == "Jenkinsfile":
        return re.findall(r"sh '(.*)'", text)
    if name == "gitlab-ci.yml":
        return list(yaml.safe_load(text)["check-mesh"]["script"])
    return [step["run"] for step in yaml.safe_load(text)["jobs"]["check"]["steps"] if "run" in step]


@pytest.mark.parametrize("name", ["Jenkinsfile", "github-workflow.yaml", "gitlab-ci.yml"])
def test_the_pipelines_run(plait: Plait, repository: Path, name: str):
    """Each command of the Jenkinsfile and of the workflows ends well and leaves a report that its reader takes."""
    lines = commands(name)
    assert len(lines) == 3
    for line in lines:
        words = line.partition(" > ")[0].split()
        outcome = plait(*words[1:])
        assert outcome.code == 0, outcome
        check = check_junit if line.endswith(".xml") else check_sarif
        check(outcome.out)
