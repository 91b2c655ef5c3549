"""Text is read as its contract says that it is spelt."""

import ibis
import pandas as pd
import pytest

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.parsing import as_named, parse
from kedro_mlops.core.errors import ContractError

MOMENT = pd.Timestamp("2024-02-01 08:00")


def read(dtype, said, **spelling):
    """What is read, with what fails as the word itself."""

    class Table(Contract):
        value: dtype = column("Value", nullable=True, **spelling)

    table = ibis.memtable({"value": pd.Series(said, dtype="str")})
    parsed = parse(Columns.of(Table)["value"], table["value"])
    read = table.select(typed=parsed.typed, failed=parsed.failed).to_pyarrow().to_pylist()
    return [word if row["failed"] else row["typed"] for word, row in zip(said, read, strict=True)]


@pytest.mark.parametrize(
    ("said", "form"),
    [
        ("2024-02-01T10:00:00+02:00", None),
        ("2024-02-01 08:00:00Z", None),
        ("2024-02-01 08:00", None),
        (" 2024/02/01 08:00 ", None),
        ("2024-02-01 08:00:00 UTC", None),
        ("2024-02-01 08:00UTC", None),
        ("2024-02-01T08:00Z", None),
        ("2024/2/1 10:00 +02", None),
        ("2024-02-01 10:00:00.0 +02:00", None),
        ("2024-2-1 8:00", None),
        ("2024-02-01 05:30:00.0-0230", None),
        ("01.02.2024 08:00", "%d.%m.%Y %H:%M"),
        ("1.2.2024 8:00", "%d.%m.%Y %H:%M"),
        ("2/1/24 8:00 AM", "%m/%d/%y %I:%M %p"),
        ("Feb 1, 2024 08:00", "%b %d, %Y %H:%M"),
        ("01.02.2024 10:00 +0200", "%d.%m.%Y %H:%M %z"),
        ("20240201080000", "%Y%m%d%H%M%S"),
    ],
)
def test_a_moment_is_read_in_its_format_and_as_utc(said, form):
    assert read(pd.Timestamp, [said], format=form) == [MOMENT]


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "EST", "Etc/GMT+5", "GB", "UTC+2"])
def test_a_row_whose_zone_is_named_fails_and_no_other_is_read_by_it(zone):
    said = [f"2024-02-01 08:00:00 {zone}", "2024-02-01 08:00:00", "2024-02-01 08:00"]

    assert read(pd.Timestamp, said) == [said[0], MOMENT, MOMENT]


def test_what_is_no_date_of_iso_8601_is_no_moment():
    said = ["epoch", "infinity", "2024-02-01 (BC)", "2024 02 01", "2024-02/01", "2024", "08:00"]
    said += ["2024 -02-01", "2024-02-01 -02:00", "2024-02-01 08:00:00  Z", "2024-02-01 Z"]

    assert read(pd.Timestamp, said) == said


def test_a_moment_is_one_to_all_engines_or_none():
    said = ["2024-02-01 24:00", "2024-02-01 24:00:00Z", "2024-02-01\u00a0", "\u20032024-02-01"]
    said += ["2024-02-01\u2028", "2024-02-01\x1f"]
    zones = ["+18:00", "-18:01", "+24:00", "+25:00", "+14:60", "+02:99", "+0299", "+14:59:60"]
    said += [f"2024-02-01 08:00{zone}" for zone in zones]

    assert read(pd.Timestamp, said) == said
    assert read(pd.Timestamp, ["\t2024-02-01 08:00\v\f\r\n"]) == [MOMENT]
    assert read(pd.Timestamp, ["2024-02-02 01:59:59+17:59:59"]) == [MOMENT]


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M%z", "%Y-%m-%d %H:%M %z", "%z, %Y-%m-%d %H:%M"])
def test_a_zone_by_a_format_is_one_to_all_engines_or_none(form):
    zones = ["+02", "+0200", "+02:00", "", "Z", "+2", "+18:00", "+25:00", "+0299", "+02:00:30"]
    said = [form.replace("%z", zone) for zone in zones]
    said = [MOMENT.strftime(moment.replace("%H", "10")) for moment in said]

    assert read(pd.Timestamp, said, format=form) == [MOMENT] * 3 + said[3:]


def test_a_moment_by_an_epoch_is_in_a_year_that_python_knows():
    said = ["-62135596800", "-62135596801", "-100000000000", "253402300799", "253402300800"]
    first, *early, last, late = read(pd.Timestamp, said, format="epoch_s")

    assert (first, last) == (pd.Timestamp("0001-01-01"), pd.Timestamp("9999-12-31 23:59:59"))
    assert [*early, late] == [*said[1:3], said[4]]


def test_what_is_no_moment_in_the_format_fails():
    said = ["31.02.2024", "1.2.24", "2024-02-01", "x", "", "NA"]

    assert read(pd.Timestamp, said, format="%d.%m.%Y") == [*said[:4], None, None]


def test_days_of_digits_may_be_numbers():
    class Table(Contract):
        day: pd.Timestamp = column("Day", format="%Y%m%d")

    table = ibis.memtable({"day": [20240201, 20241301]})
    parsed = parse(Columns.of(Table)["day"], table["day"])

    assert table.select(day=parsed.typed).to_pandas()["day"].isna().tolist() == [False, True]


