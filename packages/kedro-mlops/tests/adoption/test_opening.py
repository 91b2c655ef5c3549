"""Tables are found wherever they are, and their projects can read them."""

import bz2
import gzip
import lzma
import sqlite3
import zipfile
from pathlib import Path

import ibis
import pandas as pd
import pytest
from kedro.io import DataCatalog

from kedro_mlops.adoption.opening import open_source
from kedro_mlops.adoption.profile import profile
from kedro_mlops.adoption.source import Source
from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.validation import RawTableValidator
from kedro_mlops.core.errors import ProjectError

TEXT = 'id,Größe,note\n1,2.5,"a, b"\n2,3,"say ""no"""\n3,4.5,x\n'
ROWS = [(1, 2.5, "a, b"), (2, 3.0, 'say "no"'), (3, 4.5, "x")]


class Row(Contract):
    """What the tables of these tests hold."""

    id: int = column("Number")
    size: float = column("Size", alias="Größe")
    note: str = column("Note")


def read_by_a_project(source: Source) -> list[tuple]:
    """What the project has of it, after it was validated and screened."""
    entry = source.entry(str(source.path)) if source.path else source.entry()
    catalog = DataCatalog.from_config({"raw": entry}, dict(source.credentials))
    raw = RawTableValidator(f"{__name__}.Row").validate(catalog.load("raw"))
    valid, _, _ = screen(raw, Row)
    return sorted(valid.to_pandas().itertuples(index=False, name=None))


def zipped(content: bytes, folder: Path) -> bytes:
    with zipfile.ZipFile(folder / "made.zip", "w") as archive:
        archive.writestr("rows.csv", content)
    return (folder / "made.zip").read_bytes()


WRITTEN = {
    "rows.csv": TEXT.encode(),
    "semicolon.csv": TEXT.replace(",", ";").replace("a; b", "a, b").encode(),
    "tab.tsv": TEXT.replace(",", "\t").replace("a\t b", "a, b").encode(),
    "bar.txt": TEXT.replace(",", "|").replace("a| b", "a, b").encode(),
    "windows.csv": TEXT.replace("\n", "\r\n").encode("cp1252"),
    "bom.csv": TEXT.encode("utf-8-sig"),
    "utf-16.csv": TEXT.encode("utf-16"),
    "utf-16-le.csv": TEXT.encode("utf-16-le"),
    "unended.csv": TEXT.removesuffix("\n").encode(),
    "rows.csv.gz": gzip.compress(TEXT.encode()),
    "rows.csv.bz2": bz2.compress(TEXT.encode()),
    "rows.csv.xz": lzma.compress(TEXT.encode()),
    "misnamed.csv": gzip.compress(TEXT.encode()),
    "ragged.csv": TEXT.encode() + b"4,5\n5,6,y,z\n",
}


@pytest.mark.parametrize("name", WRITTEN)
def test_text_is_read_however_it_is_written(tmp_path, name):
    file = tmp_path / name
    file.write_bytes(WRITTEN[name])

    source = open_source(str(file))

    assert source.is_text
    assert read_by_a_project(source) == ROWS
    found = profile(source)
    assert found.n_rows == 3
    assert [c.kind for c in found.columns] == ["integer", "number", "text"]
    assert source.n_odd_lines == (2 if name == "ragged.csv" else 0)


@pytest.mark.parametrize("row", ["id;{long}\n1;b\n", "id;note\n1;{long}\n", "id;note\n1;b\n{long}"])
def test_a_long_cell_does_not_hide_how_a_file_is_written(tmp_path, row):
    file = tmp_path / "long.csv"
    file.write_text(row.format(long="x" * 200_000))

    source = open_source(str(file))

    assert source.entry(str(file))["load_args"] == {"sep": ";"}


def test_a_zip_archive_is_read(tmp_path):
    file = tmp_path / "rows.zip"
    file.write_bytes(zipped(TEXT.encode(), tmp_path))

    assert read_by_a_project(open_source(str(file))) == ROWS


def test_parquet_is_read(tmp_path):
    pd.DataFrame(ROWS, columns=["id", "Größe", "note"]).to_parquet(tmp_path / "rows.parquet")

    source = open_source(str(tmp_path / "rows.parquet"))

    assert not source.is_text
    assert read_by_a_project(source) == ROWS


def test_folders_are_read(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["id", "Größe", "note"])
    writers = {"csv": frame.to_csv, "parquet": frame.to_parquet, "pq": frame.to_parquet}
    for ending, write in writers.items():
        folder = tmp_path / ending
        folder.mkdir()
        write(folder / f"one.{ending}", index=False)
        write(folder / f"two.{ending}", index=False)

        source = open_source(str(folder))

        assert len(source.files) == 2
        assert profile(source).n_rows == 6
        assert profile(source).repeated_rows == 3
        assert read_by_a_project(source) == sorted(ROWS * 2)


