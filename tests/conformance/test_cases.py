"""Every feature of the standard has a case, and every case is one that the runner understands."""

from collections import Counter

from conformance import report
from conformance.case import Case, Step, all_cases, claimed
from conformance.environment import BACKENDS, SOURCES
from conformance.runner import Result
from plait.snapshot.gateways import SUPPORTED_FEATURES


def test_every_feature_of_the_standard_has_a_case() -> None:
    assert report.uncovered(feature for case in all_cases() for feature in case.features) == []


def test_features_are_those_of_the_standard() -> None:
    assert {feature for case in all_cases() for feature in case.features} <= report.known()


def test_a_gateway_class_names_the_features_that_cases_prove() -> None:
    assert set(SUPPORTED_FEATURES) == claimed(all_cases())


def test_names_are_unique() -> None:
    names = Counter(case.name for case in all_cases())
    assert [name for name, count in names.items() if count > 1] == []


def test_cases_name_callers_and_backends_that_exist() -> None:
    for case in all_cases():
        for step in case.steps:
            assert step.call.source in SOURCES, case.name
            assert {*step.shares, *backends(step)} <= BACKENDS.keys(), case.name


def backends(step: Step) -> list[str]:
    """The backends that a step expects."""
    wanted = step.expect.backend
    return wanted if isinstance(wanted, list) else [wanted] if wanted else []


def test_every_case_checks_something() -> None:
    for case in all_cases():
        assert case.steps or case.conditions or case.refused or case.attached or case.mirrored or case.borne, case.name
        for step in case.steps:
            assert step.shares or step.expect.model_fields_set, f"{case.name}: {step.call}"


def result(name: str, *features: str, problems: tuple[str, ...] = ()) -> Result:
    """What came of a case."""
    case = Case(name=name, description="", features=features)
    return Result(case=case, problems=problems, seconds=0.1)


def test_a_case_counts_for_profiles_that_have_all_its_features() -> None:
    results = [
        result("basic", "Mesh", "HTTPRoute"),
        result("more", "Mesh", "HTTPRoute", "MeshConsumerRoute", problems=("no",)),
        result("other", "Mesh", "HTTPRoute", "HTTPRouteParentRefPort"),
    ]
    told = {profile["name"]: profile for profile in report.report(results)["profiles"]}
    assert told["MESH-HTTP"]["core"] == {
        "result": "success",
        "statistics": {"Passed": 1, "Failed": 0, "Skipped": 0},
    }
    assert told["MESH-HTTP"]["extended"]["failedTests"] == ["more"]
    assert "MeshConsumerRoute" in told["MESH-HTTP"]["extended"]["unsupportedFeatures"]
    assert told["GATEWAY-HTTP"]["core"]["statistics"]["Passed"] == 0
