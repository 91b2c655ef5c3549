"""The quick reader of requests against the judge, whose every word it must keep."""

import json
from functools import cache

import pandas as pd
import pytest
from example.contracts import Inputs
from example.factories import spec_of
from example.hostile import read_rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.core.json_records import json_records
from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError
from kedro_mlops.serving.validation_errors import MAX_ERRORS, validation_errors

NOON = pd.Timestamp("2013-07-15T12:00:00")
MAX_ROWS = 1000


class Odd(Contract):
    """Every rule that the decoder of JSON does not know, or knows otherwise."""

    floor: int = column("Floor", notin=[13], ge=-2, le=2**60, example=3)
    above: int = column("More than two", gt=2, example=9)
    digits: int = column("As many as there are", example=1)
    wheels: int = column("Wheels", isin=[2, 4], example=4)
    ratio: float = column("Ratio", isin=[0.5, 2.0], example=0.5)
    share: float = column("Share", nullable=True, notin=[0.25], ge=0, le=1, example=0.75)
    count: pd.Int64Dtype = column("Count", nullable=True, lt=100, example=7)
    seen: pd.Timestamp = column("Seen", nullable=True, example="2013-07-15T12:00:00")
    open: pd.Timestamp = column("Open", example="2013-07-15T12:00:00")
    since: pd.Timestamp = column("Since", nullable=True, ge=NOON, example="2013-07-15T12:00:00")
    term: pd.Timestamp = column("Term", isin=[NOON], example="2013-07-15T12:00:00")
    code: str = column("Code", str_matches="[A-Z]{2}$", notin=["XX"], example="AB")
    note: str = column("Note", nullable=True, personal=True, example="a:b")
    after: str = column("After", nullable=True, gt="B", example="C")
    paid: bool = column("Paid", isin=[True], example=True)
    sure: pd.BooleanDtype = column("Sure", nullable=True, example=False)


class Alone(Contract):
    """Just one field."""

    note: str = column("Note", example="a:b")


CONTRACTS = [Inputs, Odd, Alone]
ODD_VALUES = [
    *("null", "true", "false", "[]", "{}", '{"a": 1}', '["a:b"]', "[[[]]]"),
    *("0", "-0", "-0.0", "5.0", "1e2", "1E400", "-1e400", "1e-400", "13", "2", "3", "4", "0.5"),
    *("0.25", "2.0", "9007199254740993", "9007199254740993.0", "9223372036854775807"),
    *("9223372036854775808", "-9223372036854775809", "1" + "0" * 400, "0.1234567890123456789"),
    *("NaN", "Infinity", "-Infinity", "01", "+1", ".5", "1.", "nul", "'a'", '"', ""),
    *('""', '"AB"', '"XX"', '"AB\\n"', '"A\\u0042"', '"a:b"', '"a\\u003ab"', '"a\\u003Ab"'),
    *('":::"', '"\\ud800"', '"\\ud83d\\ude00"', '"é"', '"\\u0000"', '"\\/"', '"' + "a" * 300 + '"'),
    *('"2013-07-15T12:00:00"', '"2013-07-15T12\\u003a00:00"', '"2013-07-15T12:00:00.5"'),
    *('"2013-07-15T12:00:00.1234567"', '"2013-07-15T12:00:00.9999999"', '"2013-07-15 12:00:00"'),
    *('"2013-07-15T12:00:00Z"', '"2013-07-15T12:00"', '"2013-07-15"', '"0001-01-01T00:00:00"'),
    *('"2013-07-15t12:00:00"', '"2013-07-15T12:00:60"', '"2013-07-15T24:00:00"', "1373889600"),
]
WHITE = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


@cache
def reader(contract):
    return RowReader(spec_of(contract).sent, MAX_ROWS)


@cache
def example(contract):
    return reader(contract).model.model_json_schema()["example"]


def body_of(*rows):
    return json.dumps({"rows": rows}).encode()


@cache
def table_reader(contract):
    return TableReader(reader(contract))


def accepted(contract, body):
    """The rows of a request with the type of each value, or None if it is refused."""
    try:
        rows = read_rows(reader(contract), body)
    except BadRequestError:
        return None
    return [[(type(value), value) for value in row] for row in rows]


def accepted_as_table(contract, body):
    """The same of the reader of large requests."""
    try:
        columns = table_reader(contract).read_json(body)
    except BadRequestError:
        return None
    fields = spec_of(contract).sent
    rows = zip(*(plain(columns[field.name], field) for field in fields), strict=True)
    return [[(type(value), value) for value in row] for row in rows]


def plain(column, field):
    """A column as a list of what JSON would have given."""
    if isinstance(column, Coded):
        return [column.values[code] for code in column.codes]  # noqa: PD011
    known = [None if value != value else value for value in column.tolist()]  # noqa: PLR0124
    kind = bool if field.kind == "boolean" else int if field.integer else lambda value: value
    return [None if value is None else kind(value) for value in known]