FRAME = pd.DataFrame(ROWS, columns=["id", "Größe", "note"])


@pytest.mark.parametrize("name", ["sales[1]", "all*", "why?", "{1,2}", "_mine", "note=7"])
def test_what_is_profiled_is_what_the_project_reads_whatever_names_files_have(tmp_path, name):
    """No name is taken for a pattern, hidden files are none of a folder, and others are others."""
    for folder in (tmp_path / name, tmp_path / name.replace("[1]", "1")):
        folder.mkdir(exist_ok=True)
        for hidden in ("_old.parquet", ".x.parquet"):
            FRAME.assign(id=0).to_parquet(folder / hidden)
        (folder / "b.pq.bak").write_text("")
        FRAME.assign(id=0).to_parquet(folder / "part1.parquet")
        (folder / "below").mkdir(exist_ok=True)
        FRAME.assign(id=0).to_parquet(folder / "below/part.parquet")
    (tmp_path / name / "part1.parquet").unlink()
    FRAME.to_parquet(tmp_path / name / "part[1].parquet")
    FRAME.assign(id=0).to_parquet(tmp_path / name / "_part1.parquet")

    for data in (tmp_path / name, tmp_path / name / "part[1].parquet"):
        source = open_source(str(data))

        assert profile(source).n_rows == 3
        assert sorted(source.table.to_pandas().itertuples(index=False, name=None)) == ROWS
        assert read_by_a_project(source) == ROWS


@pytest.mark.parametrize("endings", [(".parquet", ".pq"), (".PARQUET", ".parquet")])
def test_a_folder_of_several_endings_is_refused(tmp_path, endings):
    for ending in endings:
        FRAME.to_parquet(tmp_path / f"rows{ending}")
    FRAME.to_parquet(tmp_path / "_rows.parq")

    with pytest.raises(ProjectError, match=rf"end in {endings[0]} and in {endings[1]}, of which"):
        open_source(str(tmp_path))

    (tmp_path / f"rows{endings[1]}").unlink()
    assert read_by_a_project(open_source(str(tmp_path))) == ROWS


def test_a_name_that_the_engine_cannot_read_is_told(tmp_path):
    (tmp_path / "a\\b").mkdir()
    FRAME.to_parquet(tmp_path / "a\\b/rows.parquet")

    with pytest.raises(ProjectError, match=r"a\\b cannot be read: .*No files found"):
        open_source(str(tmp_path / "a\\b"))


def test_a_file_of_a_folder_that_differs_is_named(tmp_path):
    (tmp_path / "one.csv").write_text("a,b\n1,2\n")
    (tmp_path / "two.csv").write_text("a,c\n1,2\n")

    with pytest.raises(ProjectError, match=r"two\.csv has other columns than one\.csv.*: b, c"):
        open_source(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("two.csv.gz", gzip.compress(TEXT.encode(), mtime=0), "its compression is gzip, not none"),
        ("two.csv", TEXT.encode("utf-16"), "its encoding is utf-16, not utf-8"),
        ("two.csv", WRITTEN["semicolon.csv"], "its separator is ';', not ','"),
        ("two.csv", b'id,note\n1,a\n"2,b\n3,c\n', "its quote is none, not '\"'"),
        (
            "two.csv", gzip.compress(TEXT.replace(",", "\t").encode("cp1252"), mtime=0),
            "its separator is '\\t', not ','; its encoding is cp1252, not utf-8; its compression "
            "is gzip, not none",
        ),
    ],
)  # fmt: skip
def test_a_file_of_a_folder_that_is_written_in_another_way_is_told_in_which(
    tmp_path, name, content, words
):
    (tmp_path / "one.csv").write_text(TEXT)
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ProjectError) as error:
        open_source(str(tmp_path))

    assert str(error.value).endswith(f"than one.csv, beside it: {words}. Make them alike.")


def test_a_workbook_is_read(tmp_path):
    file = tmp_path / "book.xlsx"
    with pd.ExcelWriter(file) as book:
        pd.DataFrame({"a": [1]}).to_excel(book, sheet_name="first", index=False)
        pd.DataFrame(ROWS, columns=["id", "Größe", "note"]).to_excel(
            book, sheet_name="rows", index=False
        )

    assert read_by_a_project(open_source(f"{file}#rows")) == ROWS
    with pytest.raises(ProjectError, match=r"no sheet third\. It has first, rows"):
        open_source(f"{file}#third")


def test_a_table_of_a_database_is_read(tmp_path):
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute('CREATE TABLE sales (id INTEGER, "Größe" NUMERIC, note TEXT)')
        database.executemany("INSERT INTO sales VALUES (?, ?, ?)", ROWS)

    source = open_source(f"sqlite:///{tmp_path}/shop.db#sales")

    assert source.name == "sales"
    assert read_by_a_project(source) == ROWS
    assert "shop.db" not in str(source.entry())
    with pytest.raises(ProjectError, match=r"has no table sale\. It has: sales"):
        open_source(f"sqlite:///{tmp_path}/shop.db#sale")
    with pytest.raises(ProjectError, match="Say which table"):
        open_source(f"sqlite:///{tmp_path}/shop.db")


