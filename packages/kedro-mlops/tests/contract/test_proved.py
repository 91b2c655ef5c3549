"""A table that this run has proved and written is trusted; in doubt its rows are asked."""

import ibis
import pytest
from kedro.io.core import Version
from kedro.validation import DataValidationError

from kedro_mlops.contract import proved, validation
from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.contract.validation import ContractValidator


class Parcel(Contract):
    number: int = column("Number")
    weight: float = column("Weight, kg", gt=0)

    class Config:
        unique = ("number",)


class LightParcel(Parcel):
    weight: float = column("Weight, kg", gt=0, lt=2)


@ibis.udf.scalar.builtin
def random() -> float:
    """The engine's own."""


GOOD = ibis.memtable({"number": [1, 2, 3], "weight": [1.0, 2.0, 3.0]})
BAD = ibis.memtable({"number": [1], "weight": [-1.0]})
WORSE = ibis.memtable({"number": [1, 2, 3], "weight": [1.0, 2.0, -3.0]})


@pytest.fixture
def raw(tmp_path):
    dataset = TableDataset(filepath=str(tmp_path / "raw.parquet"))
    dataset.save(GOOD.union(BAD))
    return dataset


@pytest.fixture
def unasked(monkeypatch):
    """Rows that nobody can ask."""
    monkeypatch.setattr(validation, "_row_failures", None)


@pytest.fixture
def screened(tmp_path):
    return TableDataset(filepath=str(tmp_path / "screened.parquet"))


def validate(table, contract="Parcel"):
    return ContractValidator(f"{__name__}.{contract}").validate(table)


@pytest.mark.parametrize("source", ["a file", "memory", "text"])
def test_rows_that_were_screened_and_written_are_not_asked_again(raw, screened, unasked, source):
    text = GOOD.union(BAD).cast({"number": "string", "weight": "string"}).to_pandas()
    given = {"a file": raw.load(), "memory": GOOD.union(BAD).to_pandas(), "text": text}[source]
    valid, _, account = screen(given, Parcel)

    screened.save(valid)

    assert validate(screened.load()).count().execute() == account.n_valid == 3


@pytest.mark.parametrize(
    "made",
    [
        lambda raw: raw.limit(3),
        lambda raw: raw.distinct(on="number"),
        lambda raw: raw.mutate(weight=raw.weight + 10 + ibis.random()),
        lambda raw: raw.mutate(weight=raw.weight + 10 + random()),
        lambda raw: raw.mutate(weight=ibis.row_number() + 1.0),
        lambda raw: raw.alias("those").sql("SELECT * FROM those"),
    ],
)
def test_rows_that_may_be_others_when_they_are_asked_again_are_asked(raw, screened, unasked, made):
    raw.save(GOOD)
    screened.save(screen(made(raw.load()), Parcel)[0])

    with pytest.raises(TypeError):
        validate(screened.load())


def test_another_contract_asks_them(raw, screened):
    screened.save(screen(raw.load(), Parcel)[0])

    with pytest.raises(DataValidationError, match=r"less_than\(2\)"):
        validate(screened.load(), "LightParcel")


def test_what_another_has_written_meanwhile_is_asked(raw, screened, tmp_path):
    screened.save(screen(raw.load(), Parcel)[0])
    ibis.duckdb.connect().to_parquet(WORSE, tmp_path / "screened.parquet")

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


def test_what_is_made_of_screened_rows_is_asked(raw, screened):
    valid, _, _ = screen(raw.load(), Parcel)

    screened.save(valid.mutate(weight=-ibis._.weight))

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


@pytest.mark.parametrize("source", ["a file", "memory"])
def test_a_source_that_is_replaced_before_its_rows_are_written_proves_nothing(
    raw, screened, tmp_path, source
):
    raw.save(GOOD)
    valid, _, _ = screen(raw.load() if source == "a file" else GOOD, Parcel)
    ibis.duckdb.connect().to_parquet(WORSE, tmp_path / "raw.parquet")

    screened.save(valid)

    if source == "memory":
        assert validate(screened.load()).count().execute() == 3
        return
    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


def test_files_in_folders_at_any_depth_are_watched(screened, tmp_path):
    (deep := tmp_path / "a" / "b" / "c").mkdir(parents=True)
    ibis.duckdb.connect().to_parquet(GOOD, deep / "raw.parquet")
    raw = TableDataset(filepath=f"{tmp_path}/a/**/*.parquet")
    valid, _, _ = screen(raw.load(), Parcel)
    ibis.duckdb.connect().to_parquet(WORSE, deep / "raw.parquet")

    screened.save(valid)

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


