"""Delta tables, written and read by the catalog, and those that others have written."""

import json
import resource
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import DeltaTable, Field, write_deltalake
from deltalake.schema import PrimitiveType
from driving.object_store import ObjectStore
from example.batches import numbers_in_batches
from kedro.io import DataCatalog, DatasetError

from kedro_mlops.contract import delta_tables
from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.core.delta import Feed, storage_options
from kedro_mlops.core.errors import ProjectError

NOON = datetime.fromisoformat("2013-07-15 12:00")
# the digits of the text by which a log says which rows of a file are gone
Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
DELETION_VECTORS = {
    "minReaderVersion": 3, "minWriterVersion": 7,
    "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"],
}  # fmt: skip


class Count(Contract):
    """A row of a raw table."""

    n: int = column("A number", ge=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a table"


@pytest.fixture
def table(folder: Path) -> DeltaTableDataset:
    return DeltaTableDataset(filepath=str(folder))


def test_what_the_catalog_writes_it_reads_in_the_same_types(folder: Path) -> None:
    rows = ibis.memtable(
        {"n": [1, None], "at": [NOON, None], "day": [date(2013, 7, 15)] * 2, "is": [True, None]}
    ).mutate(
        small=ibis.literal(1, "int8"),
        zoned=ibis.literal(NOON, "timestamp('UTC')"),
        record=ibis.struct({"text": "a"}),
    )
    catalog = DataCatalog.from_config(
        {
            "people": {
                "type": "kedro_mlops.contract.delta_tables.DeltaTableDataset",
                "filepath": str(folder),
                "file_format": "delta",
                "save_args": {"mode": "overwrite", "use_tmp_file": None},
            }
        }
    )
    assert not catalog.exists("people")

    catalog.save("people", rows)

    read = catalog.load("people")
    assert catalog.load("people") is read
    assert read.to_pyarrow().to_pylist() == rows.to_pyarrow().to_pylist()
    for name, dtype in rows.schema().items():
        found = read.schema()[name]
        same = found.is_timestamp() and found.timezone == getattr(dtype, "timezone", None)
        assert same or found.copy(nullable=True) == dtype.copy(nullable=True)
    told = catalog.to_config()[0]["people"]
    assert yaml.safe_load(yaml.dump(told))["filepath"] == str(folder)


def test_each_save_is_a_version_that_can_be_read_again(table: Any, folder: Path) -> None:
    table.save(ibis.memtable({"n": [1, 2]}))
    before = table.load()
    table.save(ibis.memtable({"other": ["a"]}))

    first = DeltaTableDataset(filepath=str(folder), load_args={"version": 0}).load()

    assert table.load().to_pyarrow().to_pydict() == {"other": ["a"]}
    assert first.to_pyarrow().to_pydict() == before.to_pyarrow().to_pydict() == {"n": [1, 2]}


def test_rows_can_be_added_and_parted(folder: Path) -> None:
    parted = DeltaTableDataset(
        filepath=str(folder), save_args={"mode": "append", "partition_by": ["text"]}
    )
    for numbers in ([1, 2, 3], [4]):
        parted.save(ibis.memtable({"n": numbers, "text": ["007", "x/y %", None][: len(numbers)]}))

    rows = parted.load().order_by("n").to_pyarrow().to_pydict()

    assert rows == {"n": [1, 2, 3, 4], "text": ["007", "x/y %", None, "007"]}
    assert len(list(folder.glob("text=*"))) == 3


def test_a_table_without_rows_has_its_columns(table: Any) -> None:
    table.save(ibis.memtable({"n": [1], "at": [NOON]}).limit(0))

    assert table.load().to_pyarrow().to_pydict() == {"n": [], "at": []}
    assert table.stats() == {"rows": 0, "columns": 2}


def test_a_preview_hides_what_is_nested(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kedro_mlops.contract.tables.personal_names", lambda: {"passport"})
    table.save(ibis.memtable({"n": [1], "passport": ["P1"], "record": [{"passport": "P1"}]}))

    assert table.preview() == {"index": [0], "columns": ["n"], "data": [[1]]}


def test_batches_are_written_as_they_come_and_files_are_read_in_their_order(table: Any) -> None:
    seen: list[int] = []

    table.save(numbers_in_batches(4, seen))
    for number in range(10, 22):
        write_deltalake(table._url, pa.table({"n": [number, -number]}), mode="append")

    read = table.load().to_pyarrow()["n"].to_pylist()
    assert seen == [0, 1, 2, 3] == sorted(read[:4])
    assert read[4:] == [sign * number for number in range(10, 22) for sign in (1, -1)]


def test_the_last_version_stays_if_its_successor_fails(table: Any, folder: Path) -> None:
    table.save(numbers_in_batches(3, []))

    with pytest.raises(DatasetError, match="no more") as failed:
        table.save(numbers_in_batches(5, [], fails_at=4))
    with pytest.raises(DatasetError, match="Time64") as untyped:
        table.save(ibis.memtable({"n": [1]}).mutate(time=ibis.time(1, 2, 3)))

    assert isinstance(failed.value.__cause__, ValueError)
    assert "<unknown>" not in str(untyped.value)
    assert _read(table) == [0, 1, 2]
    assert len(list((folder / "_delta_log").iterdir())) == 1


def test_the_last_version_stays_if_who_writes_the_next_is_killed(table: Any, folder: Path) -> None:
    table.save(numbers_in_batches(3, []))
    code = f"""
import os, signal, pyarrow as pa
from kedro_mlops.contract.delta_tables import DeltaTableDataset
def batches():
    for _ in range(30):
        yield pa.record_batch({{"n": pa.array(range(100_000))}})
    os.kill(os.getpid(), signal.SIGKILL)
schema = pa.schema({{"n": pa.int64()}})
dataset = DeltaTableDataset(filepath={str(folder)!r})
dataset.save(pa.RecordBatchReader.from_batches(schema, batches()))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)

    assert done.returncode == -9
    assert _read(table) == [0, 1, 2]
    table.save(numbers_in_batches(5, []))
    assert _read(table) == [*range(5)]


def test_who_asks_the_engine_meanwhile_makes_no_version_of_some_rows(
    table: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = TableDataset(filepath=str(tmp_path / "many.parquet"))
    many.save(ibis.range(500_000).unnest().name("n").as_table())
    rows = many.load()
    table.save(numbers_in_batches(3, []))
    cast = Feed.of

    def asking(feed: Feed, batches: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        for batch in cast(feed, batches):
            yield batch
            rows.count().to_pyarrow()

    monkeypatch.setattr(Feed, "of", asking)
    with pytest.raises(DatasetError, match="asked for something else meanwhile"):
        table.save(rows)

    assert _read(table) == [0, 1, 2]


def test_who_wants_no_more_stops_the_writing(
    table: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: Any) -> None:
        raise KeyboardInterrupt

    table.save(numbers_in_batches(3, []))
    monkeypatch.setattr("concurrent.futures._base.Future.result", interrupted)

    endless = (pa.record_batch({"n": [number]}) for number in count())
    with pytest.raises(KeyboardInterrupt):
        table.save(pa.RecordBatchReader.from_batches(pa.schema({"n": pa.int64()}), endless))

    assert _read(table) == [0, 1, 2]


def test_a_version_is_told_by_its_fingerprint(table: Any, folder: Path) -> None:
    again = DeltaTableDataset(filepath=str(folder))
    pinned = DeltaTableDataset(filepath=str(folder), load_args={"version": 0})
    told = [again.fingerprint()]

    for rows in ({"n": [1]}, {"n": [1]}):
        table.save(ibis.memtable(rows))
        told.append(again.fingerprint())

    assert again.fingerprint() == told[-1]
    assert len(set(told)) == 3
    assert pinned.fingerprint() == told[1]


def test_deleted_rows_are_not_read(folder: Path, table: Any) -> None:
    write_deltalake(folder, pa.table({"n": [1, 2, 3]}))
    _edit_log(folder, _second_row_deleted)

    assert table.load().to_pyarrow().to_pydict() == {"n": [1, 3]}


def test_columns_are_read_by_the_names_that_they_are_mapped_to(folder: Path, table: Any) -> None:
    write_deltalake(folder, pa.table({"a": [1, 2], "b": [10, 20]}))
    _edit_log(folder, _swapped_names)

    # the reader of older tables takes one for the other
    assert DeltaTable(folder).to_pyarrow_dataset().to_table().to_pydict()["a"] == [1, 2]
    assert table.load().to_pyarrow().to_pydict() == {"b": [1, 2], "a": [10, 20]}


def test_columns_that_came_later_are_missing_in_rows_before(folder: Path, table: Any) -> None:
    write_deltalake(folder, pa.table({"n": [1]}))
    DeltaTable(folder).alter.add_columns([Field("text", PrimitiveType("string"))])
    assert table.load().to_pyarrow().to_pydict() == {"n": [1], "text": [None]}

    write_deltalake(folder, pa.table({"text": ["a"], "n": [2]}), mode="append")

    assert table.load().to_pyarrow().to_pydict() == {"n": [1, 2], "text": [None, "a"]}


def test_moments_as_older_sparks_write_them_are_of_their_zone(folder: Path, table: Any) -> None:
    write_deltalake(folder, pa.table({"at": pa.array([NOON], pa.timestamp("us", "UTC"))}))
    [file] = folder.glob("*.parquet")
    naive = pq.read_table(file).cast(pa.schema({"at": pa.timestamp("us")}))
    pq.write_table(naive, file, use_deprecated_int96_timestamps=True)
    _edit_log(folder, lambda told: told.get("add", {}).update(size=file.stat().st_size))

    assert str(table.load().to_pyarrow()["at"][0]) == "2013-07-15 12:00:00+00:00"


@pytest.mark.parametrize(
    ("feature", "match"), [("typeWidening", "TypeWidening"), ("ofNextYear", "ofNextYear")]
)
def test_features_that_cannot_be_read_are_refused(
    folder: Path, table: Any, feature: str, match: str
) -> None:
    write_deltalake(folder, pa.table({"n": [1]}))
    features = {"readerFeatures": [feature], "writerFeatures": [feature]}
    _edit_log(folder, _with_protocol(DELETION_VECTORS | features))

    with pytest.raises(DatasetError, match=f"cannot be read: .*{match}"):
        table.load()


def test_features_that_cannot_be_written_are_refused(folder: Path, table: Any) -> None:
    write_deltalake(folder, pa.table({"n": [1]}))
    features = {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["identityColumns"]}
    _edit_log(folder, _with_protocol(features))

    with pytest.raises(DatasetError, match=r"cannot be written: .*IdentityColumns"):
        table.save(ibis.memtable({"n": [2]}))


def test_what_is_no_table_is_said_to_be_none(folder: Path, table: Any, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="is no Delta table"):
        table.load()
    folder.mkdir()
    (folder / "rows.parquet").touch()
    with pytest.raises(DatasetError, match="is no Delta table"):
        table.load()
    with pytest.raises(DatasetError, match=r"cannot be read: .*Not a directory"):
        DeltaTableDataset(filepath=str(folder / "rows.parquet")).load()
    with pytest.raises(DatasetError, match=r"cannot be written: .*InvalidDomainCharacter"):
        DeltaTableDataset(filepath=str(tmp_path / "a[1]")).save(ibis.memtable({"n": [1]}))


@pytest.mark.parametrize(
    ("args", "match"),
    [
        ({"load_args": {"version": 7}}, "has no version 7: the last is 0"),
        ({"load_args": {"version": "new"}}, "load_args.version: Input should be a valid integer"),
        ({"save_args": {"mode": "ignore"}}, "save_args.mode: Input should be 'overwrite'"),
        ({"file_format": "parquet"}, "file_format is parquet: say `delta`"),
        ({"save_args": {"use_tmp_file": True}}, "save_args may have mode, partition_by"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    table: Any, folder: Path, args: dict[str, Any], match: str
) -> None:
    table.save(ibis.memtable({"n": [1]}))

    with pytest.raises(DatasetError, match=match):
        DeltaTableDataset(filepath=str(folder), **args).load()


@pytest.mark.parametrize("save_args", [{}, {"partition_by": ["n"]}])
def test_its_files_are_not_taken_for_a_table(folder: Path, save_args: dict[str, Any]) -> None:
    table = DeltaTableDataset(filepath=str(folder), save_args=save_args)
    for _ in range(2):
        table.save(ibis.memtable({"n": [1], "m": [2]}))

    for path in (folder, folder / "**/*.parquet"):
        with pytest.raises(DatasetError, match=r"is a Delta table.*DeltaTableDataset"):
            TableDataset(filepath=str(path)).load()


def test_without_the_extra_a_person_is_told_how_to_get_it(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "deltalake", None)

    with pytest.raises(ProjectError, match=r"^A table .* `uv sync --frozen --extra delta`"):
        table.load()


def test_rows_of_a_raw_table_are_numbered_in_its_order(table: Any, folder: Path) -> None:
    write_deltalake(folder, pa.table({"n": [1, -1]}))
    write_deltalake(folder, pa.table({"n": [2, -2, -3]}), mode="append")

    valid, quarantined, account = screen(table.load(), Count)

    assert sorted(valid.to_pyarrow()["n"].to_pylist()) == [1, 2]
    rows = {row["row"]: row["value"] for row in quarantined.to_pyarrow().to_pylist()}
    assert rows == {2: "-1", 4: "-2", 5: "-3"}
    assert account.n_quarantined == 3


def test_a_table_lives_on_a_store(object_stores: ObjectStore, bucket: str) -> None:
    # as the store of the project is opened
    table = DeltaTableDataset(filepath=f"{bucket}/table")
    assert table.fingerprint() == ""
    for rows in ({"n": [1, 2]}, {"n": [3]}):
        table.save(ibis.memtable(rows))
    # and as one that only this entry knows
    known = DeltaTableDataset(filepath=f"{bucket}/table", credentials=object_stores.options)

    assert table.load().to_pyarrow().to_pydict() == {"n": [3]}
    assert known.fingerprint() == table.fingerprint()
    assert object_stores.options["secret"] not in str(known)


def test_more_files_are_written_of_than_may_be_open_at_once(
    table: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def in_parts(_: Any, path: str) -> None:
        Path(path).mkdir()
        for number in range(200):
            pq.write_table(pa.table({"n": [number]}), f"{path}/part-{number:05}.parquet")

    monkeypatch.setattr(delta_tables, "is_spark", lambda _: True)
    monkeypatch.setattr(DeltaTableDataset, "connection", SimpleNamespace(to_parquet=in_parts))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = len([*Path("/dev/fd").iterdir()]) + 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, soft), hard))
    try:
        table.save(ibis.memtable({"n": [1]}))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    written = DeltaTable(str(folder)).to_pyarrow_table()
    assert sorted(written["n"].to_pylist()) == [*range(200)]


def test_options_of_a_stores_client_are_options_of_the_store() -> None:
    given = {"key": "k", "client_kwargs": {"endpoint_url": "http://store", "region_name": "here"}}

    assert (
        storage_options("s3", given).items()
        >= {
            "aws_access_key_id": "k",
            "aws_endpoint_url": "http://store",
            "aws_region": "here",
            "aws_allow_http": "true",
        }.items()
    )
    assert "client_kwargs" not in storage_options("s3", given)


def _read(table: DeltaTableDataset) -> list[int]:
    return sorted(table.load().to_pyarrow()["n"].to_pylist())


def _edit_log(folder: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Change what the first version says of itself, as other writers would have said it."""
    file = folder / "_delta_log/00000000000000000000.json"
    told = [json.loads(line) for line in file.read_text().splitlines()]
    for each in told:
        edit(each)
    file.write_text("\n".join(map(json.dumps, told)))


def _with_protocol(protocol: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda told: told.update(protocol=protocol) if "protocol" in told else None


def _second_row_deleted(told: dict[str, Any]) -> None:
    _with_protocol(DELETION_VECTORS)(told)
    if "metaData" in told:
        told["metaData"]["configuration"] = {"delta.enableDeletionVectors": "true"}
    if "add" in told:
        # a bitmap of one container with the number 1, as the protocol has it within the log
        bitmap = struct.pack("<IQIIIHHIH", 1681511377, 1, 0, 12346, 1, 0, 0, 16, 1)
        numbers = struct.unpack(">9I", bitmap.ljust(36, b"\0"))
        text = "".join(Z85[n // 85**power % 85] for n in numbers for power in (4, 3, 2, 1, 0))
        vector = {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": 34, "cardinality": 1}
        told["add"]["deletionVector"] = vector


def _swapped_names(told: dict[str, Any]) -> None:
    _with_protocol({"minReaderVersion": 2, "minWriterVersion": 5})(told)
    if "metaData" in told:
        fields = [
            {
                "name": name, "type": "long", "nullable": True,
                "metadata": {
                    "delta.columnMapping.id": number, "delta.columnMapping.physicalName": stored
                },
            }
            for number, (name, stored) in enumerate([("b", "a"), ("a", "b")], 1)
        ]  # fmt: skip
        told["metaData"]["schemaString"] = json.dumps({"type": "struct", "fields": fields})
        told["metaData"]["configuration"] = {
            "delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"
        }  # fmt: skip
