"""What is looked up by whole numbers is found as what is looked up by text is."""

import json
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example.factories import spec_of
from example.lookups import Heard

from kedro_mlops.contract.columns import Columns, Contract, Lookup, column
from kedro_mlops.core.errors import ContractError
from kedro_mlops.export.fields import fields_of
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish
from kedro_mlops.feature_store.point_in_time import look_up, trailing_means
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
from kedro_mlops.serving.bulk_features import complete_table
from kedro_mlops.serving.bulk_reading import TableReader
from kedro_mlops.serving.model import plain
from kedro_mlops.serving.reading import RowReader

LARGE = 2**53 + 1


class Order(Contract):
    """An order of a customer, who may be unknown, in a shop."""

    shop: int = column("Shop", example=1)
    customer: pd.Int64Dtype = column("Customer", nullable=True, example=7)
    ordered: pd.Timestamp = column("When", event_time=True, example="2026-01-04T10:00")
    shop_size: float = column(
        "Size of the shop",
        nullable=True,
        feature=True,
        lookup=Lookup("shop_features", by="shop", column="size", daily=False),
    )
    customer_mean: float = column(
        "Mean of the customer",
        nullable=True,
        feature=True,
        lookup=Lookup("customer_features", by="customer", column="mean"),
    )


COLUMNS, SPEC = Columns.of(Order), spec_of(Order)
PAST = pd.DataFrame(
    {
        "customer": [7, 7, 8, LARGE],
        "value": [1.0, 3.0, 5.0, 9.0],
        "known": pd.to_datetime(["2026-01-01 09:00"] * 4),
    }
)
NOON = datetime(2026, 1, 4, 12)  # noqa: DTZ001 - local, as in the store
ROWS = [(1, 7, NOON), (2, 8, NOON), (3, None, NOON), (-1, LARGE, NOON), (1, LARGE - 1, NOON)]
EXPECTED = [
    ([10.0, 2.0], {}),
    ([20.0, 5.0], {}),
    ([None, None], {"shop_size": "unknown_key", "customer_mean": "no_key"}),
    ([1.5, 9.0], {}),
    # another number than the one that a float would take it for
    ([10.0, None], {"customer_mean": "unknown_key"}),
]


def tables() -> dict[str, Any]:
    """What there is of three shops and three customers."""
    shops = ibis.memtable(pd.DataFrame({"entity": [1, 2, -1], "size": [10.0, 20.0, 1.5]}))
    until = pd.Timestamp("2026-01-05")
    means = trailing_means(ibis.memtable(PAST), "customer", "value", "known", until, n_days=7)
    return {"shop_features": shops, "customer_features": means}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/online.db"
    else:
        url = request.getfixturevalue("databases").new("psycopg")
    OnlineStoreDataset(credentials={"con": url}).save(publish(**tables()))
    return url


def test_the_service_finds_them_one_by_one_together_and_again(url: str) -> None:
    heard = Heard()
    store = FeatureStore(SPEC, StoreSettings(url, max_age_days=7, timeout_seconds=5), heard)

    found = store.complete_all(ROWS)
    again = [store.complete(row) for row in ROWS]

    assert [(whole[3:], missing) for whole, missing in found] == EXPECTED
    assert again == found
    assert heard.results == [("shop_features", "read"), ("customer_features", "read")]


def as_json(reader: TableReader) -> dict[str, Any]:
    names = [field.name for field in SPEC.sent]
    rows = [dict(zip(names, row, strict=True)) for row in ROWS]
    return reader.read_json(json.dumps({"rows": rows}, default=datetime.isoformat).encode())


def as_arrow(reader: TableReader, kind: Any = None) -> dict[str, Any]:
    shops, customers, moments = zip(*ROWS, strict=True)
    columns = {"shop": shops, "customer": pa.array(customers, kind), "ordered": moments}
    sink, table = pa.BufferOutputStream(), pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return reader.read_arrow(sink.getvalue().to_pybytes())


@pytest.mark.parametrize("read", [as_json, as_arrow, partial(as_arrow, kind=pa.decimal128(18))])
def test_large_requests_find_the_same(url: str, read: Callable[[TableReader], Any]) -> None:
    store = FeatureStore(SPEC, StoreSettings(url, max_age_days=7, timeout_seconds=5), Heard())

    columns, missing = complete_table(read(TableReader(RowReader(SPEC.sent, 10))), store)

    for place, name in enumerate(("shop_size", "customer_mean")):
        np.testing.assert_array_equal(
            columns[name], [np.nan if v[place] is None else v[place] for v, _ in EXPECTED]
        )
    why = [missing.values[code] for code in missing.codes]  # noqa: PD011
    assert why == [reasons for _, reasons in EXPECTED]
    assert plain(columns["customer"]).tolist() == [customer for _, customer, _ in ROWS]


def test_rows_to_learn_from_have_what_the_service_finds() -> None:
    sent = pd.DataFrame(ROWS, columns=["shop", "customer", "ordered"], dtype=object).astype(
        {"shop": "int64", "customer": "Int64", "ordered": "datetime64[us]"}
    )

    joined = look_up(ibis.memtable(sent), COLUMNS, tables()).to_pandas()

    joined = joined.set_index(["shop", "customer"])
    for (shop, customer, _), (values, _missing) in zip(ROWS, EXPECTED, strict=True):
        if customer is not None:
            found = joined.loc[(shop, customer), ["shop_size", "customer_mean"]]
            assert found.tolist() == pytest.approx(
                [np.nan if value is None else value for value in values], nan_ok=True
            )


def test_a_fraction_is_no_key() -> None:
    class Weighed(Contract):
        weight: float = column("Weight")
        size: float = column(
            "Size", lookup=Lookup("sizes", by="weight", column="size", daily=False)
        )

    with pytest.raises(ContractError, match=r"'weight', which is numeric: the online store's keys"):
        fields_of(Columns.of(Weighed))
