"""Measures data engineering, from raw Parquet to model input and feature tables, beside pandas.

Each is a process of its own; seconds are those of the processor. The rows are the raw flights,
many times over. Ours is the whole pipeline as `kedro run` does it, and pandas does the same. Beside
them is the least that must be done: the same layers, written by the engine, which asks nothing of
any row.
"""

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pandas as pd
import sqlalchemy as sa
import yaml
from kedro.framework.project import settings
from kedro.framework.startup import bootstrap_project

from flight_delays.contracts import Observation
from flight_delays.pipelines.data_engineering.nodes import (
    DataEngineering,
    assemble_model_input,
    build_feature_tables,
    join_flights,
    land_flights,
    land_planes,
    land_weather,
)

from benchmarks import flights_in_pandas
from benchmarks.engines import ROWS_A_COPY, connect, write_rows
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.feature_store.online_store import OnlineStoreDataset, publish

SCREENED = Path("data/02_intermediate")
N_FEATURES = 1_000_000
# as conf/base/parameters.yml has them
AS_OF, HORIZON = AsOf("2013-07-01"), Horizon(days=31)


def in_engine(folder: Path) -> None:
    """The pipeline, of which only the source is another one."""
    bootstrap_project(Path.cwd())
    told = {"globals": {"data": str(folder / "data")}}
    session = settings.SESSION_CLASS.create(
        Path.cwd(), conf_source=str(folder / "conf"), runtime_params=told
    )
    with session:
        session.run(pipeline_names=["data_engineering"])


def in_pandas(folder: Path) -> None:
    """The same tables, each in one frame."""
    flights_in_pandas.engineer(folder)


def bare(folder: Path) -> None:
    """The same layers by the same queries."""
    engine = connect()

    def written(table: ir.Table, name: str) -> ir.Table:
        table.to_parquet(folder / f"{name}_bare.parquet")
        return engine.read_parquet(folder / f"{name}_bare.parquet")

    when, params = (AS_OF, HORIZON), DataEngineering(label_delay_hours=1, history_days=None)
    weather, planes = (
        engine.read_parquet(SCREENED / f"screened_{name}.parquet") for name in ("weather", "planes")
    )
    raw = written(engine.read_parquet(folder / "raw.parquet"), "screened")
    landed = land_flights(raw, *when, params)
    flights = written(join_flights(landed, land_weather(weather), *when, params), "primary")
    tables = build_feature_tables(flights, *when)
    tables = {name: written(table, name) for name, table in tables.items()}
    written(assemble_model_input(flights, land_planes(planes), **tables), "model_input")


def publish_in_batches(folder: Path) -> None:
    """A feature table into SQLite, as the project does it."""
    table = ibis.duckdb.connect().read_parquet(folder / "features.parquet")
    store = OnlineStoreDataset(credentials={"con": f"sqlite:///{folder}/ours.db"})
    store.save(publish(features=table))


def publish_in_pandas(folder: Path) -> None:
    """The same by ``to_sql``."""
    frame = pd.read_parquet(folder / "features.parquet").set_index(["entity", "day"])
    engine = sa.create_engine(f"sqlite:///{folder}/pandas.db")
    frame.to_sql("features", engine)


def measure(copies: int) -> None:
    """Print seconds and peak memory of both."""
    if not (SCREENED / "screened_flights.parquet").exists():
        raise SystemExit("There is no data yet: `make run` makes it.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"{prepare(folder, copies):,} raw rows\n")
        print(f"{'':24}{'processor':>18}{'clock':>12}")
        _compare(folder, {"pipeline": in_engine, "pandas": in_pandas})
        clock, *least = measure_apart("benchmarks.data_engineering", bare.__name__, folder)
        print(f"{'least, by bare queries':24}{text((least[0], least[1]))}{clock:10.1f} s")
        _same(folder)
        print(f"\n{N_FEATURES:,} rows of features into SQLite")
        _compare(folder, {"batches": publish_in_batches, "pandas": publish_in_pandas})


def _compare(folder: Path, functions: dict[str, Callable[[Path], None]]) -> None:
    """Print figures of two, and the share of the first."""
    measured = []
    for name, function in functions.items():
        clock, *figures = measure_apart("benchmarks.data_engineering", function.__name__, folder)
        measured.append(figures)
        print(f"{name:24}{text((figures[0], figures[1]))}{clock:10.1f} s", flush=True)
    shares = [ours / theirs for ours, theirs in zip(*measured, strict=True)]
    print(f"{'share':24}{shares[0]:8.2f}   {shares[1]:5.2f}")


def prepare(folder: Path, copies: int) -> int:
    """Write the raw flights many times over, and the configuration that reads them."""
    connection = connect()
    query = (
        "SELECT * EXCLUDE (copy) REPLACE (flight + 10000 * copy AS flight) "
        f"FROM '{SCREENED}/screened_flights.parquet', {{copies}}"
    )
    n_rows = copies * ROWS_A_COPY
    write_rows(connection, query, n_rows, folder / "raw.parquet")
    connection.raw_sql(
        f"COPY (SELECT 'E' || i // 10 AS entity, TIMESTAMP '2013-01-01' + to_days((i % 10)::INT) "
        f"AS day, i % 97 AS flights_7d, if(i % 13 = 0, NULL, i % 1000 / 1000) AS late_rate_7d "
        f"FROM range({N_FEATURES}) AS features(i)) TO '{folder}/features.parquet'"
    )
    shutil.copytree("conf", folder / "conf")
    source = {
        "type": "kedro_mlops.contract.tables.TableDataset",
        "file_format": "parquet",
        "connection": "${globals:tables.connection}",
        "filepath": str(folder / "raw.parquet"),
        "load_args": None,
    }
    (folder / "conf/local").mkdir(exist_ok=True)
    (folder / "conf/local/catalog_raw.yml").write_text(yaml.safe_dump({"raw_flights": source}))
    return n_rows


def _same(folder: Path) -> None:
    """Refuse figures of two that do not make the same."""
    connection, key = ibis.duckdb.connect(), Columns.of(Observation).keys
    [ours, theirs] = (
        connection.read_parquet(path / "model_input.parquet")
        for path in (folder / "data/05_model_input", folder)
    )
    names = ours.columns
    [[n, differ]] = connection.raw_sql(
        f"SELECT count(*), count(*) FILTER (NOT ({' AND '.join(_equal(name) for name in names)})) "
        f"FROM '{folder}/data/05_model_input/model_input.parquet' ours "
        f"JOIN '{folder}/model_input.parquet' theirs USING ({', '.join(key)})"
    ).fetchall()
    assert n == ours.count().execute() == theirs.count().execute(), "other rows"
    assert not differ, f"{differ} rows differ"


def _equal(name: str) -> str:
    return f"ours.{name} IS NOT DISTINCT FROM theirs.{name}"


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
