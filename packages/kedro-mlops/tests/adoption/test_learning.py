import pytest

from kedro_mlops.adoption.learning import LEAST_ROWS, MAX_ROWS, modelling_for
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.task.tasks import TASKS


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("n_rows", [50, 3_000, 100_000, 10_000_000])
@pytest.mark.parametrize("n_features", [1, 100, 2_000])
def test_parameters_suit_any_table(task, n_rows, n_features):
    params = Modelling.model_validate(modelling_for(task, n_rows, n_features, n_classes=30))

    assert all(hasattr(FAMILIES[family], "suggest_broadly") for family in params.n_trials)
    estimator = TASKS[task].estimator
    assert all(getattr(FAMILIES[family], estimator) for family in params.n_trials)
    assert params.max_tuning_seconds is not None
    assert params.max_tuning_seconds <= 60


def test_tables_of_few_values_are_learned_whole():
    params = modelling_for("binary", n_rows=5_000, n_features=20)

    assert params["max_tuning_rows"] is None
    assert params["max_rows"] == MAX_ROWS


def test_trials_of_large_tables_learn_from_some_rows_and_the_fewer_the_more_classes():
    two, thirty = (
        modelling_for("multiclass", n_rows=100_000, n_features=100, n_classes=n) for n in (2, 30)
    )

    assert LEAST_ROWS <= thirty["max_tuning_rows"] < two["max_tuning_rows"] < 100_000
    assert thirty["max_rows"] < 100_000 < two["max_rows"]


def test_what_comes_after_training_is_a_small_share():
    shares = [modelling_for("binary", n, 10)["later_share"] for n in (50, 300, 5_000)]

    assert shares == [0.1, 0.07, 0.05]
