import math
from collections import Counter

import ibis
import pandas as pd
import pandera.pandas as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kedro.io import DataCatalog
from kedro.validation import DataValidationError

from kedro_mlops.contract import validation
from kedro_mlops.contract.columns import Contract, column, real_moment
from kedro_mlops.contract.validation import EXAMPLES, ContractValidator, RawTableValidator
from kedro_mlops.core.errors import ContractError


class Parcel(Contract):
    """Every rule that can be pushed down, on columns that may be missing and that may not."""

    depot: str = column("Depot", isin=["north", "south"])
    state: str = column("State", notin=["lost", "void"], nullable=True)
    code: str = column("Code", str_matches=r"[A-Z]{2}|x", nullable=True)
    weight: float = column("Weight, kg", gt=0, lt=100)
    share: float = column("Share", ge=0, le=1, nullable=True)
    sent_at: pd.Timestamp = column("Moment")


class ParcelOfTheDay(Contract):
    depot: str = column("Depot", nullable=True)
    day: int = column("Day")

    class Config:
        unique = ("depot", "day")


class Priced(pa.DataFrameModel):
    price: float = column("Price", in_range={"min_value": 0, "max_value": 1})


PARCELS = ContractValidator(f"{__name__}.Parcel")
TYPES = {"weight": "float64", "share": "float64", "sent_at": "datetime64[us]"}
GOOD = {
    "depot": "north", "state": "sent", "code": "AB1", "weight": 2.5, "share": 0.5,
    "sent_at": pd.Timestamp("2013-01-01"),
}  # fmt: skip
DIRTY = {
    "depot": [None, "north", "south", "east"],
    "state": [None, "sent", "lost", "void"],
    "code": [None, "AB", "ABc", "xyz", "aAB", "b x", ""],
    "weight": [None, 0.0, 1e-9, 99.9, 100.0, -1.0, math.inf],
    "share": [None, 0.0, 1.0, 1.1, -0.1, -math.inf],
    "sent_at": [None, pd.Timestamp("2013-01-01")],
}
ROW = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in DIRTY.items()})
# every example is a handful of queries, too slow to be shrunk by the hundred
queried = settings(deadline=None, phases=[Phase.reuse, Phase.generate])


def parcels(*changes: dict) -> pd.DataFrame:
    rows = pd.DataFrame([GOOD | change for change in changes], columns=list(GOOD))
    return rows.astype({name: TYPES.get(name, "str") for name in GOOD})


def broken_by_pandera(rows: pd.DataFrame, contract: type[pa.DataFrameModel] = Parcel) -> Counter:
    """Rows per column and rule, as pandera's own validation counts them."""
    try:
        contract.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as error:
        cases = error.failure_cases
        return Counter(zip(cases["column"], cases["check"].str.split("(").str[0], strict=True))
    return Counter()


def broken_in_the_engine(rows: pd.DataFrame, contract: type[pa.DataFrameModel] = Parcel) -> Counter:
    """The same, as the pushed-down query counts them."""
    try:
        ContractValidator(f"{__name__}.{contract.__name__}").validate(ibis.memtable(rows))
    except DataValidationError as error:
        return Counter({(f.column, f.check.split("(")[0]): f.failure_count for f in error.failures})
    return Counter()


@given(st.lists(ROW, min_size=1, max_size=12))
@settings(queried, max_examples=40)
def test_the_engine_finds_what_pandera_finds(changes):
    rows = parcels(*changes)

    found = broken_in_the_engine(rows)

    assert found == broken_by_pandera(rows)


def test_a_table_that_keeps_its_contract_is_passed_on_unchanged():
    table = ibis.memtable(parcels({}, {"share": None}))

    assert PARCELS.validate(table) is table


def test_a_table_without_rows_breaks_no_rule():
    table = ibis.memtable(parcels())

    assert PARCELS.validate(table) is table


