import pandas as pd
import pytest
from example.contracts import Inputs, Prediction
from example.factories import COLUMNS, LOGGED
from example.history import History

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.scoring.nodes import score

INPUTS = Columns.of(Inputs)


@pytest.fixture(scope="module")
def predictions(
    package: ModelPackage, history: History, as_of: AsOf, horizon: Horizon
) -> pd.DataFrame:
    return score(COLUMNS, LOGGED, package, history.model_input, as_of, horizon).to_pandas()


def test_every_row_of_the_horizon_is_scored_and_no_other(
    predictions: pd.DataFrame, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    event_time = history.model_input[INPUTS.event_time].to_pandas()
    due = event_time[(event_time >= as_of.moment) & (event_time < as_of.after(horizon.days))]

    scored = predictions[INPUTS.event_time]

    assert sorted(scored) == sorted(due)


def test_the_predictions_keep_the_contract_of_the_log(
    package: ModelPackage, history: History, as_of: AsOf, horizon: Horizon
) -> None:
    table = score(COLUMNS, LOGGED, package, history.model_input, as_of, horizon)

    checked = ContractValidator("example.contracts.Prediction").validate(table)

    assert list(checked.columns) == Columns.of(Prediction).names


def test_scores_and_decisions_are_those_of_the_model(
    predictions: pd.DataFrame, package: ModelPackage
) -> None:
    expected, threshold = package.score(predictions), package.metadata.rule.threshold

    assert predictions["probability"].tolist() == expected.tolist()
    assert predictions["decision"].tolist() == (expected >= threshold).tolist()
    assert set(predictions["model_version"]) == {package.version}
    assert set(predictions["variant"]) == {"champion"}
    assert predictions["missing_features"].isna().all()


def test_the_same_rows_and_model_get_the_same_ids(
    predictions: pd.DataFrame,
    package: ModelPackage,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
) -> None:
    other_model = package.with_record(version="another")

    again = score(COLUMNS, LOGGED, package, history.model_input, as_of, horizon).to_pandas()
    other = score(COLUMNS, LOGGED, other_model, history.model_input, as_of, horizon).to_pandas()

    assert again["prediction_id"].tolist() == predictions["prediction_id"].tolist()
    assert predictions["prediction_id"].is_unique
    assert not set(other["prediction_id"]) & set(predictions["prediction_id"])


def test_nothing_to_score_gives_an_empty_log(
    package: ModelPackage, history: History, horizon: Horizon
) -> None:
    after_the_data = AsOf("2013-12-31")

    table = score(COLUMNS, LOGGED, package, history.model_input, after_the_data, horizon)

    ContractValidator("example.contracts.Prediction").validate(table)
    assert table.count().execute() == 0
