import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandas.testing import assert_frame_equal

from flight_delays.columns import Columns, Lookup, column
from flight_delays.contracts import Inputs
from flight_delays.datasets import OnlineStoreDataset
from flight_delays.serving.features import FeatureStore

COLUMNS = Columns.of(Inputs)
SENT = [column.name for column in COLUMNS.sent]
LOOKED_UP = [column.name for column in COLUMNS.looked_up]
RATES = [column.name for column in COLUMNS.looked_up if column.role.lookup.daily]
MAX_AGE_DAYS = 7

RATE_BY_DAY = {"2013-07-01": 0.1, "2013-07-03": 0.3, "2013-07-04": 0.4}


def daily_table(entity):
    days = pd.to_datetime(list(RATE_BY_DAY)).rename("day")
    rows = pd.DataFrame({"flights_7d": 10, "late_rate_7d": RATE_BY_DAY.values()}, index=days)
    return rows.assign(entity=entity).reset_index().set_index(["entity", "day"])


@pytest.fixture(scope="module")
def store_url(tmp_path_factory):
    """A store that knows one carrier, two airports and one plane."""
    file = tmp_path_factory.mktemp("small store") / "online.db"
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    plane = pd.DataFrame({"entity": ["N14228"], "year": [1999.0], "seats": [149.0]})
    dataset.save(
        {
            "carrier_features": daily_table("UA"),
            "origin_features": daily_table("EWR"),
            "destination_features": daily_table("IAH"),
            "plane_features": plane.set_index("entity"),
        }
    )
    return dataset.load()


@pytest.fixture
def store(store_url):
    return FeatureStore(store_url, COLUMNS, MAX_AGE_DAYS)


@pytest.fixture
def row():
    """One row as a caller sends it."""
    sent = {column.name: [column.role.example] for column in COLUMNS.sent}
    return pd.DataFrame(sent).astype({COLUMNS.event_time: "datetime64[us]"})


def departing(row, *moments):
    rows = pd.concat([row] * len(moments), ignore_index=True)
    return rows.assign(scheduled_departure=pd.to_datetime(moments).as_unit("us"))


@pytest.mark.parametrize(
    ("departure", "rate"),
    [
        ("2013-06-30 23:59", np.nan),
        ("2013-07-01 00:00", 0.1),
        ("2013-07-02 12:00", 0.1),
        ("2013-07-03 05:00", 0.3),
        ("2013-07-03 23:59", 0.3),
        ("2013-07-04 00:00", 0.4),
        ("2013-07-11 23:59", 0.4),
        ("2013-07-12 00:00", np.nan),
    ],
)
def test_a_daily_value_is_the_newest_not_later_than_the_day_and_not_too_old(
    store, row, departure, rate
):
    rows = departing(row, departure)

    completed = store.complete(rows)

    found = completed[RATES].iloc[0].to_numpy()
    np.testing.assert_array_equal(found, [rate] * len(RATES))


def test_each_row_of_a_request_gets_the_value_of_its_own_day(store, row):
    rows = departing(row, "2013-07-04", "2013-06-01", "2013-07-02", "2013-12-24", "2013-07-03")

    completed = store.complete(rows)

    rates = completed["carrier_late_rate_7d"]
    np.testing.assert_array_equal(rates, [0.4, np.nan, 0.1, np.nan, 0.3])


def test_how_old_a_value_may_be_is_a_setting(store_url, row):
    rows = departing(row, "2013-07-05")

    ages = {days: FeatureStore(store_url, COLUMNS, days).complete(rows) for days in (0, 1)}

    assert ages[0][RATES].isna().all(axis=None)
    assert (ages[1][RATES] == 0.4).all(axis=None)


def test_values_without_a_day_do_not_age(store, row):
    rows = departing(row, "1999-01-01", "2050-01-01")

    completed = store.complete(rows)

    assert completed["plane_year"].tolist() == [1999, 1999]
    assert completed["plane_seats"].tolist() == [149, 149]


