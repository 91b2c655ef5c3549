"""What was counted of a table is kept for as long as somebody has it."""

import gc

import ibis
from example.factories import COLUMNS

from kedro_mlops.measures.kept import Kept


def test_a_table_is_counted_once_and_another_one_anew() -> None:
    kept, counted = Kept(), list[str]()
    one, same_rows = (ibis.table({"a": "int64"}, name="rows") for _ in range(2))

    for table, name in ((one, "n"), (one, "n"), (one, "sum"), (same_rows, "n"), (one, "n")):
        kept.get(COLUMNS, table, name, lambda name=name: counted.append(name))

    assert counted == ["n", "sum", "n"]


def test_nothing_is_kept_of_a_table_that_nobody_has() -> None:
    kept, table = Kept(), ibis.table({"a": "int64"}, name="rows")
    kept.get(COLUMNS, table, "n", lambda: 7)
    assert kept._by_id

    del table
    gc.collect()

    assert not kept._by_id
