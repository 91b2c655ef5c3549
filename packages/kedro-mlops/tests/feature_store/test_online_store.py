from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from kedro_mlops.feature_store.online_store import OnlineStoreDataset

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
