"""Where a table becomes what the model learns from. ``make adopt`` writes it from a table."""

import ibis.expr.types as ir

from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.core.errors import ProjectError


def read_table() -> tuple[ir.Table, ScreeningAccount]:
    """The rows, and the account of those that were set aside.

    Raises:
        ProjectError: There is no table yet.
    """
    raise ProjectError(
        "This project has no data yet. Give it a table, and name the column to predict: "
        "`make adopt DATA=customers.csv TARGET=churned`."
    )
