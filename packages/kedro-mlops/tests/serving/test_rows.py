import json

import numpy as np
import pandas as pd
import pytest
from example.contracts import Inputs
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import ContractError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.field_types import MAX_TEXT, request_model
from kedro_mlops.serving.validation_errors import MAX_ERRORS, MAX_QUOTED, validation_errors


class Passenger(Contract):
    """Someone of whom nothing may be told."""

    name: str = column("Name", personal=True, str_matches=r"[A-Z]")
    born: pd.Timestamp = column("Date of birth", personal=True)
    bags: int = column("Pieces of luggage", personal=True, ge=0, le=2)
    seat: str = column("Seat", isin=["aisle", "window"])


def model_of(contract):
    """The judge of the rows of a contract."""
    return request_model([field for field in fields_of(Columns.of(contract)) if not field.source])


def taken(model, row):
    """The values of a row, as they are judged."""
    return model.model_validate(row).model_dump(by_alias=True)


COLUMNS = Columns.of(Inputs)
Row = model_of(Inputs)
EXAMPLE = Row.model_json_schema()["example"]
PASSENGER = {"name": "Ada", "born": "1815-12-10T00:00:00", "bags": 1, "seat": "aisle"}
REQUIRED = [column.name for column in COLUMNS.sent if not column.nullable]
OPTIONAL = [column.name for column in COLUMNS.sent if column.nullable]


def refusals(row):
    """The fields that are refused, and why."""
    with pytest.raises(ValidationError) as refused:
        Row.model_validate(row)
    return {error["loc"][0]: error["type"] for error in refused.value.errors()}


def said_of(rows, contract=Inputs):
    """What is wrong with rows, in the order of its finding."""
    personal = frozenset(Columns.of(contract).personal)
    return validation_errors(model_of(contract), rows, personal)[1]


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
    fields = [field.alias for field in Row.model_fields.values()]

    looked_up = [column.name for column in COLUMNS.looked_up]

    assert fields == [name for name in COLUMNS.names if name not in looked_up]
    assert refusals(EXAMPLE | {looked_up[0]: 0.5}) == {looked_up[0]: "extra_forbidden"}


def test_unknown_fields_are_refused():
    row = EXAMPLE | {"tail_nmber": "V1"}

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
    assert {rows[0].model_dump()[name] for name in OPTIONAL} == {None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parcel_number", 0),
        ("distance_km", 0),
        ("distance_km", 10_000.5),
        ("temperature_c", -60.1),
        ("humidity_pct", 100.1),
        ("wind_kmh", 361),
        ("humidity_pct", 799),
        ("courier", "ZZ"),
        ("courier", "ua"),
        ("depot", "BOS"),
        ("area", "iah"),
        ("area", "KIAH"),
        ("area", "QAA\n"),
    ],
)
def test_values_that_break_the_contract_are_refused(name, value):
    row = EXAMPLE | {name: value}

    refused = refusals(row)

    assert list(refused) == [name]


@pytest.mark.parametrize(
    ("name", "value"),
    [("parcel_number", 1), ("distance_km", 10_000), ("temperature_c", -60), ("humidity_pct", 100)],
)
def test_values_at_the_bounds_are_accepted(name, value):
    row = EXAMPLE | {name: value}

    accepted = Row.model_validate(row)

    assert accepted.model_dump()[name] == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("parcel_number", "5"),
        ("parcel_number", 5.5),
        ("parcel_number", True),
        ("distance_km", "1400"),
        ("distance_km", False),
        ("temperature_c", "88.0"),
        ("van", 14228),
        ("leaves_at", "tomorrow"),
        ("leaves_at", "2013-07-15T17:30:00Z"),
        ("leaves_at", 1373909400),
    ],
)
def test_values_of_another_type_are_refused(name, value):
    row = EXAMPLE | {name: value}

    refused = refusals(row)

    assert list(refused) == [name]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["distance_km", "gust_kmh"])
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
    assert fields["depot"]["enum"] == ["EAST", "NORTH", "WEST"]
    assert fields["area"]["pattern"] == "^(?:[A-Z]{3}$)"
    assert fields["leaves_at"]["format"] == "date-time"
    assert fields["parcel_number"]["type"] == "integer"
    assert fields["distance_km"]["exclusiveMinimum"] == 0
    assert fields["distance_km"]["maximum"] == 10_000
    number, null = fields["temperature_c"]["anyOf"]
    assert number == {"type": "number", "minimum": -60, "maximum": 60}
    assert null == {"type": "null"}


def test_the_schema_has_a_complete_example():
    schema = Row.model_json_schema()

    example = schema["example"]

    assert set(example) == {column.name for column in COLUMNS.sent}
    assert all(example[name] is not None for name in REQUIRED)


