"""Rows as JSON, in requests, answers and logs; and as a hash."""

import hashlib
from typing import Any

import pandas as pd


def json_records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dictionaries of plain values.

    Moments become ISO 8601 text, missing values ``None``; numbers keep their full precision.
    """
    plain = rows.astype(object).where(rows.notna(), None)
    for name in rows.select_dtypes(["datetime", "datetimetz"]):
        moments = [None if moment is None else moment.isoformat() for moment in plain[name]]
        plain[name] = pd.Series(moments, index=plain.index, dtype=object)
    return [
        {str(name): value for name, value in record.items()}
        for record in plain.to_dict(orient="records")
    ]


def hash_rows(*tables: pd.DataFrame) -> str:
    """SHA-256 of the values of all the tables' rows, in their order."""
    rows = pd.concat(tables, ignore_index=True)
    hashes = pd.util.hash_pandas_object(rows, index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()
