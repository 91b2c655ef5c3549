"""Values in other types than a field's are the same by every way of asking."""

import contextlib
import json

import pandas as pd
import pyarrow as pa
import pytest
from example.hostile import read_rows

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.export.fields import fields_of
from kedro_mlops.runtime.field_types import value_judge
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.model import plain
from kedro_mlops.serving.reading import RowReader
from kedro_mlops.serving.refusals import BadRequestError


class Coerced(Contract):
    one: str = column("May be missing", nullable=True, coerce=True)
    named: str = column("One of these", nullable=True, coerce=True, isin=["a", "b"])
    needed: str = column("May not be missing", coerce=True)
    typed: str = column("As it is typed", nullable=True)


class Told(Contract):
    at: pd.Timestamp = column("A moment", nullable=True, coerce=True)
    open: pd.BooleanDtype = column("A truth", nullable=True, coerce=True)
    day: pd.Timestamp = column("A day", nullable=True, coerce=True, format="%d/%m/%Y")
    sent: pd.Timestamp = column("By a zone", nullable=True, coerce=True, format="%d.%m.%Y %H:%M %z")
    since: pd.Timestamp = column("Counted", nullable=True, coerce=True, format="epoch_s")
    count: pd.Int64Dtype = column("Whole", nullable=True, coerce=True)
    price: float = column("A price", nullable=True, coerce=True, decimal=",")
    sum: float = column("A sum", nullable=True, coerce=True, decimal=",", thousands=".")
    share: float = column("A share", nullable=True, coerce=True, symbol="%", thousands=" ")


MOMENTS = [
    "2024-01-03", "2024/1/3", "2024-1-3 8:00", "2024-01-03T8:5:7.25", "2024-01-03 08:00Z",
    "2024-01-03 08:00 UTC", "2024-01-03T08:00:00 +02:00", "2024-01-03T08:00:00.1234567-0130",
    "20240103", "2024-W01-1", "2024", "2024-01-03T08", "2024-13-01",
    "2024-01-03 12:00:00 Asia/Tokyo", "0000-01-01", "epoch", "12:00", "2024-01-03 24:00",
    *(f"2024-01-03 12:00{zone}" for zone in ("+17:59", "+18:00", "+24:00", "+14:60", "+02:99")),
]  # fmt: skip
TRUTHS = ["true", "T", "yes", "N", "1", "0", " false ", "on", "2", "1.0", "wahr", "ye\u017f"]
ZONES = ["+0200", "-02:30", "+02", "Z", "+2", "+18:00", "+25:00", "+0299", "+02:00:30", ""]
COUNTS = ["7", "7.0", "7.5", "1_000", "+-5", "1e3", "12345678901234567.0", "1234567890123456789"]
COUNTS += ["9223372036854775807", "9223372036854775808", "-9223372036854775809"]
PRICES = ["1,5", "1.5", "1.", ",5", "1,5,5", "+-1,5", "-1,5e2", "1.234,5"]
SUMS = ["1,5", "1.234", "1.234,5", "1.5", "12.34", "1234.5", "1.234.", "-1.234.567,8"]
SHARES = ["5 %", "5\u00a0%", "\u00a05%", "-% 5", "1 234%", "1\u202f234 %", "5\u2003%", "+-5%"]
TEXTS = {
    "at": MOMENTS,
    "open": TRUTHS,
    "day": ["1/1/2024", "1/1/0999", "1/1/999", "1/1/1000", "32/1/2024"],
    "sent": [f"3.1.2024 12:00 {zone}" for zone in ZONES],
    "since": ["1", "1.5", "-62135596800", "-62135596801", "253402300800", "1_0"],
    "count": COUNTS,
    "price": PRICES,
    "sum": SUMS,
    "share": SHARES,
}
# of which the last are blanks to Python or to Spark alone
BLANKS = ["\t", "\v", "\f", "\r\n", "\x00", "\x1f", "\x85", "\u00a0", "\u2003", "\u2028"]

ROWS = RowReader(fields_of(Columns.of(Coerced)), max_rows=10)
TABLE = TableReader(ROWS)
WORDS = ["", "NA", "a", "na", None]


def by_every_way(row):
    """The values of a row: alone, among many, and in Arrow."""
    body = json.dumps({"rows": [row]}).encode()
    sink = pa.BufferOutputStream()
    table = pa.table({name: pa.array([value], pa.string()) for name, value in row.items()})
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    columns = TABLE.read_json(body), TABLE.read_arrow(sink.getvalue().to_pybytes())
    [few] = read_rows(ROWS, body)
    return [list(few), *([plain(each[name])[0] for name in row] for each in columns)]


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_no_value_is_none_where_it_is_coerced_as_in_training(word):
    row = {"one": word, "named": "a" if word == "na" else word, "needed": "x", "typed": word}

    few, many, arrow = by_every_way(row)

    source = pd.DataFrame({"one": [word], "named": ["a"], "needed": ["x"], "typed": ["x"]})
    valid, _, _ = screen(source, Coerced)
    assert few == many == arrow
    assert few[0] == valid.to_pyarrow().to_pylist()[0]["one"]
    assert few[1] == (None if word in ("", "NA", None) else "a")
    assert few[3] == word


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_what_it_is_in_training_or_refused(name):
    one = TEXTS[name][0]
    texts = TEXTS[name] + [blank + one for blank in BLANKS] + [one + blank for blank in BLANKS]
    judge = value_judge(next(f for f in fields_of(Columns.of(Told)) if f.name == name))
    source = pd.DataFrame({"order": range(len(texts))} | dict.fromkeys(TEXTS), dtype="object")
    valid, quarantined, _ = screen(source.assign(**{name: texts}), Told)

    read = {}
    for text in texts:
        with contextlib.suppress(ValueError):
            read[text] = judge(text)

    assert list(read.values()) == valid.to_pyarrow()[name].to_pylist()
    assert len(texts) - len(read) == quarantined.count().to_pyarrow().as_py() > 2


def test_no_value_is_refused_where_one_is_needed():
    for word in ("", None):
        row = {"one": "a", "named": "a", "needed": word, "typed": "a"}
        with pytest.raises(BadRequestError):
            by_every_way(row)
    # where none may be missing, any word is a value
    assert by_every_way(row | {"needed": "NA"})[0][2] == "NA"


def test_what_is_looked_up_has_been_read_already():
    class Shop(Contract):
        shop: str = column("Shop")
        city: str = column(
            "City", nullable=True, coerce=True, lookup=Lookup("shops", "shop", "city", daily=False)
        )

    [city] = [field for field in fields_of(Columns.of(Shop)) if field.source]

    assert value_judge(city)("NA") == "NA"