def test_numbers_that_no_table_could_hold_are_refused():
    row = EXAMPLE | {"parcel_number": 10**30}

    refused = refusals(row)

    assert refused == {"parcel_number": "less_than_equal"}


def test_patterns_are_looked_for_at_the_beginning_as_in_the_contract():
    class Coded(Contract):
        code: str = column("Code", str_matches="AB|CD")

    model = model_of(Coded)

    assert taken(model, {"code": "CDx"})["code"] == "CDx"
    for beside in ("xAB", "xCD"):
        with pytest.raises(ValidationError, match="should match pattern"):
            model.model_validate({"code": beside})


def test_numbers_may_be_enumerated():
    class Plane(Contract):
        engines: int = column("Engines", isin=[1, 2])

    model = model_of(Plane)

    assert taken(model, {"engines": 2})["engines"] == 2
    with pytest.raises(ValidationError, match=r"Input should be .*1.* 2"):
        model.model_validate({"engines": 3})


@pytest.mark.parametrize(
    ("dtype", "forbidden", "allowed"),
    [(int, [13, 17], 14), (float, [0.5], 0.25), (str, ["XX"], "xx"), (bool, [True], False)],
)
def test_forbidden_values_are_refused_and_documented(dtype, forbidden, allowed):
    class Choice(Contract):
        choice: dtype = column("Choice", notin=forbidden)

    model = model_of(Choice)

    assert taken(model, {"choice": allowed})["choice"] == allowed
    for value in forbidden:
        with pytest.raises(ValidationError, match="should be none of"):
            model.model_validate({"choice": value})
    assert model.model_json_schema()["properties"]["choice"]["not"] == {"enum": forbidden}


def test_a_forbidden_value_is_refused_where_none_may_be_given():
    class Code(Contract):
        code: str = column("Code", notin=["XX"], nullable=True)

    model = model_of(Code)

    assert taken(model, {})["code"] is None
    assert taken(model, {"code": None})["code"] is None
    with pytest.raises(ValidationError, match="should be none of"):
        model.model_validate({"code": "XX"})


def test_forbidden_values_go_with_other_checks():
    class Floor(Contract):
        floor: int = column("Floor", ge=0, le=20, notin=[13])

    model = model_of(Floor)

    accepted = [taken(model, {"floor": floor})["floor"] for floor in (0, 12, 14, 20)]
    assert accepted == [0, 12, 14, 20]
    for floor in (-1, 13, 21):
        with pytest.raises(ValidationError):
            model.model_validate({"floor": floor})


def test_a_check_that_the_api_cannot_make_is_an_error_not_a_gap():
    class Rate(Contract):
        share: float = column("Share", in_range={"min_value": 0, "max_value": 1})

    with pytest.raises(ContractError, match=r"Rate\.share .* has the check 'in_range'"):
        model_of(Rate)


@pytest.mark.parametrize(
    ("dtype", "allowed", "check", "rule"),
    [
        (int, [1, 2], {"ge": 2}, "ge"),
        (float, [0.5, 1.0], {"lt": 1}, "lt"),
        (str, ["AA", "B6"], {"str_matches": "[A-Z]"}, "str_matches"),
    ],
)
def test_allowed_values_beside_another_check_are_an_error(dtype, allowed, check, rule):
    class Ambiguous(Contract):
        code: dtype = column("Code", isin=allowed, **check)

    with pytest.raises(ContractError, match=rf"'code' has `isin` and {rule}: name just the values"):
        model_of(Ambiguous)


def test_right_rows_are_returned_as_they_were_given():
    given = [EXAMPLE, EXAMPLE | {"courier": "CD", "gust_kmh": None}]

    right, wrong = validation_errors(Row, given, frozenset())

    assert [row.model_dump(mode="json") for row in right] == given
    assert wrong == []


