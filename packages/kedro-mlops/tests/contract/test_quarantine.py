import math
import re
from collections import Counter
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import ibis
import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from example.contracts import Parcel
from example.screening import judged, rows_of
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pandera.dtypes import is_int

from kedro_mlops.contract import quarantine
from kedro_mlops.contract.columns import Column, Columns, Contract, column, real_moment
from kedro_mlops.contract.quarantine import (
    EXAMPLES,
    WORST,
    admit,
    screen,
)
from kedro_mlops.contract.screening_account import TableAccount
from kedro_mlops.core.errors import BadDataError

Moment = Annotated[pd.DatetimeTZDtype, "us", "UTC"]


class Ticket(Contract):
    """Every kind of column and rule, on columns that may be missing and that may not."""

    line: int = column("Line of the file", ge=1)
    number: int = column("Number")
    shop: str = column("Shop", isin=["north", "süd", ""])
    points: pd.Int64Dtype = column("Points", ge=0, le=9, nullable=True)
    price: float = column("Price, €", gt=0, lt=1000)
    share: float = column("Share", ge=0, le=1, nullable=True)
    open_ended: float = column("Any number", nullable=True)
    paid: bool = column("Whether it is paid")
    returned: pd.BooleanDtype = column("Whether it came back", nullable=True)
    sold_at: pd.Timestamp = column("Moment of the sale, local", ge=pd.Timestamp("2000-01-01"))
    seen_at: Moment = column("Moment it was seen", nullable=True)
    state: str = column("State", notin=["lost", "void"], nullable=True)
    code: str = column("Code", str_matches="[A-Z]{2}|x")
    holder: str = column("Who holds it", personal=True, nullable=True)

    class Config:
        unique = ("number", "shop")


KEY = ["number", "shop"]
TICKETS = Columns.of(Ticket)
GOOD = {
    "line": 1, "number": 7, "shop": "north", "points": 3, "price": 2.5, "share": 0.5,
    "open_ended": -1.5, "paid": True, "returned": False, "sold_at": pd.Timestamp("2013-01-01"),
    "seen_at": pd.Timestamp("2013-01-01 10:00", tz="UTC"), "state": "sent", "code": "AB1",
    "holder": "Jane",
}  # fmt: skip

NUMBERS = [
    *(None, math.nan, 0, 1, 2.0, 5, -1, 0.5, 999.5, 1000, math.inf, -math.inf, 1e308, -1e308),
    *(2**53 + 1, 2**63 - 1, 2**63, 10**19, 10**30, True),
    *("1", " 5 ", "2.0", "0.5", "1e2", "9007199254740993", str(10**30), "1e308", "inf", "-1"),
    *("", "NA", " ", "x", "1,5", "12a", "ten", "\u0661", "½", "2013-01-01"),
]
MOMENTS = [
    *("2013-01-01", "2013-02-28 23:59:59", "2013-06-01T10:30:00", "1999-12-31", "9999-12-31"),
    *("2013-02-30", "2013-13-01", "2013-01-01 25:00", "yesterday", "infinity", "", "x", None),
]
TEXTS = [
    "AB",
    "NA",
    "None",
    "00179",
    "ABc",
    "aAB",
    "x",
    "yx",
    "",
    " ",
    "lost",
    "void",
    "ÄÖ",
    "🙂",
    "null",
    "a\nAB",
    None,
]
DIRT = {
    "number": st.sampled_from([*NUMBERS, *range(4)]),
    "shop": st.sampled_from(["north", "north", "süd", "south", "NORTH", "", "sud", None]),
    "points": st.sampled_from(NUMBERS),
    "price": st.sampled_from(NUMBERS),
    "share": st.sampled_from(NUMBERS) | st.floats(),
    "open_ended": st.sampled_from(NUMBERS) | st.floats(),
    "paid": st.sampled_from([True, False, "true", "False", "maybe", "", None]),
    "returned": st.sampled_from([True, False, "True", "false", "unknown", "", None]),
    "sold_at": st.sampled_from([pd.Timestamp("2013-01-01 08:00"), 5, math.inf, *MOMENTS]),
    "seen_at": st.sampled_from(
        [pd.Timestamp("2013-01-01 08:00", tz="UTC"), "2013-07-01T08:00:00+02:00", *MOMENTS]
    ),
    "state": st.sampled_from(TEXTS) | st.text(),
    "code": st.sampled_from(TEXTS) | st.text(),
    "holder": st.sampled_from(TEXTS) | st.text(),
}
DIRTY_TICKETS = st.lists(
    st.dictionaries(st.sampled_from(list(DIRT)), st.none(), max_size=3).flatmap(
        lambda chosen: st.fixed_dictionaries({name: DIRT[name] for name in chosen})
    ),
    min_size=1,
    max_size=15,
)
SPOILT = st.sampled_from(
    [
        *(None, math.nan, math.inf, -math.inf, -1, 0, 0.5, 13, 1e308, 10**19, 10**30, True),
        *("", " ", "x", "ZZ", "AB", "EAST", "ewr", "1", "7" * 30, "2013-02-30", "Ä", "🙂"),
    ]
)
# every example is a handful of queries, too slow to be shrunk by the hundred
queried = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)


