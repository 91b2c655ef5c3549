from datetime import datetime
from pathlib import Path

import ibis
import pandas as pd
import pytest
import sqlalchemy as sa
from driving.postgres import Databases
from kedro.io import DatasetError

from kedro_mlops.feature_store import publishing
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish

RATES = pd.DataFrame({"entity": ["a", "b"], "rate": [0.5, None]}).set_index("entity")


def _store(path: Path) -> OnlineStoreDataset:
    return OnlineStoreDataset(credentials={"con": f"sqlite:///{path}"})


def test_the_store_tells_what_was_published_last(tmp_path: Path) -> None:
    store = _store(tmp_path / "online.db")
    said = [store.fingerprint()]
    for tables in (
        {"rates": RATES},
        {"rates": RATES},
        {"other": RATES},
        {"rates": RATES.fillna(0)},
    ):
        store.save(tables)
        said.append(store.fingerprint())

    assert said[1] == said[2]
    assert len(set(said)) == 4
    assert said[-1] == _store(tmp_path / "online.db").fingerprint()


def test_a_store_that_is_damaged_does_not_pretend_to_tell(tmp_path: Path) -> None:
    (tmp_path / "online.db").write_text("no database, but long enough to be looked at" * 100)

    with pytest.raises(DatasetError, match="not a database"):
        _store(tmp_path / "online.db").fingerprint()


@pytest.fixture(params=["sqlite", "postgresql", "another"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "postgresql":
        databases: Databases = request.getfixturevalue("databases")
        return databases.new("psycopg")
    if request.param == "another":
        monkeypatch.setattr(publishing, "_INSERTS", {})
    return f"sqlite:///{tmp_path}/online.db"


ROWS = [
    ("a", datetime.fromisoformat("2013-01-01"), 2**40 + 1, 0.1, True),
    ("", datetime.fromisoformat("2013-01-02T03:04:05.000006"), None, None, None),
    ('ü, "b"\n', None, -1, 1e300, False),
    (None, datetime.fromisoformat("2014-01-01"), 0, -2.5, True),
]
TYPES = {"entity": "str", "day": "datetime64[us]", "n": "Int64", "rate": "float", "open": "boolean"}


def test_tables_of_the_engine_are_the_same_rows_however_many_go_at_once(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pd.DataFrame(ROWS, columns=[*TYPES]).astype(TYPES)
    store, hashes = OnlineStoreDataset(credentials={"con": url}), list[str]()
    for a_batch, tables in (
        (10, {"rates": rows.set_index(["entity", "day"])}),
        (10, publish(rates=ibis.memtable(rows))),
        (3, publish(rates=ibis.memtable(rows))),
    ):
        monkeypatch.setattr(publishing, "A_BATCH", a_batch)
        store.save(tables)
        hashes.append(store.fingerprint())

        engine = sa.create_engine(url)
        with engine.connect() as connection:
            table = sa.Table("rates", sa.MetaData(), autoload_with=connection)
            found = [tuple(row) for row in connection.execute(sa.select(table))]
            names = sa.inspect(connection).get_table_names()
        engine.dispose()
        assert found == ROWS
        assert sorted(names) == ["_published", "rates"]

    assert len({*hashes}) == 1


def test_no_table_is_changed_before_all_are_written(tmp_path: Path) -> None:
    store, typed = _store(tmp_path / "online.db"), list[str]()
    store.save({"rates": RATES, "seats": RATES})

    def note(*asked: object) -> None:
        typed.append(str(asked[2]).split()[0])

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    store.save({"rates": RATES, "seats": RATES})
    sa.event.remove(sa.Engine, "before_cursor_execute", note)

    # the last one is of what was published
    *_, last, _ = (number for number, verb in enumerate(typed) if verb == "INSERT")
    assert typed.count("ALTER") == 2
    assert typed.index("ALTER") > last