@pytest.mark.parametrize(
    ("change", "rule", "message", "value"),
    [
        ({"parcel_number": 0}, "greater_than_equal", "should be greater than or equal to 1", "0"),
        ({"parcel_number": "5"}, "int_type", "should be a valid integer", '"5"'),
        ({"parcel_number": True}, "int_type", "should be a valid integer", "true"),
        ({"distance_km": None}, "float_type", "should be a valid number", "null"),
        ({"distance_km": 10_000.5}, "less_than_equal", "less than or equal to 10000", "10000.5"),
        ({"distance_km": np.inf}, "finite_number", "should be a finite number", "Infinity"),
        ({"humidity_pct": [50]}, "float_type", "should be a valid number", "[50]"),
        ({"depot": "BOS"}, "literal_error", "should be 'EAST', 'NORTH' or 'WEST'", '"BOS"'),
        ({"area": "Zürich"}, "string_pattern_mismatch", "'^(?:[A-Z]{3}$)'", '"Zürich"'),
        ({"area": "{input}"}, "string_pattern_mismatch", "match pattern", '"{input}"'),
        ({"van": {"{x}": "{}"}}, "string_type", "a valid string", '{"{x}": "{}"}'),
        ({"van": "N" * 257}, "string_too_long", "at most 256 ch", '"' + "N" * 79 + "…"),
    ],
)
def test_an_error_says_row_field_rule_and_value(change, rule, message, value):
    [name] = change

    [error] = said_of([EXAMPLE, EXAMPLE, EXAMPLE | change])

    assert (error["row"], error["field"], error["rule"]) == (2, name, rule)
    assert message in error["message"]
    assert error["value"] == value


def test_text_may_be_long_but_not_endless():
    longest = EXAMPLE | {"van": "N" * MAX_TEXT}

    assert said_of([longest]) == []
    assert [e["field"] for e in said_of([longest | {"van": "N" * (MAX_TEXT + 1)}])] == ["van"]


def test_errors_of_several_rows_and_fields_are_all_named():
    given = [EXAMPLE | {"courier": "ZZ", "distance_km": 0}, EXAMPLE, EXAMPLE | {"distance_km": -1}]

    errors = said_of(given)

    places = [(error["row"], error["field"]) for error in errors]
    assert places == [(0, "courier"), (0, "distance_km"), (2, "distance_km")]


@pytest.mark.parametrize("longer_by", [0, 1, 10_000])
def test_a_long_value_is_cut(longer_by):
    # two characters are its quotation marks
    value = "z" * (MAX_QUOTED - 2 + longer_by)

    [error] = said_of([EXAMPLE | {"courier": value}])

    assert error["value"] == (f'"{value}"' if not longer_by else f'"{value}'[:MAX_QUOTED] + "…")


def test_a_long_name_of_a_field_is_cut():
    [error] = said_of([EXAMPLE | {"n" * 10_000: 1}])

    assert error["field"] == "n" * MAX_QUOTED + "…"


def test_of_a_field_that_is_missing_or_unknown_nothing_is_quoted():
    without = {name: value for name, value in EXAMPLE.items() if name != "courier"}

    errors = said_of([without | {"tail_nmber": "V1?"}])

    assert errors == [
        {"row": 0, "field": "courier", "rule": "missing", "message": "Field required"},
        {
            "row": 0,
            "field": "tail_nmber",
            "rule": "extra_forbidden",
            "message": "Extra inputs are not permitted",
        },
    ]


@pytest.mark.parametrize(
    "given", ["Ada Lovelace", ["Ada Lovelace"], 1815, None, PASSENGER | {"name": "Ada\ud800"}]
)
def test_what_is_no_row_is_not_quoted(given):
    errors = said_of([PASSENGER, given], Passenger)

    assert [(error["row"], error["field"]) for error in errors] == [(1, None)]
    assert "Ada" not in str(errors)
    assert "1815" not in str(errors)
    assert "value" not in errors[0]


@pytest.mark.parametrize("depth", [10, 250, 600])
def test_a_value_of_any_depth_is_refused(depth):
    value = []
    for _ in range(depth):
        value = [value]

    [error] = said_of([EXAMPLE | {"courier": value}])

    assert error["row"] == 0


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
def test_a_personal_value_is_never_quoted(change):
    [name] = change

    [error] = said_of([PASSENGER | change], Passenger)

    assert (error["row"], error["field"]) == (0, name)
    assert "1815" not in str(error)


def test_of_a_personal_value_the_rule_is_said_and_others_are_quoted():
    errors = said_of([PASSENGER | {"bags": 3, "seat": "wing"}], Passenger)

    assert [error.get("value") for error in errors] == [None, '"wing"']
    assert errors[0]["message"] == "Input should be less than or equal to 2"


@pytest.mark.parametrize("n_errors", [MAX_ERRORS - 1, MAX_ERRORS])
def test_as_many_errors_as_may_be_are_all_named(n_errors):
    errors = said_of([EXAMPLE | {"courier": f"Z{i}"} for i in range(n_errors)])

    assert [error["row"] for error in errors] == list(range(n_errors))


def test_no_row_is_judged_after_too_many_errors():
    errors = said_of([EXAMPLE | {"courier": "ZZ"}] * (MAX_ERRORS + 2_345))

    assert [error["row"] for error in errors] == list(range(MAX_ERRORS + 1))
