from typing import Annotated

import ibis
import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.core.errors import ContractError
from kedro_mlops.export.fields import fields_of

PRICE = Lookup("prices", by="shop", column="price", daily=False)


class Sale(Contract):
    shop: str = column("Shop", key=True, feature=True, segment=True, isin=["north", "south"])
    sold_at: pd.Timestamp = column("Moment of the sale", key=True, event_time=True, feature=True)
    pieces: int = column("Pieces", feature=True, ge=1, le=9, example=3)
    price: float = column("Price, €", feature=True, nullable=True, lookup=PRICE)
    member: bool = column("Whether the buyer is a member", feature=True)
    returned: pd.BooleanDtype = column("Whether it came back", label="binary", nullable=True)
    returned_known_at: Annotated[pd.DatetimeTZDtype, "us", "UTC"] = column(
        "When that is known", label_time=True, nullable=True
    )
    note: str = pa.Field(nullable=True)
    buyer: str = column("Name of the buyer", personal=True, nullable=True)


SALE = Columns.of(Sale)


def test_the_columns_of_a_contract_keep_its_order():
    names = SALE.names

    assert names == [
        *("shop", "sold_at", "pieces", "price", "member"),
        *("returned", "returned_known_at", "note", "buyer"),
    ]


def test_every_role_is_read_back():
    assert SALE.keys == ["shop", "sold_at"]
    assert SALE.event_time == "sold_at"
    assert SALE.label == "returned"
    assert SALE.task.name == "binary"
    assert SALE.label_time == "returned_known_at"
    assert SALE.segments == ["shop"]
    assert SALE.features == ["shop", "sold_at", "pieces", "price", "member"]
    assert SALE.personal == ["buyer"]


def test_columns_without_personal_ones_are_otherwise_the_same():
    shown = SALE.without_personal()

    assert shown.names == [name for name in SALE.names if name != "buyer"]
    assert shown.personal == []
    assert shown.keys == SALE.keys


def test_columns_can_be_narrowed_to_some_which_keep_their_order():
    some = SALE.only("price", "shop")

    assert some.names == ["shop", "price"]


def test_what_is_not_known_ahead_is_hindsight():
    class Delivery(Contract):
        promised_at: pd.Timestamp = column("Moment promised", known_ahead=True)
        delivered_at: pd.Timestamp = column("Moment of delivery")
        note: str = pa.Field()

    assert Columns.of(Delivery).hindsight == ["delivered_at", "note"]


def test_a_column_is_either_sent_or_looked_up():
    looked_up = [c.name for c in SALE.looked_up]
    sent = [c.name for c in SALE.sent]

    assert looked_up == ["price"]
    assert sent == [name for name in SALE.names if name != "price"]
    assert SALE["price"].role.lookup == PRICE


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("shop", "categorical"),
        ("sold_at", "datetime"),
        ("pieces", "numeric"),
        ("price", "numeric"),
        ("member", "boolean"),
        ("returned", "boolean"),
        ("returned_known_at", "datetime"),
    ],
)
def test_the_type_of_a_column_decides_its_kind(name, kind):
    assert SALE[name].kind == kind


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("shop", "str"),
        ("sold_at", "datetime64[us]"),
        ("pieces", "int64"),
        ("price", "float64"),
        ("returned", "boolean"),
    ],
)
def test_the_values_of_a_column_have_a_type_in_pandas(name, dtype):
    assert SALE[name].types.pandas == dtype


def test_whole_numbers_that_may_be_missing_are_floats_in_pandas():
    class Box(pa.DataFrameModel):
        pieces: int = column("Pieces", nullable=True)

    assert Columns.of(Box)["pieces"].types.pandas == "float64"


def test_features_are_found_by_kind_and_other_columns_are_not():
    assert SALE.features_of_kind("numeric") == ["pieces", "price"]
    assert SALE.features_of_kind("categorical", "boolean") == ["shop", "member"]


def test_a_column_tells_what_the_contract_says_of_it():
    pieces, price = SALE["pieces"], SALE["price"]

    assert pieces.description == "Pieces"
    assert pieces.role.example == 3
    assert pieces.checks == {"ge": 1, "le": 9}
    assert (pieces.nullable, price.nullable) == (False, True)


def test_a_plain_pandera_field_is_a_column_without_a_role():
    note = SALE["note"]

    assert note.description == ""
    assert "note" not in [*SALE.keys, *SALE.features, *SALE.segments, SALE.label]


def test_a_contract_still_validates_as_any_pandera_model():
    sale = pd.DataFrame({"pieces": [0]})

    with pytest.raises(pa.errors.SchemaError, match="greater_than_or_equal_to"):
        Sale.to_schema().select_columns(["pieces"]).validate(sale)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_number_breaks_every_contract(value):
    price = Sale.to_schema().select_columns(["price"])

    with pytest.raises(pa.errors.SchemaError, match="is_finite"):
        price.validate(pd.DataFrame({"price": [1.0, value]}))


