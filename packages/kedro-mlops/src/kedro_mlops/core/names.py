"""Names of columns: those that no table has, and any others."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

OWN = "kedro_mlops: "


def own(name: str) -> str:
    """A name that no column of a contract has, for what the engine adds; see ``contract.names``."""
    return f"{OWN}{name}"


def with_columns(rows: "pd.DataFrame", columns: Mapping[Any, Any]) -> "pd.DataFrame":
    """Rows with other values in some columns; ``assign`` knows none that is called ``self``."""
    changed = rows.copy(deep=False)
    for name, values in columns.items():
        changed[name] = values
    return changed