def tickets(*changes: dict[str, Any]) -> pd.DataFrame:
    """Tickets with consecutive numbers and some changes, in the dtypes that pandas infers."""
    rows = [
        GOOD | {"number": 100 + i} | change | {"line": i + 1} for i, change in enumerate(changes)
    ]
    return pd.DataFrame({name: [row[name] for row in rows] for name in GOOD})


def is_missing(cell: Any) -> bool:
    return cell is None or cell is pd.NaT or (isinstance(cell, float) and math.isnan(cell))


def spelt_missing(declared: Column) -> list[str]:
    """What stands for no value in a column, as the words that declare it say."""
    values = declared.checks.get("isin", [])
    words = ["NA"] if declared.nullable or declared.kind != "categorical" else []
    return [text for text in ["", *words] if text not in values]


def in_pandas(valid: Any) -> pd.DataFrame:
    """Valid rows in pandas, whose plain whole numbers and booleans cannot be missing."""
    dtypes = {"points": "Int64", "returned": "boolean"}
    frame = valid.to_pandas()
    return frame.astype({name: dtypes[name] for name in dtypes if name in frame})


# What a cell means, and whether it keeps the contract, told without the engine: cells are read by
# Python, and Pandera itself judges those that could be read.


def read_number(cell: Any, whole: bool) -> Any:
    if isinstance(cell, bool | np.bool_ | pd.Timestamp):
        raise ValueError(cell)
    text = str(cell).strip()
    if not re.fullmatch(r"[-+]?(inf|\d+\.?\d*(e[-+]?\d+)?)", text, re.ASCII | re.IGNORECASE):
        raise ValueError(cell)
    if not whole:
        return float(text)
    exact = Decimal(text)
    if not exact.is_finite() or exact % 1 or not -(2**63) <= exact < 2**63:
        raise ValueError(cell)
    return int(exact)


def read_moment(cell: Any, zoned: bool) -> pd.Timestamp:
    moment = pd.Timestamp(datetime.fromisoformat(str(cell)))
    if not zoned:
        return moment
    return moment.tz_convert("UTC") if moment.tzinfo else moment.tz_localize("UTC")


def read_truth(cell: Any) -> bool:
    return {"true": True, "false": False}[str(cell).lower()]


def read(declared: Column, cell: Any) -> Any:
    """The cell in its declared type; raises if it has none."""
    if declared.kind == "numeric":
        return read_number(cell, whole=is_int(declared.dtype))
    if declared.kind == "datetime":
        return read_moment(cell, zoned=getattr(declared.dtype, "tz", None) is not None)
    return read_truth(cell) if declared.kind == "boolean" else str(cell)


