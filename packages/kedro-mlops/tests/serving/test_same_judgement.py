"""One contract, six judges: Pandera, the service's judge, its three readers, and the engine."""

import json
import math
import operator
import re
from functools import cache, partial
from typing import Any, NamedTuple

import pandas as pd
import pandera.pandas as pa
import pyarrow as arrow
import pytest
from example.contracts import Inputs
from example.hostile import read_rows
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pandera.dtypes import is_int
from pandera.errors import SchemaErrorReason as Reason
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.checks import CHECKS, Check
from kedro_mlops.runtime.field_types import MAX_TEXT, request_model
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError

NOON = pd.Timestamp("2013-07-15T12:00:00")
# the type of each kind, the one with room for missing values, and what its checks are about
KINDS = {
    "int": (int, pd.Int64Dtype, {"low": 2, "high": 7, "values": [-1, 0, 1, 7]}),
    "float": (float, float, {"low": 0.1, "high": 1.0, "values": [-1.5, 0.0, 0.1, 7.0]}),
    "text": (str, str, {"low": "A", "high": "b é", "values": ["AA", "b é", ""]}),
    "bool": (bool, pd.BooleanDtype, {"low": False, "high": True, "values": [True]}),
    "datetime": (
        pd.Timestamp,
        pd.Timestamp,
        {"low": NOON.normalize(), "high": NOON, "values": [NOON, NOON.normalize()]},
    ),
}
# JSON's own words, its edges, and what is easily taken for something else
TEMPTING = [
    *(None, True, False, [], [None], [1], ["AA"], {}, {"value": 1}),
    *(0, 1, -1, 2, 5.0, -0.0, 0.5, 1e-300, 5e-324, 1e308, 2**53 + 1, 1373909400, 20130715),
    *(2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**30, 10**400),
    *(math.inf, -math.inf, math.nan),
    *("", " ", "\n", "\0", "é", "e\u0301", "🛩", "ÄÖ", "AB", "ABC", "ABC\n", "A" * MAX_TEXT),
    *("0", "1", "1.5", "true", "True", "yes", "null", "None", "NaN", "nan", "inf", "1373909400"),
    *("2013-07-15", "2013-07-15T17:30", "2013-07-15 17:30:00", "2013-07-15T17:30:00.1234567"),
    *("2013-07-15T17:30:00Z", "2013-07-15T17:30:00+02:00", "2013-02-29", "2013-13-01"),
    *("2013-07-15T24:00:00", "2013-07-15T17:60:00", "2013-07-15\n", " 2013-07-15", "15.07.2013"),
    *("20130715", "2013", "12:00", "now", "0001-01-01", "1500-06-01", "9999-12-31T23:59:59"),
]
ISO_8601 = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII
)
VERDICTS_PER_COLUMN = 100


class Judged(NamedTuple):
    """A value and the verdicts on it: passed, refused, or None of a judge it is not for."""

    value: Any
    pandera: bool | None
    service: bool
    reader: bool | None
    arrow: bool | None
    engine: bool | None

    @property
    def disputed(self):
        return len({self.pandera, self.service, self.reader, self.arrow, self.engine} - {None}) > 1


def synthetic_fields():
    for kind, (required, optional, about) in KINDS.items():
        checks = {
            "free": {},
            **{bound: {bound: about["low"]} for bound in ("ge", "gt")},
            **{bound: {bound: about["high"]} for bound in ("le", "lt")},
            **{check: {check: about["values"]} for check in ("isin", "notin")},
        }
        if kind == "text":
            checks["str_matches"] = {"str_matches": r"[A-Z]{2}$"}
            checks["str_length"] = {"str_length": {"max_value": 3}}
            checks["str_length_long"] = {"str_length": {"max_value": MAX_TEXT + 1}}
            checks["str_matches_either"] = {"str_matches": r"AB|N[0-9]+$"}
        for check, arguments in checks.items():
            yield f"{kind}_{check}", required, column(f"{kind} {check}", **arguments)
            optional_field = column(f"{kind} {check} or null", nullable=True, **arguments)
            yield f"{kind}_{check}_or_null", optional, optional_field


def contract_of(name, fields):
    annotations = {field: annotation for field, annotation, _ in fields}
    members = {field: definition for field, _, definition in fields}
    return type(name, (Contract,), {"__annotations__": annotations, **members})


