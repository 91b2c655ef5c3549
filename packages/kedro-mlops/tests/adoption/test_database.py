"""Databases hold what their types do not allow, and then it is said where."""

import sqlite3
from pathlib import Path

import pytest

from kedro_mlops.adoption.opening import open_source
from kedro_mlops.core.errors import ProjectError


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("INTEGER", ""), ("REAL", ""), ("NUMERIC", ""), ("REAL", "1,5"), ("INTEGER", 3.7),
        ("DATE", "01/02/2024"), ("DATETIME", "yesterday"), ("INTEGER", "odd"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_its_columns_type_is_named(
    tmp_path: Path, kind: str, value: str
) -> None:
    """SQLite takes any value; its `.import` leaves '' where there is none."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute(f"CREATE TABLE sales (id INTEGER, price {kind})")
        database.executemany("INSERT INTO sales VALUES (?, ?)", [(1, None), (2, value)])

    with pytest.raises(ProjectError) as error:
        open_source(f"sqlite:///{tmp_path}/shop.db#sales")

    said = f"The column price of sales is {kind}, and has {value!r} in it. Mend such values"
    assert str(error.value).startswith(said)
