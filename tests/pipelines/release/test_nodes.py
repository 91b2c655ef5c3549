import re
from typing import Any

import pytest

from flight_delays.errors import ProjectError
from flight_delays.pipelines.release.nodes import elect, export_requirements, promote
from tests.factories import tiny_package

CANDIDATE, INCUMBENT = tiny_package(seed=1), tiny_package(seed=2)


def decision(outcome: str) -> dict[str, Any]:
    return {"outcome": outcome, "candidate": CANDIDATE.version, "reasons": ["It had to be so."]}


def test_a_promoted_candidate_is_elected_with_the_decision_on_record() -> None:
    elected = elect(CANDIDATE, INCUMBENT, decision("promote"))

    assert elected.version == CANDIDATE.version
    assert elected.metadata.decision == decision("promote")


@pytest.mark.parametrize("outcome", ["keep", "block"])
def test_otherwise_the_champion_stays_as_it_is(outcome: str) -> None:
    elected = elect(CANDIDATE, INCUMBENT, decision(outcome))

    assert elected is INCUMBENT


def test_a_decision_about_another_candidate_elects_nobody_new() -> None:
    about_another = decision("promote") | {"candidate": "20130101-another"}

    elected = elect(CANDIDATE, INCUMBENT, about_another)

    assert elected is INCUMBENT


def test_without_champion_a_blocked_candidate_is_an_error_with_the_reasons() -> None:
    with pytest.raises(ProjectError, match=r"no champion yet.*It had to be so\..*parameters_gate"):
        elect(CANDIDATE, None, decision("block"))


def test_the_champion_says_which_release_serves_it() -> None:
    champion = promote(CANDIDATE, {"bento": "name:v1"})

    assert champion.metadata.release == "name:v1"
    assert champion.version == CANDIDATE.version


def test_the_requirements_are_pinned_and_are_those_of_serving_only() -> None:
    lines = [line.split(";")[0].strip() for line in export_requirements().splitlines()]

    packages = {line.split("==")[0] for line in lines}
    assert all(re.fullmatch(r"[\w.\-]+==[\w.\-]+", line) for line in lines)
    assert {"bentoml", "scikit-learn", "pandas", "skops"} <= packages
    assert not {"kedro", "optuna", "ibis-framework", "pytest"} & packages