def test_a_missing_number_is_finite_enough_for_a_contract_that_allows_it():
    price = Sale.to_schema().select_columns(["price"])
    rows = pd.DataFrame({"price": [1.0, np.nan]})

    checked = price.validate(rows)

    assert checked.equals(rows)


def test_only_floats_are_asked_whether_they_are_finite():
    asked = [c.name for c in SALE.all if c.finite]

    assert asked == ["price"]


@pytest.mark.parametrize(
    ("annotation", "task", "more"),
    [
        (pd.BooleanDtype, "binary", {}),
        (bool, "binary", {}),
        (str, "binary", {"isin": ["no", "yes"], "positive": "yes"}),
        (int, "binary", {"isin": [1, 2], "positive": 2}),
        (pd.Int64Dtype, "binary", {"isin": [0, 1], "positive": 0}),
        (str, "multiclass", {"isin": ["a", "b", "c"]}),
        (float, "regression", {}),
        (int, "regression", {}),
    ],
)
def test_the_label_tells_the_task(annotation, task, more):
    class Labelled(Contract):
        outcome: annotation = column("Outcome", label=task, nullable=True, **more)

    assert Columns.of(Labelled).task.name == task


@pytest.mark.parametrize(
    ("annotation", "task"),
    [
        (float, "binary"),
        (str, "binary"),
        (str, "multiclass"),
        (int, "multiclass"),
        (bool, "regression"),
        (str, "regression"),
        (pd.Timestamp, "regression"),
        (bool, True),
    ],
)
def test_a_label_that_does_not_fit_its_task_is_refused(annotation, task):
    class Labelled(Contract):
        outcome: annotation = column("Outcome", label=task)

    with pytest.raises(ContractError, match=f"Labelled.outcome .* label={task!r}"):
        Columns.of(Labelled)


@pytest.mark.parametrize(
    ("annotation", "said", "reason"),
    [
        (str, {"isin": ["no", "yes"]}, r"does not say which .* \['no', 'yes'\] is the `positive`"),
        (int, {"isin": [1, 2]}, r"does not say which .* \[1, 2\] is the `positive` one"),
        (str, {"isin": ["no", "yes"], "positive": "Yes"}, "says positive='Yes', which is none of"),
        (int, {"isin": [1, 2], "positive": "2"}, "says positive='2', which is none of its values"),
        (int, {"isin": [0, 1], "positive": True}, "says positive=True, which is none of"),
        (str, {"isin": ["no", "yes", "maybe"], "positive": "yes"}, ".* name the two values"),
        (str, {"isin": ["yes"], "positive": "yes"}, ".* name the two values"),
        (str, {"positive": "yes"}, ".* name the two values"),
        (float, {"isin": [0.0, 1.0], "positive": 1}, "is numeric and label='binary'"),
        (bool, {"positive": True}, "is boolean and says positive=True"),
        (str, {"label": "multiclass", "isin": ["a", "b"], "positive": "a"}, "says positive='a', w"),
        (int, {"label": None, "positive": 1}, "says positive=1, which is said of a binary label"),
    ],
)
def test_a_label_of_two_values_says_which_are_they_and_which_is_positive(annotation, said, reason):
    class Labelled(Contract):
        outcome: annotation = column("Outcome", **({"label": "binary"} | said))

    with pytest.raises(ContractError, match=f"Labelled.outcome in contracts.py {reason}"):
        Columns.of(Labelled)


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        ({"personal": True, "feature": True}, "is personal data and feature"),
        ({"personal": True, "segment": True}, "is personal data and segment"),
        ({"personal": True, "key": True}, "is personal data and key"),
        ({"personal": True, "label": "regression"}, "is personal data and label"),
        ({"personal": True, "protected": True}, "is personal data and protected"),
        ({"protected": True}, "is numeric and protected: bin it first"),
        ({"protected": True, "label": "regression"}, "is the label and protected"),
        ({"feature": True, "label": "regression"}, "is the label and a feature"),
        ({"feature": True, "label_time": True}, "is the label and a feature"),
        ({"assigned": True}, "says `assigned`, which is for a `key` that is text"),
        ({"key": True, "assigned": True, "ge": 0}, "says `assigned`, which is for a `key` that"),
        ({"lookup": PRICE}, "is looked up, and names 'shop', which is no column"),
    ],
)
def test_roles_that_contradict_each_other_are_refused(roles, reason):
    class Contradiction(Contract):
        price: float = column("Price", **roles)

    with pytest.raises(ContractError, match=f"Contradiction.price in contracts.py {reason}"):
        Columns.of(Contradiction)


