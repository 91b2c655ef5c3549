"""The loop on Spark, in an environment of its own: row for row what DuckDB makes of it.

It takes minutes, and Java: continuous integration runs it, and a person who sets SPARK_TEST=1.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import driving
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pytest
import uv
from driving.project import Loop

IN_CI = os.environ.get("CI") == "true"
pytestmark = pytest.mark.skipif(
    not IN_CI and not os.environ.get("SPARK_TEST"), reason="it takes minutes: set SPARK_TEST=1"
)

PIPELINES = "data_engineering,modelling,scoring,monitoring"
# sums of floats depend on the order in which the engine adds
AS_CLOSE = 1e-9
# the champion is DuckDB's, and judges what comes back from Spark
CHAMPION = "06_models/champion"
# of these, too, every number must be the same; other files tell of times and paths
TOLD = ("flight_counts", "availability", "label_account", "serving_skew", "performance")


# which is worth it for tables as small as these
COMPILED_LITTLE = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m"}
BOTH = Path(driving.__file__).parent / "both_engines.py"
LAKE = """
import sys
from datetime import datetime
import ibis
from kedro_mlops.contract.delta_tables import DeltaTableDataset
from kedro_mlops.contract.tables import NamedTableDataset

NOON = datetime.fromisoformat("2013-07-15 12:00")
duckdb = {"backend": "duckdb", "database": ":memory:"}
spark = {
    "backend": "pyspark", "spark.master": "local[1]", "spark.ui.enabled": "false",
    "spark.sql.warehouse.dir": sys.argv[1] + "/warehouse",
}

def table(name, connection, **args):
    return DeltaTableDataset(filepath=f"{sys.argv[1]}/{name}", connection=connection, **args)

def rows(dataset):
    read = dataset.load()
    told = read.order_by("n").to_pyarrow().to_pylist()
    types = {name: str(dtype).partition("(")[0] for name, dtype in read.schema().items()}
    return str((types, [{k: str(v) for k, v in row.items()} for row in told]))

known = NamedTableDataset(
    table_name="known", connection=spark, save_args={"materialized": "table"}
)
made = ibis.memtable({"n": [1, 2, 3], "text": ["a", None, "b"], "at": [NOON, None, NOON]})
table("plain", duckdb).save(made)
table("parted", duckdb, save_args={"partition_by": ["text"]}).save(made)
known.save(table("plain", spark).load().filter(ibis._.n < 3))
table("made", spark).save(known.load())
others = table("parted", spark).load().filter(ibis._.n == 3)
table("made", spark, save_args={"mode": "append"}).save(others)
for name in ("plain", "parted", "made"):
    print(rows(table(name, duckdb)))
    print(rows(table(name, spark)))
"""


@pytest.fixture(scope="module")
def environment(sample_loop: Loop) -> str:
    """Where the extra is installed."""
    assert shutil.which("java"), "java is not installed: apt-get install default-jre-headless"
    project = sample_loop.project
    cache = subprocess.run(
        [uv.find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
    )
    folder = str(project.folder.parent / "spark")
    project.must(
        "uv sync --quiet --frozen --no-dev --extra spark --extra delta --no-compile-bytecode",
        timeout=900,
        UV_CACHE_DIR=cache.stdout.strip(),
        UV_PROJECT_ENVIRONMENT=folder,
    )
    return folder


@pytest.fixture(scope="module")
def on_spark(sample_loop: Loop, environment: str) -> Path:
    """The artefacts of the sample environment's days, whose tables Spark has computed."""
    project = sample_loop.project
    conf, data = project.folder / "conf", project.folder / "data/spark"
    shutil.copy(conf / "sample/parameters.yml", conf / "spark")
    shutil.copytree(sample_loop.at_first / CHAMPION, data / CHAMPION)
    project.must(
        f"{environment}/bin/kedro run --env spark --pipelines={PIPELINES}",
        timeout=1800,
        **COMPILED_LITTLE,
    )
    return data


def test_spark_makes_of_the_rows_what_duckdb_does(on_spark: Path, sample_loop: Loop) -> None:
    of_duckdb = sample_loop.at_first
    names = [path.relative_to(of_duckdb) for path in of_duckdb.rglob("*.parquet") if path.is_file()]

    compared = {str(name): _compare(of_duckdb / name, on_spark / name) for name in names}

    assert compared["05_model_input/model_input.parquet"] > 50_000
    assert compared["07_model_output/predictions.parquet"] > 5_000
    assert compared["02_intermediate/weather_quarantine.parquet"] == 1
    for name in TOLD:
        file = sample_loop.files[name].relative_to(sample_loop.data)
        assert json.loads((on_spark / file).read_text()) == json.loads(
            (of_duckdb / file).read_text()
        )
    # of the same rows the same model is made: its name is that of what is in it
    assert _candidates(on_spark) == _candidates(of_duckdb)


