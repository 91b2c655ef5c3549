import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from kedro_mlops.contract.columns import Columns, column
from kedro_mlops.models.preprocessing import (
    Bounded,
    linear_preprocessing,
    n_coefficients,
    tree_preprocessing,
)
from kedro_mlops.runtime.encoding import DATE_PARTS


class Parcel(pa.DataFrameModel):
    depot: str = column("Depot", feature=True, nullable=True)
    sent_at: pd.Timestamp = column("Moment", feature=True, event_time=True)
    pieces: int = column("Pieces", feature=True)
    weight: float = column("Weight, kg", feature=True, nullable=True)
    fragile: bool = column("Fragile", feature=True)
    late: bool = column("Late", label="binary")


PARCEL = Columns.of(Parcel)
ROWS = pd.DataFrame(
    {
        "depot": ["north"] * 60 + ["south"] * 60,
        "sent_at": pd.date_range("2013-01-07 00:05", periods=120, freq="5h"),
        "pieces": np.arange(120),
        "weight": np.where(np.arange(120) % 3, np.arange(120) / 7, np.nan),
        "fragile": np.arange(120) % 2 == 0,
        "late": np.arange(120) % 4 == 0,
    }
)
BOTH = pytest.mark.parametrize("preprocessing", [tree_preprocessing, linear_preprocessing])


def transformed(preprocessing, rows: pd.DataFrame) -> pd.DataFrame:
    """What the preprocessing, fitted on ``ROWS``, makes of other rows."""
    fitted = preprocessing(PARCEL).fit(ROWS)
    return pd.DataFrame(fitted.transform(rows), columns=fitted.get_feature_names_out())


def one(**changes) -> pd.DataFrame:
    row = ROWS.head(1).assign(**changes)
    return row.astype({name: dtype for name, dtype in ROWS.dtypes.items() if name in changes})


@BOTH
def test_only_features_go_in(preprocessing):
    rows = ROWS.drop(columns="late")

    out = transformed(preprocessing, rows)

    pd.testing.assert_frame_equal(out, transformed(preprocessing, ROWS))
    assert not any("late" in name for name in out)


@BOTH
def test_the_order_of_the_columns_does_not_matter(preprocessing):
    shuffled = ROWS[ROWS.columns[::-1]]

    out = transformed(preprocessing, shuffled)

    pd.testing.assert_frame_equal(out, transformed(preprocessing, ROWS))


@BOTH
def test_each_row_is_transformed_on_its_own(preprocessing):
    together = transformed(preprocessing, ROWS)

    alone = [transformed(preprocessing, ROWS.iloc[[i]]) for i in (0, 7, 119)]

    expected = together.iloc[[0, 7, 119]].reset_index(drop=True)
    pd.testing.assert_frame_equal(pd.concat(alone, ignore_index=True), expected)


def test_a_tree_gets_numbers_as_they_are_missing_ones_included():
    out = transformed(tree_preprocessing, ROWS)

    numbers = out[["pieces", "weight", "fragile"]].astype(float)
    pd.testing.assert_frame_equal(numbers, ROWS[["pieces", "weight", "fragile"]].astype(float))


def test_a_tree_gets_a_code_per_category():
    out = transformed(tree_preprocessing, ROWS)

    assert out["depot"].tolist() == [0.0] * 60 + [1.0] * 60


@pytest.mark.parametrize("depot", ["moon", None])
def test_a_category_not_seen_in_training_has_a_code_of_its_own(depot):
    out = transformed(tree_preprocessing, one(depot=depot))

    assert out["depot"].tolist() == [-1.0]


def test_a_missing_category_has_that_code_also_where_training_met_one():
    rows = pd.concat([ROWS, one(depot=None)])

    codes = tree_preprocessing(PARCEL).fit(rows).transform(rows)[:, 0]

    assert codes.tolist() == [0.0] * 60 + [1.0] * 60 + [-1.0]


@pytest.mark.parametrize(
    ("moment", "minute", "weekday"),
    [
        ("2013-01-07 00:00:59", 0, 0),
        ("2013-01-07 17:30", 17 * 60 + 30, 0),
        ("2013-01-13 23:59", 1439, 6),
    ],
)
def test_a_moment_becomes_minute_of_the_day_and_day_of_the_week(moment, minute, weekday):
    out = transformed(tree_preprocessing, one(sent_at=moment))

    assert out[["sent_at_minute_of_day", "sent_at_day_of_week"]].to_numpy().tolist() == [
        [minute, weekday]
    ]


