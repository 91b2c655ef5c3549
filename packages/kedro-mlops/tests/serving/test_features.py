import contextlib
import re
import sqlite3
import threading
import time
import tracemalloc
from datetime import date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from example.factories import spec_of

from kedro_mlops.contract.columns import Contract, Lookup, column
from kedro_mlops.feature_store import database
from kedro_mlops.feature_store.groups import groups_of
from kedro_mlops.feature_store.online_store import OnlineStoreDataset
from kedro_mlops.feature_store.queries import max_keys, query_of
from kedro_mlops.feature_store.reader import FeatureStore, StoreSettings
from kedro_mlops.feature_store.ttl_cache import TTLCache
from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.serving.bulk_features import complete_table
from kedro_mlops.serving.bulk_reading import columns_of

SPEC = spec_of()
SENT = [field.name for field in SPEC.sent]
LOOKED_UP = [field.name for field in SPEC.looked_up]
RATES = [field.name for field in SPEC.looked_up if field.source.daily]
NOON = datetime.fromisoformat("2013-07-01T12:00")
DEPARTURE = SENT.index(SPEC.event_time)
RATE_BY_DAY = {"2013-07-01": 0.1, "2013-07-03": 0.3, "2013-07-04": 0.4, "2013-07-06": None}


def daily_table(entity):
    days = pd.to_datetime(list(RATE_BY_DAY)).rename("day")
    rows = pd.DataFrame({"parcels_7d": 10, "late_rate_7d": RATE_BY_DAY.values()}, index=days)
    rows = rows.astype({"late_rate_7d": float})
    return rows.assign(entity=entity).reset_index().set_index(["entity", "day"])


def tables():
    """What a store has that knows one courier, two airports and two vans."""
    vans = pd.DataFrame({"entity": ["V1", "N0"], "year": [1999.0, None], "volume": [14.0, None]})
    return {
        "courier_features": daily_table("AB"),
        "depot_features": daily_table("EAST"),
        "area_features": daily_table("QAA"),
        "van_features": vans.set_index("entity"),
    }


@pytest.fixture(scope="module")
def store_url(tmp_path_factory):
    file = tmp_path_factory.mktemp("small store") / "online.db"
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    dataset.save(tables())
    return dataset.load()


def store_at(url, heard, spec=SPEC, **settings):
    return FeatureStore(spec, StoreSettings(**{"url": url, "max_age_days": 7} | settings), heard)


@pytest.fixture
def store(store_url, heard):
    return store_at(store_url, heard)


def row(moment="2013-07-03T12:00", **changes):
    """A row as the reader of requests gives it."""
    sent = {field.name: field.example for field in SPEC.sent}
    sent |= {SPEC.event_time: datetime.fromisoformat(str(moment))} | changes
    return tuple(sent.values())


def completed(store, values):
    """The looked-up values of a row by their names, and why some are missing."""
    [(whole, missing)] = store.complete_all([values])
    assert tuple(whole[: len(values)]) == values
    return dict(zip(LOOKED_UP, whole[len(values) :], strict=True)), missing


@pytest.mark.parametrize(
    ("departure", "rate", "reason"),
    [
        ("2013-06-30T23:59", None, "unknown_key"),
        ("2013-07-01T00:00", 0.1, None),
        ("2013-07-02T12:00", 0.1, None),
        ("2013-07-03T05:00", 0.3, None),
        ("2013-07-03T23:59:59.999999", 0.3, None),
        ("2013-07-04T00:00", 0.4, None),
        ("2013-07-05T23:59", 0.4, None),
        ("2013-07-06T00:00", None, "no_value"),
        ("2013-07-13T23:59", None, "no_value"),
        ("2013-07-14T00:00", None, "stale"),
        ("2050-01-01T00:00", None, "stale"),
        ("9999-12-31T23:59", None, "stale"),
        ("0001-01-01T00:00", None, "unknown_key"),
        ("0001-01-09T00:00", None, "unknown_key"),
    ],
)
def test_a_daily_value_is_the_newest_not_later_than_the_day_and_not_too_old(
    store, departure, rate, reason
):
    found, missing = completed(store, row(departure))

    assert [found[name] for name in RATES] == [rate] * len(RATES)
    assert missing == ({} if reason is None else dict.fromkeys(RATES, reason))