Synthetic = contract_of("Synthetic", list(synthetic_fields()))
# names that need an escape in JSON, or mean something else to one of the judges
Odd = contract_of(
    "Odd",
    [
        (f"odd_{i}", KINDS[kind][i % 2], column("Odd", alias=name, nullable=bool(i % 2)))
        for i, (kind, name) in enumerate(
            zip([*KINDS, *KINDS], [
                *('x"y', "a.b: c", "model_config", "new\nline", "$ref", "field_0", "json", "\\"),
                *("größe 🛩", "{{ x }}"),
            ], strict=True)
        )
    ],
)  # fmt: skip
CASES = [
    pytest.param(contract, sent.name, id=f"{contract.__name__}-{sent.name!r}")
    for contract in (Inputs, Synthetic, Odd)
    for sent in Columns.of(contract).sent
]


@cache
def alone(contract, name):
    """A contract of just one column of another."""
    annotation, definition = contract.__fields__[name]
    return contract_of(name, [(name, annotation.raw_annotation, definition)])


@cache
def row_model(contract):
    return request_model(fields_of(Columns.of(contract).only(*sent_by(contract))))


def sent_by(contract):
    return [column.name for column in Columns.of(contract).sent]


def dtype_of(column):
    # moments are kept in microseconds, whatever finer fraction the text has
    return "datetime64[us]" if column.kind == "datetime" else str(column.dtype)


def right_json_type(column, value):
    if value is None:
        return True
    if column.kind == "numeric":
        # JSON has one kind of number: an integer may be written with a point
        whole = is_int(column.dtype) and isinstance(value, float) and not value.is_integer()
        return isinstance(value, int | float) and not isinstance(value, bool) and not whole
    return isinstance(value, {"categorical": str, "datetime": str, "boolean": bool}[column.kind])


def held(column, value):
    """The value as a series: of the contract's type if JSON's is the right one, else as it is."""
    as_it_is = pd.Series([value])
    if not right_json_type(column, value):
        return as_it_is
    if column.kind == "numeric" and is_int(column.dtype) and value is not None:
        value = int(value)
    # JSON has no moments, just text; ISO 8601 is the text that is one
    if column.kind == "datetime" and value is not None:
        if not ISO_8601.fullmatch(value):
            return as_it_is
        try:
            moment = pd.Timestamp(value)
        except ValueError:
            return as_it_is
        return pd.Series([moment]) if moment.tz else pd.Series([moment], dtype=dtype_of(column))
    try:
        typed = pd.Series([value], dtype=dtype_of(column))
    except (TypeError, ValueError, OverflowError):
        return as_it_is
    return as_it_is if value is None and typed.notna().all() else typed


def pandera_verdicts(contract, name, values):
    """Whether Pandera passes each value, as the only one of its column; None if it cannot tell."""
    schema, column = contract.to_schema().columns[name], Columns.of(contract)[name]
    # Pandera judges the type of a whole series: values of one type stand trial together
    groups = {}
    for position, value in enumerate(values):
        series = held(column, value).set_axis([position])
        kind = (series.dtype, type(value), series.isna().all())
        groups.setdefault(kind, []).append(series)
    refused = set()
    for (dtype, *_), group in groups.items():
        refused |= refused_by_pandera(schema, pd.concat(group), every=dtype == dtype_of(column))
    return [
        None if in_pythons_dialect(column, value) else position not in refused
        for position, value in enumerate(values)
    ]


def in_pythons_dialect(column, value):
    """Whether the value ends in a line break before which only Python's `$` would match."""
    ends = "$" in column.checks.get("str_matches", "")
    return ends and isinstance(value, str) and value.endswith("\n")


def refused_by_pandera(schema, series, every):
    """Index of the values that Pandera refuses; the first error will do where it is the type's."""
    try:
        schema.validate(series.to_frame(schema.name), lazy=every)
    except pa.errors.SchemaErrors as errors:
        return set().union(*(rows_of(error, series) for error in errors.schema_errors))
    except pa.errors.SchemaError as error:
        return rows_of(error, series)
    return set()


def rows_of(error, series):
    """The rows that an error of Pandera is about."""
    # of a series of another type it names just the rows that it could not convert
    if error.reason_code in (Reason.WRONG_DATATYPE, Reason.CHECK_ERROR):
        return set(series.index)
    return set(error.failure_cases["index"])


def service_verdicts(contract, name, values):
    """Whether the request model names the field of each value among its errors."""
    return [name not in fields_refused(row_model(contract), {name: value}) for value in values]


