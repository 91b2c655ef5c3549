"""The prediction log: one JSON line per prediction, in the schema of the contract.

Each process appends to a file of its own, one a day, with one ``write`` per request on a
descriptor opened for appending: lines are whole, and what was answered survives a killed process.
"""

import json
import os
from datetime import date
from pathlib import Path

import pandas as pd

from flight_delays.columns import Columns
from flight_delays.records import json_records


class PredictionLog:
    """Appends predictions to ``<folder>/<day>-<process>.jsonl``."""

    def __init__(self, folder: Path, columns: Columns) -> None:
        self._folder = folder
        self._names = columns.names
        self._day: date | None = None
        self._descriptor = -1
        folder.mkdir(parents=True, exist_ok=True)

    def append(self, predictions: pd.DataFrame, today: date) -> None:
        """Write the predictions; when this returns, the operating system has them."""
        records = json_records(predictions[self._names])
        lines = "".join(json.dumps(record) + "\n" for record in records)
        os.write(self._file_of(today), lines.encode())

    def _file_of(self, today: date) -> int:
        if today != self._day:
            self.close()
            path = self._folder / f"{today.isoformat()}-{os.getpid()}.jsonl"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            self._day = today
        return self._descriptor

    def close(self) -> None:
        """Close the file of the day."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._day = -1, None
