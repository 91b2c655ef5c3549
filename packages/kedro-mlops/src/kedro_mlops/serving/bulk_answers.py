"""Large requests: what is answered and what is logged, without an object for any row."""

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from kedro_mlops.runtime.encoding import ArrayColumn, Arrays, Coded

from .additions import as_json
from .answers import MADE, missing_text
from .arrow_columns import pairs
from .model import ServedModel

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
ID_PREFIX = 20  # of 32 hexadecimal digits; the others count
HEXADECIMAL = np.frombuffer(b"0123456789abcdef", np.uint8)


class By(NamedTuple):
    """Who answered: the model, and what it is here."""

    model_version: str
    variant: str


class TableAnswers(NamedTuple):
    """The predictions for the rows of a table, and by whom; each of the same length."""

    ids: "pa.Array"
    probabilities: NDArray[np.float64]
    decisions: NDArray[np.bool_]
    models: Coded[By]
    missing: Coded[dict[str, str]]
    unseen: Coded[list[str]]
    # what a project adds, by its name
    more: Mapping[str, NDArray[Any]] = MappingProxyType({})


def score_table(
    model: ServedModel, variant: str, columns: Arrays, missing: Coded[dict[str, str]]
) -> TableAnswers:
    """What a model answers to completed rows."""
    probabilities, unseen = model.score_table(columns)
    n_rows = len(probabilities)
    return TableAnswers(
        ids=new_ids(n_rows),
        probabilities=probabilities,
        decisions=probabilities >= model.spec.threshold,
        models=Coded(np.zeros(n_rows, np.int64), [By(model.spec.model_version, variant)]),
        missing=missing,
        unseen=unseen_by_row(unseen, n_rows),
    )


def mixed(ours: TableAnswers, theirs: TableAnswers, takes: NDArray[np.bool_]) -> TableAnswers:
    """Theirs in the rows that they take, ours in the others."""
    return TableAnswers(
        ids=ours.ids,
        probabilities=np.where(takes, theirs.probabilities, ours.probabilities),
        decisions=np.where(takes, theirs.decisions, ours.decisions),
        models=_mixed(ours.models, theirs.models, takes),
        missing=ours.missing,
        unseen=_mixed(ours.unseen, theirs.unseen, takes),
    )


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
    columns: Arrays, names: list[str], answers: TableAnswers, now: datetime
) -> "pa.Table":
    """The rows as the prediction log has them."""
    import pyarrow as pa  # noqa: PLC0415

    models = answers.models
    made = [
        answers.ids,
        pa.repeat(pa.scalar(now, pa.timestamp("us")), len(answers.ids)),
        _named(models.codes, (by.model_version for by in models.values)),
        pa.array(answers.probabilities),
        pa.array(answers.decisions),
        _named(models.codes, (by.variant for by in models.values)),
        _named(answers.missing.codes, map(missing_text, answers.missing.values)),
    ]
    return pa.table([*(_arrow(columns[name]) for name in names), *made], names=[*names, *MADE])


def both(first: "pa.Table", second: "pa.Table") -> "pa.Table":
    """The rows of two tables of the log in one."""
    import pyarrow as pa  # noqa: PLC0415

    return pa.concat_tables([first, second]).unify_dictionaries().combine_chunks()


def _arrow(column: ArrayColumn) -> "pa.Array":
    import pyarrow as pa  # noqa: PLC0415

    if isinstance(column, Coded):
        return _named(column.codes, column.values)
    if column.dtype.kind == "f":
        return pa.array(column, from_pandas=True)
    return pa.array(column)


def _named(codes: NDArray[Any], values: Iterable[str | None]) -> "pa.DictionaryArray":
    import pyarrow as pa  # noqa: PLC0415

    named = list(values)
    # a missing value is no entry of an Arrow dictionary: those could not be unified
    missing = np.array([value is None for value in named])[codes]
    indices = pa.array(codes.astype(np.int32), mask=missing if missing.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array([value or "" for value in named]))


def write_json(answers: TableAnswers) -> bytes:
    """The answers as ``{"predictions": [...]}``, without an object for any row."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    encode = msgspec.json.encode
    decisions = Coded(answers.decisions.astype(np.int64), [False, True])
    others = pairs(pairs(pairs(decisions, answers.models), answers.missing), answers.unseen)
    end = "" if answers.more else "}"
    ends = [
        f'{encode(decision).decode()},"model_version":{encode(by.model_version).decode()},'
        f'"missing_features":{encode(missing).decode()},"unseen_categories":{encode(unseen).decode()}{end}'
        for ((decision, by), missing), unseen in others.values
    ]
    rows = pc.binary_join_element_wise(
        '{"prediction_id":"', answers.ids,
        '","probability":', pa.array(answers.probabilities).cast(pa.string()),
        ',"decision":', _named(others.codes, ends).dictionary_decode(),
        *_more(answers.more), "",
    )  # fmt: skip
    together = pa.ListArray.from_arrays([0, len(rows)], rows.cast(pa.binary()))
    [joined] = pc.binary_join(together, b",")
    return b'{"predictions":[%b]}' % joined.as_buffer()


def _more(columns: Mapping[str, NDArray[Any]]) -> list[Any]:
    """What follows in every row, where a project adds something."""
    if not columns:
        return []
    added = [(f',"{name}":', as_json(values)) for name, values in columns.items()]
    return [part for one in added for part in one] + ["}"]


def write_arrow(answers: TableAnswers) -> bytes:
    """The answers as an Arrow IPC stream."""
    import pyarrow as pa  # noqa: PLC0415

    models, missing, unseen = answers.models, answers.missing, answers.unseen
    table = pa.table(
        {
            "prediction_id": answers.ids,
            "probability": answers.probabilities,
            "decision": answers.decisions,
            "model_version": _named(
                models.codes, (by.model_version for by in models.values)
            ).dictionary_decode(),
            "missing_features": _named(
                missing.codes, map(missing_text, missing.values)
            ).dictionary_decode(),
            "unseen_categories": _named(
                unseen.codes, (",".join(names) or None for names in unseen.values)
            ).dictionary_decode(),
            **{name: pa.array(v, from_pandas=True) for name, v in answers.more.items()},
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]
