"""Large requests: what is answered and what is logged, without an object for any row."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedro_mlops.runtime.encoding import Arrays, Coded, as_coded
from kedro_mlops.runtime.serving_spec import Field

from .answers import EXPLANATION, as_text
from .arrow_columns import pairs, whole_numbers
from .model import ServedModel

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ID_PREFIX = 20  # of 32 hexadecimal digits; the others count
# in Arrow, a column each
CONTRIBUTION = "contribution_"
HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)

# by name: of NumPy, of Arrow (ids), coded, or several that belong together
Columns = Mapping[str, Any]


class TableAnswers(NamedTuple):
    """The answers to the rows of a table: the fields of an answer, and who gave them.

    Attributes:
        predicted: What is predicted, by the names of ``Output.told``.
    """

    prediction_id: "pa.Array"
    predicted: dict[str, NDArray[Any]]
    model_version: Coded[str]
    missing_features: Coded[dict[str, str]]
    unseen_categories: Coded[list[str]]
    variant: Coded[str]

    def told(self) -> dict[str, Any]:
        """What the caller is told."""
        named = self.logged()
        return {name: column for name, column in named.items() if name != "variant"}

    def logged(self) -> dict[str, Any]:
        """Likewise, with who gave them."""
        named = self._asdict()
        return {"prediction_id": named.pop("prediction_id"), **named.pop("predicted"), **named}


def answer_rows(
    model: ServedModel, variant: str, columns: Arrays, missing: Coded[dict[str, str]]
) -> TableAnswers:
    """What a model answers to completed rows."""
    scores, unseen = model.score_table(columns)
    n_rows = len(scores)
    same = np.zeros(n_rows, np.int64)
    return TableAnswers(
        prediction_id=new_ids(n_rows),
        predicted=model.spec.output.of_rows(scores),
        model_version=Coded(same, [model.spec.model_version]),
        missing_features=missing,
        unseen_categories=unseen_by_row(unseen, n_rows),
        variant=Coded(same, [variant]),
    )


def mixed(ours: TableAnswers, theirs: TableAnswers, takes: NDArray[np.bool_]) -> TableAnswers:
    """Theirs in the rows that they take, ours in the others; the ids are ours."""
    predicted = {
        name: np.where(takes, theirs.predicted[name], column)
        for name, column in ours.predicted.items()
    }
    others: Any = zip(ours[2:], theirs[2:], strict=True)
    coded = (_mixed(one, other, takes) for one, other in others)
    return TableAnswers(ours.prediction_id, predicted, *coded)


def _mixed(ours: Coded[T], theirs: Coded[T], takes: NDArray[np.bool_]) -> Coded[T]:
    codes = np.where(takes, theirs.codes + len(ours.values), ours.codes)
    return Coded(codes, [*ours.values, *theirs.values])


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
    columns: Arrays, fields: list[Field], answers: TableAnswers, now: datetime
) -> "pa.Table":
    """The rows as the prediction log has them, of the inputs those of the fields."""
    import pyarrow as pa  # noqa: PLC0415

    moments = pa.repeat(pa.scalar(now, pa.timestamp("us")), len(answers.prediction_id))
    made = {"predicted_at": moments, **answers.logged()}
    del made["unseen_categories"]
    inputs = {field.name: _input(columns[field.name], field) for field in fields}
    return pa.table(inputs | {name: _arrow(column) for name, column in made.items()})


def _input(column: Any, field: Field) -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if field.integer:
        return whole_numbers(column)
    array = _arrow(column)
    # many truth values, of which some may be missing, are numbers
    return array.cast(pa.bool_()) if field.kind == "boolean" else array


def both(first: "pa.Table", second: "pa.Table") -> "pa.Table":
    """The rows of two tables of the log in one."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.concat_tables([first, second]).unify_dictionaries().combine_chunks()


def _arrow(column: Any) -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, Coded):
        return _named(column.codes, map(as_text, column.values))
    return pa.array(column, from_pandas=True) if isinstance(column, np.ndarray) else column


def _named(codes: NDArray[Any], values: Iterable[str | None]) -> "pa.DictionaryArray":
    import pyarrow as pa  # noqa: PLC0415

    named = list(values)
    # a missing value is no entry of an Arrow dictionary: those could not be unified
    missing = np.array([value is None for value in named])[codes]
    indices = pa.array(codes.astype(np.int32), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array([value or "" for value in named]))


def write_arrow(columns: Columns) -> bytes:
    """The answers as an Arrow IPC stream."""
    import pyarrow as pa  # noqa: PLC0415

    table = pa.table({name: _plain(_arrow(column)) for name, column in _flat(columns).items()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _flat(columns: Columns) -> Columns:
    """What explains the answers, as columns of its own."""
    flat = dict(columns)
    explanation = dict(flat.pop(EXPLANATION, {}))
    for name, column in explanation.pop("contributions", {}).items():
        flat[f"{CONTRIBUTION}{name}"] = column
    return flat | {f"{EXPLANATION}_{name}": column for name, column in explanation.items()}


def _plain(array: "pa.Array") -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    return array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array


def write_json(columns: Columns) -> bytes:
    """The answers as ``{"predictions": [...]}``, without an object for any row."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    rows = _objects(columns)
    together = pa.ListArray.from_arrays([0, len(rows)], rows.cast(pa.binary()))
    [joined] = pc.binary_join(together, b",")
    return b'{"predictions":[%b]}' % joined.as_buffer()


def _objects(columns: Columns) -> "pa.Array":
    """An object of JSON for each row, as texts."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    parts: list[Any] = []
    end = "{"
    for name, column in columns.items():
        before, end = f"{end}{msgspec.json.encode(name).decode()}:", ","
        coded = _of_few_values(column)
        if coded is not None:
            written = [before + msgspec.json.encode(value).decode() for value in coded.values]
            coded = Coded(coded.codes, written)
            if parts and isinstance(parts[-1], Coded):
                # those that stand together are written once for each of their combinations
                found = pairs(parts.pop(), coded)
                coded = Coded(found.codes, [one + other for one, other in found.values])
            parts.append(coded)
        elif isinstance(column, dict):
            parts += [before, _objects(column)]
        elif isinstance(column, np.ndarray):
            parts += [before, _arrow(column).cast(pa.string()).fill_null("null")]
        else:
            parts += [f'{before}"', column]
            end = '",'
    arrays = [_plain(_arrow(part)) if isinstance(part, Coded) else part for part in parts]
    return pc.binary_join_element_wise(*arrays, f"{end[:-1]}}}", "")


def _of_few_values(column: Any) -> Coded[Any] | None:
    """A column that is better written value by value than row by row; else None."""
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, np.ndarray) and column.dtype.kind == "b":
        return Coded(column.astype(np.int64), [False, True])
    if isinstance(column, np.ndarray) and column.dtype.kind == "U":
        return as_coded(pa.array(column))
    return column if isinstance(column, Coded) else None
