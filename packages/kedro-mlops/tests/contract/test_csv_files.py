import os
import subprocess
import sys
import time
import tracemalloc

import pandas as pd
import pyarrow as pa
import pytest
from example.screening import judged, rows_of
from example.texts import TEXT, advised, loaded, refused
from kedro.io import DataCatalog, DatasetError
from kedro.validation import DataValidationError

from kedro_mlops.contract import csv_files
from kedro_mlops.contract.columns import LINE, Contract, column
from kedro_mlops.contract.csv_files import CSVTextDataset
from kedro_mlops.contract.quarantine import admit, screen
from kedro_mlops.core.errors import BadDataError

ROWS = [["1", "Ann", "2.5"], ["2", "Zoë", "3"], ["3", "Bob €", ""]]


class Payment(Contract):
    """What the files of these tests hold."""

    id: int = column("Number", ge=1)
    name: str = column("Who pays", nullable=True)
    paid: float = column("Sum, €", nullable=True)

    class Config:
        unique = ("id",)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "payments.csv"


ODD_TEXTS = ["00179", "1e5", "True", "inf", "nan", "NULL", "None", "NA", "", " x ", "2013-01-01"]


def test_every_cell_is_the_text_that_it_is_in_the_file(file):
    rows = pd.DataFrame({"id": ODD_TEXTS, "other": ODD_TEXTS[::-1]})
    rows.to_csv(file, index=False)

    raw = loaded(file)

    assert raw.to_dict("list") == rows.to_dict("list")
    assert not raw.isna().any(axis=None)
    assert all(isinstance(cell, str) for cell in raw.to_numpy().ravel())


def test_values_may_be_quoted_and_have_lines_and_separators(file):
    file.write_text('id,name,paid\r\n1,"Ann, ""A""\nof Rye",2\r\n2,5" disk,3')

    raw = loaded(file)

    assert raw["name"].tolist() == ['Ann, "A"\nof Rye', '5" disk']


@pytest.mark.parametrize(
    ("content", "load_args"),
    [
        (TEXT.replace(",", ";").encode(), {"sep": ";"}),
        (TEXT.replace(",", "\t").encode(), {"sep": "\t"}),
        (TEXT.encode("utf-8-sig"), {}),
        (TEXT.replace("\n", "\r\n").encode(), {}),
        (f"made by hand\n{TEXT}".encode(), {"skiprows": 1}),
        (TEXT.partition("\n")[2].encode(), {"names": ["id", "name", "paid"]}),
    ],
)
def test_a_file_is_read_as_load_args_say(file, content, load_args):
    file.write_bytes(content)

    raw = loaded(file, **load_args)

    assert raw.columns.tolist() == ["id", "name", "paid"]
    assert raw.to_numpy().tolist() == ROWS


def test_load_args_that_would_have_no_effect_are_refused(file):
    with pytest.raises(DatasetError, match=r"has dtype\. It may have sep, encoding"):
        loaded(file, dtype="str")


def test_a_file_from_outside_is_not_written(file):
    with pytest.raises(DatasetError, match="only read"):
        CSVTextDataset(filepath=str(file)).save(pd.DataFrame())


BROKEN = "id,name,paid\n1,Ann,2\n2,Jim\n3,Bob,1\n4,Eve,1,extra\n5,Liz,x\n6,Ann,7\n"


def test_a_line_that_is_no_row_is_quarantined_with_its_text_and_costs_no_other(file):
    file.write_text(BROKEN)

    valid, quarantined, account = screen(loaded(file), Payment)

    assert [row["id"] for row in rows_of(valid)] == [1, 3, 6]
    assert [(e["row"], e["column"], e["rule"], e["value"]) for e in rows_of(quarantined)] == [
        (2, LINE, "has a cell for each column", "2,Jim"),
        (4, LINE, "has a cell for each column", "4,Eve,1,extra"),
        (5, "paid", "is numeric", "x"),
    ]
    assert (account.n_read, account.n_quarantined) == (6, 3)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("n_rows", [0, 3, 400_000])  # the last are many times what is read at once
