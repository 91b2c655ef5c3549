import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from example.factories import (
    decided,
    of_another_scikit_learn,
    released_as,
    tiny_package,
    write_bento,
    write_labels,
    write_spec,
)

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.decision import Decision, Outcome
from kedro_mlops.models.families import FAMILIES, Families
from kedro_mlops.models.hashes import bento_hash
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.models.released import bento_folder, model_folder, models_of
from kedro_mlops.release import nodes
from kedro_mlops.release.nodes import Release, build_bento, promote, select_model
from kedro_mlops.release.requirements import export_requirements

CANDIDATE, INCUMBENT = tiny_package(seed=1), replace(tiny_package(seed=2), base="then")


def decision(outcome: Outcome, by: str = "gate", **fields: Any) -> Decision:
    said = {"candidate": CANDIDATE.version, "champion_before": INCUMBENT.version}
    return decided(outcome, decided_by=by, **{**said, **fields})


@pytest.mark.parametrize("made", [decision("promote"), decision("rollback", by="ann")])
def test_who_was_chosen_is_elected_with_the_decision_on_record(made: Decision) -> None:
    selected = select_model(CANDIDATE, INCUMBENT, made)

    assert selected.version == CANDIDATE.version
    assert selected.metadata.decision == made
    assert selected.base == INCUMBENT.base


@pytest.mark.parametrize("outcome", ["keep", "block", "await_approval"])
def test_otherwise_the_champion_stays_as_it_is(outcome: Outcome) -> None:
    selected = select_model(CANDIDATE, INCUMBENT, decision(outcome))

    assert selected is INCUMBENT


def test_a_champion_that_cannot_answer_waits_for_a_person_with_what_the_gate_said() -> None:
    with pytest.raises(ProjectError, match=r"^It had to be so\.$"):
        select_model(CANDIDATE, of_another_scikit_learn(INCUMBENT), decision("await_approval"))


def test_a_decision_about_another_candidate_elects_nobody_new() -> None:
    about_another = decision("promote", candidate="20130101-another")

    selected = select_model(CANDIDATE, INCUMBENT, about_another)

    assert selected is INCUMBENT


def test_a_promotion_that_was_carried_out_is_not_carried_out_again() -> None:
    champion = CANDIDATE.with_record(decision=decision("promote", by="ann"))

    selected = select_model(CANDIDATE, champion, decision("promote"))

    assert selected is champion


def test_the_first_champion_follows_nobody() -> None:
    first = decision("promote", champion_before=None)

    selected = select_model(replace(CANDIDATE, base="of the candidate"), None, first)

    assert selected.base is None
    assert selected.metadata.withdrawn == []


def test_a_model_that_is_rolled_back_is_withdrawn_with_those_before_it() -> None:
    incumbent = INCUMBENT.with_record(withdrawn=["older"])

    selected = select_model(CANDIDATE, incumbent, decision("rollback", by="ann"))

    assert selected.metadata.withdrawn == ["older", INCUMBENT.version]


def test_what_was_withdrawn_stays_so_under_the_next_champion() -> None:
    selected = select_model(
        CANDIDATE, INCUMBENT.with_record(withdrawn=["older"]), decision("promote")
    )

    assert selected.metadata.withdrawn == ["older"]


@pytest.mark.parametrize(("by", "elects"), [("gate", INCUMBENT), ("ann", CANDIDATE)])
def test_a_withdrawn_model_is_promoted_by_a_person_only(by: str, elects: ModelPackage) -> None:
    incumbent = INCUMBENT.with_record(withdrawn=["older", CANDIDATE.version])

    selected = select_model(CANDIDATE, incumbent, decision("promote", by))

    withdrawn = {"gate": ["older", CANDIDATE.version], "ann": ["older"]}[by]
    assert selected.version == elects.version
    assert selected.metadata.withdrawn == withdrawn


@pytest.mark.parametrize("serving", [INCUMBENT, None])
def test_a_decision_against_another_champion_is_refused(serving: ModelPackage | None) -> None:
    outdated = decision("promote", champion_before="20120101-before")

    with pytest.raises(
        ProjectError, match=r"judged against 20120101-before, but .* serves now.*gate,release"
    ):
        select_model(CANDIDATE, serving, outdated)


def test_without_champion_a_blocked_candidate_is_an_error_with_the_reasons() -> None:
    with pytest.raises(ProjectError, match=r"no champion yet.*had to be so\..*parameters `gate`"):
        select_model(CANDIDATE, None, decision("block"))


def test_without_champion_a_candidate_that_awaits_approval_is_an_error_with_the_reasons() -> None:
    with pytest.raises(ProjectError, match=r"no champion yet.*It had to be so\.$"):
        select_model(CANDIDATE, None, decision("await_approval"))


