"""Many rows at once: by JSON one by one, by JSON together and by Arrow, the same."""

import io
import json
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example.contracts import Inputs, Prediction
from example.factories import spec_of

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.json_records import json_records
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.serving import predictor
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.limits import OutOfTimeError
from kedro_mlops.serving.problem_details import ARROW, JSON
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError

SPEC = spec_of()
SENT = [field.name for field in SPEC.sent]
LOGGED = Columns.of(Prediction).without_personal()
NOON = pd.Timestamp("2013-07-15T12:00:00")


def stream(table):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    return sink.getvalue()


def body_of(rows):
    return json.dumps({"rows": json_records(rows)}).encode()


@pytest.fixture(scope="module")
def asked(real_rows):
    """Rows as callers send them, some with what the model has not seen, or the store has not."""
    rows = real_rows[SENT].reset_index(drop=True)
    rows.loc[::9, "area"] = "QQQ"
    rows.loc[::11, "van"] = None
    rows.loc[::13, "van"] = "N0"
    rows.loc[::17, "leaves_at"] = pd.Timestamp("1969-12-31T23:59:59.123456")
    return rows


@pytest.mark.parametrize("moment", ["0000-12-31T23:59:59", "10000-01-01T00:00:00"])
@pytest.mark.parametrize("way", ["json", "arrow"])
def test_a_moment_that_python_does_not_know_breaks_the_contract(state, asked, moment, way):
    table = pa.Table.from_pandas(asked[:200], preserve_index=False)
    place = table.column_names.index("leaves_at")
    moments = table["leaves_at"].to_numpy().astype("datetime64[us]")
    moments[150] = np.datetime64(moment)
    table = table.set_column(place, "leaves_at", pa.array(moments))
    records = json_records(asked[:200])
    records[150]["leaves_at"] = moment
    body = {"json": json.dumps({"rows": records}).encode(), "arrow": stream(table)}[way]

    with pytest.raises(BadRequestError) as raised:
        state().served.answer_large({"json": JSON, "arrow": ARROW}[way], body, b"*/*")

    assert raised.value.status in (400, 422)
    assert "leaves_at" in f"{raised.value.detail} {raised.value.problems}"


@pytest.fixture(params=[(10**6, ".jsonl"), (1, ".arrow")], ids=["lines", "tables"])
def three_ways(state, asked, tmp_path, request, monkeypatch):
    """By each way, the answers and the log, where large requests are logged as lines or tables."""
    min_rows, kind = request.param
    monkeypatch.setattr(predictor, "MIN_TABLE_ROWS", min_rows)

    def one_by_one(one):
        answers = []
        for record in json_records(asked):
            rows = one.served.reader.read_at_once(json.dumps({"rows": [record]}).encode())
            completed = one.store.complete_all(rows)
            answers += json.loads(one.served.predictor.answer(completed))["predictions"]
        return answers

    def together(one):
        return json.loads(one.served.answer_large(JSON, body_of(asked), b"*/*").body)["predictions"]

    def by_arrow(one):
        table = pa.Table.from_pandas(asked, preserve_index=False)
        return json.loads(one.served.answer_large(ARROW, stream(table), JSON).body)["predictions"]

    found = []
    for way in (one_by_one, together, by_arrow):
        folder = tmp_path / way.__name__
        one = state(prediction_log_dir=str(folder))
        found.append((way(one), read_log(folder, LOGGED)))
        expected = ".jsonl" if way is one_by_one else kind
        assert {file.suffix for file in folder.iterdir()} == {expected}
    return found


def test_all_ways_give_the_same_answers_and_log_the_same(three_ways, asked, boosted):
    (expected, expected_log), *others = three_ways
    made = ["prediction_id", "predicted_at"]
    ids = [answer.pop("prediction_id") for answer in expected]
    assert expected_log["prediction_id"].to_pylist() == ids

    for answers, log in others:
        assert [answer.pop("prediction_id") for answer in answers] == log[
            "prediction_id"
        ].to_pylist()
        assert answers == expected
        assert log.drop_columns(made).equals(expected_log.drop_columns(made))
    assert len(set(ids)) == len(asked)
    # the log holds what the model was given
    inputs = expected_log.to_pandas()
    inputs = inputs.astype({c.name: c.types.pandas for c in LOGGED.all})
    probabilities = [answer["probability"] for answer in expected]
    np.testing.assert_allclose(boosted.score(inputs), probabilities, rtol=0, atol=1e-12)
    assert inputs["probability"].tolist() == probabilities


