"""The engine as the project has it, of which measured functions ask, and tables of many rows."""

from pathlib import Path

import ibis
import yaml

from kedro_mlops.core.engine import connect_duckdb

# flights of a year
ROWS_A_COPY = 336_776


def connection() -> dict[str, str]:
    """What computes tables, as entries of the catalog say it."""
    told: dict[str, str] = yaml.safe_load(Path("conf/base/globals.yml").read_text())["tables"][
        "connection"
    ]
    return told


def connect() -> ibis.BaseBackend:
    """A connection that takes as much memory as tables of the project may."""
    return connect_duckdb(memory_limit=connection()["memory_limit"])


def write_rows(engine: ibis.BaseBackend, query: str, n_rows: int, file: Path) -> None:
    """Write so many rows of a query, piece by piece, as often as that takes.

    Args:
        engine: That of ``connect``.
        query: Has ``{copies}`` among its tables, whose column ``copy`` is the number of the copy.
        n_rows: Rows to write.
        file: The Parquet file.
    """

    def copies(first: int, end: int) -> str:
        return query.format(copies=f"range({first}, {end}) AS copies(copy)")

    # else it keeps what comes too early, ten times as much as it writes
    engine.raw_sql("SET preserve_insertion_order = false")
    [(n_known,)] = engine.raw_sql(f"SELECT count(*) FROM ({copies(0, 1)})").fetchall()
    n_whole, rest = divmod(n_rows, n_known)
    engine.raw_sql(
        f"COPY ({copies(0, n_whole)} UNION ALL ({copies(n_whole, n_whole + 1)} LIMIT {rest})) "
        f"TO '{file}'"
    )
