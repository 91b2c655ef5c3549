"""The online store on PostgreSQL: the same code, another URL."""

import time
from datetime import date, datetime
from typing import Any

import pandas as pd
import pytest
from driving.postgres import Databases
from example.factories import spec_of
from example.history import History
from example.lookups import Heard

from kedro_mlops.feature_store.database import ORDINARY_KEYS
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings

SPEC = spec_of()
SENT = [field.name for field in SPEC.sent]


@pytest.fixture(scope="module")
def url(databases: Databases, history: History) -> str:
    url = databases.new("psycopg")
    tables = publish(**history.features, van_features=history.vans)
    for _ in range(2):
        OnlineStoreDataset(credentials={"con": url}).save(tables)
    return url


def store(url: str, seconds: float = 5) -> FeatureStore:
    return FeatureStore(SPEC, StoreSettings(url, timeout_seconds=seconds), Heard())


def rows_of(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    plain = table[SENT].astype(object).where(table[SENT].notna(), None)
    return [tuple(row) for row in plain.itertuples(index=False)]


def test_postgres_answers_as_sqlite_does(
    url: str, online_store: str, real_rows: pd.DataFrame
) -> None:
    rows = rows_of(real_rows)
    days = ("0001-01-01", "0001-01-09", "2050-01-01", "9999-12-31")
    place = SENT.index(SPEC.event_time)
    odd = [(*rows[0][:place], datetime.fromisoformat(d), *rows[0][place + 1 :]) for d in days]

    found, expected = (one.complete_all([*rows, *odd]) for one in (store(url), store(online_store)))

    assert found == expected
    reasons = {reason for _, missing in found for reason in missing.values()}
    assert {"unknown_key", "stale"} <= reasons
    assert sum(not missing for _, missing in found) > 100
    assert "store_unavailable" not in reasons


def test_text_that_postgres_cannot_hold_is_an_unknown_key_and_closes_nothing(
    url: str, real_rows: pd.DataFrame
) -> None:
    place = SENT.index("van")
    row = rows_of(real_rows)[0]
    one = store(url)

    strange = (*row[:place], "N\0", *row[place + 1 :])
    [(_, missing)] = one.complete_all([strange])

    assert missing["van_year"] == "unknown_key"
    assert "store_unavailable" not in missing.values()


def test_a_query_that_takes_too_long_is_given_up_and_closes_the_store_to_those_of_its_size(
    url: str, real_rows: pd.DataFrame
) -> None:
    import sqlalchemy as sa

    holder = sa.create_engine(url)
    one = store(url, seconds=0.2)
    couriers, depots, *_ = one.groups
    *rows, row = rows_of(real_rows)[:2]
    of_row, of_another = depots.key(row), depots.key(rows[0])
    many = [(f"C{number}", date(2013, 1, 7)) for number in range(ORDINARY_KEYS + 1)]
    with holder.begin() as connection:
        connection.execute(sa.text("LOCK TABLE courier_features IN ACCESS EXCLUSIVE MODE"))
        of_many = one.find(couriers, many)
        began = time.monotonic()
        of_many_more = one.find(couriers, many)
        seconds_of_more = time.monotonic() - began
        [(_, after_many)] = one.find(depots, [of_row])
        [(_, of_one)] = one.find(couriers, [couriers.key(row)])
        [(_, after_one)] = one.find(depots, [of_another])
    holder.dispose()

    unavailable = {"courier_late_rate_7d": "store_unavailable"}
    assert of_row != of_another
    assert of_many == of_many_more == [((None,), unavailable)] * len(many)
    assert seconds_of_more < 0.1
    assert after_many == {}
    assert of_one == unavailable
    assert set(after_one.values()) == {"store_unavailable"}