def test_lines_that_are_no_rows_stay_where_they_are_in_a_file_of_any_length(
    file, monkeypatch, n_rows, in_memory
):
    """Every seventh, and the first and the last two."""
    if not in_memory:
        monkeypatch.setattr(csv_files, "MAX_BYTES_IN_MEMORY", 0)
    lines = [f"{n},x,1" if n % 7 else f"{n},odd" for n in range(n_rows)]
    lines = ["first", *lines, "last", "very last"]
    file.write_text("\n".join(["id,name,paid", *lines]))

    raw = loaded(file)

    assert raw[LINE].fillna(raw["id"] + ",x,1").tolist() == lines


def test_a_file_without_rows_is_refused_before_all_of_it_is_read(file, monkeypatch):
    """Each of its lines has a comma more than its header."""
    monkeypatch.setattr(csv_files, "MAX_BYTES_BEFORE_ROWS", 2**16)
    file.write_text("id,paid\n" + "1,UTF8,\n" * 1000)

    message = refused(file)

    assert "no rows in its first 318 lines: its header has 2 cells, line 318 has 3" in message


@pytest.mark.parametrize("load_args", [{}, {"skiprows": 1}, {"names": ["id", "paid"]}])
def test_a_file_with_a_row_before_many_lines_that_are_none_is_read(file, monkeypatch, load_args):
    monkeypatch.setattr(csv_files, "MAX_BYTES_BEFORE_ROWS", 2**12)
    head = "by hand\n" * load_args.get("skiprows", 0) + "id,paid\n" * ("names" not in load_args)
    file.write_text(f"{head}odd\n\n1,2\n" + "x\n" * 1000 + "3,4\n")

    raw = loaded(file, **load_args)

    assert raw["id"].dropna().tolist() == ["1", "3"]
    assert raw[LINE].dropna().tolist() == ["odd", *["x"] * 1000]


def test_lines_end_where_the_file_says_so_and_nowhere_else(file):
    odd = ["1,\u2028,x,y", "2,\x0b\x0c\x1c\x1d\x1e,x,y", "3,\x85,\u2029,y", "4,x,y,z"]
    file.write_bytes("\r\n".join(["id,name,paid", *odd[:2], "5,Ann,2", *odd[2:]]).encode())

    assert loaded(file)[LINE].dropna().tolist() == odd


def test_names_of_many_columns_are_compared_in_no_time(file):
    names = [f"c{number}" for number in range(20_000)]
    file.write_text(",".join(["b", "a", *names, "a", "b"]) + "\n")
    started = time.process_time()

    assert refused(file).endswith("has several columns of one name: a, b.")
    assert time.process_time() - started < 3


def test_lines_that_are_no_rows_do_not_fill_the_memory(file, monkeypatch):
    monkeypatch.setattr(csv_files, "MAX_ROW_BYTES", 2**16)
    file.write_text("id,name\n1,Ann\n" + f"2,{'x' * 60},\n" * 20_000)
    schema = pa.schema([(name, pa.large_string()) for name in ("id", "name", LINE)])

    tracemalloc.start()
    batches = CSVTextDataset(filepath=str(file))._lines(schema)
    n_lines = sum(batch.num_rows for batch in batches)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert n_lines == 20_001
    assert peak < 2**21


READ = """
import sys, tempfile
from pathlib import Path
from kedro_mlops.contract import csv_files
csv_files.MAX_BYTES_IN_MEMORY = 0
names = csv_files.CSVTextDataset(filepath=sys.argv[1]).load()["name"]
print(len(names.to_pandas()), len([*Path(tempfile.gettempdir()).iterdir()]))
"""