@pytest.mark.parametrize(
    ("sent", "missing"),
    [
        ({"carrier": "AA"}, ["carrier_late_rate_7d"]),
        ({"origin": "JFK"}, ["origin_late_rate_7d"]),
        ({"destination": "XXX"}, ["destination_late_rate_7d"]),
        ({"tail_number": "N1"}, ["plane_year", "plane_seats"]),
        ({"tail_number": None}, ["plane_year", "plane_seats"]),
    ],
)
def test_an_unknown_entity_has_only_its_own_values_missing(store, row, sent, missing):
    rows = departing(row, "2013-07-03").assign(**sent)

    completed = store.complete(rows)

    absent = completed[LOOKED_UP].isna().squeeze()
    assert absent[absent].index.tolist() == missing


def test_a_store_that_is_not_there_leaves_all_missing_and_creates_nothing(row, tmp_path):
    absent = FeatureStore(f"sqlite:///{tmp_path}/online.db", COLUMNS, MAX_AGE_DAYS)

    completed = absent.complete(row)

    assert completed[LOOKED_UP].isna().all(axis=None)
    assert_frame_equal(completed[SENT], row)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_comes_back_is_read_again(row, tmp_path):
    file = tmp_path / "online.db"
    store = FeatureStore(f"sqlite:///{file}", COLUMNS, MAX_AGE_DAYS)
    rows = departing(row, "2013-07-03")
    before = store.complete(rows)

    OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"}).save(
        {"carrier_features": daily_table("UA")}
    )

    after = store.complete(rows)
    assert before[LOOKED_UP].isna().all(axis=None)
    assert after["carrier_late_rate_7d"].tolist() == [0.3]
    assert after["plane_year"].isna().all()


def test_the_callers_rows_are_not_changed(store, row):
    rows = departing(row, "2013-07-03")
    before = rows.copy()

    completed = store.complete(rows)

    assert_frame_equal(rows, before)
    assert list(completed.columns) == COLUMNS.names
    assert_frame_equal(completed[SENT], before)


def test_order_and_index_of_the_rows_are_kept(online_store, real_rows):
    store = FeatureStore(online_store, COLUMNS, MAX_AGE_DAYS)
    assert not real_rows.index.is_monotonic_increasing

    completed = store.complete(real_rows[SENT])

    assert_frame_equal(completed[SENT], real_rows[SENT])


def test_equal_rows_get_equal_values(store, row):
    rows = departing(row, *["2013-07-03"] * 3).set_axis([7, 7, 1])

    completed = store.complete(rows)

    assert completed.index.tolist() == [7, 7, 1]
    assert not completed[LOOKED_UP].isna().any(axis=None)
    assert len(completed.drop_duplicates()) == 1


@pytest.mark.parametrize("name", LOOKED_UP)
def test_online_look_up_equals_the_offline_join(online_store, real_rows, name):
    store = FeatureStore(online_store, COLUMNS, MAX_AGE_DAYS)

    completed = store.complete(real_rows[SENT])

    assert real_rows[name].notna().mean() > 0.7
    pd.testing.assert_series_equal(completed[name], real_rows[name])


def test_text_may_be_looked_up_and_a_path_may_have_any_name(tmp_path):
    class Contract(pa.DataFrameModel):
        moment: pd.Timestamp = column("Moment", event_time=True)
        product: str = column("Product")
        colour: str = column(
            "Colour",
            nullable=True,
            lookup=Lookup("products", by="product", column="colour", daily=False),
        )

    file = tmp_path / "stock #1%.db"
    products = pd.DataFrame({"colour": ["red"]}, index=pd.Index(["ball"], name="entity"))
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    dataset.save({"products": products})
    rows = pd.DataFrame({"moment": pd.to_datetime(["2013-07-01"] * 2), "product": ["ball", "bat"]})

    found = FeatureStore(dataset.load(), Columns.of(Contract), MAX_AGE_DAYS).complete(rows)

    assert found["colour"].fillna("missing").tolist() == ["red", "missing"]