def test_the_champion_says_which_release_serves_it() -> None:
    champion = promote(CANDIDATE, released_as("name:v1"))

    assert champion.metadata.release == "name:v1"
    assert champion.version == CANDIDATE.version


TRAINING = {"kedro", "optuna", "ibis-framework", "pytest"}
LEARNING = {"scikit-learn", "pandas", "pandera", "skops"}
BOOSTED, LINEAR = "model:boosted", "model:linear"
LIGHT = {"logistic_regression": replace(FAMILIES["logistic_regression"], packages=("lightgbm",))}


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Models in BentoML's store: one of compiled trees, one that scikit-learn serves."""
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    for tag, engine in ((BOOSTED, "compiled trees"), (LINEAR, "scikit-learn")):
        folder = model_folder(tag)
        folder.mkdir(parents=True)
        write_labels(folder, write_spec("1", folder, engine=engine, family="logistic_regression"))


def packages(families: Families, champion: str, challenger: str) -> set[str]:
    """What the requirements name; each is pinned, and named once."""
    lines = export_requirements(families, champion, challenger).splitlines()
    pins = [line.split(";")[0].strip() for line in lines]
    assert all(re.fullmatch(r"[\w.\-]+==[\w.\-]+", pin) for pin in pins)
    assert len(lines) == len(set(lines))
    named = {pin.split("==")[0] for pin in pins}
    assert {"bentoml", "numpy", "msgspec", "httptools", "uvloop", "sqlalchemy"} <= named
    return named


@pytest.mark.parametrize(
    ("champion", "challenger", "needed"),
    [(BOOSTED, "", set()), (LINEAR, "", LEARNING), (BOOSTED, LINEAR, LEARNING)],
)
def test_the_requirements_are_those_of_the_models_that_are_served(
    stored: None, champion: str, challenger: str, needed: set[str]
) -> None:
    named = packages(FAMILIES, champion, challenger)

    assert named & (TRAINING | LEARNING) == needed


def test_the_requirements_have_what_a_family_needs_and_all_that_this_needs(stored: None) -> None:
    served, compiled = packages(LIGHT, LINEAR, ""), packages(LIGHT, BOOSTED, "")

    assert {"lightgbm", "narwhals", "scipy"} <= served
    assert "lightgbm" not in compiled
    assert not served & TRAINING


def test_packages_that_are_not_locked_are_an_error_that_names_them(stored: None) -> None:
    families = {"logistic_regression": replace(FAMILIES["logistic_regression"], packages=("cat",))}

    with pytest.raises(ProjectError, match=r"uv\.lock has no cat, .*uv add"):
        export_requirements(families, LINEAR, "")


def test_a_model_of_a_family_that_is_gone_is_an_error_that_names_it(stored: None) -> None:
    families = {"gradient_boosting": FAMILIES["gradient_boosting"]}

    with pytest.raises(ProjectError, match=r"'logistic_regression'.*only gradient_boosting"):
        export_requirements(families, LINEAR, "")


def test_a_bento_is_built_once_and_again_if_it_is_damaged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    params = Release(**(parameters["release"] | {"name": "my_model"}))
    built: list[str] = []

    def build(command: list[str], _: str) -> None:
        built.append(f"my-model:{command[command.index('--version') + 1]}")
        write_bento(tmp_path, built[-1], "model:1")

    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setattr(nodes, "run_in_project", build)
    release = build_bento("model:1", "", CANDIDATE, "numpy", "a-hash", "files", params)
    as_before = build_bento("model:1", "", CANDIDATE, "numpy", "a-hash", "files", params)
    once = list(built)
    (bento_folder(release.tag) / "bento.yaml").write_text("services: [")

    anew = build_bento("model:1", "", CANDIDATE, "numpy", "a-hash", "files", params)

    assert once == [release.tag] == [as_before.tag] == [anew.tag]
    assert built == [release.tag, release.tag]
    assert len(models_of(release.tag)) == 1


def test_a_bento_with_other_files_than_were_proven_is_built_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    params = Release(**(parameters["release"] | {"name": "my_model"}))
    n_built = 0

    def build(command: list[str], _: str) -> None:
        nonlocal n_built
        n_built += 1
        tag = f"my-model:{command[command.index('--version') + 1]}"
        write_bento(tmp_path, tag, "model:1")
        (bento_folder(tag) / "service.py").write_text("print()")

    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    monkeypatch.setattr(nodes, "run_in_project", build)
    said = ("numpy", "a-hash", "files", params)
    tag = build_bento("model:1", "", CANDIDATE, *said).tag
    proven = bento_hash(bento_folder(tag))
    champion = CANDIDATE.with_record(release=tag, release_sha256=proven)
    build_bento("model:1", "", champion, *said)
    once = n_built
    (bento_folder(tag) / "service.py").unlink()

    build_bento("model:1", "", champion, *said)

    assert (once, n_built) == (1, 2)
    assert bento_hash(bento_folder(tag)) == proven