def test_a_linear_model_gets_complete_finite_numbers():
    out = transformed(linear_preprocessing, ROWS)

    assert np.isfinite(out.to_numpy(dtype=float)).all()


def test_a_linear_model_gets_the_median_and_a_mark_where_a_number_is_missing():
    missing, median = one(weight=None), one(weight=ROWS["weight"].median())

    out = transformed(linear_preprocessing, pd.concat([missing, median]))

    assert out["weight"][0] == out["weight"][1]
    assert out["missingindicator_weight"][0] > out["missingindicator_weight"][1]


def test_a_linear_model_gets_scaled_numbers():
    out = transformed(linear_preprocessing, ROWS)

    numbers = out[["pieces", "weight", "fragile"]]
    assert numbers.mean().to_numpy() == pytest.approx(0)
    assert numbers.std(ddof=0).to_numpy() == pytest.approx(1)


def test_a_linear_model_gets_hours_in_bins():
    night, later_at_night, noon = "2013-01-07 00:10", "2013-01-07 01:50", "2013-01-07 12:00"
    rows = pd.concat([one(sent_at=moment) for moment in (night, later_at_night, noon)])

    out = transformed(linear_preprocessing, rows)

    bins = out.filter(like="minute_of_day").to_numpy()
    assert bins.sum(axis=1).tolist() == [1, 1, 1]
    assert (bins[0] == bins[1]).all()
    assert (bins[0] != bins[2]).any()


@BOTH
def test_a_missing_moment_is_a_missing_number(preprocessing):
    gone = one(sent_at=None)
    rows = pd.concat([ROWS, gone], ignore_index=True)

    out = preprocessing(PARCEL).fit(rows).transform(rows)[-1]

    names = preprocessing(PARCEL).fit(rows).get_feature_names_out()
    of_moment = [value for name, value in zip(names, out, strict=True) if "sent_at" in name]
    if preprocessing is tree_preprocessing:
        assert np.isnan(of_moment).all()
    else:
        assert sum(of_moment) == 2  # of the bins of the minute, and of those of the day


@pytest.mark.parametrize("depot", ["moon", None])
def test_a_category_not_seen_in_training_is_all_zeros_for_a_linear_model(depot):
    out = transformed(linear_preprocessing, one(depot=depot))

    assert out[["depot_north", "depot_south"]].to_numpy().tolist() == [[0, 0]]


class Signed(pa.DataFrameModel):
    signed: pd.BooleanDtype = column("Signed", feature=True, nullable=True)
    weight: float = column("Weight, kg", feature=True)


@pytest.mark.parametrize("dtype", ["boolean", object])
def test_missing_truth_values_are_kept_for_trees_and_imputed_for_linear_models(dtype):
    rows = pd.DataFrame(
        {"signed": pd.Series([True, False, None, True], dtype=dtype), "weight": [1.0, 2, 3, 4]}
    )
    columns = Columns.of(Signed)

    for_trees = tree_preprocessing(columns).fit(rows)
    for_lines = linear_preprocessing(columns).fit(rows)

    names = for_trees.get_feature_names_out().tolist()
    kept = for_trees.transform(rows)[:, names.index("signed")]
    np.testing.assert_array_equal(kept, [1, 0, np.nan, 1])
    assert np.isfinite(for_lines.transform(rows)).all()
    assert "missingindicator_signed" in for_lines.get_feature_names_out()


class Visit(pa.DataFrameModel):
    opened_on: pd.Timestamp = column("Day", feature=True, nullable=True)
    street: str = column("Of many", feature=True, by_target=True)
    left: bool = column("What is asked", label="binary")


VISITS = pd.DataFrame(
    {
        "opened_on": pd.date_range("2012-02-28", periods=300, unit="us"),
        "street": [f"street {i % 100}" for i in range(300)],
        "left": np.arange(300) % 100 < 30,
    }
)


