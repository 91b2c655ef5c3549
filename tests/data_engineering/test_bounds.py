"""What a raw contract lets pass can be worked with to the end."""

import math

import ibis
import numpy as np
import pandas as pd
import pytest

from flight_delays.contracts import RawFlights, RawPlanes, RawWeather
from flight_delays.pipelines.data_engineering import nodes

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.validation import ContractValidator
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish
from tests.test_contracts import FLIGHT, PLANE, WEATHER

AS_OF, HORIZON = AsOf("2013-06-01"), Horizon(days=14)
NUMBERS = [
    *(0, -1, 1, 29, 31, 1e-300, 1e10, -1e10, 1e15, -1e15, 9.97e36, 1e308, -1e308, 140_000),
    *(2**31, 2**63 - 1, -(2**63), math.inf, math.nan, 0.5),
]
TEXTS = ["", "NA", "x" * 10_000, "ÄÖÜ 🙂", "'; drop table", "00179", "1e5", "ABC", "a\nb", "%s"]
MOMENTS = [
    *("0001-01-01", "1677-09-21", "2262-04-12", "9999-12-31 23:59:59.999999Z", "2013-02-30"),
    *("2013-01-01T10:00:00.123456Z", "2013-01-01 10:00+14:00", "infinity"),
]


def extremes(column):
    """Values of a column on its bounds, just inside and just outside, and far away; as text."""
    if column.kind == "datetime":
        return MOMENTS
    if column.kind == "categorical":
        return [*TEXTS, *column.checks.get("isin", [])]
    bounds = [limit for name, limit in column.checks.items() if name in ("gt", "ge", "lt", "le")]
    near = [np.nextafter(float(b), to) for b in bounds for to in (-np.inf, np.inf)]
    return [repr(v) for v in [*NUMBERS, *bounds, *map(float, near)]]


def rows_with_extremes(contract, row, key=None):
    """The row, and a copy for every extreme value of every column, each with a key of its own."""
    columns = Columns.of(contract).all
    rows = [row] + [row | {c.name: value} for c in columns for value in extremes(c)]
    if key:
        name, form = key
        rows = [r if r[name] != row[name] else r | {name: form.format(i)} for i, r in
                enumerate(rows, start=1)]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def raw():
    return {
        "flights": rows_with_extremes(RawFlights, FLIGHT, ("flight", "{}")),
        "weather": rows_with_extremes(RawWeather, WEATHER),
        "planes": rows_with_extremes(RawPlanes, PLANE, ("tailnum", "N{}")),
    }


@pytest.fixture(scope="module")
def made(raw, engineering_params):
    """What the pipeline makes of them, each table computed as its dataset would be saved."""
    given = (AS_OF, HORIZON, engineering_params)
    screened = {
        name: screening(raw[name])[0].cache()
        for name, screening in [
            ("flights", nodes.screen_flights),
            ("weather", nodes.screen_weather),
            ("planes", nodes.screen_planes),
        ]
    }
    landed = nodes.land_flights(screened["flights"], *given).cache()
    weather = nodes.land_weather(screened["weather"]).cache()
    planes = nodes.land_planes(screened["planes"]).cache()
    flights = nodes.join_flights(landed, weather, *given).cache()
    tables = nodes.build_feature_tables(flights, AS_OF, HORIZON)
    features = {name: table.cache() for name, table in tables.items()}
    model_input = nodes.assemble_model_input(flights, planes, **features).cache()
    nodes.check_availability(screened["flights"], weather, planes, AS_OF, engineering_params)
    return {
        **screened, "primary": flights, "features": features, "plane_features": planes,
        "model_input": model_input,
    }  # fmt: skip


@pytest.mark.parametrize("table", ["flights", "weather", "planes"])
def test_every_column_has_rows_that_pass_and_rows_that_do_not(raw, made, table):
    n_valid = made[table].count().to_pyarrow().as_py()

    assert len(raw[table]) / 10 < n_valid < len(raw[table])


def test_what_is_derived_from_rows_that_passed_keeps_every_contract(made):
    contracts = {
        "flights": "RawFlights", "weather": "RawWeather", "planes": "RawPlanes",
        "primary": "PrimaryFlights", "plane_features": "PlaneFeatures",
        "model_input": "Observation",
    }  # fmt: skip

    for name, contract in contracts.items():
        validator = ContractValidator(f"flight_delays.contracts.{contract}")
        validator.validate(made[name])
    daily = ContractValidator("flight_delays.contracts.DailyFeatures")
    for features in made["features"].values():
        daily.validate(features)


def test_no_label_of_a_flight_that_has_landed_is_lost(made):
    flights = made["primary"]
    landed = flights.filter(
        flights.scheduled_departure < ibis.literal(pd.Timestamp("2013-05-01")),
        flights.departure_delay_min.notnull(),
        flights.arrival_delay_min.notnull(),
        flights.air_time_min.notnull(),
    )

    found = landed.aggregate(rows=landed.count(), labelled=landed.late.count()).to_pyarrow()

    [counts] = found.to_pylist()
    assert counts["labelled"] == counts["rows"] > 100


def test_what_is_derived_can_be_published(made, tmp_path):
    store = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path / 'online.db'}"})

    store.save(publish(**made["features"], plane_features=made["plane_features"]))

    assert store.exists()


FILL_VALUES = [
    ({"month": "2", "day": "30"}, "year, month, day, hour, minute", "is_real_moment"),
    ({"dep_delay": "9.97e36"}, "dep_delay", "less_than_or_equal_to"),
    ({"arr_delay": "-1e15"}, "arr_delay", "greater_than_or_equal_to"),
    ({"dep_delay": "1e10"}, "dep_delay", "less_than_or_equal_to"),
    ({"air_time": "1e10"}, "air_time", "less_than_or_equal_to"),
    ({"distance": "140000"}, "distance", "less_than_or_equal_to"),
]


@pytest.mark.parametrize(("change", "column", "rule"), FILL_VALUES, ids=lambda v: str(v)[:30])
def test_one_impossible_flight_goes_to_quarantine(change, column, rule):
    raw = pd.DataFrame([FLIGHT, FLIGHT | {"flight": "2"} | change])

    valid, quarantined, _ = nodes.screen_flights(raw)

    [entry] = quarantined.to_pyarrow().to_pylist()
    assert (entry["row"], entry["column"], entry["rule"].split("(")[0]) == (2, column, rule)
    assert entry["value"].endswith(change.get(column, "2, 30, 5, 15"))
    assert valid.count().to_pyarrow().as_py() == 1