def test_the_answers_say_what_was_missing_and_unseen(three_ways, asked):
    (answers, log), *_ = three_ways

    unseen = {i for i, answer in enumerate(answers) if "area" in answer["unseen_categories"]}
    reasons = {reason for answer in answers for reason in answer["missing_features"].values()}
    assert set(range(0, len(asked), 9)) <= unseen
    assert {"no_key", "unknown_key"} <= reasons
    texts = log["missing_features"].to_pylist()
    assert [bool(text) for text in texts] == [
        bool(answer["missing_features"]) for answer in answers
    ]


def test_scikit_learn_answers_alike_by_all_ways(package, windows, asked, tmp_path):
    from example.lookups import Heard

    from kedro_mlops.export.serving_form import export
    from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
    from kedro_mlops.serving.bulk_features import complete_table
    from kedro_mlops.serving.bulk_reading import columns_of
    from kedro_mlops.serving.model import ServedModel

    spec = export(package, Columns.of(Inputs), windows[-1], 1e-9, tmp_path)
    model = ServedModel(tmp_path, spec, 1)
    store = FeatureStore(spec, StoreSettings("sqlite:///nowhere.db"), Heard())
    rows = RowReader(spec.sent, 100).read_at_once(body_of(asked.head(40)))

    scored = [model.score(values) for values, _ in store.complete_all(rows)]
    singly = [probability for probability, _ in scored]
    columns, _ = complete_table(columns_of(rows, spec.sent), store)
    together, unseen = model.score_table(columns)

    missing = asked.head(40).assign(**{field.name: np.nan for field in spec.looked_up})
    expected = package.score(missing)
    np.testing.assert_allclose(singly, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(together, expected, rtol=0, atol=1e-12)
    strange = [i for i, (_, names) in enumerate(scored) if "area" in names]
    assert strange == np.flatnonzero(unseen["area"]).tolist()
    assert set(range(0, 40, 9)) <= set(strange) < set(range(40))


def test_answers_are_in_arrow_for_who_asks_so(state, asked):
    one = state()
    table = pa.Table.from_pandas(asked.head(20), preserve_index=False)

    by_default = one.served.answer_large(ARROW, stream(table), b"*/*")
    of_json = one.served.answer_large(JSON, body_of(asked.head(20)), ARROW)

    for reply in (by_default, of_json):
        assert reply.kind == ARROW
        answers = pa.ipc.open_stream(reply.body).read_all()
        assert answers.num_rows == 20
        assert answers.column_names[:3] == ["prediction_id", "probability", "decision"]
        assert answers["unseen_categories"][0].as_py() == "area"


# what is refused


def table_reader(fields, max_rows=1000):
    return TableReader(RowReader(fields, max_rows))


READER = table_reader(SPEC.sent)


def read(table):
    return READER.read_arrow(stream(table) if isinstance(table, pa.Table) else table)


@pytest.fixture
def table(asked):
    return pa.Table.from_pandas(asked.iloc[1:9], preserve_index=False)


def with_column(table, name, values, type_=None):
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, type_))


def refusal(table):
    with pytest.raises(BadRequestError) as refused:
        read(table)
    return refused.value


