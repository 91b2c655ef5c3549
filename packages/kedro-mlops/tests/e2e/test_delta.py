"""Data engineering whose raw table and model input are Delta tables, by nothing but the catalog."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from driving.project import Loop, Project
from driving.raw_tables import QUARTER, some_flights

from kedro_mlops.contract.csv_files import CSVTextDataset
from kedro_mlops.contract.delta_tables import DeltaTableDataset

DATA = "data/delta"
RUN = "kedro run --env delta --pipelines=data_engineering"
CATALOG = f"""
_delta: &delta
  type: kedro_mlops.contract.delta_tables.DeltaTableDataset
  file_format: delta
  save_args: null

raw_flights:
  <<: *delta
  filepath: {DATA}/01_raw/flights

flights_quarantine:
  <<: *delta
  filepath: {DATA}/02_intermediate/flights_quarantine
  connection: ${{globals:tables.connection}}

model_input:
  <<: *delta
  filepath: {DATA}/05_model_input/model_input
  save_args: {{ partition_by: [origin], use_tmp_file: null }}
"""


@pytest.fixture
def lakehouse(sample_loop: Loop, tmp_path: Path) -> Project:
    """A project whose flights are a Delta table."""
    project = sample_loop.project
    project.with_environment("delta", DATA, catalog=CATALOG)
    (tmp_path / "flights.csv").write_text(some_flights(QUARTER, 1))
    text = CSVTextDataset(filepath=str(tmp_path / "flights.csv"))
    DeltaTableDataset(filepath=str(project.folder / DATA / "01_raw/flights")).save(text.load())
    return project


def test_of_delta_tables_the_same_model_input_is_made(
    lakehouse: Project, sample_loop: Loop
) -> None:
    folder = lakehouse.folder / DATA
    raw, made = folder / "01_raw/flights", folder / "05_model_input/model_input"

    lakehouse.must(RUN)

    expected = pd.read_parquet(sample_loop.at_first / "05_model_input/model_input.parquet")
    pd.testing.assert_frame_equal(_ordered(_read(made)), _ordered(expected))

    # when nothing has changed, and then a row that breaks the contract has come
    unchanged = lakehouse.must(f"{RUN} --changed")
    odd = _read(raw).head(1).assign(year="nonsense")
    write_deltalake(raw, pa.Table.from_pandas(odd, preserve_index=False), mode="append")
    changed = lakehouse.must(f"{RUN} --changed")

    assert "Nothing has changed" in unchanged
    assert "2 rows set aside" in changed
    [row] = _read(folder / "02_intermediate/flights_quarantine").to_dict("records")
    assert (row["row"], row["column"], row["value"]) == (len(_read(raw)), "year", "nonsense")
    # of the rows that passed nothing else is made
    assert DeltaTable(made).version() == 0


def _read(folder: Path) -> pd.DataFrame:
    return pa.table(DeltaTable(folder).scan()).to_pandas()


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values([*rows.columns], ignore_index=True)[sorted(rows.columns)]