def test_rows_of_many_days_are_read_together_and_each_gets_that_of_its_own_day(store):
    days = ["2013-07-04", "2013-06-01", "2013-07-02", "2013-12-24", "2013-07-03", "0001-01-01"]
    rows = [row(day) for day in days]

    completed_rows = store.complete_all(rows)

    assert [values[len(SENT)] for values, _ in completed_rows] == [0.4, None, 0.1, None, 0.3, None]


@pytest.mark.parametrize("backend", ["sqlite", "another"])
def test_no_more_is_read_than_is_asked_for_however_far_apart_days_are(store_url, backend):
    import sqlalchemy as sa

    [group, *_] = groups_of(SPEC, 0, 0)
    days = [date(2, 1, 1), date(9998, 1, 1), date(2013, 7, 3)]
    asked = [(entity, day) for entity in ("AA", "AB", 'of "it"') for day in days]

    with sa.create_engine(store_url).connect() as connection:
        rows = [*connection.execute(query_of(group, asked, backend))]

    assert sorted((entity, day[:10], found[:10], rate) for entity, day, found, rate in rows) == [
        ("AB", "2013-07-03", "2013-07-03", 0.3),
        ("AB", "9998-01-01", "2013-07-06", None),
    ]


@pytest.mark.parametrize("backend", ["sqlite", "another"])
def test_a_query_may_have_as_many_keys_as_it_is_said_to(store_url, backend):
    import sqlalchemy as sa

    [group, *_] = groups_of(SPEC, 0, 0)
    asked = [("AB", date(2013, 7, 3))] * max_keys(backend)

    with sa.create_engine(store_url).connect() as connection:
        rows = [*connection.execute(query_of(group, asked, backend))]

    assert len(rows) == len(asked)


@pytest.mark.parametrize("backend", ["mysql", "mssql", "oracle"])
def test_other_databases_are_asked_in_words_that_they_have(backend):
    from sqlalchemy.dialects import registry

    daily, *_, plain = groups_of(SPEC, 0, 0)
    dialect = registry.load(backend)()
    asked = [("AA", date(2013, 7, 3)), ("AB", date(2013, 7, 4))]

    daily_query, plain_query = (
        str(query_of(group, keys, backend).compile(dialect=dialect))
        for group, keys in ((daily, asked), (plain, [("V1", None), ("N0", None)]))
    )

    assert daily_query.count("UNION") == 1
    assert daily_query.count("DUAL") == (2 if backend == "oracle" else 0)
    # rows of values are no table to all of them, nor by the same words
    assert not re.search("VALUES|WITH", daily_query + plain_query)
    assert max_keys(backend) * 2 <= 2_100


def test_how_old_a_value_may_be_is_a_setting(store_url, heard):
    asked = row("2013-07-05")

    found = [completed(store_at(store_url, heard, max_age_days=days), asked)[0] for days in (0, 1)]

    assert [{one[name] for name in RATES} for one in found] == [{None}, {0.4}]


@pytest.mark.parametrize("moment", ["1999-01-01", "2050-01-01"])
def test_values_without_a_day_do_not_age(store, moment):
    found, _ = completed(store, row(moment))

    assert (found["van_year"], found["van_volume"]) == (1999, 14)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"courier": "AA"}, {"courier_late_rate_7d": "unknown_key"}),
        ({"depot": "NORTH"}, {"depot_late_rate_7d": "unknown_key"}),
        ({"area": "XXX"}, {"area_late_rate_7d": "unknown_key"}),
        ({"van": "N1"}, {"van_year": "unknown_key", "van_volume": "unknown_key"}),
        ({"van": "n14228"}, {"van_year": "unknown_key", "van_volume": "unknown_key"}),
        ({"van": "' OR 1=1"}, {"van_year": "unknown_key", "van_volume": "unknown_key"}),
        ({"van": None}, {"van_year": "no_key", "van_volume": "no_key"}),
        ({"van": "N0"}, {"van_year": "no_value", "van_volume": "no_value"}),
        ({"van": "N\0"}, {"van_year": "unknown_key", "van_volume": "unknown_key"}),
    ],
)
def test_what_is_missing_says_why_and_nothing_else_is(store, sent, expected):
    found, missing = completed(store, row(**sent))

    assert missing == expected
    assert {name for name, value in found.items() if value is None} == set(expected)