def test_the_error_names_column_rule_count_and_examples():
    rows = parcels({}, *[{"weight": 100.0 + i} for i in range(8)])

    with pytest.raises(DataValidationError, match="Parcel") as error:
        PARCELS.validate(ibis.memtable(rows))

    [failure] = error.value.failures
    assert (failure.column, failure.check, failure.failure_count) == ("weight", "less_than(100)", 8)
    assert len(failure.failure_examples) == EXAMPLES
    assert set(failure.failure_examples) <= set(rows["weight"][1:])


@pytest.mark.parametrize("name", GOOD)
def test_a_column_that_is_not_there_is_named(name):
    table = ibis.memtable(parcels({}).drop(columns=name))

    with pytest.raises(DataValidationError) as error:
        PARCELS.validate(table)

    assert [(f.column, f.check) for f in error.value.failures] == [(name, "column_in_table")]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [("depot", 1, "categorical"), ("weight", "2", "numeric"), ("sent_at", "today", "datetime")],
)
def test_a_column_of_the_wrong_type_is_named_before_any_value_is_looked_at(name, value, kind):
    table = ibis.memtable(parcels({"share": 2.0}).assign(**{name: [value]}))

    with pytest.raises(DataValidationError) as error:
        PARCELS.validate(table)

    assert [(f.column, f.check) for f in error.value.failures] == [(name, f"is {kind}")]


@given(st.lists(st.tuples(st.sampled_from([None, "a", "b"]), st.integers(0, 3)), max_size=6))
@settings(queried, max_examples=20)
def test_a_key_that_comes_twice_is_counted_and_refused_as_pandera_refuses_it(keys):
    rows = pd.DataFrame(keys, columns=["depot", "day"]).astype({"depot": "str", "day": "int64"})

    found = broken_in_the_engine(rows, ParcelOfTheDay)

    repeated = sum(count > 1 for count in Counter(keys).values())
    assert found == Counter({(None, "unique"): repeated} if repeated else {})
    assert bool(found) == bool(broken_by_pandera(rows, ParcelOfTheDay))


def test_a_check_that_cannot_be_pushed_down_is_refused_rather_than_skipped():
    table = ibis.memtable(pd.DataFrame({"price": [0.5]}))

    with pytest.raises(ContractError, match=r"Priced\.price .* has the check 'in_range'"):
        ContractValidator(f"{__name__}.Priced").validate(table)


def test_the_catalog_refuses_a_file_that_breaks_its_contract(tmp_path):
    files = {"good": parcels({}), "bad": parcels({}, {"share": 1.5})}
    for name, rows in files.items():
        rows.to_parquet(tmp_path / f"{name}.parquet")
    entry = {
        "type": "ibis.FileDataset",
        "filepath": str(tmp_path / "{name}.parquet"),
        "file_format": "parquet",
        "connection": {"backend": "duckdb", "database": ":memory:"},
        "validator": {
            "class": "kedro_mlops.contract.validation.ContractValidator",
            "on": ["load"],
            "options": {"contract": f"{__name__}.Parcel"},
        },
    }

    catalog = DataCatalog.from_config({"{name}": entry})

    assert catalog.load("good").count().to_pyarrow().as_py() == 1
    with pytest.raises(DataValidationError, match=r"'bad' on load[\s\S]*share: .* 1 case .*1\.5"):
        catalog.load("bad")


