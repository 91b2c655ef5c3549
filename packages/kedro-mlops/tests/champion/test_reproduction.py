from pathlib import Path

import pytest
from example.factories import tiny_package

from kedro_mlops.champion.reproduction import (
    code_differences,
    differences,
    parameters_again,
    retrain,
)
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.metadata import Lineage
from kedro_mlops.task.record import DecisionRule

RECORDED = Lineage(git_commit="c0ffee", data_hash="da7a", lock_hash="10c4")
HERE = {"git_commit": "c0ffee", "lock_hash": "10c4"}


def test_the_same_code_needs_no_words():
    assert code_differences(RECORDED, HERE) == []


@pytest.mark.parametrize("commit", ["c0ffee", "c0ffee-dirty"])
def test_other_code_is_said_with_the_commit_to_check_out(commit):
    recorded = RECORDED.model_copy(update={"git_commit": commit})

    said = code_differences(recorded, HERE | {"git_commit": "decaf"})

    assert f"commit {commit}; this is decaf" in said[0]
    assert "`git checkout c0ffee`" in said[0]
    assert len(said) == (2 if commit.endswith("dirty") else 1)


def test_changes_that_were_not_committed_are_said_even_if_there_are_some_again():
    recorded = RECORDED.model_copy(update={"git_commit": "c0ffee-dirty"})

    [said] = code_differences(recorded, HERE | {"git_commit": "c0ffee-dirty"})

    assert "not committed" in said


def test_other_packages_are_said_with_the_command_that_installs_them():
    [said] = code_differences(RECORDED, HERE | {"lock_hash": "10c5"})

    assert "uv.lock differs" in said
    assert "`uv sync --frozen`" in said


def test_equal_models_do_not_differ_whatever_other_pipelines_were_told():
    recorded, rebuilt = (
        tiny_package(
            parameters={"monitoring": number},
            # of a resample without a positive there is none
            metrics={"recall": {"value": 0.5, "low": float("nan"), "high": float("nan")}},
        ).metadata
        for number in (1, 2)
    )

    assert differences(recorded, rebuilt) == []


def test_what_differs_is_named_with_parameters_that_may_be_why():
    recorded = tiny_package(parameters={"seed": 0, "as_of": "a", "code_version": 1}).metadata
    other = {"seed": 1, "as_of": "a", "code_version": 2, "new": 3}
    lineage = RECORDED.model_copy(update={"data_hash": "0ther"})
    metrics = {"log_loss": {"value": 0.5, "low": 0.41, "high": 0.6}}
    rule = DecisionRule(threshold=0.3)
    rebuilt = tiny_package(rule=rule, lineage=lineage, metrics=metrics, parameters=other)

    found = differences(recorded, rebuilt.metadata)

    assert found == [
        ("data hash", "da7a", "0ther"),
        ("threshold", 0.4, 0.3),
        ("log_loss low", 0.4, 0.41),
        ("parameter seed", 0, 1),
        ("parameter new", None, 3),
    ]


def test_as_many_trials_are_made_again_as_were_made_whatever_the_time():
    asked = {"n_trials": {"gradient_boosting": 6}, "max_tuning_seconds": 30}
    recorded = {"seed": 0, "modelling": asked, "code_version": 1}
    made = {"gradient_boosting": 2}

    again = parameters_again(tiny_package(parameters=recorded, n_trials=made).metadata)

    assert again == {"seed": 0, "modelling": asked | {"n_trials_made": made}}


def test_a_model_that_says_nothing_of_its_trials_is_trained_by_its_parameters():
    recorded = {"modelling": {"n_trials": {"gradient_boosting": 6}}}

    assert parameters_again(tiny_package(parameters=recorded).metadata) == recorded


def test_a_model_without_recorded_parameters_cannot_be_trained_again():
    with pytest.raises(ProjectError, match=r"its parameters are not on record.*make run"):
        retrain(tiny_package(version="old").metadata, Path(), None)
