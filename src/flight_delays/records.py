"""Rows as JSON: in requests, answers and logs."""

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