def test_a_table_is_validated_once_and_anew_when_its_file_changes(tmp_path, monkeypatch):
    file = tmp_path / "parcels.parquet"
    entry = {
        "type": "kedro_mlops.contract.tables.TableDataset",
        "filepath": str(file),
        "file_format": "parquet",
        "validator": {
            "class": "kedro_mlops.contract.validation.ContractValidator",
            "on": ["load"],
            "options": {"contract": f"{__name__}.Parcel"},
        },
    }
    looks = []
    look = validation._row_failures
    monkeypatch.setattr(validation, "_row_failures", lambda *a: looks.append(a) or look(*a))
    catalog = DataCatalog.from_config({"parcels": entry})

    catalog.save("parcels", ibis.memtable(parcels({})))
    catalog.load("parcels")
    catalog.load("parcels")
    assert len(looks) == 1

    catalog.save("parcels", ibis.memtable(parcels({}, {})))
    assert catalog.load("parcels").count().to_pyarrow().as_py() == 2
    assert len(looks) == 2

    parcels({}, {"share": 1.5}).to_parquet(file)
    for _ in range(2):
        with pytest.raises(DataValidationError, match=r"share: .* 1 case .*1\.5"):
            catalog.load("parcels")


class Unique(pa.DataFrameModel):
    code: str = column("Code", unique=True)


class Whole(pa.DataFrameModel):
    code: str = column("Code")

    @pa.dataframe_check
    @classmethod
    def has_rows(cls, rows: pd.DataFrame) -> bool:
        return len(rows) > 0


@pytest.mark.parametrize("contract", [Unique, Whole])
def test_a_contract_that_would_be_kept_only_in_part_is_refused(contract):
    with pytest.raises(ContractError, match=r"say `unique`|check columns instead"):
        ContractValidator(f"{__name__}.{contract.__name__}")


def test_not_a_number_counts_as_missing():
    rows = ibis.memtable(parcels({})).mutate(weight=ibis.literal(float("nan")))

    with pytest.raises(DataValidationError, match="weight: not_nullable"):
        PARCELS.validate(rows)


def test_whole_numbers_are_not_fractions():
    rows = ibis.memtable({"depot": ["north"], "day": [1.5]})

    with pytest.raises(DataValidationError, match="day: is numeric"):
        ContractValidator(f"{__name__}.ParcelOfTheDay").validate(rows)


class Addressed(Contract):
    depot: str = column("Depot")
    recipient: str = column("Who gets it", personal=True, str_matches="[A-Z]")


ADDRESSED = f"{__name__}.Addressed"


def test_personal_values_are_not_shown_in_the_error():
    table = ibis.memtable(pd.DataFrame({"depot": ["north"] * 2, "recipient": ["jane", "joe"]}))

    with pytest.raises(DataValidationError) as error:
        ContractValidator(ADDRESSED).validate(table)

    [failure] = error.value.failures
    assert (failure.column, failure.failure_count) == ("recipient", 2)
    assert failure.failure_examples == ["(personal)"]
    assert "jane" not in str(error.value)


def test_where_personal_columns_are_to_be_left_out_the_rest_keeps_the_contract():
    validator = ContractValidator(ADDRESSED, without_personal=True)
    table = ibis.memtable(pd.DataFrame({"depot": ["north"]}))

    assert validator.validate(table) is table


def test_a_personal_column_that_was_to_be_left_out_is_named_without_its_values():
    validator = ContractValidator(ADDRESSED, without_personal=True)
    table = ibis.memtable(pd.DataFrame({"depot": ["north"], "recipient": ["Jane"]}))

    with pytest.raises(DataValidationError) as error:
        validator.validate(table)

    [failure] = error.value.failures
    assert (failure.column, failure.check) == ("recipient", "personal_column_left_out")
    assert "Jane" not in str(error.value)


RAW_PARCELS = RawTableValidator(f"{__name__}.Parcel")


@pytest.fixture(params=["pandas", "engine"])
def given_as(request):
    """A raw table, as pandas gives it and as the engine does."""
    return {"pandas": lambda rows: rows, "engine": ibis.memtable}[request.param]


def test_a_raw_table_with_bad_rows_is_passed_on_unchanged(given_as):
    rows = parcels({}, {"weight": math.inf, "depot": "east"}, {"share": 2.0, "sent_at": None})
    raw = given_as(rows)

    assert RAW_PARCELS.validate(raw) is raw


