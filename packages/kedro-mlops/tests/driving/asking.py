"""Asks a running service, and reads what it has written of its answers."""

import json
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pyarrow as pa

JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


def row_schema(service: httpx.Client) -> dict[str, Any]:
    """What the service says of a row."""
    document = service.get("/docs.json").raise_for_status().json()
    schema: dict[str, Any] = document["components"]["schemas"]["Row"]
    return schema


def as_json(rows: pd.DataFrame) -> bytes:
    """The body of a request."""
    plain = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return json.dumps({"rows": plain}, default=pd.Timestamp.isoformat).encode()


def as_arrow(rows: pd.DataFrame) -> bytes:
    """The same as an Arrow stream."""
    table, target = pa.Table.from_pandas(rows, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(target, table.schema) as writer:
        writer.write_table(table)
    return target.getvalue().to_pybytes()


def predict(service: httpx.Client, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The answers to rows, of which the service gets the columns that it asks for."""
    body = as_json(rows[list(row_schema(service)["properties"])])
    response = service.post("/predict", content=body, headers={"Content-Type": JSON})
    answers: list[dict[str, Any]] = response.raise_for_status().json()["predictions"]
    return answers


def predict_arrow(service: httpx.Client, rows: pd.DataFrame) -> pd.DataFrame:
    """The same, as tables there and back."""
    headers = {"Content-Type": ARROW}
    response = service.post("/predict", content=as_arrow(rows), headers=headers)
    answers: pd.DataFrame = pa.ipc.open_stream(response.raise_for_status().content).read_pandas()
    return answers


def logged(folder: Path) -> pd.DataFrame:
    """All that is in a prediction log, in the order in which its files were written."""
    files = [file for file in folder.glob("*") if file.suffix in (".jsonl", ".arrow")]
    return pd.DataFrame(
        record
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)
        for record in _records(file)
    )


def _records(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".jsonl":
        # a line that a killed worker has not ended is none, as to those who take it in
        return [json.loads(line) for line in file.read_text().split("\n")[:-1]]
    with pa.OSFile(str(file)) as source, pa.ipc.open_file(source) as reader:
        return [_plain(record) for record in reader.read_all().to_pylist()]


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """As the lines have it."""
    return {name: v.isoformat() if hasattr(v, "isoformat") else v for name, v in record.items()}
