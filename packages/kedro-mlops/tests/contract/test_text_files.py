"""What is no text of a table is named, and what to do about it."""

import gzip
import io
import tracemalloc
import zipfile

import pandas as pd
import pytest
from example.texts import TEXT, advised, loaded, refused
from fsspec.implementations.local import LocalFileSystem
from kedro.io import DatasetError

from kedro_mlops.contract.columns import LINE
from kedro_mlops.contract.text_files import TextFile

ROWS = [["1", "Ann", "2.5"], ["2", "Zoë", "3"], ["3", "Bob €", ""]]


@pytest.fixture
def file(tmp_path):
    return tmp_path / "payments.csv"


def zipped(content, *names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, content)
    return buffer.getvalue()


ELSEWHERE = {
    "latin-1": (TEXT.replace("€", "£").encode("latin-1"), "byte 27 is 0xeb, in line 3"),
    "cp1252": (TEXT.encode("cp1252"), "byte 27 is 0xeb, in line 3"),
    "late": (b"id,name,paid\n" + b"1,abc,1\n" * 300_000 + b"2,Zo\xeb,1\n", "in line 300,002"),
    "utf-16": (TEXT.encode("utf-16"), "UTF-16"),
    "utf-16-le": (TEXT.encode("utf-16-le"), "UTF-16"),
    "utf-16-be": (TEXT.encode("utf-16-be"), "UTF-16"),
    "zip": (zipped(TEXT, "payments.txt"), "a zip archive"),
    "gzip": (gzip.compress(TEXT.encode()), "compressed"),
    "quote": ((TEXT + '4,"Eve,5\n' + "5,Jim,1\n" * 10).encode(), "a quote in line 5"),
    "late quote": (
        (TEXT + '4,"Eve",5\n5,"Jim,1\n' + "6,Liz,1\n" * 300_000).encode(),
        "a quote in line 6",
    ),
}


@pytest.mark.parametrize("kind", ELSEWHERE)
def test_what_a_file_is_instead_is_said_and_the_advice_works(file, kind):
    content, place = ELSEWHERE[kind]
    file.write_bytes(content)
    message = refused(file)

    raw = loaded(file, **advised(message))

    assert place in message
    assert raw.columns.tolist() == ["id", "name", "paid"]
    assert "Zoë" in raw["name"].tolist()
    assert LINE not in raw


def workbook():
    return zipped("<xml/>", "docProps/app.xml", "xl/workbook.xml", "[Content_Types].xml")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (workbook(), "an Excel workbook; save it as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(100), "an Excel workbook"),
        (b"PAR1" + bytes(100), "Parquet; say `type: pandas.ParquetDataset`"),
        (b"\x7fELF\x02\x01\x00" + bytes(range(256)) * 10, "is no text"),
        (b"id,name,id\n1,Ann,2\n", "several columns of one name: id"),
        (TEXT.encode("cp1252") + b"4,\x81,1\n", "latin-1"),
    ],
)
def test_what_is_no_table_of_text_is_named(file, content, words):
    file.write_bytes(content)

    assert words in refused(file)


MANY, LONG = "1,Ann,1\n" * 300_000, "x" * 2_200_000
AFTER_MANY = f"id,name,paid\n{MANY}2,{LONG},1\n3,Jim,1\n"
TOO_LONG = {
    "plain": (AFTER_MANY, {}, "a row in line 300,002 that is longer"),
    "without quotes": (AFTER_MANY, {"quotechar": None}, "a row in line 300,002 that is longer"),
    "utf-16": (AFTER_MANY, {"encoding": "utf-16"}, "a row in line 300,002 that is longer"),
    "old line ends": (AFTER_MANY.replace("\n", "\r"), {}, "a row in line 300,002 that is longer"),
    "last": (f"id,name,paid\n{MANY}2,{LONG}", {}, "a row in line 300,002 that is longer"),
    "quoted": (
        f'id,name,paid\n1,5" disk,2\n{MANY}2,"{LONG}",1\n', {},
        "a row in line 300,003 that is longer",
    ),
    "header": (f"id,name,{LONG}\n{MANY}", {}, "a row in line 1 that is longer"),
    "later header": (f"by hand\nid,{LONG}\n{MANY}", {"skiprows": 1}, "a row in line 2 that is"),
    "many lines": (
        f'id,name,paid\n{MANY}2,"{MANY}",1\n', {},
        "a quote in line 300,002 that is not closed, or not within",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TOO_LONG)
def test_a_row_that_is_too_long_is_named_and_what_one_may_have(file, kind):
    text, load_args, place = TOO_LONG[kind]
    file.write_bytes(text.encode(load_args.get("encoding", "utf-8")))

    message = refused(file, **load_args)

    assert place in message
    assert "the 1,048,576 bytes that" in message


def test_a_file_of_fewer_lines_than_are_to_be_skipped_is_not_said_to_have_a_long_row(file):
    file.write_text(TEXT)

    assert "Could not skip initial 9 rows" in refused(file, skiprows=9)


CUT_OFF = [("utf-16", 1), ("utf-16", 3), ("utf-16-be", 1), ("utf-32", 2)]


@pytest.mark.parametrize(("encoding", "n_bytes"), CUT_OFF)
def test_a_file_that_is_cut_off_within_a_character_is_said_to_be_and_where(file, encoding, n_bytes):
    content = (TEXT * 40_000).encode(encoding)[:-n_bytes]
    file.write_bytes(content)
    at = len(content) - len(content) % (4 if encoding == "utf-32" else 2)

    message = refused(file, encoding=encoding)

    assert f"is not {encoding}: byte {at:,} is 0x{content[at]:02x}, in line 160,000." in message
    assert message.endswith("It may be cut off: get it again.")


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "utf-16-le", "utf-16-be"])
def test_a_file_of_another_encoding_than_a_wide_one_is_said_to_be_and_the_advice_works(
    file, encoding
):
    file.write_bytes(TEXT.encode(encoding))

    message = refused(file, encoding="utf-16")

    assert loaded(file, **advised(message)).to_numpy().tolist() == ROWS


def test_the_first_byte_of_another_encoding_is_found_in_little_memory(file):
    """Also where there is but one line, and where a character is not read at once."""
    head = b"id,name,paid\n1," + "€".encode() * 5_000_000
    file.write_bytes(head + b"\xeb,2")
    tracemalloc.start()

    place = TextFile(LocalFileSystem(), file)._undecodable("utf-8")

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert place == f"byte {len(head):,} is 0xeb, in line 2"
    assert most < 5_000_000


def test_an_archive_must_hold_one_file(tmp_path):
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    one.write_bytes(zipped(TEXT, "a.csv"))
    two.write_bytes(zipped(TEXT, "a.csv", "b.csv"))

    assert loaded(one).to_numpy().tolist() == ROWS
    assert "several files: a.csv, b.csv" in refused(two)


@pytest.mark.parametrize("kind", ["zip", "gz", "bz2", "xz"])
def test_half_an_archive_is_damaged(tmp_path, kind):
    whole, half = tmp_path / f"whole.csv.{kind}", tmp_path / f"half.csv.{kind}"
    pd.DataFrame({"id": range(10_000)}).to_csv(whole, index=False)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])

    assert len(loaded(whole)) == 10_000
    assert "is damaged" in refused(half)


def test_a_file_that_is_not_there_is_named(file):
    with pytest.raises(DatasetError, match=r"payments\.csv"):
        loaded(file)
