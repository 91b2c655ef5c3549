import json
from typing import Annotated

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from flight_delays.columns import Columns, Contract, column
from flight_delays.contracts import Inputs
from flight_delays.errors import ContractError
from flight_delays.records import json_records
from flight_delays.serving.api import (
    MAX_ERRORS,
    MAX_QUOTED,
    Answer,
    Predictions,
    explained,
    request_model,
)


class Passenger(Contract):
    """Someone of whom nothing may be told."""

    name: str = column("Name", personal=True, str_matches=r"[A-Z]")
    born: pd.Timestamp = column("Date of birth", personal=True)
    bags: int = column("Pieces of luggage", personal=True, ge=0, le=2)
    seat: str = column("Seat", isin=["aisle", "window"])


def rows_of(contract):
    """The rows of a request, as the service annotates them."""
    return TypeAdapter(Annotated[list[request_model(contract)], explained(Columns.of(contract))])


COLUMNS = Columns.of(Inputs)
Row = request_model(Inputs)
EXAMPLE = Row.model_json_schema()["example"]
PASSENGER = {"name": "Ada", "born": "1815-12-10T00:00:00", "bags": 1, "seat": "aisle"}
IN_PYTHON_AND_IN_JSON = {
    "python": lambda rows, given: rows.validate_python(given),
    "json": lambda rows, given: rows.validate_json(json.dumps(given)),
}
REQUIRED = [column.name for column in COLUMNS.sent if not column.nullable]
OPTIONAL = [column.name for column in COLUMNS.sent if column.nullable]


def refusals(row):
    """The fields that are refused, and why."""
    with pytest.raises(ValidationError) as refused:
        Row.model_validate(row)
    return {error["loc"][0]: error["type"] for error in refused.value.errors()}


@pytest.fixture(params=IN_PYTHON_AND_IN_JSON.values(), ids=IN_PYTHON_AND_IN_JSON.keys())
def validate(request):
    """Validate a list of rows, given as objects of Python or as JSON."""
    return request.param


def explanations(validate, contract, given):
    """The error that is the answer to a list of rows."""
    with pytest.raises(ValidationError) as refused:
        validate(rows_of(contract), given)
    return refused.value


def messages(error):
    """What is said of each place in the list of rows."""
    return [(*found["loc"], found["msg"]) for found in error.errors()]


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
    class Coded(Contract):
        code: str = column("Code", str_matches="AB|CD")

    model = request_model(Coded)

    assert model.model_validate({"code": "CDx"}).code == "CDx"
    for beside in ("xAB", "xCD"):
        with pytest.raises(ValidationError, match="should match pattern"):
            model.model_validate({"code": beside})


def test_numbers_may_be_enumerated():
    class Plane(Contract):
        engines: int = column("Engines", isin=[1, 2])

    model = request_model(Plane)

    assert model.model_validate({"engines": 2}).engines == 2
    with pytest.raises(ValidationError, match=r"Input should be .*1.* 2"):
        model.model_validate({"engines": 3})


@pytest.mark.parametrize(
    ("dtype", "forbidden", "allowed"),
    [(int, [13, 17], 14), (float, [0.5], 0.25), (str, ["XX"], "xx"), (bool, [True], False)],
)
def test_forbidden_values_are_refused_and_documented(dtype, forbidden, allowed):
    class Choice(Contract):
        choice: dtype = column("Choice", notin=forbidden)

    model = request_model(Choice)

    assert model.model_validate({"choice": allowed}).choice == allowed
    for value in forbidden:
        with pytest.raises(ValidationError, match="should not be one of"):
            model.model_validate({"choice": value})
    assert model.model_json_schema()["properties"]["choice"]["not"] == {"enum": forbidden}


def test_a_forbidden_value_is_refused_where_none_may_be_given():
    class Code(Contract):
        code: str = column("Code", notin=["XX"], nullable=True)

    model = request_model(Code)

    assert model.model_validate({}).code is None
    assert model.model_validate({"code": None}).code is None
    with pytest.raises(ValidationError, match="should not be one of"):
        model.model_validate({"code": "XX"})