def fields_refused(model, row):
    [value] = row.values()
    # JSON has neither infinity nor not-a-number
    finite = not isinstance(value, float) or math.isfinite(value)
    try:
        model.model_validate_json(json.dumps(row)) if finite else model.model_validate(row)
    except ValidationError as refused:
        return {error["loc"][0] for error in refused.errors(include_url=False)}
    return set()


def reader_verdicts(contract, name, values):
    """Whether the readers of requests accept each value; None for what JSON cannot say."""
    fields = fields_of(Columns.of(alone(contract, name)))
    rows = RowReader(fields, max_rows=1)
    table = TableReader(rows)

    def verdict(value):
        if isinstance(value, float) and not math.isfinite(value):
            return None
        body = json.dumps({"rows": [{name: value}]}).encode()
        [said] = {accepts(read, body) for read in (partial(read_rows, rows), table.read_json)}
        return said

    return [verdict(value) for value in values]


def arrow_verdicts(contract, name, values):
    """Whether the reader of Arrow accepts each value; None for what Arrow cannot say."""
    fields = fields_of(Columns.of(alone(contract, name)))
    [field] = fields
    table = TableReader(RowReader(fields, max_rows=1))

    def verdict(value):
        if field.kind == "datetime" and isinstance(value, str):
            series = held(Columns.of(contract)[name], value)
            if series.dtype != "datetime64[us]":
                return None
            value = series[0].to_pydatetime()
        try:
            array = arrow.array([value])
        except (ValueError, OverflowError, arrow.ArrowException):
            return None
        return accepts(table.read_arrow, stream_of({name: array}))

    return [verdict(value) for value in values]


def stream_of(columns):
    table, sink = arrow.table(columns), arrow.BufferOutputStream()
    with arrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def accepts(read, body):
    try:
        read(body)
    except BadRequestError:
        return False
    return True


def engine_verdicts(contract, name, values):
    """Whether the quarantine leaves each value alone; None for one that is of another type.

    And for text that stands for no value in a source of text: callers say null.
    """
    column = Columns.of(contract)[name]
    found = {
        i: held(column, value)
        for i, value in enumerate(values)
        if not (isinstance(value, str) and value in column.missing)
    }
    typed = {i: series for i, series in found.items() if series.dtype == dtype_of(column)}
    frame = pd.concat(typed.values(), ignore_index=True).to_frame(name)
    _, quarantined, _ = screen(frame, alone(contract, name))
    refused = set(quarantined["row"].to_pyarrow().to_pylist())
    verdicts = {i: row not in refused for row, i in enumerate(typed, start=1)}
    return [verdicts.get(i) for i in range(len(values))]


def landmarks(column):
    """Bounds, and allowed or forbidden values."""
    if "str_matches" in column.checks:
        return ["AB", "ABC", "EAST", "N1", "AB1"]
    if "str_length" in column.checks:
        longest = column.checks["str_length"]
        return ["é" * longest, "🛩" * longest, "A" * (longest + 1), "🛩" * (longest + 1)]
    limits = column.checks.values()
    return [one for value in limits for one in (value if isinstance(value, list) else [value])]


def near_misses(column):
    """What lies at, and next to, the landmarks of a column."""
    near = {
        "numeric": lambda x: [
            *(x, x - 1, x + 1, -x, x + 0.5, float(x), str(x), [x], x == 1),
            *(math.nextafter(x, -math.inf), math.nextafter(x, math.inf)),
        ],
        "categorical": lambda x: [
            *(x, x.lower(), x.upper(), x.title(), f"{x} ", f" {x}", f"{x}\n", f"\n{x}", x[:-1]),
            *(x + x, f"{x}é", f"é{x}", f"{x}\0", x.replace("é", "e\u0301"), [x]),
        ],
        "datetime": lambda x: [
            *((x + pd.Timedelta(step, "us")).isoformat() for step in (-1, 0, 1)),
            *(str(x), str(x.date()), f"{x.isoformat()}Z", x.timestamp(), int(x.timestamp())),
        ],
        "boolean": lambda x: [x, not x, int(x), float(x), str(x), str(x).lower()],
    }[column.kind]
    return [miss for landmark in landmarks(column) for miss in near(landmark)]