def test_a_delta_table_is_read_where_it_is(tmp_path, bucket):
    rows = pd.DataFrame(ROWS, columns=["id", "Größe", "note"]).assign(tags=[["a"]] * 3)
    project = tmp_path / "project"
    for where in (tmp_path / "rows", project / "rows", f"{bucket}/lake/rows"):
        table = DeltaTableDataset(filepath=str(where))
        # of which the files remain
        table.save(ibis.memtable(rows.assign(id=0)))
        table.save(ibis.memtable(rows))

        source = open_source(str(where))

        assert (source.name, source.left_out.keys()) == ("rows", {"tags"})
        assert read_by_a_project(source) == ROWS
        assert not source.is_copied(project)
        place = {project / "rows": "rows", tmp_path / "rows": str(where)}.get(where, "")
        assert source.place(project) == place

    with pytest.raises(ProjectError, match="no log of one in it"):
        open_source(f"{bucket}/lake")
    DeltaTableDataset(filepath=f"{bucket}/nested").save(ibis.memtable(rows[["tags"]]))
    with pytest.raises(ProjectError, match="no columns that a contract can tell of"):
        open_source(f"{bucket}/nested")


def test_a_database_that_does_not_answer_is_named_without_the_password():
    with pytest.raises(ProjectError, match="cannot be read") as error:
        open_source("postgresql://ann:hushhush@127.0.0.1:1/shop#sales")  # pragma: allowlist secret

    assert "hushhush" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("rows.csv", b"", "is empty"),
        ("rows.csv", b"\n\n", "is empty"),
        ("rows.csv", b"a,b\n", "no rows below its header"),
        ("rows.csv", b"a,b,a\n1,2,3\n", "several columns of one name: a"),
        ("rows.csv", b"1,2.5\n3,4.5\n", "has no header"),
        ("rows.csv", b"a,b\nx,1,2\ny,1,2\n", "its header has 2 cells, its lines 3"),
        ("rows.csv", b"\x7fELF\x02\x01\x00" + bytes(range(256)) * 10, "is no text"),
        ("rows.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:15], "is damaged"),
        ("rows.parquet", b"PAR1 and no more", "no Parquet file, or a damaged one"),
        ("rows.xlsx", b"PK no workbook", "no Excel workbook"),
        ("rows.xls", b"\xd0\xcf\x11\xe0", "save it as .xlsx or CSV"),
    ],
)
def test_what_cannot_be_read_is_named_and_what_is_wrong_with_it(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(ProjectError, match=words) as error:
        open_source(str(tmp_path / name))

    assert name in str(error.value)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(ProjectError, match=r"no file or folder missing\.csv"):
        open_source("missing.csv")
    with pytest.raises(ProjectError, match=r"no file or folder /dev/null"):
        open_source("/dev/null")
    with pytest.raises(ProjectError, match="Say where the table is"):
        open_source("")
    (tmp_path / "below").mkdir()
    (tmp_path / "below/rows.csv").write_text(TEXT)
    with pytest.raises(ProjectError, match="itself, without the folders in it, has no files that"):
        open_source(str(tmp_path))
    with pytest.raises(ProjectError, match="no URL that SQLAlchemy knows"):
        open_source("https://example.org/rows.csv")


def test_what_may_not_be_read_is_told(tmp_path, monkeypatch):
    (tmp_path / "rows.csv").write_text(TEXT)
    # a superuser may read whatever its mode is
    monkeypatch.setattr("os.access", lambda path, mode: False)

    with pytest.raises(ProjectError, match=r"rows\.csv may not be read by you"):
        open_source(str(tmp_path / "rows.csv"))


def test_a_column_of_numbers_without_a_name_has_that_which_pandas_gives_it(tmp_path):
    pd.DataFrame({"a": [5, 6]}).to_csv(tmp_path / "rows.csv")

    found = profile(open_source(str(tmp_path / "rows.csv")))

    assert [column.name for column in found.columns] == ["Unnamed: 0", "a"]


def test_names_may_be_counted(tmp_path):
    pd.DataFrame([[5, 6]]).to_csv(tmp_path / "rows.csv", index=False)

    assert open_source(str(tmp_path / "rows.csv")).table.columns == ("0", "1")


def test_columns_of_types_that_contracts_do_not_have_are_left_out(tmp_path):
    pd.DataFrame({"a": [1], "list": [[1, 2]]}).to_parquet(tmp_path / "rows.parquet")

    source = open_source(str(tmp_path / "rows.parquet"))

    assert source.table.columns == ("a",)
    assert "array" in source.left_out["list"]
