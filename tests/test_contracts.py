import pandas as pd
import pytest
from kedro.validation import DataValidationError

from flight_delays.contracts import (
    DailyFeatures,
    Flight,
    Inputs,
    Observation,
    Outcome,
    PlaneFeatures,
    Prediction,
    PrimaryFlights,
    RawFlights,
    RawPlanes,
    RawWeather,
)

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.validation import ContractValidator

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
def test_raw_text_is_read_as_the_declared_types(contract):
    raw = pd.DataFrame([RAW[contract]])

    valid, _, _ = screen(raw, contract)

    row = valid.to_pandas()
    contract.validate(row, lazy=True)
    assert len(row) == 1


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
def test_an_impossible_value_in_a_raw_table_is_quarantined(contract, change):
    [name] = change
    raw = pd.DataFrame([RAW[contract], RAW[contract] | change])

    _, quarantined, _ = screen(raw, contract)

    [entry] = quarantined.to_pyarrow().to_pylist()
    assert (entry["row"], entry["column"]) == (2, name)


@pytest.mark.parametrize(
    ("contract", "other"), [(RawFlights, {"hour": "6"}), (RawPlanes, {"seats": "100"})]
)
def test_the_second_raw_row_of_one_key_is_quarantined_even_if_it_differs(contract, other):
    raw = pd.DataFrame([RAW[contract], RAW[contract] | other])

    _, quarantined, _ = screen(raw, contract)

    [entry] = quarantined.to_pyarrow().to_pylist()
    assert (entry["row"], entry["rule"][:6]) == (2, "unique")


def test_what_became_of_a_flight_is_hindsight():
    assert Columns.of(RawFlights).hindsight == ["dep_delay", "arr_delay", "air_time"]


def test_an_observation_is_identified_by_its_keys(engineered):
    observation = ContractValidator("flight_delays.contracts.Observation")
    rows = engineered.model_input

    assert Observation.to_schema().unique == OBSERVATION.keys
    observation.validate(rows)
    with pytest.raises(DataValidationError, match="unique"):
        observation.validate(rows.union(rows.limit(1)))


def test_an_observation_is_its_inputs_and_what_really_happened():
    assert OBSERVATION.names == [*INPUTS.names, OBSERVATION.label, OBSERVATION.label_time]


def test_every_value_that_a_flight_has_is_sent_or_looked_up_and_no_outcome_is():
    known = set(Columns.of(Flight).names) | {c.name for c in INPUTS.looked_up}

    assert set(INPUTS.names) == known
    assert known.isdisjoint(Columns.of(Outcome).names)


def test_primary_flights_know_the_outcome_and_the_weather_but_no_aggregate():
    primary = Columns.of(PrimaryFlights)

    assert primary.label == OBSERVATION.label
    assert primary.task.name == "binary"
    assert set(primary.names).isdisjoint(c.name for c in INPUTS.looked_up)


def test_what_really_happened_is_no_feature():
    assert {OBSERVATION.label, OBSERVATION.label_time}.isdisjoint(OBSERVATION.features)


def test_a_prediction_holds_every_input_and_a_probability():
    prediction = Columns.of(Prediction)

    assert set(INPUTS.names) <= set(prediction.names)
    assert prediction["probability"].checks == {"ge": 0, "le": 1}
    assert prediction["probability"].finite


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