def test_at_first_nothing_is_at_hand_and_then_all_is(store, heard):
    asked = row()

    before = store.complete(asked)
    [read] = store.complete_all([asked])

    assert before is None
    assert store.complete(asked) == read
    assert heard.all == 1
    assert heard.results == [(group.table, "read") for group in store.groups]
    assert heard.ages == [(group.table, 0) for group in store.groups if group.day is not None]


def test_what_was_read_is_not_read_again_and_what_is_unknown_neither(store_url, heard, monkeypatch):
    store = store_at(store_url, heard)
    asked = [row(), row(courier="ZZ"), row(van=None)]
    store.complete_all(asked)
    n_read = len(heard.results)

    store.complete_all(asked)

    assert all(store.complete(values) is not None for values in asked)
    assert len(heard.results) == n_read


def test_what_was_read_is_true_for_a_while_only(tmp_path, heard):
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    store = store_at(dataset.load(), heard, cache_seconds=1)
    completed(store, row())
    dataset.save(tables() | {"courier_features": daily_table("AB") + 0.5})

    kept, _ = completed(store, row())
    time.sleep(1.05)
    read, _ = completed(store, row())

    assert store.complete(row()) is not None
    assert (kept["courier_late_rate_7d"], read["courier_late_rate_7d"]) == (0.3, 0.8)


def test_what_is_asked_for_is_read_again_before_it_is_too_old(tmp_path, heard):
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    store = store_at(dataset.load(), heard, cache_seconds=0.6)
    store.complete_all([row(), row(courier="ZZ")])
    store.refresh()
    n_read = len(heard.results)
    dataset.save(tables() | {"courier_features": daily_table("AB") + 0.5})

    for _ in range(6):
        time.sleep(0.2)
        store.complete(row())
        store.refresh()

    # at hand all the time, and new; what nobody asked for any more has gone
    values, _ = store.complete(row())
    assert values[len(SENT)] == 0.8
    assert store.complete(row(courier="ZZ")) is None
    assert n_read < len(heard.results) <= n_read + 4 * len(store.groups)


def test_what_cannot_be_read_again_stays_until_it_is_too_old(tmp_path, heard):
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    store = store_at(dataset.load(), heard, cache_seconds=0.6)
    store.complete_all([row()])
    (tmp_path / "online.db").unlink()
    time.sleep(0.35)

    store.refresh()

    assert store.complete(row()) is not None
    assert heard.results[-1] == ("courier_features", "failed")
    time.sleep(0.3)
    assert store.complete(row()) is None
    assert completed(store, row())[1] == dict.fromkeys(LOOKED_UP, "store_unavailable")


def test_no_more_is_kept_than_may_be(store_url, heard):
    store = store_at(store_url, heard, cache_bytes=10_000)

    for i in range(50):
        store.complete_all([row(courier=f"{i}", van=f"N{i}")])

    assert all(len(group.cache) in range(1, 20) for group in store.groups)
    assert completed(store, row())[1] == {}


@pytest.mark.parametrize("length", [1, 250])
def test_keys_are_kept_by_what_they_take_in_memory(length):
    kept, max_bytes = TTLCache(10**6, 60), 10**6
    tracemalloc.start()

    for first in range(0, 10_000, 500):
        keys = [(f"{i:0{length}}", None) for i in range(first, first + 500)]
        kept.keep({key: ((None, 0.5 + i), {"a": "b"}) for i, key in enumerate(keys)}, 0)

    assert tracemalloc.get_traced_memory()[0] < 1.5 * max_bytes
    assert len(kept) > 1_000
    tracemalloc.stop()


@pytest.mark.usefixtures("nothing_else_to_collect")
def test_what_is_kept_goes_as_quickly_however_much_has_gone():
    """The first of a dictionary is found the more slowly the more were before it."""
    n_kept, seconds = 80_000, []
    kept = TTLCache(550 * n_kept, 60)

    for prefix in "abcd":
        entries = {(f"{prefix}{i}", None): ((), {}) for i in range(n_kept)}
        start = time.process_time()
        kept.keep(entries, 0)
        seconds.append(time.process_time() - start)

    filling, *replacing = seconds
    # of a dictionary, none of them takes less than thirty times as long
    assert min(replacing) < 10 * filling + 0.5


def test_what_is_kept_may_change_while_somebody_looks_for_what_is_old():
    kept, stopped, wrong = TTLCache(2_000_000, 60), threading.Event(), []

    def change():
        i = 0
        while not stopped.is_set():
            kept.keep({(f"{i + j}", None): ((0.5,), {}) for j in range(500)}, 0)
            i += 250

    def look():
        while not stopped.is_set():
            try:
                kept.ageing(31)
            except RuntimeError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work) for work in (change, look, look)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    stopped.set()
    for thread in threads:
        thread.join()

    assert wrong == []