@pytest.mark.parametrize(
    ("spelling", "said", "values"),
    [
        ({}, ["1.5", "1,5", "1,234"], [1.5, "1,5", "1,234"]),
        ({}, ["1_000", "0x10", "1e3", "nan"], ["1_000", "0x10", 1000.0, "nan"]),
        ({}, ["+5", "+-5", "-+5", "--5", " -5\v"], [5.0, "+-5", "-+5", "--5", -5.0]),
        ({"thousands": " "}, ["+-5", "+-1 234", "1 234\v"], ["+-5", "+-1 234", 1234.0]),
        ({"symbol": "%"}, ["5\v%\f", "5\u00a0%", "\u00a05%"], [5.0, 5.0, "\u00a05%"]),
        ({"decimal": ","}, ["1,5", " -2 ", "1.5", "1,5e3"], [1.5, -2.0, "1.5", 1500.0]),
        (
            {"decimal": ",", "thousands": "."},
            ["1.234.567,5", "1.23", "12.34,5", "1,5"],
            [1234567.5, "1.23", "12.34,5", 1.5],
        ),
        ({"thousands": ","}, ["1,234.5", "12,34", "-1,000"], [1234.5, "12,34", -1000.0]),
        ({"thousands": " "}, ["1 234", "1\u00a0234", "1\u202f234.5"], [1234.0, 1234.0, 1234.5]),
        ({"thousands": "'"}, ["1'234", "1\u2019234"], [1234.0, 1234.0]),
        ({"symbol": "%"}, ["12.5 %", "3%", "-4", "5 $", "%"], [12.5, 3.0, -4.0, "5 $", "%"]),
        (
            {"symbol": "$", "thousands": ","},
            ["$1,200.50", "-$5", "$-5", "5$", "$ 7", "USD 7"],
            [1200.5, -5.0, -5.0, 5.0, 7.0, "USD 7"],
        ),
        (
            {"symbol": "€", "thousands": " ", "decimal": ","},
            ["1 234\u00a0€", "1\u202f234,5 €"],
            [1234.0, 1234.5],
        ),
    ],
)
def test_a_number_is_read_with_its_marks_and_no_others(spelling, said, values):
    assert read(float, said, **spelling) == values


@pytest.mark.parametrize(
    ("unit", "count"),
    [
        ("epoch_s", "1706774400"),
        ("epoch_ms", "1706774400000"),
        ("epoch_us", "1706774400000000"),
        ("epoch_ns", "1706774400000000000"),
    ],
)
def test_a_moment_may_be_counted_since_1970(unit, count):
    class Table(Contract):
        at: pd.Timestamp = column("When", format=unit)

    numbers = ibis.memtable({"at": [int(count)]})
    [found] = parse(Columns.of(Table)["at"], numbers["at"]).typed.to_pandas()

    assert found == MOMENT
    assert read(pd.Timestamp, [count, "", "x", "9" * 30], format=unit) == [
        MOMENT, None, "x", "9" * 30,
    ]  # fmt: skip


def test_whole_numbers_have_marks_too():
    assert read(pd.Int64Dtype, ["1.234", "1,5"], decimal=",", thousands=".") == [1234, "1,5"]
    assert read(pd.Int64Dtype, ["1_234", "0x10", "7"]) == ["1_234", "0x10", 7]


def test_whole_numbers_are_of_64_bits():
    said = ["9223372036854775807", "-9223372036854775808", "12345678901234567.00"]
    beyond = ["9223372036854775808", "-9223372036854775809", "9223372036854775807.5", "9.3e18"]

    assert read(pd.Int64Dtype, said) == [2**63 - 1, -(2**63), 12345678901234567]
    assert read(pd.Int64Dtype, beyond) == beyond


def test_truth_has_several_spellings():
    said = ["true", "False", "T", "f", "1", "0", " true ", "maybe"]

    assert read(pd.BooleanDtype, said) == [True, False, True, False, True, False, True, "maybe"]


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({"decision": ["a"], "decision_": ["b"]}, {"decision_": ["a"]}),
        ({"decision_": ["b"]}, {"decision_": ["b"]}),
        ({"there": ["h"], "here": ["t"]}, {"here": ["h"], "there": ["t"]}),
    ],
)
def test_what_the_source_calls_a_column_goes_before_what_the_contract_calls_it(raw, named):
    class Table(Contract):
        decision_: str = column("It", source_name="decision")
        here: str = column("One", source_name="there")
        there: str = column("Other", source_name="here")

    for table in (pd.DataFrame(raw), ibis.memtable(raw)):
        assert as_named(table, Columns.of(Table)).to_pyarrow().to_pydict() == named


@pytest.mark.parametrize(
    ("dtype", "spelling", "words"),
    [
        (float, {"format": "%Y"}, "`format` is for moments"),
        (str, {"decimal": ","}, "are for numbers"),
        (float, {"decimal": ";"}, "use one of . ,"),
        (float, {"decimal": ",", "thousands": ","}, "what is not its `decimal`"),
        (str, {"symbol": "%"}, "`symbol` is for numbers"),
        (float, {"symbol": "1"}, "use a sign or letters"),
        (float, {"symbol": "-"}, "use a sign or letters"),
    ],
)
def test_a_spelling_that_cannot_be_is_refused(dtype, spelling, words):
    class Table(Contract):
        value: dtype = column("Value", **spelling)

    with pytest.raises(ContractError, match=words):
        Columns.of(Table)
