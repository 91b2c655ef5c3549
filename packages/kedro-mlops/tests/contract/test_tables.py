import json
from pathlib import Path

import duckdb
import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from example import contracts
from example.batches import numbers_in_batches
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_viz.models.flowchart.node_metadata import DataNodeMetadata
from kedro_viz.models.flowchart.nodes import GraphNode

from kedro_mlops.contract.batches import batches_of
from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.contract.tables import (
    NamedTableDataset,
    TableDataset,
    personal_names,
)
from kedro_mlops.core.engine import keeps_order
from kedro_mlops.framework import viz_hooks
from kedro_mlops.framework.viz_hooks import TableStats


class People(Contract):
    """Whom a row is about."""

    passport: str = column("Number of the passport", personal=True)


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TableDataset:
    """Ten rows: a number, a moment, a number of a passport, a whole record, and bytes."""
    monkeypatch.setattr(contracts, "People", People, raising=False)
    personal_names.cache_clear()
    rows = pd.DataFrame(
        {
            "n": [1.5, None, *range(8)],
            "at": pd.Timestamp("2013-07-15 12:30"),
            "passport": "P123",
            "record": [{"passport": "P123"}] * 10,
            "photo": b"\xff\xd8",
        }
    )
    dataset = TableDataset(filepath=str(tmp_path / "people.parquet"), file_format="parquet")
    dataset.save(ibis.memtable(rows))
    yield dataset
    personal_names.cache_clear()