def test_a_table_that_is_read_of_what_nobody_watches_proves_nothing(screened, tmp_path):
    engine, file = screened.connection, tmp_path / "unwatched.parquet"
    engine.to_parquet(GOOD, file)
    valid, _, _ = screen(engine.read_parquet(file), Parcel)
    engine.to_parquet(WORSE, file)

    screened.save(valid)

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


def test_a_folder_that_keeps_the_files_of_others_is_asked(raw, tmp_path):
    (folder := tmp_path / "screened").mkdir()
    ibis.duckdb.connect().to_parquet(BAD, folder / "old.parquet")
    save_args = {"per_thread_output": True, "overwrite_or_ignore": True}
    screened = TableDataset(filepath=str(folder / "*.parquet"), save_args=save_args)
    screened._get_save_path = lambda: folder

    screened.save(screen(raw.load(), Parcel)[0])

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(screened.load())


def test_a_name_that_another_table_may_have_next_proves_nothing(raw, tmp_path):
    raw = TableDataset(filepath=raw._filepath, table_name="raw")
    valid, _, _ = screen(raw.load(), Parcel)
    screened = TableDataset(filepath=str(tmp_path / "screened.parquet"), table_name="screened")
    screened.save(valid)
    validator = ContractValidator(f"{__name__}.Parcel")
    validator.validate(screened.load())

    for name in ("raw", "screened"):
        ibis.duckdb.connect().to_parquet(WORSE, tmp_path / f"{name}.parquet")

    with pytest.raises(DataValidationError, match="greater_than"):
        validator.validate(screened.load())
    raw.load()
    assert not proved.kept_now(valid)


@pytest.mark.parametrize(
    ("save_args", "is_trusted"),
    [
        ({"use_tmp_file": True, "compression": "zstd", "row_group_size": 10_000}, True),
        ({"partition_by": "number", "overwrite": True}, False),
        ({"PARTITION_BY": "number", "overwrite": True}, False),
    ],
)
def test_what_is_read_in_another_way_than_it_was_written_is_asked(
    raw, tmp_path, save_args, is_trusted
):
    screened = TableDataset(filepath=str(tmp_path / "screened"), save_args=save_args)

    screened.save(screen(raw.load(), Parcel)[0])

    assert (screened._proof is not None) is is_trusted


@pytest.mark.filterwarnings("ignore:Save version")
def test_a_version_that_is_read_is_not_the_one_that_was_written(raw, tmp_path):
    of_old = TableDataset(filepath=str(tmp_path / "t.parquet"), version=Version("old", "old"))
    of_old.save(WORSE)
    mixed = TableDataset(filepath=str(tmp_path / "t.parquet"), version=Version("old", "new"))

    mixed.save(screen(raw.load(), Parcel)[0])

    with pytest.raises(DataValidationError, match="greater_than"):
        validate(mixed.load())


def test_a_table_of_the_same_rows_is_as_it_was_as_long_as_the_other_is(raw):
    same = ibis.duckdb.connect().read_parquet(raw._filepath)
    assert not proved.kept_now(screen(same, Parcel)[0])

    proved.note_same(same, raw.load())

    valid, _, _ = screen(same, Parcel)
    assert proved.kept_now(valid)
    raw.save(GOOD)
    assert not proved.kept_now(valid)


def test_a_file_whose_rows_were_asked_has_no_key_twice_until_it_changes(tmp_path):
    dataset = TableDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(GOOD)
    table = dataset.load()
    assert not proved.is_unique(table, ["number"])

    validate(table)

    assert proved.is_unique(table, ["number"])
    assert proved.is_unique(table, ["weight", "number"])
    assert not proved.is_unique(table, ["weight"])
    ibis.duckdb.connect().to_parquet(GOOD.union(GOOD), tmp_path / "table.parquet")
    assert not proved.is_unique(table, ["number"])


def test_of_rows_that_are_in_no_file_nothing_is_known_by_having_asked_them():
    table = ibis.duckdb.connect().create_table("parcels", GOOD.to_pyarrow())

    validate(table)

    assert not proved.is_unique(table, ["number"])