def verdict(
    raw: pd.DataFrame, contract: type[pa.DataFrameModel]
) -> tuple[dict[int, dict[str, Any]], set[tuple[int, str, str]]]:
    """What each row says, and as row, column and rule all that is wrong with it."""
    said: dict[int, dict[str, Any]] = {row: {} for row in range(1, len(raw) + 1)}
    wrong: set[tuple[int, str, str]] = set()
    for declared in Columns.of(contract).all:
        kind = "a whole number" if is_int(declared.dtype) else declared.kind
        cells = {}
        for row, cell in enumerate(raw[declared.name].tolist(), start=1):
            said[row][declared.name] = None
            if is_missing(cell) or cell in spelt_missing(declared):
                if not declared.nullable:
                    wrong.add((row, declared.name, "not_nullable"))
                continue
            try:
                cells[row] = said[row][declared.name] = read(declared, cell)
            except (ValueError, KeyError, InvalidOperation):
                wrong.add((row, declared.name, f"is {kind}"))
        wrong |= refused_by_pandera(contract, declared, cells)
    wrong |= unreal_moments(contract, said, {(row, name) for row, name, _ in wrong})
    return said, wrong | repetitions(contract, said, {row for row, _, _ in wrong})


def refused_by_pandera(
    contract: type[pa.DataFrameModel], declared: Column, cells: dict[int, Any]
) -> set[tuple[int, str, str]]:
    # Pandera says nanoseconds for any resolution, in which late years do not fit
    dtype = str(declared.dtype).replace("[ns]", "[us]")
    values = pd.Series(cells, dtype=dtype).to_frame(declared.name)
    try:
        contract.to_schema().columns[declared.name].validate(values, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        rules = cases["check"].str.split("(").str[0]
        return {(row, declared.name, rule) for row, rule in zip(cases["index"], rules, strict=True)}
    return set()


def unreal_moments(
    contract: type[pa.DataFrameModel],
    said: dict[int, dict[str, Any]],
    wrong: set[tuple[int, str]],
) -> set[tuple[int, str, str]]:
    return {
        (row, ", ".join(names), check.name)
        for check in contract.to_schema().checks
        for names in [check.statistics["columns"]]
        for row, cells in said.items()
        if not wrong & {(row, name) for name in names}
        and None not in (parts := [cells[name] for name in names])
        and not is_real(*parts)
    }


def is_real(*parts: int) -> bool:
    try:
        datetime(*parts)  # noqa: DTZ001
    except (ValueError, OverflowError):
        return False
    return True


def repetitions(
    contract: type[pa.DataFrameModel], said: dict[int, dict[str, Any]], wrong: set[int]
) -> set[tuple[int, str, str]]:
    key = contract.to_schema().unique or []
    repeated, seen = set(), set()
    for row in sorted(set(said) - wrong):
        identity = tuple(said[row][name] for name in key)
        if key and identity in seen:
            repeated.add((row, ", ".join(key), "unique"))
        seen.add(identity)
    return repeated


def found_wrong(entries: list[dict[str, Any]]) -> Counter:
    """The same, as the quarantine tells it."""
    return Counter(
        (entry["row"], entry["column"], entry["rule"].split("(")[0]) for entry in entries
    )


@given(DIRTY_TICKETS)
@settings(queried, max_examples=20)
def test_what_is_wrong_is_quarantined_and_why_and_the_rest_is_read_as_it_is_said(changes):
    raw = tickets(*changes)

    valid, quarantined, account = screen(raw, Ticket)

    good, entries = rows_of(valid), rows_of(quarantined)
    said, wrong = verdict(raw, Ticket)
    right = set(said) - {row for row, _, _ in wrong}
    assert found_wrong(entries) == Counter(wrong)
    assert {row["line"]: row for row in good} == {row: said[row] for row in right}
    accepted = Ticket.validate(in_pandas(valid), lazy=True)
    assert len(accepted) == account.n_valid == len(good)
    check_that_each_row_is_accounted_for_once(raw, good, entries, account)
    check_that_records_keep_what_the_source_said(raw, entries)


def check_that_each_row_is_accounted_for_once(
    raw: pd.DataFrame,
    good: list[dict[str, Any]],
    entries: list[dict[str, Any]],
    account: TableAccount,
) -> None:
    bad = {entry["row"] for entry in entries}
    assert sorted([*(row["line"] for row in good), *bad]) == raw["line"].tolist()
    assert (account.n_read, account.n_quarantined) == (len(raw), len(bad))
    assert account.n_valid + account.n_quarantined == account.n_read
    assert account.share == len(bad) / len(raw)
    values: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        values.setdefault((entry["column"], entry["rule"]), []).append(entry["value"])
    told = {(rule.column, rule.rule): rule for rule in account.rules}
    assert {rule: told[rule].n_rows for rule in told} == {r: len(v) for r, v in values.items()}
    assert {rule: told[rule].examples for rule in told} == {
        rule: found[:EXAMPLES] for rule, found in values.items()
    }
    n_rows = [rule.n_rows for rule in account.rules]
    assert n_rows == sorted(n_rows, reverse=True)


def check_that_records_keep_what_the_source_said(
    raw: pd.DataFrame, entries: list[dict[str, Any]]
) -> None:
    for entry in entries:
        source, record = raw.iloc[entry["row"] - 1], entry["record"]
        assert list(record) == list(raw.columns)
        assert all(is_told(record[name], source[name]) for name in raw.columns)
        if isinstance(record.get(entry["column"]), str):
            assert entry["value"] == record[entry["column"]]


def is_told(record: Any, cell: Any) -> bool:
    """Whether a record says what a cell of the source says; mixed columns are kept as text."""
    return record is None if is_missing(cell) else record in (cell, str(cell))


@pytest.fixture(scope="module")
def parcels(history):
    """Rows of the example, with a column that the contract has not."""
    names = [*Columns.of(Parcel).names, "van_year"]
    return (
        history.model_input.filter(history.model_input.gust_kmh.isnull())
        .select(names)
        .head(6)
        .to_pandas()
    )


@given(data=st.data())
@settings(queried, max_examples=8)
def test_exactly_what_is_spoilt_in_real_rows_is_quarantined(parcels, data):
    # the first row stays as it is, so that a column of text remains one
    places = st.tuples(st.integers(1, len(parcels) - 1), st.sampled_from(Columns.of(Parcel).names))
    spoilt = data.draw(st.dictionaries(places, SPOILT, max_size=10))
    cells = {name: parcels[name].tolist() for name in parcels}
    for (row, name), cell in spoilt.items():
        cells[name][row] = cell
    raw = pd.DataFrame(cells)

    valid, quarantined, account = screen(raw, Parcel)

    _, wrong = verdict(raw, Parcel)
    bad = {row for row, _, _ in wrong}
    assert found_wrong(rows_of(quarantined)) == Counter(wrong)
    assert account.n_valid == len(Parcel.validate(valid.to_pandas(), lazy=True))
    assert account.n_valid == len(parcels) - len(bad)


def test_real_rows_with_one_key_are_quarantined_from_the_second_on(parcels):
    raw = pd.concat([parcels, parcels.head(2)])

    valid, quarantined, _ = screen(raw, Parcel)

    n = len(parcels)
    assert [(entry["row"], entry["rule"][:6]) for entry in rows_of(quarantined)] == [
        (n + 1, "unique"),
        (n + 2, "unique"),
    ]
    assert len(rows_of(valid)) == n


MIXED = [
    {},
    {"price": 1000},
    {"number": 1},
    {"number": 1, "price": math.nan},
    {"number": 1, "state": "sold"},
    {"shop": None, "share": -0.1},
    {"open_ended": math.inf},
    {"holder": None, "state": None},
]


def test_a_table_of_the_engine_is_screened_as_one_of_pandas_is():
    raw = tickets(*MIXED)

    valid, quarantined, account = screen(ibis.memtable(raw), Ticket)

    expected_valid, expected_quarantined, expected_account = screen(raw, Ticket)
    assert found_wrong(rows_of(quarantined)) == Counter(verdict(raw, Ticket)[1])
    assert rows_of(quarantined) == rows_of(expected_quarantined)
    assert rows_of(valid) == rows_of(expected_valid)
    assert account == expected_account


def test_a_table_of_text_in_the_engine_is_read_as_the_declared_types():
    raw = tickets(*MIXED).astype("str")

    valid, quarantined, _ = screen(ibis.memtable(raw), Ticket)

    said, wrong = verdict(raw, Ticket)
    right = set(said) - {row for row, _, _ in wrong}
    assert found_wrong(rows_of(quarantined)) == Counter(wrong)
    assert {row["line"]: row for row in rows_of(valid)} == {row: said[row] for row in right}
    assert right


def test_not_a_number_in_the_engine_is_missing():
    raw = ibis.memtable(tickets({}, {})).mutate(
        share=ibis.literal(math.nan), price=(ibis._.line == 1).ifelse(math.nan, 2.5)
    )

    valid, quarantined, _ = screen(raw, Ticket)

    assert found_wrong(rows_of(quarantined)) == {(1, "price", "not_nullable"): 1}
    assert [row["share"] for row in rows_of(valid)] == [None]


def test_a_clean_table_has_an_empty_quarantine_of_the_usual_columns():
    clean, dirty = tickets({}, {}), tickets({}, {"price": -1.0})

    valid, quarantined, account = screen(clean, Ticket)

    _, usual, _ = screen(dirty, Ticket)
    assert rows_of(quarantined) == []
    assert quarantined.schema() == usual.schema()
    assert list(quarantined.columns) == ["row", "column", "rule", "value", "record"]
    assert len(rows_of(valid)) == 2
    assert account == TableAccount(
        contract="Ticket", n_read=2, n_valid=2, n_quarantined=0, share=0.0, rules=[]
    )


def test_a_table_of_many_columns_is_screened():
    names = [f"x{number}" for number in range(210)]
    parts = {name: column("A number", ge=0, le=1) for name in names}
    many = type("Many", (Contract,), {"__annotations__": dict.fromkeys(names, float), **parts})
    rows = pd.DataFrame(0.5, index=range(4), columns=names)
    rows.loc[1, "x7"], rows.loc[2, ["x0", "x209"]] = 7.0, -1.0

    valid, broken, account = screen(rows.astype(str), many)

    assert valid.to_pandas().equals(rows.loc[[0, 3]].reset_index(drop=True))
    assert broken["column"].to_pandas().tolist() == ["x0", "x7", "x209"]
    assert (account.n_read, account.n_valid, account.n_quarantined) == (4, 2, 2)


def test_of_rows_with_one_key_the_first_that_is_otherwise_valid_is_kept():
    same = {"number": 1, "shop": "süd"}
    raw = tickets(same | {"price": -1}, same | {"state": "kept"}, {}, same | {"state": "late"})

    valid, quarantined, _ = screen(raw, Ticket)

    assert [row["line"] for row in rows_of(valid)] == [2, 3]
    first, second = rows_of(quarantined)
    assert (first["row"], first["column"]) == (1, "price")
    assert (second["row"], second["column"]) == (4, "number, shop")
    assert (second["rule"], second["value"]) == ("unique(number, shop)", "1, süd")
    assert second["record"]["state"] == "late"


def test_rows_that_both_lack_a_part_of_their_key_have_the_same_key():
    class Seat(Contract):
        hall: str = column("Hall", nullable=True)
        seat: int = column("Seat")

        class Config:
            unique = ("hall", "seat")

    raw = pd.DataFrame({"hall": [None, "a", None, None], "seat": [1, 1, 1, 2]})

    _, quarantined, _ = screen(raw, Seat)

    assert found_wrong(rows_of(quarantined)) == {(3, "hall, seat", "unique"): 1}


@pytest.mark.parametrize("name", ["n", "nth", "row", "column", "rule", "value", "record"])
def test_a_key_may_have_any_name(name):
    key = {"__annotations__": {name: int}, name: column("Key", ge=0)}
    config = type("Config", (), {"unique": [name]})
    keyed = type("Keyed", (Contract,), key | {"Config": config, "__module__": __name__})
    raw = pd.DataFrame({name: [5, 5, -1, 6, 6]})

    valid, quarantined, _ = screen(raw, keyed)

    assert [row[name] for row in rows_of(valid)] == [5, 6]
    assert [(e["row"], e["value"]) for e in rows_of(quarantined)] == [(2, "5"), (3, "-1"), (5, "6")]


def test_a_row_is_counted_in_the_source_whatever_its_index():
    raw = tickets({}, {"price": -1}, {"share": 2}).set_index(pd.Index([9, 9, 4]))

    _, quarantined, _ = screen(raw, Ticket)

    assert [entry["row"] for entry in rows_of(quarantined)] == [2, 3]


def test_columns_that_the_contract_does_not_know_are_left_in_the_record():
    raw = tickets({}, {"price": -1}).assign(till=["one", "two"])

    valid, quarantined, _ = screen(raw[["till", *reversed(TICKETS.names)]], Ticket)

    [entry] = rows_of(quarantined)
    assert entry["record"]["till"] == "two"
    assert list(valid.columns) == TICKETS.names


@pytest.mark.parametrize(
    "moment", ["infinity", "-infinity", "294247-01-10", "20000-01-01", "0001-01-01 (BC)"]
)
def test_a_moment_that_python_cannot_hold_is_quarantined(moment):
    raw = tickets({}, {"sold_at": moment, "seen_at": moment})

    _, quarantined, _ = screen(raw, Ticket)

    assert found_wrong(rows_of(quarantined)) == {
        (2, "sold_at", "is datetime"): 1,
        (2, "seen_at", "is datetime"): 1,
    }


@pytest.mark.parametrize(
    "moment", ["2013-07-01T08:00:00+02:00", pd.Timestamp("2013-07-01 08:00", tz="Europe/Paris")]
)
def test_a_moment_with_its_zone_is_the_same_moment_in_utc(moment):
    raw = tickets({"seen_at": moment})

    valid, _, _ = screen(raw, Ticket)

    [row] = rows_of(valid)
    assert row["seen_at"] == pd.Timestamp("2013-07-01 06:00", tz="UTC")


SPOILT_TICKETS = tickets(
    *[{}] * 10,
    *[{"price": 1000.0 + i} for i in range(4)],
    *[{"shop": "east"}] * 3,
    *[{"code": "?"}] * 2,
    *[{"state": "void"}] * 1,
)


def test_bad_data_is_refused_with_table_share_limit_and_the_worst_rules():
    _, _, account = screen(SPOILT_TICKETS, Ticket)
    screening = judged(0.25, account)

    with pytest.raises(BadDataError) as refused:
        admit(screening)

    message = str(refused.value)
    assert "10 of 20 rows (50.0%) break Ticket" in message
    assert "screening.max_quarantine_share=0.25" in message
    parts = ["price: less_than(1000) (4 rows", "1000.0", "shop: isin(", "(3 rows", "east"]
    places = [message.index(part) for part in [*parts, "code: str_matches(", "(2 rows", "?"]]
    assert places == sorted(places)
    assert len(account.rules) == WORST + 1
    assert "void" not in message


def test_only_the_table_that_is_too_bad_is_named():
    class Receipt(Ticket):
        """The same columns, by another name."""

    _, _, bad = screen(SPOILT_TICKETS, Receipt)
    _, _, good = screen(tickets({}), Ticket)
    screening = judged(0.25, good, bad)

    with pytest.raises(BadDataError, match="Receipt") as refused:
        admit(screening)

    assert "Ticket" not in str(refused.value)
    assert (screening.passed, screening.largest_share) == (False, 0.5)
    assert screening.tables == [good, bad]


def test_a_share_that_is_just_the_limit_is_accepted():
    _, _, account = screen(SPOILT_TICKETS, Ticket)
    screening = judged(0.5, account)

    admit(screening)

    assert screening.passed
    assert screening.largest_share == screening.max_quarantine_share == 0.5


class Guest(Contract):
    hotel: str = column("Hotel")
    name: str = column("Name of the guest", personal=True, str_matches="[A-Z]")
    nights: int = column("Nights", ge=1)

    class Config:
        unique = ("hotel", "name")


def test_personal_values_are_in_no_account_and_no_message():
    names = ["Jane", "Jane", "zoe", "Max"]
    raw = pd.DataFrame({"hotel": ["Ritz"] * 4, "name": names, "nights": [1, 1, 1, 0]})
    _, quarantined, account = screen(raw, Guest)
    screening = judged(0, account)

    with pytest.raises(BadDataError) as refused:
        admit(screening)

    told = f"{account} {screening} {refused.value}"
    assert not [name for name in names if name in told]
    assert {rule.column: rule.examples for rule in account.rules} == {
        "hotel, name": ["(personal)"],
        "name": ["(personal)"],
        "nights": ["0"],
    }
    assert [entry["record"]["name"] for entry in rows_of(quarantined)] == ["Jane", "zoe", "Max"]


class Trip(Contract):
    """A trip, whose date comes in parts."""

    starts = real_moment("year", "month", "day", "hour")

    year: int = column("Year", ge=1, le=9999)
    month: int = column("Month")
    day: int = column("Day")
    hour: int = column("Hour", ge=0)
    miles: float = column("Length, miles", ge=0, nullable=True)


class Travelled(Contract):
    """What is made of a trip."""

    began: pd.Timestamp = column("Moment of its beginning")
    miles: float = column("Length, miles", ge=0, nullable=True)
    km: float = column("Length, km", le=160, nullable=True)


def travel(raw):
    """What an engine cannot do for every row: some moments are not, some numbers are too large."""
    return {
        "began": ibis.timestamp(raw["year"], raw["month"], raw["day"], raw["hour"], 0, 0),
        "miles": raw["miles"],
        "km": (raw["miles"] * 1.6).cast("int32").cast("float64"),
    }


TRIP = {"year": 2013, "month": 1, "day": 1, "hour": 0, "miles": 10.0}


def trips(*changes: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([TRIP | change for change in changes])


@pytest.mark.parametrize("as_given", [pd.DataFrame, lambda rows: rows.astype("str"), ibis.memtable])
def test_rows_whose_derived_values_fail_are_quarantined_with_the_rule_and_cost_no_other(as_given):
    raw = as_given(
        trips({}, {"month": 2, "day": 30}, {"miles": 101}, {"hour": 24}, {"miles": -1}, {"day": 2})
    )

    valid, quarantined, account = screen(raw, Trip, travel, Travelled)

    assert [row["day"] for row in rows_of(valid)] == [1, 2]
    told = [(e["row"], e["column"], e["rule"], float(e["value"].split(", ")[-1])) for e in
            rows_of(quarantined)]  # fmt: skip
    assert told == [
        (2, "year, month, day, hour", "is_real_moment", 0),
        (3, "km", "less_than_or_equal_to(160)", 162),
        (4, "year, month, day, hour", "is_real_moment", 24),
        (5, "miles", "greater_than_or_equal_to(0)", -1),
    ]
    assert account.n_quarantined == 4
    values = valid.mutate(**travel(valid)).to_pandas()
    assert Travelled.validate(values[["began", "miles", "km"]], lazy=True) is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 4, 100, 400, 1900, 2000, 2012, 2013, 2100, 9999]) | st.integers(),
            st.integers(0, 13),
            st.sampled_from([0, 1, 28, 29, 30, 31, 32]),
            st.sampled_from([0, 23, 24]),
        ),
        min_size=1,
    )
)
@settings(queried, max_examples=15)
def test_a_moment_is_one_that_the_calendar_has(parts):
    changes = [dict(zip(("year", "month", "day", "hour"), part, strict=True)) for part in parts]
    changes = [c | {"year": max(-(2**63), min(c["year"], 2**63 - 1))} for c in changes]
    raw = trips(*changes)

    _, quarantined, _ = screen(raw, Trip)

    unreal = {entry["row"] for entry in rows_of(quarantined)}
    assert unreal == {row for row, c in enumerate(changes, start=1) if not is_real(*c.values())}


def test_columns_that_are_a_moment_together_are_asked_together(monkeypatch):
    """Whatever number of columns is asked for at a time."""
    raw = trips({}, {"month": 2, "day": 30}, {"month": 13})
    _, _, expected = screen(raw, Trip)
    monkeypatch.setattr(quarantine, "TOGETHER", 1)

    _, _, account = screen(raw, Trip)

    assert account == expected
    assert "is_real_moment" in [rule.rule for rule in account.rules]


def test_pandera_itself_refuses_the_same_moments():
    rows = trips({}, {"month": 2, "day": 29}, {"year": 2012, "month": 2, "day": 29}, {"hour": 24})

    with pytest.raises(pa.errors.SchemaErrors) as refused:
        Trip.validate(rows, lazy=True)

    valid, _, _ = screen(rows, Trip)
    assert set(refused.value.failure_cases["index"]) == {1, 3}
    assert [row["year"] for row in rows_of(valid)] == [2013, 2012]
