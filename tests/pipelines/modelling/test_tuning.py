import pytest
from pandas.testing import assert_frame_equal
from sklearn.metrics import log_loss

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.errors import ProjectError
from flight_delays.pipelines.modelling.tuning import tune

Y = Columns.of(Observation).label


def with_trials(params, **n_trials):
    return params.model_copy(update={"n_trials": n_trials})


def test_tuning_with_one_seed_gives_one_result(windows, modelling_params, trained):
    train, validation, _ = windows

    recipe, trials, predictions = tune(train, validation, modelling_params, seed=0)

    assert recipe == trained.recipe
    assert_frame_equal(trials.drop(columns="seconds"), trained.trials.drop(columns="seconds"))
    assert_frame_equal(predictions, trained.validation_predictions)


def test_tuning_with_another_seed_tries_something_else(windows, modelling_params, trained):
    train, validation, _ = windows

    _, trials, _ = tune(train, validation, modelling_params, seed=1)

    assert trials["C"].iloc[0] == trained.trials["C"].iloc[0]
    assert trials["C"].iloc[1] != trained.trials["C"].iloc[1]


def test_tuning_tries_each_family_as_often_as_asked_and_takes_the_best(windows, modelling_params):
    train, validation, _ = windows
    params = with_trials(modelling_params, logistic_regression=3, gradient_boosting=1)

    recipe, trials, predictions = tune(train.head(1000), validation.head(500), params, seed=0)

    assert trials["family"].value_counts().to_dict() == params.n_trials
    best = trials.loc[trials["log_loss"].idxmin()]
    assert recipe["family"] == best["family"]
    assert recipe["validation_log_loss"] == best["log_loss"]
    assert recipe["hyperparameters"] == best[list(recipe["hyperparameters"])].to_dict()
    assert log_loss(predictions[Y], predictions["probability"]) == best["log_loss"]


def test_an_unknown_family_is_refused_with_those_that_exist(windows, modelling_params):
    train, validation, _ = windows
    params = with_trials(modelling_params, crystal_ball=1)

    with pytest.raises(ProjectError) as refused:
        tune(train, validation, params, seed=0)

    assert "crystal_ball" in str(refused.value)
    assert "logistic_regression" in str(refused.value)