class Loan(Contract):
    """A loan, and groups by which it is looked at."""

    number: int = column("Number", key=True)
    asked_at: pd.Timestamp = column("When it was asked for", event_time=True)
    sex: str = column("Sex", protected=True, isin=["f", "m"], nullable=True)
    veteran: bool = column("Whether a veteran", protected=True)
    married: bool = column("Whether married", protected=True, feature=True)
    region: str = column("Region", protected=True, segment=True)
    branch: str = column("Branch", protected=True)
    branch_rate: float = column(
        "Rate of the branch", feature=True, lookup=Lookup("branches", by="branch", column="rate")
    )
    language: str = column(
        "Language", protected=True, lookup=Lookup("branches", by="branch", column="language")
    )
    repaid: pd.BooleanDtype = column("Whether it was paid back", label="binary", nullable=True)
    repaid_known_at: pd.Timestamp = column("When that is known", label_time=True, nullable=True)


LOAN = Columns.of(Loan)


def test_a_protected_column_is_a_feature_only_if_that_is_said():
    assert LOAN.protected == ["sex", "veteran", "married", "region", "branch", "language"]
    assert LOAN.features == ["married", "branch_rate"]
    assert LOAN.segments == ["region"]
    assert SALE.protected == []


def test_what_is_only_compared_is_neither_asked_of_callers_nor_logged():
    used = [name for name in LOAN.names if name not in ("sex", "veteran")]

    assert LOAN.only_compared == ["sex", "veteran"]
    assert LOAN.without_personal().names == used
    assert LOAN.inputs.names == used[:-2]
    assert [field.name for field in fields_of(LOAN.inputs)] == used[:-2]
    assert SALE.only_compared == []


@pytest.mark.parametrize("annotation", [int, float, pd.Timestamp])
def test_only_what_has_groups_is_protected(annotation):
    class Person(Contract):
        age: annotation = column("Age", protected=True)

    with pytest.raises(ContractError, match=r"Person.age .* bin it first"):
        Columns.of(Person)


def test_a_contract_without_a_label_says_so_when_asked():
    columns = SALE.only("shop", "price")

    with pytest.raises(ContractError, match="one column with `label`"):
        columns.label  # noqa: B018


def test_a_contract_has_one_label():
    class Torn(Contract):
        returned: bool = column("Whether it came back", label="binary")
        exchanged: bool = column("Whether it was exchanged", label="binary")

    with pytest.raises(ContractError, match=r"returned.*exchanged"):
        Columns.of(Torn).label  # noqa: B018


class Spelt(Contract):
    """Columns whose values may be spelt as a missing one is."""

    name: str = column("Name")
    nickname: str = column("Nickname", nullable=True)
    country: str = column("Country", nullable=True, isin=["NA", "US"])
    sign: str = column("Sign", isin=["", "+"])
    age: int = column("Age")
    height: float = column("Height, cm", nullable=True, missing=("-999", ""))
    code: str = column("Code", nullable=True, missing=())


class SpeltOtherwise(Spelt):
    class Config:
        metadata = {"missing": ["", "NULL"]}


def test_what_stands_for_no_value_is_the_tables_unless_a_column_has_it_as_a_value_or_its_own():
    usual, otherwise = Columns.of(Spelt), Columns.of(SpeltOtherwise)

    assert {column.name: column.missing for column in usual.all} == {
        "name": ("",),
        "nickname": ("", "NA"),
        "country": ("",),
        "sign": (),
        "age": ("", "NA"),
        "height": ("-999", ""),
        "code": (),
    }
    assert otherwise["nickname"].missing == otherwise["age"].missing == ("", "NULL")
    assert otherwise["height"].missing == ("-999", "")


def test_text_is_read_as_missing_only_where_it_is_declared():
    raw = pd.DataFrame(
        {
            "name": ["NA", "00179", ""],
            "nickname": ["NA", "NULL", "None"],
            "country": ["NA", "US", ""],
            "sign": ["", "+", "+"],
            "age": ["7", " 8 ", "9.0"],
            "height": ["-999", "1e2", "180"],
            "code": ["", "1e5", "True"],
        }
    )

    valid, quarantined, _ = screen(raw, Spelt)

    rows = valid.to_pyarrow().to_pydict()
    assert rows == {
        "name": ["NA", "00179"],
        "nickname": [None, "NULL"],
        "country": ["NA", "US"],
        "sign": ["", "+"],
        "age": [7, 8],
        "height": [None, 100.0],
        "code": ["", "1e5"],
    }
    [entry] = quarantined.to_pyarrow().to_pylist()
    assert (entry["column"], entry["rule"]) == ("name", "not_nullable")


def test_what_is_typed_already_is_read_as_text_of_the_same_meaning_is():
    text = pd.DataFrame(
        {
            "name": ["NA"],
            "nickname": ["None"],
            "country": ["NA"],
            "sign": ["+"],
            "age": ["7"],
            "height": [""],
            "code": ["00179"],
        }
    )
    typed = ibis.memtable(text).mutate(
        age=ibis.literal(7), height=ibis.null("float64"), code=ibis.literal("00179")
    )

    assert screen(typed, Spelt)[0].to_pyarrow() == screen(text, Spelt)[0].to_pyarrow()