class Clock:
    """Its time is over when it has been looked at so often."""

    def __init__(self, n_looks=10**6):
        self.n_looks, self.n_looked = n_looks, 0

    def __call__(self):
        self.n_looked += 1
        if self.n_looked > self.n_looks:
            raise OutOfTimeError


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("kind", [JSON, ARROW])
def test_wherever_time_is_over_the_work_ends_and_nothing_is_logged(
    state, asked, tmp_path, kind, explain
):
    """It is looked at before each column, each look-up, the explanation and the log."""
    one, rows = state(), asked[:50]
    table = pa.Table.from_pandas(rows, preserve_index=False)
    body = body_of(rows) if kind == JSON else stream(table)
    whole = Clock()
    one.served.answer_large(kind, body, b"*/*", whole, explain)
    n_logged = read_log(tmp_path / "log", LOGGED).num_rows

    for n_looks in range(whole.n_looked):
        with pytest.raises(OutOfTimeError):
            one.served.answer_large(kind, body, b"*/*", Clock(n_looks), explain)

    assert whole.n_looked >= len(SENT) + len(one.store.groups) + 2 + explain
    assert read_log(tmp_path / "log", LOGGED).num_rows == n_logged == len(rows)


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("courier", [None], "literal_error"),
        ("courier", ["ZZ"], "literal_error"),
        ("area", ["iah"], "string_pattern_mismatch"),
        ("area", ["QAA\n"], "string_pattern_mismatch"),
        ("area", [None], "string_type"),
        ("van", ["N" * 257], "string_too_long"),
        ("parcel_number", [0], "greater_than_equal"),
        ("parcel_number", [None], "int_type"),
        ("distance_km", [float("nan")], "float_type"),
        ("distance_km", [None], "float_type"),
        ("distance_km", [float("inf")], "finite_number"),
        ("temperature_c", [float("-inf")], "finite_number"),
        ("distance_km", [0.0], "greater_than"),
        ("distance_km", [10_000.5], "less_than_equal"),
        ("temperature_c", [-60.5], "greater_than_equal"),
        ("leaves_at", [None], "datetime_type"),
    ],
)
def test_a_value_that_breaks_the_contract_is_named_with_its_row(table, name, values, rule):
    good = table[name].to_pylist()

    error = refusal(with_column(table, name, [*good[:5], *values, *good[6:]], table[name].type))

    [found] = error.problems
    assert (error.status, error.reason) == (422, "invalid")
    assert (found["row"], found["field"], found["rule"]) == (5, name, rule)


def test_a_missing_optional_value_may_be_null_or_no_number(table):
    gusts = with_column(table, "gust_kmh", [None, float("nan"), *[1.0] * 6])

    columns = read(gusts)

    assert np.isnan(columns["gust_kmh"]).tolist() == [True, True, *[False] * 6]


def test_an_optional_column_may_be_left_out(table):
    columns = read(table.drop_columns(["gust_kmh", "van"]))

    assert np.isnan(columns["gust_kmh"]).all()
    assert columns["van"].values == [None]  # noqa: PD011


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop_columns(["courier"]), "missing ['courier']"),
        (lambda t: t.append_column("strange", t["courier"]), "unknown ['strange']"),
        (lambda t: t.append_column("courier", t["courier"]), "some come twice"),
        (lambda t: with_column(t, "courier", range(8)), "'courier' is int64"),
        (lambda t: with_column(t, "parcel_number", ["1"] * 8), "'parcel_number' is string"),
        (lambda t: with_column(t, "parcel_number", [2**63] * 8, "uint64"), "'parcel_number'"),
        (lambda t: with_column(t, "distance_km", ["1"] * 8), "'distance_km' is string"),
        (lambda t: with_column(t, "distance_km", [True] * 8), "'distance_km' is bool"),
        (lambda t: with_column(t, "distance_km", [None] * 8, "null"), "'distance_km' is null"),
        (lambda t: with_column(t, "leaves_at", ["2013"] * 8), "is string"),
        (
            lambda t: with_column(t, "leaves_at", [NOON] * 8, pa.timestamp("us", "UTC")),
            "is timestamp[us, tz=UTC]",
        ),
        (
            lambda t: with_column(t, "leaves_at", [2**62] * 8, pa.timestamp("us")),
            "beyond the years 1 to 9999",
        ),
        (
            lambda t: with_column(t, "leaves_at", [-(2**62)] * 8, pa.timestamp("us")),
            "beyond the years 1 to 9999",
        ),
        (
            lambda t: with_column(t, "leaves_at", [2**62] * 8, pa.timestamp("s")),
            "'leaves_at'",
        ),
        (lambda t: t.slice(0, 0), "no rows"),
        (lambda t: pa.concat_tables([t] * 200), "more than the 1,000"),
    ],
)
def test_a_table_of_another_shape_is_refused(table, change, said):
    error = refusal(change(table))

    assert error.status == 422
    assert said in error.detail


