"""One encoding, three who do it: for tables, for rows, and in the fitted scikit-learn pipeline."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from example.factories import arrays_of, spec_of
from hypothesis import given, settings
from hypothesis import strategies as st

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.export.fields import fields_of
from kedro_mlops.export.serving_form import encoding_of
from kedro_mlops.models.preprocessing import tree_preprocessing
from kedro_mlops.runtime.encoding import calendar, encode_rows, row_encoder, unseen_categories

MOMENTS = [
    "2013-07-15T00:00:00", "2013-07-15T23:59:59.999999", "1969-12-31T23:59:00",
    "1900-02-28T00:00:59", "0001-01-01T00:00:00", "9999-12-31T23:59:59", "1970-01-01T00:00:00",
]  # fmt: skip


class Parcel(Contract):
    """Something of every kind."""

    depot: str = column("Depot", feature=True, key=True, nullable=True)
    sent_at: pd.Timestamp = column("Moment", feature=True, event_time=True)
    due_at: pd.Timestamp = column("Moment", feature=True, nullable=True)
    pieces: int = column("Pieces", feature=True)
    weight: float = column("Weight, kg", feature=True, nullable=True)
    fragile: bool = column("Fragile", feature=True)
    signed: pd.BooleanDtype = column("Signed", feature=True, nullable=True)
    kind: str = column("Kind", feature=True, isin=["box", "tube"])
    street: str = column("Of many", feature=True, by_target=True, nullable=True)
    route: str = column("Of many, never missing", feature=True, by_target=True)
    note: str = column("No feature", nullable=True)
    late: bool = column("Late", label="binary")
    late_at: pd.Timestamp = column("When that is known", label_time=True)


COLUMNS = Columns.of(Parcel)


def parcels(n_rows=60, seed=0):
    rng = np.random.default_rng(seed)
    moments = pd.Series([MOMENTS[i] for i in rng.integers(0, len(MOMENTS), n_rows)])
    return pd.DataFrame(
        {
            "depot": pd.array(rng.choice(["north", "south", None], n_rows), "str"),
            "sent_at": moments.astype("datetime64[us]"),
            "due_at": moments[::-1]
            .reset_index(drop=True)
            .astype("datetime64[us]")
            .mask(rng.random(n_rows) < 0.2),
            "pieces": rng.integers(-(2**40), 2**40, n_rows),
            "weight": np.where(rng.random(n_rows) < 0.3, np.nan, rng.normal(size=n_rows)),
            "fragile": rng.random(n_rows) < 0.5,
            "signed": pd.array(rng.choice([True, False, None], n_rows), "boolean"),
            "kind": rng.choice(["box", "tube"], n_rows),
            "street": pd.array(rng.choice(["elm", "oak", "ash", None], n_rows), "str"),
            "route": rng.choice(list("abcdefgh"), n_rows),
            "note": "a note",
        }
    )


def fitted(contract, rows):
    """A spec as an export makes it, and the preprocessing."""
    columns = Columns.of(contract)
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    model = HistGradientBoostingClassifier(max_iter=1)
    estimator = Pipeline([("preprocessing", tree_preprocessing(columns)), ("model", model)])
    estimator.fit(rows[columns.features], np.arange(len(rows)) % 2)
    encoding = encoding_of(estimator)
    spec = spec_of(
        contract, fields=fields_of(columns.inputs, encoding.categories), encoding=encoding
    )
    return spec, estimator[0]


def as_values(rows, names):
    """Rows as the reader of requests gives them."""
    plain = rows[names].astype(object)
    plain = plain.where(rows[names].notna(), None)
    return [
        tuple(v.to_pydatetime() if isinstance(v, pd.Timestamp) else v for v in row)
        for row in plain.itertuples(index=False)
    ]


def three_ways(spec, preprocessing, columns, rows):
    """The matrices of the table, of single rows and of scikit-learn."""
    names = [field.name for field in spec.fields]
    table = encode_rows(arrays_of(rows, columns), spec.encoding)
    encode = row_encoder(spec)
    single = np.array([encode(values)[0] for values in as_values(rows, names)], dtype=float)
    return table, single, preprocessing.transform(rows[columns.features])


def test_a_table_single_rows_and_scikit_learn_encode_alike():
    spec, preprocessing = fitted(Parcel, parcels())
    rows = parcels(200, seed=1)
    rows.loc[::7, ["depot", "street", "route"]] = "moon"
    rows.loc[3, "route"] = None

    table, single, expected = three_ways(spec, preprocessing, COLUMNS, rows)

    assert spec.encoding.width == len(spec.encoding.made_of) == expected.shape[1] == 14
    assert np.isnan(expected).any(axis=0).tolist().count(True) == 6
    assert (expected == -1).any()
    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(single, expected)


def test_real_rows_are_encoded_alike(released, boosted, real_rows):
    from example.contracts import Inputs

    columns = Columns.of(Inputs)

    table, single, expected = three_ways(released[1], boosted.estimator[0], columns, real_rows)

    np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(single, expected)


def test_only_categories_that_are_there_and_were_not_seen_are_named():
    spec, _ = fitted(Parcel, parcels())
    rows = parcels(4).assign(
        depot=pd.array(["north", None, "moon", ""], "str"), kind=["box", "sphere", "tube", "sphere"]
    )

    unseen = unseen_categories(arrays_of(rows, COLUMNS), spec.encoding.categories)
    encode = row_encoder(spec)
    singly = [encode(values)[1] for values in as_values(rows, [f.name for f in spec.fields])]

    assert {name: mask.tolist() for name, mask in unseen.items()} == {
        "depot": [False, False, True, True],
        "kind": [False, True, False, True],
    }
    assert singly == [[], ["kind"], ["depot"], ["depot", "kind"]]


def test_where_all_was_seen_nothing_is_named():
    spec, _ = fitted(Parcel, parcels())

    assert unseen_categories(arrays_of(parcels(), COLUMNS), spec.encoding.categories) == {}


def test_a_missing_category_that_training_met_is_none_that_was_seen():
    spec, _ = fitted(Parcel, parcels())

    seen = spec.encoding.categories
    assert seen["depot"] == ["north", "south"]
    assert seen["street"] == ["ash", "elm", "oak"]


@settings(max_examples=200, deadline=None)
@given(st.datetimes())
def test_minute_and_weekday_are_those_of_the_calendar(moment):
    [minute], [weekday] = calendar(np.array([moment], "datetime64[us]"))

    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    assert minute == (moment - midnight) // timedelta(minutes=1)
    assert weekday == moment.weekday()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_the_unit_of_moments_does_not_matter(unit):
    moments = np.array(["1969-12-31T23:59:59", "2013-07-15T00:00:00"], f"datetime64[{unit}]")

    minutes, weekdays = calendar(moments)

    assert minutes.tolist() == [1439, 0]
    assert weekdays.tolist() == [date(1969, 12, 31).weekday(), 0]