def test_the_text_is_there_while_a_part_of_the_table_is_and_gone_with_the_process(file, tmp_path):
    (scratch := tmp_path / "scratch").mkdir()
    file.write_text(TEXT)

    read = subprocess.run(
        [sys.executable, "-c", READ, str(file)],
        env=os.environ | {"TMPDIR": str(scratch)}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert read.stdout.split() == ["3", "1"]
    assert not [*scratch.iterdir()]


def test_a_file_is_read_again_only_if_it_is_another_one(file):
    file.write_text(TEXT)
    dataset = CSVTextDataset(filepath=str(file))
    first, again = dataset.load(), dataset.load()

    file.write_text(TEXT + "4,Eve,1\n")

    assert again is first
    assert dataset.load().count().execute() == 4


@pytest.mark.parametrize("load_args", [{"skiprows": 1}, {"names": ["id", "name", "paid"]}])
def test_rows_are_counted_in_the_file_however_it_begins(file, load_args):
    file.write_text(BROKEN if "names" in load_args else f"made by hand\n{BROKEN}")

    _, quarantined, _ = screen(loaded(file, **load_args), Payment)

    header = len(load_args.get("names", [])[:1])
    lines = [e["row"] for e in rows_of(quarantined) if e["column"] == LINE]
    assert lines == [2 + header, 4 + header]


def test_the_text_of_a_line_is_not_shown_where_some_of_it_is_personal(file):
    class Personal(Payment):
        name: str = column("Who pays", nullable=True, personal=True)

    file.write_text(BROKEN)

    _, _, account = screen(loaded(file), Personal)

    assert "Jim" not in str(account)
    with pytest.raises(BadDataError, match="has a cell for each column") as error:
        admit(judged(0, account))
    assert "Jim" not in str(error.value)


def catalog_of(file, contract="Payment", **load_args):
    entry = {
        "type": "kedro_mlops.contract.csv_files.CSVTextDataset",
        "filepath": str(file),
        "load_args": load_args,
        "validator": {
            "class": "kedro_mlops.contract.validation.RawTableValidator",
            "on": ["load"],
            "options": {"contract": f"{__name__}.{contract}"},
        },
    }
    return DataCatalog.from_config({"payments": entry})


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_columns_that_are_separated_otherwise_are_named_and_the_advice_works(file, separator):
    file.write_text(TEXT.replace(",", separator))
    with pytest.raises(DataValidationError) as error:
        catalog_of(file).load("payments")
    message = str(error.value)

    raw = catalog_of(file, **advised(message)).load("payments").to_pandas()

    assert "payments lacks id, name, paid" in message
    assert f"id{separator}name{separator}paid" in message
    assert raw.to_numpy().tolist() == ROWS


def test_a_separator_that_is_set_wrongly_is_found_too(file):
    file.write_text(TEXT)
    with pytest.raises(DataValidationError) as error:
        catalog_of(file, sep=";").load("payments")

    assert advised(str(error.value)) == {"sep": ","}


def test_columns_that_are_missing_are_named_with_those_that_there_are(file):
    file.write_text(TEXT.replace("paid", "price"))

    with pytest.raises(DataValidationError) as error:
        catalog_of(file).load("payments")

    assert "payments lacks paid" in str(error.value)
    assert "It has id, name, price." in str(error.value)


class Person(Contract):
    name: str = column("Who", personal=True)


def test_a_file_without_header_shows_no_personal_value(file):
    file.write_text("Ann,1\nJim,2\n")

    with pytest.raises(DataValidationError, match="2 columns, none of which is known") as error:
        catalog_of(file, "Person").load("payments")

    assert "Ann" not in str(error.value)


def test_what_is_missing_is_as_the_contract_says(file):
    file.write_text("id,name,paid\n1,NA,NA\n2,NULL,2\n3,None,\n4,,1\nNA,00179,1\n")

    valid, quarantined, account = screen(loaded(file), Payment)

    assert [(row["name"], row["paid"]) for row in rows_of(valid)] == [
        (None, None), ("NULL", 2.0), ("None", None), (None, 1.0),
    ]  # fmt: skip
    [entry] = rows_of(quarantined)
    assert (entry["column"], entry["rule"]) == ("id", "not_nullable")
    assert entry["record"]["name"] == "00179"
    assert account.n_read == 5


def test_the_first_rows_can_be_looked_at(file):
    file.write_text("name,paid\nAnn,2\nJim\nBob,3\n")

    preview = CSVTextDataset(filepath=str(file)).preview(nrows=1)

    assert (preview["columns"], preview["data"]) == (["name", "paid"], [["Ann", "2"]])
