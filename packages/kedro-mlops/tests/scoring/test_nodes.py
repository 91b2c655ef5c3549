from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example.contracts import Inputs, Prediction
from example.factories import COLUMNS, LOGGED
from example.history import History
from example.scoring import scored

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.scoring import nodes, scorer

INPUTS = Columns.of(Inputs)


@pytest.fixture(scope="module")
def predictions(
    package: ModelPackage, history: History, as_of: AsOf, horizon: Horizon
) -> pd.DataFrame:
    return scored(COLUMNS, LOGGED, package, history.model_input, as_of, horizon).to_pandas()


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
    table = scored(COLUMNS, LOGGED, package, history.model_input, as_of, horizon)

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

    again = scored(COLUMNS, LOGGED, package, history.model_input, as_of, horizon).to_pandas()
    other = scored(COLUMNS, LOGGED, other_model, history.model_input, as_of, horizon).to_pandas()

    assert again["prediction_id"].tolist() == predictions["prediction_id"].tolist()
    assert predictions["prediction_id"].is_unique
    assert not set(other["prediction_id"]) & set(predictions["prediction_id"])


def test_ids_are_the_hashes_of_keys_and_version(
    predictions: pd.DataFrame, package: ModelPackage
) -> None:
    known = predictions[COLUMNS.keys].assign(version=package.version)

    expected = pd.util.hash_pandas_object(known, index=False).astype("str")

    assert predictions["prediction_id"].tolist() == expected.tolist()


def test_predictions_do_not_depend_on_the_size_of_the_batches(
    predictions: pd.DataFrame,
    package: ModelPackage,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(nodes, "ROWS_A_BATCH", 500)

    found = nodes.score(COLUMNS, LOGGED, package, history.model_input, as_of, horizon)
    batches = list(found)

    assert len(batches) > 1
    assert max(len(batch) for batch in batches) <= 500
    together = pa.Table.from_batches(batches).to_pandas()
    pd.testing.assert_frame_equal(together, predictions)


@pytest.mark.parametrize("tolerance", [scorer.TOLERANCE, -1])
def test_trees_that_differ_from_the_model_do_not_score(
    boosted: ModelPackage,
    history: History,
    as_of: AsOf,
    horizon: Horizon,
    tolerance: float,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(scorer, "TOLERANCE", tolerance)
    asked = []
    monkeypatch.setattr(scorer.Scorer, "_ask_model", _counting(asked))
    caplog.set_level("INFO")

    found = scored(COLUMNS, LOGGED, boosted, history.model_input, as_of, horizon).to_pandas()

    np.testing.assert_allclose(found["probability"], boosted.score(found), rtol=0, atol=1e-12)
    # the first rows for comparison, and all of them where trees are refused
    assert ("without compiled trees" in caplog.text) == (tolerance < 0)
    assert len(asked) == (1 if tolerance > 0 else 2)


def _counting(asked: list[int]) -> Callable[..., Any]:
    ask = scorer.Scorer._ask_model

    def counted(self: scorer.Scorer, rows: pa.RecordBatch) -> Any:
        asked.append(len(rows))
        return ask(self, rows)

    return counted


def test_nothing_to_score_gives_an_empty_log(
    package: ModelPackage, history: History, horizon: Horizon
) -> None:
    after_the_data = AsOf("2013-12-31")

    table = scored(COLUMNS, LOGGED, package, history.model_input, after_the_data, horizon)

    ContractValidator("example.contracts.Prediction").validate(table)
    assert table.count().execute() == 0