def test_forbidden_values_go_with_other_checks():
    class Floor(Contract):
        floor: int = column("Floor", ge=0, le=20, notin=[13])

    model = request_model(Floor)

    accepted = [model.model_validate({"floor": floor}).floor for floor in (0, 12, 14, 20)]
    assert accepted == [0, 12, 14, 20]
    for floor in (-1, 13, 21):
        with pytest.raises(ValidationError):
            model.model_validate({"floor": floor})


def test_a_check_that_the_api_cannot_make_is_an_error_not_a_gap():
    class Rate(Contract):
        share: float = column("Share", in_range={"min_value": 0, "max_value": 1})

    with pytest.raises(ContractError, match=r"'in_range' of column 'share' has no counterpart"):
        request_model(Rate)


@pytest.mark.parametrize(
    ("dtype", "allowed", "check", "rule"),
    [
        (int, [1, 2], {"ge": 2}, "greater_than_or_equal_to"),
        (float, [0.5, 1.0], {"lt": 1}, "less_than"),
        (str, ["AA", "B6"], {"str_matches": "[A-Z]"}, "str_matches"),
    ],
)
def test_allowed_values_beside_another_check_are_an_error(dtype, allowed, check, rule):
    class Ambiguous(Contract):
        code: dtype = column("Code", isin=allowed, **check)

    with pytest.raises(ContractError, match=rf"'code' has `isin` and {rule}: name just the values"):
        request_model(Ambiguous)


def test_good_rows_pass_through_the_explanation_unchanged(validate):
    given = [EXAMPLE, EXAMPLE | {"carrier": "AA", "wind_gust_mph": None}]

    rows = validate(rows_of(Inputs), given)

    assert [row.model_dump(mode="json") for row in rows] == given


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flight_number": 0}, "Input should be greater than or equal to 1, not 0"),
        ({"flight_number": "5"}, 'Input should be a valid integer, not "5"'),
        ({"flight_number": True}, "Input should be a valid integer, not true"),
        ({"distance_mi": None}, "Input should be a valid number, not null"),
        ({"distance_mi": 10_000.5}, "Input should be less than or equal to 10000, not 10000.5"),
        ({"humidity_pct": [50]}, "Input should be a valid number, not [50]"),
        ({"origin": "BOS"}, "Input should be 'EWR', 'JFK' or 'LGA', not \"BOS\""),
        ({"destination": "Zürich"}, "should match pattern '^(?:[A-Z]{3}$)', not \"Zürich\""),
        ({"destination": "{input}"}, "should match pattern '^(?:[A-Z]{3}$)', not \"{input}\""),
        ({"tail_number": {"{x}": "{}"}}, 'Input should be a valid string, not {"{x}": "{}"}'),
    ],
)
def test_an_error_says_row_field_rule_and_value(validate, change, message):
    [name] = change
    given = [EXAMPLE, EXAMPLE, EXAMPLE | change]

    error = explanations(validate, Inputs, given)

    [(row, field, said)] = messages(error)
    assert (row, field) == (2, name)
    assert said.endswith(message)


def test_errors_of_several_rows_and_fields_are_all_named(validate):
    given = [EXAMPLE | {"carrier": "ZZ", "distance_mi": 0}, EXAMPLE, EXAMPLE | {"distance_mi": -1}]

    error = explanations(validate, Inputs, given)

    places = [(row, field) for row, field, _ in messages(error)]
    assert places == [(0, "carrier"), (0, "distance_mi"), (2, "distance_mi")]


def test_an_error_keeps_the_type_of_its_rule(validate):
    given = [EXAMPLE | {"carrier": "ZZ", "flight_number": 0}]

    error = explanations(validate, Inputs, given)

    assert [found["type"] for found in error.errors()] == ["literal_error", "greater_than_equal"]


@pytest.mark.parametrize("longer_by", [0, 1, 10_000])
def test_a_long_value_is_cut(validate, longer_by):
    # two characters are its quotation marks
    value = "z" * (MAX_QUOTED - 2 + longer_by)

    error = explanations(validate, Inputs, [EXAMPLE | {"carrier": value}])

    [(_, _, said)] = messages(error)
    quoted = said.rpartition(", not ")[2]
    assert quoted == (f'"{value}"' if not longer_by else f'"{value}'[:MAX_QUOTED] + "…")