# a store that is damaged


def damaged(tmp_path, *statements):
    """The store, after somebody has been at it."""
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    with contextlib.closing(sqlite3.connect(tmp_path / "online.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return dataset.load()


@pytest.mark.parametrize(
    "value", ["-77.5", "1.5", "9e999", "'abc'", "x'ff'", "CAST(x'ff31' AS TEXT)"]
)
def test_what_breaks_the_contract_is_missing_and_nothing_else_is(tmp_path, heard, value):
    url = damaged(tmp_path, f"UPDATE courier_features SET late_rate_7d = {value}")
    store = store_at(url, heard)

    found, missing = completed(store, row())

    assert missing == {"courier_late_rate_7d": "invalid_value"}
    assert [name for name, one in found.items() if one is None] == ["courier_late_rate_7d"]
    assert store.complete(row()) == store.complete_all([row()])[0]


@pytest.mark.parametrize("value", ["0", "1", "0.0", "1e-300"])
def test_what_keeps_the_contract_is_taken_however_it_is_stored(tmp_path, heard, value):
    url = damaged(tmp_path, f"UPDATE courier_features SET late_rate_7d = {value}")

    found, missing = completed(store_at(url, heard), row())

    assert missing == {}
    assert found["courier_late_rate_7d"] == float(value)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE courier_features SET day = 'yesterday' WHERE day >= '2013-07-03'",
        "UPDATE courier_features SET day = CAST(x'ff31' AS TEXT) WHERE day >= '2013-07-03'",
        "UPDATE courier_features SET day = 20130703 WHERE day >= '2013-07-03'",
        "INSERT INTO courier_features (entity, day) VALUES (CAST(x'ff31' AS TEXT), x'00')",
        "UPDATE van_features SET entity = x'ff' WHERE entity = 'N0'",
    ],
)
def test_what_is_damaged_harms_nobody_else(tmp_path, heard, statement):
    store = store_at(damaged(tmp_path, statement), heard)

    found, missing = completed(store, row())

    assert missing == {}
    assert found["depot_late_rate_7d"] == 0.3
    assert found["courier_late_rate_7d"] in (0.1, 0.3)


@pytest.mark.parametrize("seed", range(5))
def test_a_file_that_is_no_database_any_more_is_a_store_that_cannot_be_read(tmp_path, heard, seed):
    url, file = damaged(tmp_path), tmp_path / "online.db"
    data = bytearray(file.read_bytes())
    data[16:] = np.random.default_rng(seed).bytes(len(data) - 16)
    file.write_bytes(data)

    found, missing = completed(store_at(url, heard), row())

    assert set(found.values()) == {None}
    assert missing == dict.fromkeys(LOOKED_UP, "store_unavailable")


class Stock(Contract):
    """Every kind of value is looked up."""

    moment: pd.Timestamp = column("Moment", event_time=True, key=True)
    product: str = column("Product", nullable=True)
    n_left: pd.Int64Dtype = column(
        "Left", nullable=True, ge=0, lookup=Lookup("stock", "product", "n_left", daily=False)
    )
    on_sale: pd.BooleanDtype = column(
        "On sale", nullable=True, lookup=Lookup("stock", "product", "on_sale", daily=False)
    )
    size: str = column(
        "Size", nullable=True, isin=["s", "l"], lookup=Lookup("stock", "product", "size", False)
    )


def test_every_kind_of_value_is_held_against_the_contract(tmp_path, heard):
    stock = pd.DataFrame(
        {
            "n_left": [3.0, 2.5, -1.0, None],
            "on_sale": [1, 0, 2, None],
            "size": ["s", "l", "xl", None],
        },
        index=pd.Index(["right", "half", "wrong", "none"], name="entity"),
    )
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save({"stock": stock})
    store = store_at(dataset.load(), heard, spec_of(Stock))

    found = store.complete_all([(NOON, product) for product in stock.index])

    assert [(values[2:], list(missing.values())) for values, missing in found] == [
        ([3, True, "s"], []),
        ([None, False, "l"], ["invalid_value"]),
        ([None, None, None], ["invalid_value"] * 3),
        ([None, None, None], ["no_value"] * 3),
    ]
    assert [type(value) for value in found[0][0][2:]] == [int, bool, str]


