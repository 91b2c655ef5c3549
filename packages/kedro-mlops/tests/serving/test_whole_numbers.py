"""A number that is written with a point and is whole is an integer, by every way of asking."""

import json
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.encoding import Coded, encode_rows
from kedro_mlops.runtime.serving_spec import Encoding
from kedro_mlops.serving.bulk_answers import TableAnswers, logged_table, new_ids
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError


class Order(Contract):
    pieces: int = column("Pieces", ge=0)
    returned: pd.Int64Dtype = column("Of them", nullable=True)


NOW = datetime(2013, 1, 1)  # noqa: DTZ001 - local, as in the log
ROWS = RowReader(fields_of(Columns.of(Order)), max_rows=10)
TABLE = TableReader(ROWS)


def arrow_of(**columns):
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("written", ["3", "3.0", "3e0", "30E-1"])
def test_json(written):
    body = b'{"rows": [{"pieces": %b, "returned": %b}]}' % ((written.encode(),) * 2)

    [row] = ROWS.read_at_once(body) or ROWS.judged(body)
    columns = TABLE.read_json(body)

    assert row == (3, 3)
    assert all(type(value) is int for value in row)
    assert (columns["pieces"].dtype, columns["pieces"].tolist()) == (np.int64, [3])
    assert columns["returned"].tolist() == [3]


def test_arrow():
    columns = TABLE.read_arrow(arrow_of(pieces=[3.0, 4.0], returned=[2.0, None]))

    assert (columns["pieces"].dtype, columns["pieces"].tolist()) == (np.int64, [3, 4])
    np.testing.assert_array_equal(columns["returned"], [2, np.nan])


def test_of_which_some_are_missing_they_are_logged_as_they_are_and_scored_as_numbers():
    columns = TABLE.read_arrow(arrow_of(pieces=[1, 2], returned=[2**53 + 1, None]))
    zeros = np.zeros(2, np.int64)
    same = [Coded(zeros, [each]) for each in ("a-model", {}, [], "champion")]

    log = logged_table(columns, ROWS.fields, TableAnswers(new_ids(2), {}, *same), NOW)
    matrix = encode_rows(columns, Encoding({}, [], ["pieces", "returned"]))

    assert (log["returned"].type, log["returned"].to_pylist()) == (pa.int64(), [2**53 + 1, None])
    np.testing.assert_array_equal(matrix, [[1, 2**53], [2, np.nan]])


@pytest.mark.parametrize("value", [3.5, 1e300, True, "3"])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(BadRequestError):
        ROWS.judged(json.dumps({"rows": [{"pieces": value}]}).encode())
    with pytest.raises(BadRequestError):
        TABLE.read_arrow(arrow_of(pieces=[value]))


def test_a_column_that_is_a_float_in_pandas_since_some_are_missing():
    raw = pd.DataFrame({"pieces": [3.0, 2.0, 1.5], "returned": [1.0, np.nan, 1.0]})

    valid, quarantined, _ = screen(raw, Order)

    assert valid.schema()["returned"].is_integer()
    assert valid.to_pyarrow().to_pylist() == [
        {"pieces": 3, "returned": 1},
        {"pieces": 2, "returned": None},
    ]
    assert quarantined.to_pyarrow()["rule"].to_pylist() == ["is a whole number"]