def judged(contract, body):
    """What ``accepted`` must return, by strict JSON and the judge alone."""
    try:
        request = json.loads(body.decode(), object_pairs_hook=distinct, parse_constant=refuse)
    except ValueError:
        return None
    if not isinstance(request, dict) or request.keys() != {"rows"}:
        return None
    rows = request["rows"]
    if not isinstance(rows, list) or not 0 < len(rows) <= MAX_ROWS:
        return None
    right, wrong = validation_errors(reader(contract).model, rows, frozenset())
    values = [[*vars(row).values()] for row in right]
    return None if wrong else [[(type(value), value) for value in row] for row in values]


def distinct(pairs):
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def refuse(name):
    raise ValueError(name)


def plausible(field):
    """JSON that may well be a value of the field."""
    own = st.just(json.dumps(field.example))
    if field.allowed is not None and field.kind != "datetime":
        return st.sampled_from(field.allowed).map(json.dumps)
    if field.kind == "numeric":
        low = field.rules.get("gt", field.rules.get("ge", 0) - 1) + 1
        high = field.rules.get("lt", field.rules.get("le", 99) + 1) - 1
        drawn = st.integers(low, high) if field.integer else st.floats(low, high)
        return own | drawn.map(json.dumps)
    return own


@st.composite
def pairs(draw, field):
    """A key and a value as JSON; the key may be written with an escape."""
    odd = draw(st.integers(0, 40)) == 0
    value = draw(st.sampled_from(ODD_VALUES) if odd else plausible(field))
    key = json.dumps(field.name)
    if draw(st.integers(0, 30)) == 0:
        key = f'"\\u{ord(field.name[0]):04x}{field.name[1:]}"'
    return f"{key}{draw(WHITE)}:{draw(WHITE)}{value}"


@st.composite
def rows_as_text(draw, contract):
    members = [draw(pairs(field)) for field in spec_of(contract).sent]
    change = draw(st.integers(0, 12))
    if change == 0:
        members += [draw(st.sampled_from(members))]
    if change == 1:
        members += [draw(pairs(draw(st.sampled_from(spec_of(contract).sent))))]
    if change == 2:
        members.remove(draw(st.sampled_from(members)))
    if change == 3:
        members += ['"unknown": 1']
    if change == 4:
        members = draw(st.permutations(members))
    return "{" + draw(WHITE) + f",{draw(WHITE)}".join(members) + "}"