TEXTS = [pa.string(), pa.large_string(), pa.string_view()]
INDICES = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
]
INTEGERS = [*INDICES, pa.float32(), pa.float64(), pa.decimal128(30, 2)]
MOMENTS = [pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")]
SPELLINGS = [
    *(("courier", one) for one in TEXTS),
    *(("courier", pa.dictionary(index, one)) for index in INDICES for one in TEXTS),
    *(("parcel_number", one) for one in INTEGERS),
    *(("distance_km", one) for one in [*INTEGERS, pa.float16()]),
    *(("leaves_at", one) for one in [*MOMENTS, pa.date32(), pa.date64()]),
]


def spelled(values, as_type):
    """An array of a type, also where Arrow cannot make it of values."""
    if not pa.types.is_dictionary(as_type):
        return pa.array(values).cast(as_type)
    words = sorted(set(values))
    indices = pa.array([words.index(value) for value in values], as_type.index_type)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, as_type.value_type))


@pytest.mark.parametrize(("name", "as_type"), SPELLINGS, ids=str)
def test_a_type_may_be_spelled_as_libraries_do(table, name, as_type):
    values = {
        "parcel_number": [1, 2, 3, 4, 5, 6, 7, 100],
        "distance_km": [1, 2, 3, 4, 5, 6, 7, 100],
        "leaves_at": [datetime(2013, 7, 15 + i) for i in range(8)],  # noqa: DTZ001
    }.get(name, table[name].to_pylist())
    place = table.column_names.index(name)
    plainly, otherwise = (
        read(table.set_column(place, name, column))
        for column in (pa.array(values), spelled(values, as_type))
    )

    column, expected = otherwise[name], plainly[name]
    if name == "courier":
        assert [column.values[code] for code in column.codes] == values  # noqa: PD011
    else:
        assert column.tolist() == expected.tolist()
        assert name == "distance_km" or column.dtype == expected.dtype


@pytest.mark.parametrize("as_type", [pa.null(), pa.dictionary(pa.int8(), pa.null())], ids=str)
def test_a_column_without_any_value_may_be_of_no_type(table, as_type):
    without, nothing = table, pa.nulls(8)
    if pa.types.is_dictionary(as_type):
        nothing = pa.DictionaryArray.from_arrays(pa.nulls(8, pa.int8()), pa.nulls(0))
    optional = [field.name for field in SPEC.sent if field.nullable]
    for name in optional:
        place = without.column_names.index(name)
        without = without.set_column(place, name, nothing)

    columns = read(without)

    assert columns["van"].values == [None]  # noqa: PD011
    assert all(np.isnan(columns[name]).all() for name in optional if name != "van")


def test_words_of_dictionaries_that_change_are_not_mixed_up(table):
    batches = []
    for i, batch in enumerate(table.to_batches(max_chunksize=2)):
        words = pa.array(["AA", "AB"] if i % 2 else ["AB", None, "DL"])
        column = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), words)
        batches.append(batch.set_column(batch.schema.get_field_index("van"), "van", column))

    tails = read(pa.Table.from_batches(batches))["van"]

    found = [tails.values[code] for code in tails.codes]  # noqa: PD011
    assert found == [None, "AB", "AB", "AA"] * 2


@pytest.mark.parametrize("as_type", [pa.float64(), pa.decimal128(9, 1)], ids=str)
def test_an_integer_has_no_fraction(table, as_type):
    column = pa.array([1.0] * 7 + [1545.5]).cast(as_type)
    place = table.column_names.index("parcel_number")

    error = refusal(table.set_column(place, "parcel_number", column))

    [found] = error.problems
    assert (found["row"], found["field"], found["rule"]) == (7, "parcel_number", "int_type")


class Private(Contract):
    """Fields whose values are not for others."""

    name: str = column("Name", personal=True)
    born: pd.Timestamp = column("Born", personal=True)
    number: int = column("Number", personal=True)