@pytest.fixture(scope="module")
def both(
    environment: str, sample_loop: Loop, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What DuckDB and a server of Spark Connect make of the same files."""
    command = f"{environment}/bin/python {BOTH} {tmp_path_factory.mktemp('both')}"
    # tested, it takes a port that is free
    server = {"SPARK_REMOTE": "local[2]", "SPARK_TESTING": "1"}
    said = sample_loop.project.must(command, **server, **COMPILED_LITTLE)
    return json.loads(said.splitlines()[-1])


def test_spark_reads_text_as_duckdb_does(both: dict[str, Any]) -> None:
    of_duckdb, of_spark = both["text"]

    assert len(of_duckdb.splitlines()) > 12
    assert of_spark == of_duckdb


def test_spark_reads_and_writes_delta_tables_as_duckdb_does(
    environment: str, sample_loop: Loop, tmp_path: Path
) -> None:
    (tmp_path / "lake.py").write_text(LAKE)

    said = sample_loop.project.must(
        f"{environment}/bin/python {tmp_path}/lake.py {tmp_path}", **COMPILED_LITTLE
    )

    told = [line for line in said.splitlines() if line.startswith("(")]
    assert len(told) == 6
    assert told[::2] == told[1::2]
    assert [line.count("2013-07-15 12:00:00") for line in told[::2]] == [2, 2, 2]


@pytest.mark.parametrize("files", ["folder", "glob", "listed"])
def test_rows_of_files_have_the_numbers_on_spark_that_they_have_on_duckdb(
    both: dict[str, Any], files: str
) -> None:
    of_duckdb, of_spark = both["screened"][files]

    assert of_duckdb["account"]["n_quarantined"] == 47
    assert of_spark == of_duckdb
    once, again = of_spark["quarantined"]
    assert again == once


def test_hidden_files_are_none_of_a_table_on_either(both: dict[str, Any]) -> None:
    read = {"": [0], "*.parquet": [0], "*": [0]}

    assert both["with hidden files"] == [read, read]


def test_rows_that_are_of_no_files_have_numbers_of_their_own(both: dict[str, Any]) -> None:
    found = both["of no files"]

    once, again = found["quarantined"]
    assert again == once
    assert found["account"]["n_quarantined"] == len(set(found["rows"])) == 36


def test_no_step_of_screening_moves_all_rows_to_one_task(both: dict[str, Any]) -> None:
    assert both["counted one by one"]
    assert both["to one task"] == []


def test_rows_come_from_spark_some_at_a_time_and_in_their_order(both: dict[str, Any]) -> None:
    assert both["batches"] == {"most": 400, "in order": True, "rows": 3000, "as told": True}


def _compare(one: Path, other: Path) -> int:
    """How many rows two tables have, which must be the same ones in the same types."""
    expected, found = (_read(path) for path in (one, other))
    assert found.schema.remove_metadata() == expected.schema.remove_metadata(), one.name
    frames = [_ordered(table.to_pandas()) for table in (expected, found)]
    pd.testing.assert_frame_equal(*frames, rtol=0, atol=AS_CLOSE, obj=one.name)
    return len(expected)


def _read(path: Path) -> pa.Table:
    table = pyarrow.dataset.dataset(path, format="parquet").to_table()
    # Arrow has two types of text
    texts = {pa.large_string(): pa.string()}
    fields = [field.with_type(texts.get(field.type, field.type)) for field in table.schema]
    return table.cast(pa.schema([field.with_nullable(True) for field in fields]))


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in an order that is told by what has no fractions first."""
    rows = rows.assign(**{name: rows[name].map(repr) for name in rows if name == "record"})
    exact = [name for name in rows if not pd.api.types.is_float_dtype(rows[name])]
    by = [*exact, *(name for name in rows if name not in exact)]
    return rows.sort_values(by, ignore_index=True)


def _candidates(data: Path) -> list[str]:
    [metadata] = (data / "06_models/candidate").rglob("metadata.json")
    return [json.loads(metadata.read_text())["version"]]
