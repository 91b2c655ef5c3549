import sys
import tempfile

import ibis
import pytest
from kedro.io import DatasetError

from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.core.engine import in_less_memory


def test_who_asks_for_spark_without_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "kedro_mlops.core.spark", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    connection = {"backend": "pyspark", "spark.app.name": "none"}
    table = TableDataset(filepath=str(tmp_path / "table.parquet"), connection=connection)

    with pytest.raises(DatasetError, match="uv sync --frozen --extra spark"):
        table.load()


def test_a_query_that_needs_more_memory_goes_on_in_files_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.chdir(tmp_path)
    connection = {"backend": "duckdb", "database": ":memory:", "memory_limit": "64MB"}
    engine = TableDataset(filepath="table.parquet", connection=connection)._connection

    engine.raw_sql("CREATE TEMP TABLE numbers AS SELECT hash(i) AS n FROM range(9_000_000) t(i)")

    [folder] = (tmp_path / "scratch").iterdir()
    assert list(folder.iterdir())
    engine.disconnect()
    assert [path.name for path in tmp_path.iterdir()] == ["scratch"]
    assert not folder.exists()


@pytest.mark.parametrize(
    ("told", "kept"), [({}, False), ({"enable_external_file_cache": True}, True)]
)
def test_what_is_read_of_files_is_not_kept_in_memory_unless_an_entry_says_so(tmp_path, told, kept):
    ibis.memtable({"n": range(100_000)}).to_parquet(tmp_path / "table.parquet")
    connection = {"backend": "duckdb", "database": ":memory:", **told}
    table = TableDataset(filepath=str(tmp_path / "table.parquet"), connection=connection).load()

    assert table.n.sum().execute() == sum(range(100_000))

    [(n_bytes,)] = (
        table.get_backend()
        .raw_sql("SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag LIKE 'EXTERNAL%'")
        .fetchall()
    )
    assert (n_bytes > 0) == kept


@pytest.mark.parametrize("limit", ["1GB", "1.4GiB", "15.6GiB"])
def test_joins_one_after_the_other_leave_the_engine_its_memory(limit):
    engine = ibis.duckdb.connect(memory_limit=limit)
    memory = engine.sql("SELECT current_setting('memory_limit') AS memory")
    before = memory.to_pyarrow().to_pylist()

    for _ in range(3):
        with in_less_memory(memory):
            pass

    assert memory.to_pyarrow().to_pylist() == before


def test_a_join_takes_a_part_of_the_memory_that_the_engine_may_take():
    engine = ibis.duckdb.connect(memory_limit="100MiB")
    limit = engine.sql("SELECT current_setting('memory_limit') AS memory")

    with pytest.raises(ZeroDivisionError), in_less_memory(limit):
        assert limit.to_pyarrow().to_pylist() == [{"memory": "40.0 MiB"}]
        raise ZeroDivisionError

    assert limit.to_pyarrow().to_pylist() == [{"memory": "100.0 MiB"}]