def test_a_raw_table_without_rows_is_stopped(given_as):
    raw = given_as(parcels())

    with pytest.raises(DataValidationError, match="the table has rows"):
        RAW_PARCELS.validate(raw)


@pytest.mark.parametrize("name", GOOD)
def test_a_column_that_a_raw_table_lacks_is_named(given_as, name):
    raw = given_as(parcels({}).drop(columns=name))

    with pytest.raises(DataValidationError) as error:
        RAW_PARCELS.validate(raw)

    assert [(f.column, f.check) for f in error.value.failures] == [(name, "column_in_table")]


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("weight", "heavy", "numeric"),
        ("weight", pd.Timestamp("2013-01-01"), "numeric"),
        ("weight", True, "numeric"),
        ("share", "-", "numeric"),
        ("sent_at", "yesterday", "datetime"),
        ("sent_at", 20130101, "datetime"),
        ("sent_at", 1.5, "datetime"),
        ("state", 2.5, "categorical"),
        ("state", pd.Timestamp("2013-01-01"), "categorical"),
    ],
)
def test_a_raw_column_without_one_value_of_its_type_is_named(given_as, name, value, kind):
    raw = given_as(parcels({}, {}).assign(**{name: [value, value]}))

    with pytest.raises(DataValidationError) as error:
        RAW_PARCELS.validate(raw)

    [failure] = error.value.failures
    assert (failure.column, failure.check, failure.failure_count) == (name, f"is {kind}", 2)
    assert failure.failure_examples == [value, value]


@pytest.mark.parametrize(
    "value", [2**63 - 1, 10**19, 10**30, 1e308, math.inf, "1e308", "1" * 40, 0.5]
)
def test_one_whole_number_is_enough_for_a_raw_column_of_them(value):
    raw = pd.DataFrame({"depot": ["north", "north"], "day": [1, value]})

    checked = RawTableValidator(f"{__name__}.ParcelOfTheDay").validate(raw)

    assert checked is raw


def test_one_value_of_its_type_is_enough_for_a_raw_column():
    rows = parcels({}, {}, {}).assign(
        weight=["heavy", 2, None], sent_at=["2013-01-01 10:00", "yesterday", 5]
    )

    assert RAW_PARCELS.validate(rows) is rows


@pytest.mark.parametrize("dtype", ["object", "float64", "str", "datetime64[us]", "boolean"])
@pytest.mark.parametrize("name", ["state", "share", "sent_at"])
def test_an_empty_raw_column_passes_whatever_its_type(name, dtype):
    rows = parcels({}, {}).assign(**{name: pd.Series([None, None], dtype=dtype)})

    assert RAW_PARCELS.validate(rows) is rows


def test_personal_values_of_another_type_are_not_shown():
    raw = pd.DataFrame({"depot": ["north"], "recipient": [4.5]})

    with pytest.raises(DataValidationError) as error:
        RawTableValidator(ADDRESSED).validate(raw)

    [failure] = error.value.failures
    assert (failure.column, failure.failure_examples) == ("recipient", ["(personal)"])


@pytest.mark.parametrize("contract", [Unique, Whole])
def test_a_raw_contract_that_would_be_kept_only_in_part_is_refused(contract):
    with pytest.raises(ContractError, match=r"say `unique`|check columns instead"):
        RawTableValidator(f"{__name__}.{contract.__name__}")


class Departure(Contract):
    at = real_moment("year", "month", "day")

    year: int = column("Year")
    month: int = column("Month")
    day: int = column("Day")


def test_columns_that_are_no_moment_together_are_named_with_their_values():
    table = ibis.memtable({"year": [2013, 2013], "month": [1, 2], "day": [31, 30]})

    with pytest.raises(DataValidationError) as error:
        ContractValidator(f"{__name__}.Departure").validate(table)

    [failure] = error.value.failures
    assert (failure.column, failure.check) == ("year, month, day", "is_real_moment")
    assert (failure.failure_count, failure.failure_examples) == (1, [(2013, 2, 30)])
