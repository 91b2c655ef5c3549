"""Whether two tables say the same of the same rows, column by column."""

import pandas as pd

from kedro_mlops.core.names import own


def differences(
    one: pd.DataFrame, other: pd.DataFrame, keys: list[str], names: list[str]
) -> pd.DataFrame:
    """Say of every row found in both tables, and every named column, whether the values differ.

    Two missing values are equal; a missing one and any other differ.

    Args:
        one: Rows with keys and named columns.
        other: Likewise; keys identify its rows.
        keys: Columns by which rows are found.
        names: Columns that are compared.

    Returns:
        Booleans, one row per row found in both, and a column for each name.
    """
    values = [name for name in names if name not in keys]
    both = one.merge(
        other[[*keys, *values]].rename(columns=dict(zip(values, map(own, values), strict=True))),
        on=keys,
        validate="many_to_one",
    )
    # rows are found by their keys, so that these are equal
    differ = {n: _differ(both[n], both[own(n)]) if n in values else False for n in names}
    return pd.DataFrame(differ, index=both.index, columns=names)


def _differ(one: pd.Series, other: pd.Series) -> pd.Series:
    same = (one == other).fillna(False).astype(bool)
    return ~(same | (one.isna() & other.isna()))
