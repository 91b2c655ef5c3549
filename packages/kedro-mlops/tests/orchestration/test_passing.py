from pathlib import Path
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Node, Pipeline

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.orchestration.passing import refuse_what_is_lost

SHARED = Path("/project/data")


def copy(rows: object) -> object:
    return rows


PIPELINES = {
    "making": Pipeline([Node(copy, "raw", "scratch"), Node(copy, "scratch", "rows")]),
    "reading": Pipeline([Node(copy, "rows", "result")]),
}


def look(entry: dict[str, Any] | None, shared: Path | None) -> None:
    catalog = DataCatalog.from_config({"rows": entry} if entry else {})
    refuse_what_is_lost(PIPELINES, PIPELINES, catalog, shared)


def file(path: str) -> dict[str, Any]:
    return {"type": "pandas.ParquetDataset", "filepath": path}


@pytest.mark.parametrize("entry", [None, {"type": "MemoryDataset"}], ids=str)
@pytest.mark.parametrize("shared", [None, SHARED])
def test_what_is_in_memory_is_lost_between_two_processes(
    entry: dict[str, Any] | None, shared: Path | None
) -> None:
    with pytest.raises(ProjectError) as refused:
        look(entry, shared)

    # and what stays within one is not
    assert "rows, from making to reading: it is in the memory of a process" in str(refused.value)
    assert "scratch" not in str(refused.value)


def test_a_file_that_is_on_one_machine_is_lost_between_two() -> None:
    look(file("/elsewhere/rows.parquet"), shared=None)

    with pytest.raises(ProjectError, match=r"/elsewhere/rows\.parquet is on one machine"):
        look(file("/elsewhere/rows.parquet"), SHARED)


@pytest.mark.parametrize(
    "entry",
    [
        file("/project/data/rows.parquet"),
        file("s3://bucket/rows.parquet"),
        {"type": "pandas.SQLTableDataset", "table_name": "rows", "credentials": {"con": "sqlite:"}},
    ],
    ids=str,
)
def test_what_all_machines_reach_is_found(entry: dict[str, Any]) -> None:
    look(entry, SHARED)