def test_numbers_that_are_none_are_quoted_as_they_are():
    given = [EXAMPLE | {"distance_mi": np.inf}]

    error = explanations(IN_PYTHON_AND_IN_JSON["python"], Inputs, given)

    assert messages(error) == [
        (0, "distance_mi", "Input should be a finite number, not Infinity"),
    ]


def test_of_a_field_that_is_missing_or_unknown_nothing_is_quoted(validate):
    without = {name: value for name, value in EXAMPLE.items() if name != "carrier"}
    given = [without | {"tail_nmber": "N14228?"}]

    error = explanations(validate, Inputs, given)

    assert messages(error) == [
        (0, "carrier", "Field required"),
        (0, "tail_nmber", "Extra inputs are not permitted"),
    ]
    assert not any(str(value) in str(error) for value in ("N14228?", EXAMPLE["tail_number"]))


@pytest.mark.parametrize("given", [[PASSENGER, "Ada Lovelace"], {"name": "Ada Lovelace"}])
def test_what_is_no_row_is_not_quoted(validate, given):
    error = explanations(validate, Passenger, given)

    [found] = error.errors()
    assert found["type"] in ("model_type", "model_attributes_type", "list_type")
    assert "Ada" not in str(error)
    assert found["input"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": "lovelace-1815"},
        {"name": ["lovelace-1815"]},
        {"born": "lovelace-1815"},
        {"born": "1815-12-10T00:00:00Z"},
        {"bags": 1815},
        {"bags": -1815},
        {"bags": "1815"},
        {"nmae": "lovelace-1815"},
    ],
)
def test_a_personal_value_is_never_quoted(validate, change):
    [name] = change

    error = explanations(validate, Passenger, [PASSENGER | change])

    [found] = error.errors()
    assert found["loc"] == (0, name)
    assert "1815" not in f"{error} {error.errors()} {error.json()}"


def test_of_a_personal_value_the_rule_is_said_and_others_are_quoted(validate):
    given = [PASSENGER | {"bags": 3, "seat": "wing"}]

    error = explanations(validate, Passenger, given)

    assert messages(error) == [
        (0, "bags", "Input should be less than or equal to 2, not the personal value given"),
        (0, "seat", "Input should be 'aisle' or 'window', not \"wing\""),
    ]


@pytest.mark.parametrize("n_errors", [MAX_ERRORS - 1, MAX_ERRORS])
def test_as_many_errors_as_may_be_are_all_named(validate, n_errors):
    given = [EXAMPLE | {"carrier": f"Z{i}"} for i in range(n_errors)]

    error = explanations(validate, Inputs, given)

    assert [row for row, *_ in messages(error)] == list(range(n_errors))


def test_of_too_many_errors_the_first_are_named_and_the_others_counted(validate):
    given = [EXAMPLE | {"carrier": "ZZ"}] * (MAX_ERRORS + 2_345)

    error = explanations(validate, Inputs, given)

    *named, last = error.errors()
    assert [found["loc"] for found in named] == [(row, "carrier") for row in range(MAX_ERRORS)]
    assert (last["loc"], last["msg"]) == ((), "and 2,345 more errors")


def test_an_error_of_the_service_names_the_argument_too():
    class Request(BaseModel):
        rows: Annotated[list[Row], Field(min_length=1), explained(COLUMNS)]

    with pytest.raises(ValidationError) as refused:
        Request.model_validate_json(json.dumps({"rows": [EXAMPLE, EXAMPLE | {"carrier": "ZZ"}]}))

    [found] = refused.value.errors()
    assert found["loc"] == ("rows", 1, "carrier")
    assert found["msg"].endswith('not "ZZ"')


def test_that_there_are_no_rows_is_said_without_a_quotation():
    rows = TypeAdapter(Annotated[list[Row], Field(min_length=1), explained(COLUMNS)])

    with pytest.raises(ValidationError) as refused:
        rows.validate_python([])

    [found] = refused.value.errors()
    assert found["type"] == "too_short"
    assert found["msg"] == "List should have at least 1 item after validation, not 0"