def plausible(column):
    """Values of the right type, often within the column's checks."""
    limits = [x for x in landmarks(column) if isinstance(x, int | float)]
    low, high = min(limits, default=-1), max(limits, default=1)
    if column.kind == "numeric":
        integers = st.integers() | st.integers(math.floor(low) - 9, math.ceil(high) + 9)
        return integers if is_int(column.dtype) else integers | st.floats() | st.floats(low, high)
    if column.kind == "datetime":
        day = st.datetimes(NOON.normalize(), NOON + pd.Timedelta("12h"))
        return (st.datetimes() | day).map(lambda moment: moment.isoformat())
    if column.kind == "boolean":
        return st.booleans()
    patterns = [column.checks[name] for name in column.checks if name == "str_matches"]
    return st.one_of(st.text(), st.text("ABNabé1 \n", max_size=4), *map(st.from_regex, patterns))


def of_any_type():
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    return scalars | st.lists(scalars, max_size=2)


def values_for(column):
    """Tempting values, near misses, and drawn ones: both plausible and of any type."""
    found = [*TEMPTING, *near_misses(column)]

    @settings(max_examples=4, phases=[Phase.generate], database=None, deadline=None)
    @given(st.lists(plausible(column) | of_any_type(), min_size=20, max_size=40))
    def draw(values):
        found.extend(values)

    draw()
    distinct = {f"{type(value)} {value!r}": value for value in found}
    # by null JSON says what pandas says by not-a-number
    comparable = [value for value in distinct.values() if not (column.nullable and is_nan(value))]
    return [value for value in comparable if not too_long(column, value)]


def too_long(column, value):
    """Whether a text is longer than callers may send, where the contract does not say so."""
    return isinstance(value, str) and "str_length" not in column.checks and len(value) > MAX_TEXT


def is_nan(value):
    return isinstance(value, float) and math.isnan(value)


def verdicts_on(contract, name, values):
    """What each judge says of each value."""
    verdicts = zip(
        values,
        pandera_verdicts(contract, name, values),
        service_verdicts(contract, name, values),
        reader_verdicts(contract, name, values),
        arrow_verdicts(contract, name, values),
        engine_verdicts(contract, name, values),
        strict=True,
    )
    return [Judged(*verdict) for verdict in verdicts]


@pytest.mark.parametrize(("contract", "name"), CASES)
def test_every_judge_of_a_value_comes_to_the_same_verdict(contract, name):
    judged = verdicts_on(contract, name, values_for(Columns.of(contract)[name]))

    assert [one for one in judged if one.disputed] == []
    assert len(judged) >= VERDICTS_PER_COLUMN
    assert {one.service for one in judged} == {True, False}
    assert any(one.engine for one in judged)
    assert {one.arrow for one in judged} >= {True, False}


def test_thousands_of_verdicts_are_compared():
    n_verdicts = len(CASES) * VERDICTS_PER_COLUMN

    assert n_verdicts >= 5_000


def test_every_check_of_the_table_is_judged():
    judged = {check for declared in Columns.of(Synthetic).all for check in declared.checks}

    assert judged == set(CHECKS)


NEW_CHECKS = [
    (
        str,
        "AB",
        Check(
            name="str_startswith",
            pandera="str_startswith",
            words="text that begins with {}",
            query=lambda texts, beginning: texts.startswith(beginning),
            value=lambda beginning: lambda text: text.startswith(beginning),
            rule="begins_with",
            schema=lambda beginning: {"pattern": f"^{re.escape(beginning)}"},
        ),
    ),
    *(
        (
            dtype,
            limit,
            Check(
                name="ne",
                pandera="not_equal_to",
                words="other than {}",
                query=operator.ne,
                value=lambda limit: lambda value: value != limit,
                rule="ne",
                array=operator.ne,
                schema=lambda limit: {"not": {"const": limit}},
            ),
        )
        for dtype, limit in [(int, 2), (float, 0.5), (pd.Timestamp, NOON), (bool, True)]
    ),
]


@pytest.mark.parametrize(("dtype", "limit", "check"), NEW_CHECKS)
def test_a_new_check_is_one_entry_of_the_table(monkeypatch, dtype, limit, check):
    monkeypatch.setitem(CHECKS, check.name, check)
    contract = contract_of("New", [("one", dtype, column("One", **{check.name: limit}))])

    judged = verdicts_on(contract, "one", values_for(Columns.of(contract)["one"]))

    assert [one for one in judged if one.disputed] == []
    for judge in ("service", "reader", "arrow", "engine"):
        assert {getattr(one, judge) for one in judged} >= {True, False}
    [field] = fields_of(Columns.of(contract))
    told = request_model([field]).model_json_schema()["properties"]["one"]
    assert check.schema(field.rules[check.rule]).items() <= told.items()