def test_a_preview_has_some_rows_and_nothing_personal(table):
    shown = table.preview(nrows=2)

    assert shown == {
        "index": [0, 1],
        "columns": ["n", "at"],
        "data": [[1.5, "2013-07-15T12:30:00"], [None, "2013-07-15T12:30:00"]],
    }
    assert "P123" not in json.dumps(table.preview(nrows=9, columns=["passport", "record", "n"]))
    assert table.preview(columns=["photo", "n"])["columns"] == ["n"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_folders_say_no_values_of_a_file(tmp_path, kind):
    folder = tmp_path / "day=2013-07-01" / "n=7"
    dataset = TableDataset(filepath=str(folder / f"s.{kind}"), file_format=kind)

    dataset.save(ibis.memtable({"n": [1, 2]}))

    assert dataset.load().to_pyarrow().to_pydict() == {"n": [1, 2]}
    files = TableDataset(filepath=str(folder / f"*.{kind}"), file_format=kind)
    assert files.load().to_pyarrow().to_pydict() == {"n": [1, 2]}


@pytest.mark.parametrize(
    ("found", "load_args"),
    [("n=*/*.parquet", {}), ("**/*.parquet", {}), ("n=7/s.parquet", {"hive_partitioning": True})],
)
def test_folders_say_values_of_an_entry_that_finds_files_in_them(tmp_path, found, load_args):
    TableDataset(filepath=str(tmp_path / "n=7/s.parquet")).save(ibis.memtable({"m": [1, 2]}))

    table = TableDataset(filepath=str(tmp_path / found), load_args=load_args).load()

    assert table.to_pyarrow().to_pydict() == {"m": [1, 2], "n": [7, 7]}


FILES = {
    "part-0": 1, "_part-1": 2, ".part-2": 3, "_temporary/0/part-3": 4, ".sub/part-4": 5,
    "sub/part-5": 6, "_day=1/part-6": 7,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize(
    ("found", "numbers"),
    [("", [1, 6, 7]), ("*.{}", [1]), ("**/*.{}", [1, 6, 7]), ("_part-1.{}", [2])],
)
def test_hidden_files_of_a_folder_are_none_of_its_table(tmp_path, kind, found, numbers):
    """Spark passes over them; what has not been moved from ``_temporary`` is not written yet."""
    folder = tmp_path / ".data" / "_made"
    for name, number in FILES.items():
        dataset = TableDataset(filepath=str(folder / f"{name}.{kind}"), file_format=kind)
        dataset.save(ibis.memtable({"n": [number]}))
    (folder / "_SUCCESS").touch()

    dataset = TableDataset(filepath=str(folder / found.format(kind)), file_format=kind)

    assert sorted(dataset.load().n.to_pyarrow().to_pylist()) == numbers


ODD = ["sales[1]", "_[ab]", "n=[7]", "all*", "why?", "{1,2}"]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("name", ODD)
def test_what_is_there_by_a_name_is_no_pattern(tmp_path, kind, name):
    """A folder or file with brackets in its name is that one, and not what a pattern finds."""
    like = ["sales1", "_a", "n=7", "all of it", "whys", "1"][ODD.index(name)]
    for number, each in enumerate([name, like]):
        for file in (f"{each}/part[0].{kind}", f"{each}.{kind}"):
            dataset = TableDataset(filepath=str(tmp_path / file), file_format=kind)
            dataset.save(ibis.memtable({"n": [number]}))

    for found in (name, f"{name}/*.{kind}", f"{name}/**/*.{kind}", f"{name}.{kind}"):
        dataset = TableDataset(filepath=str(tmp_path / found), file_format=kind)

        assert dataset.load().to_pyarrow().to_pydict() == {"n": [0]}, found
        assert dataset.load() is dataset.load()
    again = TableDataset(filepath=str(tmp_path / f"{name}.{kind}"), file_format=kind)
    before = again.load()
    again.save(ibis.memtable({"n": [2]}))
    assert again.load() is not before


def test_what_only_has_hidden_files_is_no_table_yet(tmp_path):
    hidden = tmp_path / "_temporary/0/part-0.parquet"
    TableDataset(filepath=str(hidden)).save(ibis.memtable({"n": [1]}))

    with pytest.raises(DatasetError, match=r"begin with '\.' or '_', which are none of a table"):
        TableDataset(filepath=str(tmp_path)).load()


def test_a_table_is_the_same_whatever_hidden_files_come(tmp_path):
    TableDataset(filepath=str(tmp_path / "part-0.parquet")).save(ibis.memtable({"n": [1]}))
    dataset = TableDataset(filepath=str(tmp_path))
    table = dataset.load()

    (tmp_path / "_temporary").mkdir()
    (tmp_path / ".part-0.parquet.crc").write_text("")

    assert dataset.load() is table


def test_batches_are_written_as_they_come(tmp_path):
    dataset = TableDataset(filepath=str(tmp_path / "numbers.parquet"))
    seen = []

    dataset.save(numbers_in_batches(3, seen))

    assert dataset.load().to_pandas()["n"].tolist() == [0, 1, 2]
    assert seen == [0, 1, 2]


def wide(folder, n_columns, n_rows):
    """A file whose rows all come at once."""
    numbers = pa.array(np.arange(n_rows, dtype="float64") % 1000)
    file = folder / "wide.parquet"
    columns = {f"c{i}": numbers for i in range(n_columns)}
    pq.write_table(pa.table(columns), file, row_group_size=n_rows)
    return file


def test_of_a_wide_table_fewer_rows_are_written_and_read_at_once(tmp_path):
    read = TableDataset(filepath=str(wide(tmp_path, 600, 20_000))).load()
    record = ibis.struct({name: read[name] for name in read.columns})
    datasets = [TableDataset(filepath=str(tmp_path / f"{name}.parquet")) for name in "abc"]

    for dataset, data in zip(
        datasets, (read, read.select(record=record), read[["c0"]]), strict=True
    ):
        dataset.save(data)

    metadata = [pq.read_metadata(tmp_path / f"{name}.parquet") for name in "abc"]
    groups = [
        [found.row_group(i).num_rows for i in range(found.num_row_groups)] for found in metadata
    ]
    assert groups == [[8192, 8192, 3616], [8192, 8192, 3616], [20_000]]
    assert max(batch.num_rows for batch in batches_of(read, 2**18)) == 2**22 // 600


@pytest.fixture
def little_room(table, monkeypatch):
    """Room for what comes in any order; how often it was written in its own."""
    engine, asked = table.connection, list[str]()
    write = engine.to_parquet

    def with_little_room(data, path, **more):
        if keeps_order(engine):
            asked.append(path)
            raise duckdb.OutOfMemoryException
        write(data, path, **more)

    monkeypatch.setattr(engine, "to_parquet", with_little_room)
    return asked


def test_what_has_no_room_in_its_order_is_written_in_any(table, little_room):
    rows = table.load().cache()

    table.save(rows.filter(rows.n > 1))

    assert table.load().n.to_pyarrow().to_pylist() == [1.5, *range(2, 8)]
    assert keeps_order(table.connection)


def test_what_is_written_as_several_files_is_not_written_twice(table, little_room):
    rows = table.load().cache()
    table._save_args["partition_by"] = "n"

    with pytest.raises(DatasetError):
        table.save(rows)

    assert len(little_room) == 1


def test_how_many_rows_are_written_at_once_may_be_said(tmp_path):
    read = TableDataset(filepath=str(wide(tmp_path, 60, 10_000))).load()
    file = tmp_path / "said.parquet"

    TableDataset(filepath=str(file), save_args={"ROW_GROUP_SIZE": 2048}).save(read)

    assert pq.read_metadata(file).row_group(0).num_rows == 2048


def test_a_table_on_a_store_is_fetched_when_it_has_changed(bucket, monkeypatch):
    dataset = TableDataset(filepath=f"{bucket}/n=3/numbers.parquet")
    again = TableDataset(filepath=f"{bucket}/n=3/numbers.parquet")
    assert not dataset.exists()

    for rows in (numbers_in_batches(3, []), ibis.memtable({"n": [7, 8]})):
        dataset.save(rows)
        numbers = again.load()
        assert again.load() is numbers
        assert numbers.to_pandas()["n"].tolist() == dataset.load().to_pandas()["n"].tolist()

    assert again.exists()
    assert again.preview()["data"] == [[7], [8]]
    assert again.stats()["file_size"] > 0


def test_a_table_on_a_store_stays_as_it_was_if_its_successor_fails(bucket):
    dataset = TableDataset(filepath=f"{bucket}/numbers.parquet")
    dataset.save(numbers_in_batches(3, []))

    with pytest.raises(DatasetError, match="no more"):
        dataset.save(numbers_in_batches(5, [], fails_at=4))

    assert dataset.load().to_pandas()["n"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_stays_as_it_was_if_its_successor_fails(tmp_path, kind):
    dataset = TableDataset(filepath=str(tmp_path / f"numbers.{kind}"), file_format=kind)
    dataset.save(numbers_in_batches(3, []))

    with pytest.raises(DatasetError, match="no more"):
        dataset.save(numbers_in_batches(5, [], fails_at=4))

    assert dataset.load().to_pandas()["n"].tolist() == [0, 1, 2]
    assert [path.name for path in tmp_path.iterdir()] == [f"numbers.{kind}"]


def test_a_table_that_the_engine_knows_by_name_is_of_the_same_connection_as_files(tmp_path):
    connection = {"backend": "duckdb", "database": str(tmp_path / "engine.db")}
    named = NamedTableDataset(
        table_name="people", connection=connection, save_args={"materialized": "table"}
    )
    file = TableDataset(filepath=str(tmp_path / "people.parquet"), connection=connection)

    named.save(ibis.memtable({"n": [1, 2]}))
    file.save(named.load())

    assert file.load().to_pandas()["n"].tolist() == [1, 2]
    assert file.connection is named.connection


def test_kedro_viz_shows_the_preview_as_a_table(table):
    node = GraphNode.create_data_node("people", "people", None, set(), table, None)

    told = DataNodeMetadata(data_node=node)

    assert told.preview_type == "TablePreview"
    assert len(told.preview["data"]) == 5


def test_rows_and_columns_are_added_to_what_kedro_viz_has_counted(table, tmp_path, monkeypatch):
    monkeypatch.setattr(viz_hooks, "project_folder", lambda: tmp_path)
    file = tmp_path / ".viz/stats.json"
    file.parent.mkdir()
    file.write_text(json.dumps({"other": {"rows": 3}, "people": {"file_size": 7}}))
    absent = TableDataset(filepath=str(tmp_path / "none.parquet"), file_format="parquet")
    catalog = DataCatalog({"people": table, "none": absent, "plain": MemoryDataset(1)})
    pipeline = Pipeline([Node(lambda *all_: 1, ["people", "plain"], "none", name="run")])

    TableStats().after_pipeline_run(pipeline, catalog)

    size = (tmp_path / "people.parquet").stat().st_size
    assert json.loads(file.read_text()) == {
        "other": {"rows": 3},
        "people": {"file_size": size, "rows": 10, "columns": 5},
    }


def test_where_kedro_viz_counts_nothing_nothing_is_added(table, tmp_path, monkeypatch):
    monkeypatch.setattr(viz_hooks, "project_folder", lambda: tmp_path)

    TableStats().after_pipeline_run(Pipeline([]), DataCatalog({"people": table}))

    assert not (tmp_path / ".viz").exists()


@pytest.mark.parametrize(
    ("dataset", "argument"),
    [
        (TableDataset, "filepath"),
        (DeltaTableDataset, "filepath"),
        (NamedTableDataset, "table_name"),
    ],
)
def test_kedro_tells_of_an_entry_by_the_names_of_its_arguments(dataset, argument):
    told = DataCatalog({"table": dataset(**{argument: "rows"})}).to_config()[0]["table"]

    assert told[argument] == "rows"
    assert yaml.safe_load(yaml.dump(told)) == told