# a store that fails


def test_a_store_that_is_not_there_leaves_all_missing_and_creates_nothing(tmp_path, heard):
    store = store_at(f"sqlite:///{tmp_path}/online.db", heard)

    found, missing = completed(store, row())

    assert set(found.values()) == {None}
    assert missing == dict.fromkeys(LOOKED_UP, "store_unavailable")
    assert list(tmp_path.iterdir()) == []
    assert set(heard.results) == {(group.table, "failed") for group in store.groups}


def test_without_a_key_nothing_is_asked_and_the_reason_is_that(tmp_path, heard):
    store = store_at(f"sqlite:///{tmp_path}/online.db", heard)

    _, missing = completed(store, row(van=None))

    assert {missing["van_year"], missing["courier_late_rate_7d"]} == {
        "no_key",
        "store_unavailable",
    }


def test_a_store_that_failed_is_left_alone_for_a_while_and_comes_back(tmp_path, heard, monkeypatch):
    clock = SimpleNamespace(now=time.monotonic())
    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=lambda: clock.now))
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    store = store_at(dataset.load(), heard, timeout_seconds=0.4)
    completed(store, row())
    dataset.save(tables())

    _, meanwhile = completed(store, row())
    clock.now += 0.45
    found, missing = completed(store, row())

    assert set(meanwhile.values()) == {"store_unavailable"}
    assert missing == {}
    assert found["courier_late_rate_7d"] == 0.3


def test_a_large_query_that_was_late_is_the_last_for_a_while_and_small_ones_are_asked(
    tmp_path, heard
):
    # given a store of which somebody keeps all others out
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    store = store_at(dataset.load(), heard, timeout_seconds=0.3)
    many = [row(courier=f"C{i}") for i in range(database.ORDINARY_KEYS + 1)]
    couriers, *_ = store.groups
    keys = [couriers.key(values) for values in many]
    with contextlib.closing(sqlite3.connect(tmp_path / "online.db")) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        seconds = [timed(store.find, couriers, keys) for _ in range(2)]

    # then the next large one does not wait, and one row is looked up as soon as it can be
    assert seconds[0] > 0.3 > 3 * seconds[1]
    assert completed(store, row())[1] == {}


