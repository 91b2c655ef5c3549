import json

import numpy as np
import pandera.pandas as pa
import pytest
from pydantic import ValidationError

from flight_delays.columns import Columns, column
from flight_delays.contracts import Inputs
from flight_delays.records import json_records
from flight_delays.serving.api import Answer, Predictions, request_model

COLUMNS = Columns.of(Inputs)
Row = request_model(Inputs)
EXAMPLE = Row.model_json_schema()["example"]
REQUIRED = [column.name for column in COLUMNS.sent if not column.nullable]
OPTIONAL = [column.name for column in COLUMNS.sent if column.nullable]


def refusals(row):
    """The fields that are refused, and why."""
    with pytest.raises(ValidationError) as refused:
        Row.model_validate(row)
    return {error["loc"][0]: error["type"] for error in refused.value.errors()}


def test_the_documented_example_is_accepted_in_python_and_in_json():
    text = json.dumps(EXAMPLE)

    rows = [Row.model_validate(EXAMPLE), Row.model_validate_json(text)]

    assert [json.loads(row.model_dump_json()) for row in rows] == [EXAMPLE, EXAMPLE]


def test_real_rows_are_accepted(real_rows):
    sent = real_rows[[column.name for column in COLUMNS.sent]]

    rows = [Row.model_validate(record) for record in json_records(sent)]

    dumped = [row.model_dump(mode="json") for row in rows]
    assert dumped == json_records(sent)


def test_looked_up_columns_are_not_asked_for():
    fields = list(Row.model_fields)

    looked_up = [column.name for column in COLUMNS.looked_up]

    assert fields == [name for name in COLUMNS.names if name not in looked_up]
    assert refusals(EXAMPLE | {looked_up[0]: 0.5}) == {looked_up[0]: "extra_forbidden"}


def test_unknown_fields_are_refused():
    row = EXAMPLE | {"tail_nmber": "N14228"}

    refused = refusals(row)

    assert refused == {"tail_nmber": "extra_forbidden"}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_may_not_be_left_out(name):
    row = {field: value for field, value in EXAMPLE.items() if field != name}

    refused = refusals(row)

    assert refused == {name: "missing"}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_field_may_not_be_null(name):
    row = EXAMPLE | {name: None}

    refused = refusals(row)

    assert list(refused) == [name]


def test_optional_fields_may_be_left_out_or_null():
    without = {name: EXAMPLE[name] for name in REQUIRED}
    null = EXAMPLE | dict.fromkeys(OPTIONAL)

    rows = [Row.model_validate(without), Row.model_validate(null)]

    assert rows[0] == rows[1]
    assert {getattr(rows[0], name) for name in OPTIONAL} == {None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flight_number", 0),
        ("distance_mi", 0),
        ("distance_mi", 10_000.5),
        ("temperature_f", -60.1),
        ("humidity_pct", 100.1),
        ("wind_direction_deg", 361),
        ("pressure_mb", 799),
        ("carrier", "ZZ"),
        ("carrier", "ua"),
        ("origin", "BOS"),
        ("destination", "iah"),
        ("destination", "KIAH"),
        ("destination", "IAH\n"),
    ],
)
def test_values_that_break_the_contract_are_refused(name, value):
    row = EXAMPLE | {name: value}

    refused = refusals(row)

    assert list(refused) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("flight_number", 1), ("distance_mi", 10_000), ("temperature_f", -60), ("humidity_pct", 100)],
)
def test_values_at_the_bounds_are_accepted(name, value):
    row = EXAMPLE | {name: value}

    accepted = Row.model_validate(row)

    assert getattr(accepted, name) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flight_number", "5"),
        ("flight_number", 5.5),
        ("flight_number", True),
        ("distance_mi", "1400"),
        ("distance_mi", False),
        ("temperature_f", "88.0"),
        ("tail_number", 14228),
        ("scheduled_departure", "tomorrow"),
        ("scheduled_departure", "2013-07-15T17:30:00Z"),
        ("scheduled_departure", 1373909400),
    ],
)
def test_values_of_another_type_are_refused(name, value):
    row = EXAMPLE | {name: value}

    refused = refusals(row)

    assert list(refused) == [name]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["distance_mi", "wind_gust_mph"])
def test_numbers_that_are_none_are_refused(name, value):
    row = EXAMPLE | {name: value}

    refused = refusals(row)

    assert refused == {name: "finite_number"}


def test_the_schema_says_what_the_contract_says():
    schema = Row.model_json_schema()

    fields = schema["properties"]

    assert list(fields) == [column.name for column in COLUMNS.sent]
    assert schema["required"] == REQUIRED
    assert schema["additionalProperties"] is False
    assert all(fields[column.name]["description"] == column.description for column in COLUMNS.sent)
    assert fields["origin"]["enum"] == ["EWR", "JFK", "LGA"]
    assert fields["destination"]["pattern"] == "^(?:[A-Z]{3}$)"
    assert fields["scheduled_departure"]["format"] == "date-time"
    assert fields["flight_number"]["type"] == "integer"
    assert fields["distance_mi"]["exclusiveMinimum"] == 0
    assert fields["distance_mi"]["maximum"] == 10_000
    number, null = fields["temperature_f"]["anyOf"]
    assert number == {"type": "number", "minimum": -60, "maximum": 140}
    assert null == {"type": "null"}


def test_the_schema_has_a_complete_example():
    schema = Row.model_json_schema()

    example = schema["example"]

    assert set(example) == {column.name for column in COLUMNS.sent}
    assert all(example[name] is not None for name in REQUIRED)


def test_answers_say_what_each_of_their_fields_means():
    schema = Predictions.model_json_schema()

    answer = schema["$defs"][Answer.__name__]["properties"]

    assert list(answer) == [
        "prediction_id",
        "probability",
        "decision",
        "model_version",
        "missing_features",
    ]
    assert all(field["description"] for field in answer.values())


def test_numbers_that_no_table_could_hold_are_refused():
    row = EXAMPLE | {"flight_number": 10**30}

    refused = refusals(row)

    assert refused == {"flight_number": "less_than_equal"}


def test_patterns_are_looked_for_at_the_beginning_as_in_the_contract():
    class Contract(pa.DataFrameModel):
        code: str = column("Code", str_matches="AB")

    model = request_model(Contract)

    model.model_validate({"code": "ABx"})
    with pytest.raises(ValidationError):
        model.model_validate({"code": "xAB"})


def test_numbers_may_be_enumerated():
    class Contract(pa.DataFrameModel):
        engines: int = column("Engines", isin=[1, 2])

    model = request_model(Contract)

    model.model_validate({"engines": 2})
    with pytest.raises(ValidationError):
        model.model_validate({"engines": 3})


def test_a_check_that_the_api_cannot_make_is_an_error_not_a_gap():
    class Contract(pa.DataFrameModel):
        share: float = column("Share", in_range={"min_value": 0, "max_value": 1})

    with pytest.raises(TypeError, match=r"'in_range' of column 'share' has no counterpart"):
        request_model(Contract)
