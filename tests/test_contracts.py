import pandas as pd
import pandera.pandas as pa
import pytest

from flight_delays.columns import Columns
from flight_delays.contracts import (
    DailyFeatures,
    Inputs,
    Observation,
    PlaneFeatures,
    Prediction,
    RawFlights,
    RawPlanes,
    RawWeather,
)
from tests.factories import observations

INPUTS, OBSERVATION = Columns.of(Inputs), Columns.of(Observation)
FEATURE_TABLES = {True: Columns.of(DailyFeatures), False: Columns.of(PlaneFeatures)}

# as text, which is what a CSV file holds
FLIGHT = {
    "year": "2013", "month": "1", "day": "1", "hour": "5", "minute": "15",
    "dep_delay": "2", "arr_delay": "11", "air_time": "227",
    "carrier": "UA", "flight": "1545", "tailnum": "N14228", "origin": "EWR", "dest": "IAH",
    "distance": "1400", "time_hour": "2013-01-01T10:00:00Z",
}  # fmt: skip
WEATHER = {
    "origin": "EWR", "time_hour": "2013-01-01T06:00:00Z", "temp": "39.02", "dewp": "26.06",
    "humid": "59.37", "wind_dir": "270", "wind_speed": "10.36", "wind_gust": None,
    "precip": "0", "pressure": "1012", "visib": "10",
}  # fmt: skip
PLANE = {"tailnum": "N10156", "year": "2004", "seats": "55"}
RAW = {RawFlights: FLIGHT, RawWeather: WEATHER, RawPlanes: PLANE}


@pytest.mark.parametrize("contract", RAW)
def test_raw_text_is_parsed_to_the_declared_types(contract):
    raw = pd.DataFrame([RAW[contract]])

    parsed = contract.validate(raw)

    kinds = {c.name: c.kind for c in Columns.of(contract).all}
    assert all(
        pd.api.types.is_numeric_dtype(parsed[name]) == (kind == "numeric")
        for name, kind in kinds.items()
    )
    moments = [name for name, kind in kinds.items() if kind == "datetime"]
    assert all(str(parsed[name].dtype) == "datetime64[us, UTC]" for name in moments)


@pytest.mark.parametrize("contract", RAW)
def test_a_raw_table_without_rows_is_refused(contract):
    empty = pd.DataFrame([RAW[contract]]).head(0)

    with pytest.raises(pa.errors.SchemaErrors, match="the table has rows"):
        contract.validate(empty, lazy=True)


@pytest.mark.parametrize(
    ("contract", "change"),
    [
        (RawFlights, {"month": "13"}),
        (RawFlights, {"hour": "24"}),
        (RawFlights, {"carrier": "ZZ"}),
        (RawFlights, {"dest": "Houston"}),
        (RawFlights, {"distance": "0"}),
        (RawFlights, {"distance": None}),
        (RawFlights, {"air_time": "-1"}),
        (RawFlights, {"time_hour": "yesterday"}),
        (RawWeather, {"temp": "141"}),
        (RawWeather, {"origin": "IAH"}),
        (RawWeather, {"wind_dir": "361"}),
        (RawPlanes, {"year": "1776"}),
        (RawPlanes, {"tailnum": None}),
    ],
)
def test_an_impossible_value_in_a_raw_table_is_refused(contract, change):
    [name] = change
    raw = pd.DataFrame([RAW[contract] | change])

    with pytest.raises(pa.errors.SchemaErrors) as refused:
        contract.validate(raw, lazy=True)

    assert set(refused.value.failure_cases["column"]) == {name}


@pytest.mark.parametrize(
    ("contract", "other"), [(RawFlights, {"hour": "6"}), (RawPlanes, {"seats": "100"})]
)
def test_two_raw_rows_of_one_key_are_refused_even_if_they_differ(contract, other):
    raw = pd.DataFrame([RAW[contract], RAW[contract] | other])

    with pytest.raises(pa.errors.SchemaErrors, match=r"(?i)unique"):
        contract.validate(raw, lazy=True)


def test_an_observation_is_identified_by_its_keys():
    rows = observations(5)
    twice = pd.concat([rows, rows.head(1)], ignore_index=True)

    assert Observation.to_schema().unique == OBSERVATION.keys
    Observation.validate(rows)
    with pytest.raises(pa.errors.SchemaError, match="not unique"):
        Observation.validate(twice)


def test_an_observation_is_its_inputs_and_what_really_happened():
    assert OBSERVATION.names == [*INPUTS.names, OBSERVATION.label, OBSERVATION.label_time]


def test_what_really_happened_is_no_feature():
    assert {OBSERVATION.label, OBSERVATION.label_time}.isdisjoint(OBSERVATION.features)


def test_a_prediction_holds_every_input_and_a_probability():
    prediction = Columns.of(Prediction)

    assert set(INPUTS.names) <= set(prediction.names)
    assert prediction["probability"].checks == {
        "greater_than_or_equal_to": {"min_value": 0},
        "less_than_or_equal_to": {"max_value": 1},
    }


def test_the_documented_example_keeps_the_contract():
    example = {c.name: c.role.example for c in INPUTS.all}
    row = pd.DataFrame([example]).astype({c.name: str(c.dtype) for c in INPUTS.all})

    Inputs.validate(row, lazy=True)

    required = [c.name for c in INPUTS.sent if not c.nullable]
    assert all(example[name] is not None for name in required)


@pytest.mark.parametrize("column", INPUTS.looked_up, ids=lambda column: column.name)
def test_a_looked_up_column_is_in_its_feature_table_and_its_key_is_sent(column):
    lookup = column.role.lookup

    source = FEATURE_TABLES[lookup.daily][lookup.column]

    assert lookup.by in [c.name for c in INPUTS.sent]
    assert source.kind == column.kind