@st.composite
def bodies(draw, contract):
    rows = draw(st.lists(rows_as_text(contract), min_size=1, max_size=3))
    text = f'{{"rows"{draw(WHITE)}:{draw(WHITE)}[{", ".join(rows)}]}}{draw(WHITE)}'
    change = draw(st.integers(0, 20))
    if change == 0:
        text = text[:-1] + ', "rows": []}'
    if change == 1:
        text += draw(st.sampled_from(["{}", ",", "\0", "x", "\ufeff"]))
    if change == 2:
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.sampled_from([*':,"\\{}[]0', ""])) + text[place + 1 :]
    return text.encode()


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_reader_accepts_what_the_judge_accepts_with_the_same_values(contract):
    verdicts = set()

    @settings(
        max_examples=250, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(bodies(contract))
    def compare(body):
        expected = judged(contract, body)
        verdicts.add(expected is None)
        assert accepted(contract, body) == expected
        assert accepted_as_table(contract, body) == expected

    compare()
    assert verdicts == {True, False}


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_reader_comes_to_the_judges_verdict_on_every_odd_value_of_every_field(contract):
    bodies = [
        json.dumps({"rows": [example(contract) | {name: "ODD"}]}).replace('"ODD"', value).encode()
        for name in example(contract)
        for value in ODD_VALUES
    ]

    disputed = [
        body
        for body in bodies
        if accepted(contract, body) != judged(contract, body)
        or accepted_as_table(contract, body) != judged(contract, body)
    ]

    assert disputed == []


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("hidden", ['"a\\u003ab"', '"2013-07-15T12\\u003a00\\u003a00"'])
def test_no_escape_hides_a_key_that_comes_twice(contract, hidden):
    whole = body_of(example(contract)).decode()
    for name, value in example(contract).items():
        pair = f"{json.dumps(name)}: {json.dumps(value)}"
        for other in example(contract):
            concealing = f"{json.dumps(other)}: {hidden}"
            was = f"{json.dumps(other)}: {json.dumps(example(contract)[other])}"
            body = whole.replace(was, concealing).replace("[{", f"[{{{pair}, ")

            assert accepted(contract, body.encode()) is None
            assert accepted_as_table(contract, body.encode()) is None


def test_real_rows_are_read_by_the_decoder_as_they_are(real_rows, monkeypatch):
    spec = spec_of()
    sent = real_rows[[field.name for field in spec.sent]]
    answer_fast = RowReader(spec.sent, MAX_ROWS)
    monkeypatch.setattr(answer_fast, "judged", None)

    rows = read_rows(answer_fast, body_of(*json_records(sent)))

    read = pd.DataFrame(rows, columns=sent.columns)
    pd.testing.assert_frame_equal(read, sent.reset_index(drop=True), check_dtype=False)
    table = TableReader(answer_fast).read_json(body_of(*json_records(sent)))
    columns = {field.name: plain(table[field.name], field) for field in spec.sent}
    read = pd.DataFrame(columns, columns=sent.columns)
    pd.testing.assert_frame_equal(read, sent.reset_index(drop=True), check_dtype=False)


@pytest.mark.parametrize("number", [2**53 + 1, 2**60 - 1, -(2**63), 2**63 - 1])
def test_integers_beyond_what_floats_can_hold_are_exact(number):
    [row] = read_rows(reader(Odd), body_of(example(Odd) | {"digits": number}))

    assert row[2] == number


def test_fractions_of_seconds_are_kept_to_microseconds_and_then_cut():
    moment = "2013-07-15T12:00:00.9999999"

    [row] = read_rows(reader(Inputs), body_of(example(Inputs) | {"leaves_at": moment}))

    assert row[3] == pd.Timestamp(moment).floor("us")


# what is said of requests that are refused


def refusal(body, contract=Inputs):
    with pytest.raises(BadRequestError) as refused:
        read_rows(reader(contract), body)
    return refused.value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{", "not JSON: Expecting property name"),
        (b"\xff\xfe", "not UTF-8: invalid start byte at byte 0"),
        (b'{"rows": [\xc3\x28]}', "not UTF-8: invalid continuation byte at byte 10"),
        (b"[" * 10_000, "nested too deeply"),
        (b'{"rows": [' + b"[" * 100_000, "nested too deeply"),
        (b'{"rows": [NaN]}', "NaN is no number; leave the value out or send null"),
        (b'{"rows": [-Infinity]}', "-Infinity is no number"),
        (b'{"rows": [], "rows": []}', 'the key "rows" comes twice'),
        (b'{"rows": [' + b"9" * 5000 + b"]}", "not JSON: Exceeds the limit"),
    ],
)
def test_a_body_that_is_no_json_is_malformed(body, said):
    error = refusal(body)

    assert (error.status, error.reason) == (400, "malformed")
    assert said in error.detail
    assert len(error.detail) < 300


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ([], "an object with one field"),
        ({}, "an object with one field"),
        (None, "an object with one field"),
        ({"rows": [], "row": 1}, "an object with one field"),
        ({"rows": []}, "at least one row"),
        ({"rows": {}}, "at least one row"),
        ({"rows": None}, "at least one row"),
        ({"rows": [{}] * (MAX_ROWS + 1)}, "more rows than the 1,000"),
    ],
)
def test_a_body_of_another_shape_is_refused(request_, said):
    error = refusal(json.dumps(request_).encode())

    assert error.status == 422
    assert said in error.detail
    assert error.problems == []


def test_as_many_rows_as_may_be_are_read_and_no_more():
    row = example(Alone)

    assert len(read_rows(reader(Alone), body_of(*[row] * MAX_ROWS))) == MAX_ROWS
    assert refusal(body_of(*[row] * (MAX_ROWS + 1)), Alone).reason == "too_many_rows"


def test_what_is_wrong_names_row_field_rule_and_value():
    error = refusal(body_of(example(Inputs), example(Inputs) | {"courier": "ZZ"}))

    assert (error.status, error.reason, error.detail) == (
        422,
        "invalid",
        "Rows break the contract.",
    )
    [found] = error.problems
    assert (found["row"], found["field"], found["rule"]) == (1, "courier", "literal_error")
    assert found["value"] == '"ZZ"'


def test_a_personal_value_is_not_quoted():
    error = refusal(body_of(example(Odd) | {"note": 1815, "floor": 13}), Odd)

    assert [found["field"] for found in error.problems] == ["floor", "note"]
    assert "1815" not in str(error.problems)


def test_of_many_errors_the_first_are_named():
    error = refusal(body_of(*[example(Inputs) | {"courier": "ZZ"}] * 900))

    assert len(error.problems) == MAX_ERRORS
    assert error.detail == f"Rows break the contract. The first {MAX_ERRORS} errors are named."


def test_rows_of_a_table_are_named_by_their_numbers():
    wrong = example(Inputs) | {"courier": "ZZ"}

    with pytest.raises(BadRequestError) as refused:
        reader(Inputs).refuse([wrong, example(Inputs), wrong], [17, 40, 99])

    assert [found["row"] for found in refused.value.problems] == [17, 99]
    reader(Inputs).refuse([example(Inputs)], [3])
