from typing import Annotated

import pandas as pd
import pandera.pandas as pa
import pytest

from flight_delays.columns import Columns, Lookup, column

PRICE = Lookup("prices", by="shop", column="price", daily=False)


class Sale(pa.DataFrameModel):
    shop: str = column("Shop", key=True, feature=True, segment=True, isin=["north", "south"])
    sold_at: pd.Timestamp = column("Moment of the sale", key=True, event_time=True, feature=True)
    pieces: int = column("Pieces", feature=True, ge=1, le=9, example=3)
    price: float = column("Price, €", feature=True, nullable=True, lookup=PRICE)
    member: bool = column("Whether the buyer is a member", feature=True)
    returned: pd.BooleanDtype = column("Whether it came back", label=True, nullable=True)
    returned_known_at: Annotated[pd.DatetimeTZDtype, "us", "UTC"] = column(
        "When that is known", label_time=True, nullable=True
    )
    note: str = pa.Field(nullable=True)


SALE = Columns.of(Sale)


def test_the_columns_of_a_contract_keep_its_order():
    names = SALE.names

    assert names == [
        *("shop", "sold_at", "pieces", "price", "member"),
        *("returned", "returned_known_at", "note"),
    ]


def test_every_role_is_read_back():
    assert SALE.keys == ["shop", "sold_at"]
    assert SALE.event_time == "sold_at"
    assert SALE.label == "returned"
    assert SALE.label_time == "returned_known_at"
    assert SALE.segments == ["shop"]
    assert SALE.features == ["shop", "sold_at", "pieces", "price", "member"]


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
    assert SALE[name].pandas_dtype == dtype


def test_whole_numbers_that_may_be_missing_are_floats_in_pandas():
    class Box(pa.DataFrameModel):
        pieces: int = column("Pieces", nullable=True)

    assert Columns.of(Box)["pieces"].pandas_dtype == "float64"


def test_features_are_found_by_kind_and_other_columns_are_not():
    assert SALE.features_of_kind("numeric") == ["pieces", "price"]
    assert SALE.features_of_kind("categorical", "boolean") == ["shop", "member"]


def test_a_column_tells_what_the_contract_says_of_it():
    pieces, price = SALE["pieces"], SALE["price"]

    assert pieces.description == "Pieces"
    assert pieces.role.example == 3
    assert pieces.checks == {
        "greater_than_or_equal_to": {"min_value": 1},
        "less_than_or_equal_to": {"max_value": 9},
    }
    assert (pieces.nullable, price.nullable) == (False, True)


def test_a_plain_pandera_field_is_a_column_without_a_role():
    note = SALE["note"]

    assert note.description == ""
    assert "note" not in [*SALE.keys, *SALE.features, *SALE.segments, SALE.label]


def test_a_contract_still_validates_as_any_pandera_model():
    sale = pd.DataFrame({"pieces": [0]})

    with pytest.raises(pa.errors.SchemaError, match="greater_than_or_equal_to"):
        Sale.to_schema().select_columns(["pieces"]).validate(sale)
