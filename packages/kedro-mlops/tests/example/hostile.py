"""Bodies made to cost more than they are, by their size; run, it measures what reading them takes.

It reads a serving spec on standard input, and prints a JSON line for each body at full size.
"""

import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from kedro_mlops.runtime.serving_spec import Field, ServingSpec
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.reading import RowReader, Values
from kedro_mlops.serving.refusals import BadRequestError

MAX_ROWS = 10_000
MAX_BODY = 16_000_000
OPEN, CLOSE = b'{"rows":[', b"]}"
# none of them is right
JSON_BODIES: dict[str, Callable[[int], bytes]] = {
    "a key twice": lambda n: _object(n // 12, b',"zz":1,"zz":2'),
    "unknown fields": lambda n: _object(n // 12, b""),
    "empty rows": lambda n: OPEN + b"{}," * (n // 3) + b"{}" + CLOSE,
    "rows that are none": lambda n: OPEN + b"1," * (n // 2) + b"1" + CLOSE,
    "rows beside": lambda n: OPEN + CLOSE[:1] + b',"rows":[]' * (n // 10) + b"}",
    "depth": lambda n: OPEN + b"[" * n,
    "depth in objects": lambda n: OPEN + b'{"a":' * (n // 5),
    "a value of many": lambda n: OPEN + b'{"a":[' + b"[]," * (n // 3) + b"[]]}" + CLOSE,
    "a long text": lambda n: OPEN + b'{"a":"' + b"x" * n + b'"}' + CLOSE,
    "a wide text": lambda n: OPEN + '{"a":"🛩'.encode() + b"x" * n + b'"}' + CLOSE,
    "escapes": lambda n: OPEN + b'{"a":"' + rb"\u0041" * (n // 6) + b'"}' + CLOSE,
    "an open text": lambda n: OPEN + b'{"a":"' + b"x" * n,
    "a long key": lambda n: OPEN + b'{"' + b"x" * n + b'":1}' + CLOSE,
    "a long first key": lambda n: b'{"' + b"x" * n + b'":1}',
    "digits": lambda n: OPEN + b'{"a":' + b"9" * n + b"}" + CLOSE,
    "a fraction": lambda n: OPEN + b'{"a":0.' + b"9" * n + b"}" + CLOSE,
    "an exponent": lambda n: OPEN + b'{"a":1e' + b"9" * n + b"}" + CLOSE,
    "points and digits": lambda n: OPEN + b'"' + b".1234567" * (n // 8) + b'"' + CLOSE,
    "white space": lambda n: b" " * n + b"{",
    "white space inside": lambda n: OPEN + b" " * n + b"x",
    "backslashes": lambda n: b'{"' + b"\\" * n,
    "colons": lambda n: b":" * n,
    "no text": lambda n: b"\xff" * n,
}
# of the fields that callers send: sizes beyond which they are what they look like
ARROW_BODIES: dict[str, Callable[[list[Field]], bytes]] = {
    "a compressed column": lambda fields: _stream(
        _table(fields, text=pa.array(["x" * 400_000_000])), compression="zstd"
    ),
    "a long word of a dictionary": lambda fields: _stream(
        _table(fields, text=_dictionary("x" * 100_000))
    ),
    "long words of each dictionary": lambda fields: _stream(
        _table(fields, text=_dictionary("x" * 200_000), every=True)
    ),
    "one long text seen often": lambda fields: _stream(_table(fields, text=_views())),
    "words that are not used": lambda fields: _stream(
        _table(fields, text=_dictionary(*map(str, range(1_000_000))))
    ),
    "empty batches": lambda fields: _batches(_table(fields), 15_000),
    "dictionaries anew": lambda fields: _batches(
        _table(fields, text=_dictionary("x", *map(str, range(50_000)), n=1)), 200, emit_deltas=False
    ),
    "what is added to dictionaries": lambda fields: _batches(
        _table(fields, text=_dictionary("x", *map(str, range(1000)), n=1)), 500, emit_deltas=True
    ),
    "long names": lambda fields: _stream(pa.table({"x" * 4_000_000: [1]})),
    "many columns": lambda fields: _stream(pa.table({f"c{i}": [1] for i in range(50_000)})),
    "metadata": lambda fields: _stream(_table(fields).replace_schema_metadata({"a": "x" * 10**7})),
}


def _object(n_fields: int, more: bytes) -> bytes:
    return OPEN + b"{" + b",".join(b'"%d":0' % i for i in range(n_fields)) + more + b"}" + CLOSE


def _dictionary(*words: str, n: int = MAX_ROWS) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array(words))


def _views() -> pa.Array:
    """Text of which each row shows the same long one."""
    text = b"x" * 4_000_000
    view = np.array([len(text), int.from_bytes(text[:4], "little"), 0, 0], np.int32)
    buffers = [None, pa.py_buffer(np.tile(view, MAX_ROWS)), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.string_view(), MAX_ROWS, buffers)


def _table(fields: list[Field], text: pa.Array | None = None, *, every: bool = False) -> pa.Table:
    """The examples of the fields, as many rows as texts, which are in the last text field."""
    n_rows = 1 if text is None else len(text)
    columns = {field.name: pa.array([field.example] * n_rows) for field in fields}
    named = [field.name for field in fields if field.kind == "categorical"]
    if text is not None:
        columns |= dict.fromkeys(named if every else named[-1:], text)
    for field in fields:
        if field.kind == "datetime":
            columns[field.name] = columns[field.name].cast(pa.timestamp("us"))
    return pa.table(columns)


def _stream(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(**options)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _batches(table: pa.Table, n: int, *, emit_deltas: bool = False) -> bytes:
    """The table many times over, its dictionaries longer each time; empty where it has none."""
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=emit_deltas)
    [batch] = table.to_batches()
    words = [c for c in batch.schema.names if pa.types.is_dictionary(batch.schema.field(c).type)]
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        for i in range(n):
            if not words:
                writer.write_batch(batch.slice(0, 0))
                continue
            place = batch.schema.get_field_index(words[0])
            dictionary = batch.column(place).dictionary.to_pylist()[: 2 + i]
            column = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), dictionary)
            writer.write_batch(batch.set_column(place, words[0], column))
    return sink.getvalue()


def read_rows(reader: RowReader, body: bytes) -> list[Values]:
    """The rows of a request, as the gateway reads them."""
    rows = reader.read_at_once(body)
    return reader.judged(body) if rows is None else rows


def readers(fields: list[Field]) -> TableReader:
    return TableReader(RowReader(fields, MAX_ROWS))


def verdict(read: Callable[[bytes], Any], body: bytes) -> int:
    try:
        read(body)
    except BadRequestError as refused:
        return refused.status
    return 200


def _peak() -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    [peak] = [line for line in status if line.startswith("VmHWM")]
    return 1000 * int(peak.split()[1])


def _measure(name: str, read: Callable[[bytes], Any], body: bytes) -> None:
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = _peak(), time.process_time()
    status = verdict(read, body)
    said = {"name": name, "status": status, "n_bytes": len(body), "peak": _peak() - before}
    print(json.dumps(said | {"seconds": time.process_time() - start}), flush=True)


if __name__ == "__main__":
    spec = msgspec.json.decode(sys.stdin.buffer.read(), type=ServingSpec)
    table_reader = readers(spec.sent)
    for name, make in JSON_BODIES.items():
        _measure(name, table_reader.read_json, make(MAX_BODY - 100))
    for name, build in ARROW_BODIES.items():
        _measure(name, table_reader.read_arrow, build(spec.sent))
