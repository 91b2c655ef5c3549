import ibis
import numpy as np
import pandas as pd
import pytest
from example.contracts import Inputs, Observation
from example.history import DAYS, History

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.feature_store.point_in_time import look_up, trailing_means

LAST = pd.Timestamp("2013-04-30")
INPUTS = Columns.of(Inputs)


@pytest.fixture(scope="module")
def means(history: History) -> pd.DataFrame:
    rows = history.model_input
    return trailing_means(rows, "courier", "late", "known_at", LAST, DAYS).to_pandas()


@pytest.mark.parametrize("day", ["2013-01-03", "2013-02-20", "2013-04-30"])
def test_means_are_of_what_was_known_when_the_day_began(
    history: History, means: pd.DataFrame, day: str
) -> None:
    moment = pd.Timestamp(day)
    rows = history.model_input.to_pandas()
    known = rows[rows["known_at"] < moment]
    week = known[known["known_at"] >= moment - pd.Timedelta(days=DAYS)]

    found = means[means["day"] == moment].set_index("entity").sort_index()

    expected = week.astype({"late": float}).groupby("courier")["late"].agg(["size", "mean"])
    assert found["n_rows"].tolist() == expected["size"].tolist()
    assert found["mean"].tolist() == pytest.approx(expected["mean"].tolist())


def test_an_entity_of_which_nothing_is_known_lately_has_a_row_without_mean() -> None:
    rows = pd.DataFrame({"who": ["a", "a", None], "value": [1, 3, 5]})
    rows["known"] = pd.Timestamp("2026-01-01 09:00")

    found = trailing_means(
        ibis.memtable(rows), "who", "value", "known", pd.Timestamp("2026-01-04"), 2
    )

    found = found.to_pandas().sort_values("day")
    assert found["day"].dt.day.tolist() == [2, 3, 4]
    assert found["n_rows"].tolist() == [2, 2, 0]
    assert found["mean"].tolist() == pytest.approx([2, 2, np.nan], nan_ok=True)


def test_what_is_looked_up_is_joined_as_the_contract_says(history: History) -> None:
    rows, names = history.model_input, [c.name for c in INPUTS.looked_up]
    tables = {**history.features, "van_features": history.vans}

    found = look_up(rows.drop(*names), INPUTS, tables).select(rows.columns)

    keys = Columns.of(Observation).keys
    pd.testing.assert_frame_equal(
        found.to_pandas().sort_values(keys, ignore_index=True),
        rows.to_pandas().sort_values(keys, ignore_index=True),
    )


def test_a_table_that_is_declared_and_not_there_is_named(history: History) -> None:
    with pytest.raises(ProjectError, match=r"'van_year' up in 'van_features', which is not among"):
        look_up(history.model_input, INPUTS, history.features)
