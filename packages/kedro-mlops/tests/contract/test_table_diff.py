import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kedro_mlops.contract.table_diff import differences

KEYS = ["shop", "day"]
MOMENT = pd.Timestamp("2013-01-01 10:00")
PAIRS = {
    "text": ("north", "south", "str"),
    "number": (1.0, 1.5, "float64"),
    "whole number": (1, 2, "int64"),
    "whole number that may be missing": (1, 2, "Int64"),
    "moment": (MOMENT, MOMENT + pd.Timedelta(seconds=1), "datetime64[us]"),
    "moment in UTC": (
        MOMENT.tz_localize("UTC"),
        MOMENT.tz_localize("UTC") + pd.Timedelta(days=1),
        "datetime64[us, UTC]",
    ),
    "truth": (True, False, "bool"),
    "truth that may be missing": (True, False, "boolean"),
    "any": ("north", 1, "object"),
}
NULLABLE = [name for name, (_, _, dtype) in PAIRS.items() if dtype not in ("int64", "bool")]


def sales(*values, dtype="float64", shops=None):
    """One row per value, found by shop and day."""
    shops = shops or [f"shop {i}" for i in range(len(values))]
    value = pd.Series(values, dtype=dtype)
    return pd.DataFrame({"shop": shops, "day": MOMENT.normalize(), "value": value})


def counts(one, other, names=("value",)):
    found = differences(one, other, KEYS, list(names))
    return {name: (len(found), found[name].sum()) for name in names}


@pytest.mark.parametrize("kind", PAIRS)
def test_equal_values_agree_and_different_ones_do_not(kind):
    same, another, dtype = PAIRS[kind]
    one = sales(same, same, another, dtype=dtype)
    other = sales(same, another, another, dtype=dtype)

    assert counts(one, other) == {"value": (3, 1)}
    assert differences(one, other, KEYS, ["value"]).any(axis=1).sum() == 1


@pytest.mark.parametrize("kind", NULLABLE)
def test_two_missing_values_agree_and_a_missing_one_differs_from_any_other(kind):
    value, _, dtype = PAIRS[kind]
    one = sales(None, None, value, value, dtype=dtype)
    other = sales(None, value, None, value, dtype=dtype)

    assert counts(one, other) == {"value": (4, 2)}
    assert differences(one, other, KEYS, ["value"]).any(axis=1).sum() == 2


def test_the_same_numbers_agree_in_another_type():
    one = sales(1, 0, None, dtype="Int64")
    other = sales(1.0, 0.0, np.nan, dtype="float64")

    assert counts(one, other) == {"value": (3, 0)}


def test_missing_values_of_different_types_agree():
    one = sales(None, None, dtype="str")
    other = sales(None, None, dtype="object")

    assert counts(one, other) == {"value": (2, 0)}


def test_rows_are_found_by_their_keys_wherever_they_are():
    one = sales(1, 2, 3, shops=["a", "b", "c"])
    other = sales(3, 1, 2, shops=["c", "a", "b"])

    assert counts(one, other) == {"value": (3, 0)}


def test_rows_that_only_one_table_has_are_not_compared():
    one = sales(1, 2, 3, shops=["a", "b", "c"])
    other = sales(9, 2, 4, shops=["d", "b", "c"])

    assert counts(one, other) == {"value": (2, 1)}
    assert differences(one, other, KEYS, ["value"]).any(axis=1).sum() == 1


def test_a_row_that_comes_twice_is_compared_twice_with_the_one_of_its_keys():
    one = sales(1, 2, shops=["a", "a"])
    other = sales(1, shops=["a"])

    assert counts(one, other) == {"value": (2, 1)}


def test_a_key_that_comes_twice_where_it_should_identify_is_refused():
    one = sales(1, shops=["a"])
    other = sales(1, 2, shops=["a", "a"])

    with pytest.raises(pd.errors.MergeError):
        differences(one, other, KEYS, ["value"])


def test_tables_without_a_row_in_common_differ_nowhere():
    one, other = sales(1, shops=["a"]), sales(2, shops=["b"])

    assert counts(one, other) == {"value": (0, 0)}
    assert differences(one, other, KEYS, ["value"]).any(axis=1).sum() == 0


def test_every_named_column_is_counted_in_its_order_and_no_other():
    one = sales(1, 2).assign(note=["x", "y"], price=[1, 1], other="left")
    other = sales(1, 3).assign(note=["x", "z"], price=[1, 1], other="right")

    found = differences(one, other, KEYS, ["price", "shop", "note", "value"])

    assert found.columns.tolist() == ["price", "shop", "note", "value"]
    assert len(found) == 2
    assert found.sum().tolist() == [0, 0, 1, 1]


def test_a_row_counts_once_however_many_of_its_columns_differ():
    one = sales(1, 2, 3).assign(note=["x", "y", "z"])
    other = sales(9, 9, 3).assign(note=["x", "Y", "Z"])

    assert differences(one, other, KEYS, ["shop", "value", "note"]).any(axis=1).sum() == 3
    assert differences(one, other, KEYS, ["value"]).any(axis=1).sum() == 2
    assert differences(one, other, KEYS, ["shop", "day"]).any(axis=1).sum() == 0


CELL = st.sampled_from([None, 0.0, 1.0, -1.0])


@given(st.dictionaries(st.integers(0, 5), CELL), st.dictionaries(st.integers(0, 5), CELL))
def test_the_counts_are_those_of_comparing_one_by_one(one, other):
    tables = [
        pd.DataFrame({"key": list(rows), "value": pd.Series(rows.values(), dtype="float64")})
        for rows in (one, other)
    ]

    found = differences(*tables, ["key"], ["value"])

    both = set(one) & set(other)
    n_differ = sum(one[key] != other[key] for key in both)
    assert len(found) == len(both)
    assert found["value"].sum() == n_differ
