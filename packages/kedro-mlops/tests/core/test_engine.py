import sys

import pytest
from kedro.io import DatasetError

from kedro_mlops.contract.tables import TableDataset


def test_who_asks_for_spark_without_it_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "kedro_mlops.core.spark", raising=False)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    connection = {"backend": "pyspark", "spark.app.name": "none"}
    table = TableDataset(filepath=str(tmp_path / "table.parquet"), connection=connection)

    with pytest.raises(DatasetError, match="uv sync --frozen --extra spark"):
        table.load()
