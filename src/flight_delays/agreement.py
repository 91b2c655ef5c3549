"""Whether two tables say the same of the same rows, column by column."""

import pandas as pd


def disagreement(
    one: pd.DataFrame, other: pd.DataFrame, keys: list[str], names: list[str]
) -> pd.DataFrame:
    """Count the rows, found in both tables by their keys, on which the values differ.

    Two missing values are equal; a missing one and any other differ.

    Args:
        one: Rows with keys and named columns.
        other: Likewise; keys identify its rows.
        keys: Columns by which rows are found.
        names: Columns that are compared.

    Returns:
        One row per named column: ``column``, ``n_compared``, ``n_differ``.
    """
    values = [name for name in names if name not in keys]
    both = one.merge(
        other[[*keys, *values]], on=keys, suffixes=("", "__other"), validate="many_to_one"
    )
    differ = {name: _differ(both[name], both[f"{name}__other"]) for name in values}
    # rows are found by their keys, so that these are equal
    counts = {name: int(differ[name].sum()) if name in differ else 0 for name in names}
    return pd.DataFrame(
        {"column": names, "n_compared": len(both), "n_differ": [counts[name] for name in names]}
    )


def rows_that_differ(
    one: pd.DataFrame, other: pd.DataFrame, keys: list[str], names: list[str]
) -> int:
    """Count the rows, found in both tables, on which any of the named columns differs."""
    values = [name for name in names if name not in keys]
    both = one.merge(other[[*keys, *values]], on=keys, suffixes=("", "__other"))
    differ = [_differ(both[name], both[f"{name}__other"]) for name in values]
    return int(pd.concat(differ, axis=1).any(axis=1).sum()) if differ else 0


def _differ(one: pd.Series, other: pd.Series) -> pd.Series:
    same = (one == other).fillna(False).astype(bool)
    return ~(same | (one.isna() & other.isna()))