def raw(as_type, *parts):
    """One value of just these bytes, right or not."""
    return pa.Array.from_buffers(as_type, 1, [None, *map(pa.py_buffer, parts)])


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("number", pa.array([2**63 + 1815], pa.uint64())),
        ("number", pa.array([1815.5])),
        ("number", pa.array(["1815"])),
        ("number", raw(pa.decimal128(2, 0), (1815).to_bytes(16, "little"))),
        ("born", pa.array([18150000000000], pa.timestamp("s"))),
        ("born", pa.array([1815], pa.timestamp("s", "UTC"))),
        ("born", raw(pa.date64(), (18150000).to_bytes(8, "little"))),
        ("name", pa.array(["Ada 1815" * 40])),
        ("name", pa.array(["Ada 1815" * 4000]).cast(pa.string_view())),
        ("name", raw(pa.string(), b"\0\0\0\0\5\0\0\0", b"1815\xff")),
        ("name", pa.array([b"Ada 1815"])),
    ],
)
def test_nothing_that_is_said_of_a_column_quotes_a_personal_value(name, array):
    good = {"name": pa.array(["Ada"]), "born": pa.array([NOON.to_pydatetime()]), "number": [1]}
    reader = table_reader(spec_of(Private).fields)
    reader.read_arrow(stream(pa.table(good)))

    with pytest.raises(BadRequestError) as refused:
        reader.read_arrow(stream(pa.table(good | {name: array})))

    said = f"{refused.value.detail} {refused.value.problems}"
    assert name in said
    assert "1815" not in said


@pytest.mark.parametrize("cut", [0, 1, 100, -1, -50, -500])
def test_bytes_that_are_no_stream_are_malformed(table, cut):
    whole = stream(table)
    error = None
    try:
        read(whole[:cut] if cut else b"")
    except BadRequestError as refused:
        error = refused

    # the mark at the end may be left out; all else may not
    assert (error is None) == (cut == -1) or error.status == 400
    assert error is None or "no Arrow IPC stream" in error.detail


@pytest.mark.parametrize("body", [b"no arrow", b"\0" * 100, b"\xff\xff\xff\xff\xff\xff\xff\x7f"])
def test_what_is_no_arrow_is_malformed(body):
    assert refusal(body).status == 400


def test_bytes_changed_anywhere_never_are_a_bug(table):
    whole = stream(table)
    rng = np.random.default_rng(0)
    seen = set()

    for place in rng.integers(0, len(whole), 300).tolist():
        changed = whole[:place] + bytes([rng.integers(0, 256)]) + whole[place + 1 :]
        try:
            read(changed)
            seen.add(200)
        except BadRequestError as refused:
            seen.add(refused.status)

    assert seen <= {200, 400, 413, 415, 422}
    assert len(seen) > 1


class Odd(Contract):
    """What can only be judged row by row."""

    code: str = column("Code", ge="B")
    wheels: int = column("Wheels", isin=[2, 4])
    floor: float = column("Floor", notin=[13.0], nullable=True)
    since: pd.Timestamp = column("Since", ge=NOON)
    paid: pd.BooleanDtype = column("Paid", isin=[True], nullable=True)
    secret: str = column("Secret", personal=True, str_matches="[a-z]$")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("code", "A"), ("wheels", 3), ("floor", 13.0),
        ("since", datetime.fromisoformat("2013-07-15")),
        ("paid", False), ("secret", "B1815"),
    ],
)  # fmt: skip
def test_a_row_far_down_is_judged_like_the_first(name, value):
    n_rows = 700
    good = {
        "code": "B", "wheels": 4, "floor": 12.0, "since": NOON.to_pydatetime(), "paid": True,
        "secret": "b",
    }  # fmt: skip
    rows = [dict(good) for _ in range(n_rows)]
    reader = table_reader(spec_of(Odd).fields)
    reader.read_arrow(stream(pa.Table.from_pylist(rows)))
    rows[-1][name] = value

    with pytest.raises(BadRequestError) as refused:
        reader.read_arrow(stream(pa.Table.from_pylist(rows)))

    [found] = refused.value.problems
    assert (found["row"], found["field"]) == (n_rows - 1, name)
    assert "1815" not in str(found)


@pytest.mark.parametrize("first", ["record batch", "dictionary"])
def test_a_stream_that_does_not_begin_with_a_schema_is_none(first):
    table = pa.table({"text": pa.array(["a", "b"]).dictionary_encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    messages = {m.type: m for m in pa.ipc.MessageReader.open_stream(sink.getvalue())}

    error = refusal(messages[first].serialize().to_pybytes())

    assert error.status == 400
    assert "no Arrow IPC stream" in error.detail
