"""Databases hold what their types do not allow, and then it is said where."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from kedro_mlops.adoption.opening import open_source
from kedro_mlops.core.errors import ProjectError


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        ("INTEGER", "", "text of 0 characters"), ("REAL", "", "text of 0 characters"),
        ("NUMERIC", "", "text of 0 characters"), ("REAL", "1,5", "text of 3 characters"),
        ("INTEGER", 3.7, "a value of the type float"), ("INTEGER", b"123", "3 bytes"),
        ("DATE", "01/02/2024", "text of 10 characters"), ("DATE", 3, "a value of the type int"),
        ("DATETIME", "yesterday", "text of 9 characters"),
        ("INTEGER", "ann@example.org " * 1000, "text of 16,000 characters"),
    ],
)  # fmt: skip
def test_it_is_told_where_a_value_is_not_of_its_columns_type_and_not_what_it_is(
    tmp_path: Path, kind: str, value: object, words: str
) -> None:
    """SQLite takes any value; its `.import` leaves '' where there is none."""
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute(f"CREATE TABLE sales (id INTEGER, price {kind}, town TEXT)")
        rows = [(1, None, "a"), (2, value, "b"), (3, value, "c")]
        database.executemany("INSERT INTO sales VALUES (?, ?, ?)", rows)

    with pytest.raises(ProjectError) as error:
        open_source(f"sqlite:///{tmp_path}/shop.db#sales")

    said = f"The column price of sales is {kind}, and has {words} in it, in row 2 of those read. "
    assert str(error.value).startswith(f"{said}Mend such values there")
    assert len(str(error.value)) < 300
    assert error.value.__suppress_context__


def test_a_bad_value_is_looked_for_once_however_many_columns_there_are(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        names = [f"n{n}" for n in range(30)]
        database.execute(f"CREATE TABLE sales ({', '.join(f'{name} INTEGER' for name in names)})")
        rows = [[*range(29), 3.7 if n == 99 else n] for n in range(100)]
        database.executemany(f"INSERT INTO sales VALUES ({', '.join('?' * 30)})", rows)
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        with pytest.raises(ProjectError, match=r"column n29 of sales .* in row 100 of those read"):
            open_source(f"sqlite:///{tmp_path}/shop.db#sales")
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)

    assert sum("FROM sales" in statement for statement in asked) == 2


def test_an_error_that_no_value_is_to_blame_for_is_told_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("CREATE TABLE sales (id INTEGER)")
        database.execute("INSERT INTO sales VALUES (1)")

    def broken(batches: object, _path: Path) -> int:
        raise TypeError("a fault of the engine's")

    monkeypatch.setattr("kedro_mlops.adoption.database.write_batches", broken)
    with pytest.raises(TypeError, match="a fault of the engine's"):
        open_source(f"sqlite:///{tmp_path}/shop.db#sales")
