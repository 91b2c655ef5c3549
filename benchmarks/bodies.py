"""Real rows as the bodies of requests, prepared beforehand."""

import io
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from flight_delays.contracts import Inputs

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.json_records import json_records

ROWS = Path("data/05_model_input/test.parquet")
JSON = "application/json"
ARROW = "application/vnd.apache.arrow.stream"


def real_rows(n_rows: int) -> pd.DataFrame:
    """What callers send of real rows; repeated if there are few."""
    if not ROWS.exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    rows = pd.read_parquet(ROWS, columns=[column.name for column in Columns.of(Inputs).sent])
    return rows.sample(n_rows, replace=n_rows > len(rows), random_state=0, ignore_index=True)


def write_single(rows: pd.DataFrame, file: Path) -> Path:
    """A request of one row on every line."""
    file.write_text("".join(_json([record]) + "\n" for record in json_records(rows)))
    return file


def bulk(rows: pd.DataFrame) -> dict[str, bytes]:
    """All rows in one request, in both formats."""
    table = pa.Table.from_pandas(rows, preserve_index=False)
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    return {
        JSON: _json(json_records(rows)).encode(),
        ARROW: stream.getvalue(),
    }


def _json(records: list[dict[str, Any]]) -> str:
    return json.dumps({"rows": records}, separators=(",", ":"))
