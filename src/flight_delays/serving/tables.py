"""Large requests: many rows at once, column by column."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from flight_delays.portable.encoding import Arrays, Coded, Column
from flight_delays.portable.plan import Field

from .answers import MADE, missing_text
from .features import FeatureStore, Group
from .recent import Entry

if TYPE_CHECKING:
    import pyarrow as pa

ID_PREFIX = 20  # of 32 hexadecimal digits; the others count
HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)
A = TypeVar("A")
B = TypeVar("B")


class TableAnswers(NamedTuple):
    """The predictions for the rows of a table, each of the same length."""

    ids: "pa.Array"
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    model_version: str
    missing: Coded[dict[str, str]]
    unseen: Coded[list[str]]


def pairs(first: Coded[A], second: Coded[B]) -> Coded[tuple[A, B]]:
    """What two columns have together in each row; every pair is named once."""
    import pyarrow as pa  # noqa: PLC0415 - large, and only for these requests

    n_second = len(second.values)
    found = pa.array(first.codes * n_second + second.codes).dictionary_encode()
    ours, theirs = np.divmod(found.dictionary.to_numpy(), n_second)
    values = zip(
        map(first.values.__getitem__, ours.tolist()),
        map(second.values.__getitem__, theirs.tolist()),
        strict=True,
    )
    return Coded(found.indices.to_numpy().astype(np.int64), list(values))


# features


def complete_table(
    columns: Arrays, store: FeatureStore, event_time: str, names: Sequence[str]
) -> tuple[dict[str, Column], Coded[dict[str, str]]]:
    """Add the looked-up columns.

    Args:
        columns: The columns that were sent, named ``names`` in the order of the plan's fields.
        store: Where the others are looked up.
        event_time: The column that says for which day.
        names: See above.

    Returns:
        All the columns, and per row why values are missing.
    """
    completed = dict(columns)
    kinds = {field.name: field for field in store.plan.looked_up}
    moments = np.asarray(columns[event_time])
    days = _days(moments)
    missing: Coded[dict[str, str]] = Coded(np.zeros(len(moments), np.int64), [{}])
    for number, group in enumerate(store.groups):
        entities = columns[names[group.by]]
        assert isinstance(entities, Coded)
        found = _found(store, number, group, entities, days)
        values, reasons_of = zip(*found.values, strict=True)
        for name, column in zip(group.names, zip(*values, strict=True), strict=True):
            completed[name] = _looked_up(column, kinds[name], found.codes)
        reasons = Coded(found.codes, list(reasons_of))
        if any(reasons.values):
            both = pairs(missing, _distinct(reasons))
            missing = Coded(both.codes, [known | more for known, more in both.values])
    return completed, missing


def _days(moments: NDArray[np.datetime64]) -> Coded[date]:
    import pyarrow as pa  # noqa: PLC0415

    days = pa.array(moments.astype("datetime64[D]")).dictionary_encode()
    return Coded(days.indices.to_numpy().astype(np.int64), days.dictionary.to_pylist())


def _found(
    store: FeatureStore, number: int, group: Group, entities: Coded[str | None], days: Coded[date]
) -> Coded[Entry]:
    """What the store has of a group for each row."""
    keys: Coded[Any] = (
        Coded(entities.codes, [(entity, None) for entity in entities.values])
        if group.day is None
        else pairs(entities, days)
    )
    asked = [None if key[0] is None else key for key in keys.values]
    return Coded(keys.codes, store.find(number, asked))


def _distinct(reasons: Coded[dict[str, str]]) -> Coded[dict[str, str]]:
    """The same, every value once."""
    place: dict[tuple[tuple[str, str], ...], int] = {}
    codes = [place.setdefault(tuple(found.items()), len(place)) for found in reasons.values]
    return Coded(np.array(codes)[reasons.codes], [dict(items) for items in place])


def _looked_up(values: Sequence[Any], field: Field, place: NDArray[np.int64]) -> Column:
    """A looked-up column from its distinct values; numbers that were not found are NaN."""
    if field.kind in ("numeric", "boolean"):
        return np.array(values, dtype=np.float64)[place]
    if field.kind == "datetime":
        return np.array(values, dtype="datetime64[us]")[place]
    return Coded(place, list(values))


# answers


def new_ids(n_rows: int) -> "pa.Array":
    """Ids that no other request has, as many as rows."""
    import pyarrow as pa  # noqa: PLC0415

    prefix = uuid.uuid4().hex[:ID_PREFIX].encode()
    digits = np.empty((n_rows, 32), np.uint8)
    digits[:, :ID_PREFIX] = np.frombuffer(prefix, np.uint8)
    shifts = np.arange(4 * (32 - ID_PREFIX - 1), -1, -4)
    digits[:, ID_PREFIX:] = HEXADECIMAL[(np.arange(n_rows)[:, None] >> shifts) & 15]
    offsets = np.arange(0, 32 * (n_rows + 1), 32, dtype=np.int32)
    return pa.StringArray.from_buffers(n_rows, pa.py_buffer(offsets), pa.py_buffer(digits))


def unseen_by_row(unseen: dict[str, NDArray[np.bool_]], n_rows: int) -> Coded[list[str]]:
    """Per row, the features of which the model has not seen the category."""
    found: Coded[list[str]] = Coded(np.zeros(n_rows, np.int64), [[]])
    for name, rows in unseen.items():
        both = pairs(found, Coded(rows.astype(np.int64), [[], [name]]))
        found = Coded(both.codes, [known + more for known, more in both.values])
    return found


def logged_table(
    columns: Arrays, names: list[str], answers: TableAnswers, now: datetime
) -> "pa.Table":
    """The rows as the prediction log has them."""
    import pyarrow as pa  # noqa: PLC0415

    n_rows = len(answers.ids)
    same = np.zeros(n_rows, np.int8)
    made = [
        answers.ids,
        pa.repeat(pa.scalar(now, pa.timestamp("us")), n_rows),
        _named(same, [answers.model_version]),
        pa.array(answers.probabilities),
        pa.array(answers.decisions),
        _named(same, ["champion"]),
        _named(answers.missing.codes, map(missing_text, answers.missing.values)),
    ]
    return pa.table([*(_arrow(columns[name]) for name in names), *made], names=[*names, *MADE])


def _arrow(column: Column) -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, Coded):
        return _named(column.codes, column.values)
    if column.dtype.kind == "f":
        return pa.array(column, from_pandas=True)
    return pa.array(column)


def _named(codes: NDArray[Any], values: Iterable[str | None]) -> "pa.DictionaryArray":
    import pyarrow as pa  # noqa: PLC0415

    return pa.DictionaryArray.from_arrays(codes, pa.array(values, pa.string()))


def write_json(answers: TableAnswers) -> bytes:
    """The answers as ``{"predictions": [...]}``, without an object for any row."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    encode = msgspec.json.encode
    decisions = Coded(answers.decisions.astype(np.int64), [False, True])
    others = pairs(pairs(decisions, answers.missing), answers.unseen)
    version = encode(answers.model_version).decode()
    ends = [
        f'{encode(decision).decode()},"model_version":{version},'
        f'"missing_features":{encode(missing).decode()},"unseen_categories":{encode(unseen).decode()}}}'
        for (decision, missing), unseen in others.values
    ]
    rows = pc.binary_join_element_wise(
        '{"prediction_id":"', answers.ids,
        '","probability":', pa.array(answers.probabilities).cast(pa.string()),
        ',"decision":', _named(others.codes, ends).dictionary_decode(),
        "",
    )  # fmt: skip
    together = pa.ListArray.from_arrays([0, len(rows)], rows.cast(pa.binary()))
    [joined] = pc.binary_join(together, b",")
    return b'{"predictions":[%b]}' % joined.as_buffer()


def write_arrow(answers: TableAnswers) -> bytes:
    """The answers as an Arrow IPC stream."""
    import pyarrow as pa  # noqa: PLC0415

    missing, unseen = answers.missing, answers.unseen
    table = pa.table(
        {
            "prediction_id": answers.ids,
            "probability": answers.probabilities,
            "decision": answers.decisions,
            "model_version": pa.repeat(answers.model_version, len(answers.ids)),
            "missing_features": _named(
                missing.codes, map(missing_text, missing.values)
            ).dictionary_decode(),
            "unseen_categories": _named(
                unseen.codes, (",".join(names) or None for names in unseen.values)
            ).dictionary_decode(),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
