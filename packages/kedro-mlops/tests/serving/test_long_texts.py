"""Texts longer than usual, where the contract says so, and what they may take all the same."""

import json

import pyarrow as pa
import pytest

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.errors import ContractError
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.field_types import MAX_TEXT
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError

MOST = 20_000


class Letter(Contract):
    said: str = column("What it says", str_length={"max_value": MOST})
    answered: str = column("What was answered", str_length={"max_value": MOST})
    subject: str = column("What it is about")


ROWS = RowReader(fields_of(Columns.of(Letter)), max_rows=10_000)
TABLE = TableReader(ROWS)


def read(said, subject="x"):
    """By every way of asking, each of which says the same."""
    row = {"said": said, "answered": "", "subject": subject}
    body = json.dumps({"rows": [row]}).encode()
    [values] = ROWS.read_at_once(body) or ROWS.judged(body)
    table = pa.table({name: [value] for name, value in row.items()})
    columns = TABLE.read_json(body), TABLE.read_arrow(arrow_of(table))
    assert values == (said, "", subject)
    assert [c["said"].values for c in columns] == [[said]] * 2


def arrow_of(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("letter", ["x", "é", "🛩", "\0"])
def test_a_text_may_be_as_long_as_the_contract_says(letter):
    read(letter * MOST)

    for said, subject in ((letter * (MOST + 1), "x"), ("x", letter * (MAX_TEXT + 1))):
        with pytest.raises(BadRequestError):
            read(said, subject)
        with pytest.raises(BadRequestError):
            row = pa.table({"said": [said], "answered": [""], "subject": [subject]})
            TABLE.read_arrow(arrow_of(row))


def test_what_is_long_and_said_often_is_too_much():
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 3000, pa.int32()), ["x" * MOST])
    subjects = pa.array(["x"] * 3000)
    table = pa.table({"said": words, "answered": words, "subject": subjects})

    TABLE.read_arrow(arrow_of(table.slice(0, 1)))
    with pytest.raises(BadRequestError, match="120,000,000 characters"):
        TABLE.read_arrow(arrow_of(table))


def test_the_document_says_how_long():
    properties = ROWS.model.model_json_schema()["properties"]

    assert [said["maxLength"] for said in properties.values()] == [MOST, MOST, MAX_TEXT]


@pytest.mark.parametrize("length", [{"min_value": 1}, {"min_value": 1, "max_value": 9}])
def test_only_the_most_can_be_said(length):
    class Short(Contract):
        text: str = column("It", str_length=length)

    with pytest.raises(ContractError, match="str_length by min_value"):
        Columns.of(Short)