def test_a_date_becomes_parts_and_an_age():
    fitted = tree_preprocessing(Columns.of(Visit)).fit(VISITS, VISITS["left"])
    days = pd.to_datetime(["2012-12-31 06:00", None, "1970-01-02 00:00"])
    rows = VISITS.head(3).assign(opened_on=days)

    out = pd.DataFrame(fitted.transform(rows), columns=fitted.get_feature_names_out())

    parts = out.filter(like="opened_on").to_numpy()
    assert parts[0].tolist() == [360, 0, 366, 15_705.25]
    assert np.isnan(parts[1]).all()
    assert parts[2].tolist() == [0, 4, 2, 1]


def test_an_age_is_told_by_the_moment_of_the_event_if_that_is_a_feature():
    class Dated(Visit):
        visited_at: pd.Timestamp = column("When", feature=True, event_time=True)

    rows = VISITS.assign(visited_at=VISITS["opened_on"] + pd.Timedelta("36h"))
    fitted = tree_preprocessing(Columns.of(Dated)).fit(rows, rows["left"])

    out = pd.DataFrame(fitted.transform(rows), columns=fitted.get_feature_names_out())

    assert (out["opened_on_age_in_days"] == -1.5).all()
    assert out.filter(like="visited_at").columns.tolist() == [
        "visited_at_minute_of_day", "visited_at_day_of_week",
    ]  # fmt: skip


@BOTH
def test_categories_by_target_tell_what_their_other_rows_are_labelled(preprocessing):
    made = preprocessing(Columns.of(Visit)).fit(VISITS, VISITS["left"])
    out = pd.DataFrame(made.transform(VISITS), columns=made.get_feature_names_out())["street"]
    unseen = VISITS.head(1).assign(street="nowhere")

    assert out[VISITS["left"]].min() > out[~VISITS["left"]].max()
    between = pd.DataFrame(made.transform(unseen), columns=made.get_feature_names_out())["street"]
    assert out.min() < between[0] < out.max()


@BOTH
def test_categories_by_target_do_not_tell_a_row_its_own_label(preprocessing):
    rng = np.random.default_rng(0)
    rows = VISITS.assign(
        street=[f"street {i}" for i in rng.integers(0, 150, 300)], left=rng.random(300) < 0.5
    )
    made = preprocessing(Columns.of(Visit))

    learned = made.fit_transform(rows, rows["left"])

    street = list(made.get_feature_names_out()).index("street")
    assert abs(np.corrcoef(learned[:, street], rows["left"])[0, 1]) < 0.15
    # what a fit that looks at all labels would have said
    assert np.corrcoef(made.transform(rows)[:, street], rows["left"])[0, 1] > 0.5


@BOTH
def test_categories_by_target_are_learned_from_rows_that_lack_a_class(preprocessing):
    class Ended(pa.DataFrameModel):
        street: str = column("Of many", feature=True, by_target=True)
        end: str = column("How", label="multiclass", isin=["early", "on_time", "late"])

    contract = Columns.of(Ended)
    rows = VISITS.assign(end=np.where(VISITS["left"], 0.0, 2.0))  # by its code
    made = preprocessing(contract)

    learned = made.fit_transform(rows, rows["end"])

    assert learned.shape[1] == len(made.get_feature_names_out())
    assert np.isfinite(learned).all()


def test_numbers_far_beyond_the_others_do_not_bend_a_linear_model():
    rows = pd.concat([ROWS, one(pieces=10**18, weight=1e300), one(weight=-1e300)])

    fitted = linear_preprocessing(PARCEL).fit(rows)

    out = pd.DataFrame(fitted.transform(rows), columns=fitted.get_feature_names_out())
    assert np.isfinite(out.to_numpy(float)).all()
    assert out["pieces"].abs().max() < 10
    assert out["weight"].abs().max() < 10


def test_rare_marks_are_no_numbers_far_beyond_the_others():
    values = np.zeros((1000, 1))
    values[0] = 1

    assert Bounded().fit_transform(values)[0] == 1


def test_a_linear_model_of_many_categories_is_no_wider_than_it_must_be():
    rows = VISITS.assign(street=[f"street {i}" for i in range(300)])
    columns = Columns.of(
        type(
            "Coded",
            (Visit,),
            {"__annotations__": {"street": str}, "street": column("Of many", feature=True)},
        )
    )

    width = linear_preprocessing(columns).fit(rows).transform(rows).shape[1]

    assert width <= n_coefficients(columns, rows) + len(DATE_PARTS)
    assert width < 110