def test_queries_of_a_request_have_one_time_in_common(store_url, heard, monkeypatch):
    # given a store that takes a bit more than half of its time for each query
    clock = SimpleNamespace(now=time.monotonic())

    def slowly(*asked):
        clock.now += 0.6
        return query_of(*asked)

    monkeypatch.setattr(database, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(database, "query_of", slowly)
    store = store_at(store_url, heard, timeout_seconds=1)

    _, first = completed(store, row())
    _, second = completed(store, row())
    _, of_table = by_table(store_at(store_url, heard, timeout_seconds=1), [row()])

    late = [name for group in store.groups[2:] for name in group.names]
    assert first == of_table[0] == dict.fromkeys(late, "store_unavailable")
    # what was read is kept, and no query was late
    assert second == {}


@pytest.mark.parametrize(("n_rows", "seconds"), [(1, 2), (5_000, 2), (5_001, 4), (10_000, 4)])
def test_a_request_of_more_rows_than_a_query_takes_has_more_time(n_rows, seconds):
    one = database.Database("sqlite:///online.db", timeout_seconds=2)

    assert one.patience(n_rows).seconds == seconds


def test_what_is_kept_is_answered_while_the_store_is_down(tmp_path, heard):
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save(tables())
    store = store_at(dataset.load(), heard)
    completed(store, row())
    (tmp_path / "online.db").unlink()

    known, missing_of_known = completed(store, row())
    _, missing = completed(store, row(courier="AA"))

    assert missing_of_known == {}
    assert known["van_year"] == 1999
    assert missing == {"courier_late_rate_7d": "store_unavailable"}
    assert store.complete(row(courier="AA")) is None


@pytest.mark.parametrize(
    ("absent", "columns"),
    [
        ("van_features", ["van_year", "van_volume"]),
        ("courier_features", ["courier_late_rate_7d"]),
    ],
)
def test_a_table_that_is_not_there_is_the_only_one_missing(tmp_path, heard, absent, columns):
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{tmp_path}/online.db"})
    dataset.save({name: table for name, table in tables().items() if name != absent})
    store = store_at(dataset.load(), heard)

    _, missing = completed(store, row())

    assert missing == dict.fromkeys(columns, "store_unavailable")


def timed(work, *args):
    began = time.monotonic()
    work(*args)
    return time.monotonic() - began


# tables


def by_table(store, rows):
    """Rows completed as one table: for each row its looked-up values and what is missing."""
    columns, missing = complete_table(columns_of(rows, store.spec.sent), store)
    names = [field.name for field in store.spec.looked_up]
    values = np.column_stack([np.asarray(columns[name], dtype=float) for name in names])
    return [[None if np.isnan(v) else v for v in row] for row in values.tolist()], by_row(missing)


def by_row(column):
    return [column.values[code] for code in column.codes]  # noqa: PD011


def test_a_table_is_completed_like_its_rows(store_url, heard):
    days = ["2013-07-04", "2013-06-01", "2013-07-14", "0001-01-02", "9999-12-31", "2013-07-06"]
    rows = [
        row(day, courier=courier, van=tail)
        for day in days
        for courier in ("AB", "AA")
        for tail in ("V1", "N0", None, "N1")
    ]
    singly = [completed(store_at(store_url, heard), values) for values in rows]

    values, missing = by_table(store_at(store_url, heard), rows)

    assert values == [list(found.values()) for found, _ in singly]
    assert missing == [reasons for _, reasons in singly]


def test_the_online_look_up_equals_the_offline_join(online_store, real_rows, heard):
    store = store_at(online_store, heard)
    sent = real_rows[SENT].astype(object).where(real_rows[SENT].notna(), None)
    rows = [tuple(values) for values in sent.itertuples(index=False)]

    values, _ = by_table(store, rows)

    found = pd.DataFrame(values, columns=LOOKED_UP, index=real_rows.index).astype(float)
    assert (real_rows[LOOKED_UP].notna().mean() > 0.7).all()
    pd.testing.assert_frame_equal(found, real_rows[LOOKED_UP])


class Product(Contract):
    """Text is looked up, and the key is not the first field."""

    moment: pd.Timestamp = column("Moment", event_time=True, key=True)
    product: str = column("Product", nullable=True)
    colour: str = column(
        "Colour",
        feature=True,
        nullable=True,
        lookup=Lookup("products", by="product", column="colour", daily=False),
    )


def test_text_may_be_looked_up_and_a_path_may_have_any_name(tmp_path, heard):
    file = tmp_path / "stock #1%.db"
    products = pd.DataFrame(
        {"colour": ["red", None]}, index=pd.Index(["ball", "net"], name="entity")
    )
    dataset = OnlineStoreDataset(credentials={"con": f"sqlite:///{file}"})
    dataset.save({"products": products})
    spec = spec_of(Product)
    store = store_at(dataset.load(), heard, spec)
    rows = [
        (datetime.fromisoformat("2013-07-01"), product)
        for product in ("ball", "bat", "net", None, "ball")
    ]

    singly = store.complete_all(rows)
    columns, reasons = complete_table(columns_of(rows, spec.sent), store)
    missing = by_row(reasons)

    colours = ["red", None, None, None, "red"]
    assert [values[-1] for values, _ in singly] == colours
    assert isinstance(columns["colour"], Coded)
    assert by_row(columns["colour"]) == colours
    assert missing == [reasons for _, reasons in singly]
    assert [one.get("colour") for one in missing] == [
        None, "unknown_key", "no_value", "no_key", None,
    ]  # fmt: skip


def test_fields_of_the_same_table_and_key_are_read_at_once():
    groups = groups_of(SPEC, 0, 0)

    assert [group.table for group in groups] == [
        "courier_features", "depot_features", "area_features", "van_features",
    ]  # fmt: skip
    assert groups[-1].names == ("van_year", "van_volume")
    assert {group.day for group in groups[:-1]} == {DEPARTURE}
    assert groups[-1].key(row(van="N1")) == ("N1", None)
    assert groups[0].key(row("2013-07-03T23:59")) == ("AB", date(2013, 7, 3))


def test_a_day_is_asked_for_as_far_back_as_values_may_be_old(store, heard):
    newest = date(2013, 7, 6)

    for days in range(1, 10):
        completed(store, row(str(newest + timedelta(days=days))))

    assert sorted({age for table, age in heard.ages if table == "courier_features"}) == list(
        range(1, 10)
    )
