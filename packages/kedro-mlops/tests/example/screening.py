"""What is asked of tables that were screened."""

from typing import Any

from kedro_mlops.contract.quarantine import Screening, judge_screening
from kedro_mlops.contract.screening_account import ScreeningAccount, TableAccount


def rows_of(table: Any) -> list[dict[str, Any]]:
    """The rows of a table; those of a quarantine by row and rule."""
    rows: list[dict[str, Any]] = table.to_pyarrow().to_pylist()
    if {"row", "column", "rule"} <= set(table.columns):
        rows.sort(key=lambda row: (row["row"], row["column"], row["rule"]))
    return rows


def judged(limit: float, *accounts: TableAccount) -> ScreeningAccount:
    return judge_screening(Screening(max_quarantine_share=limit), *accounts)
