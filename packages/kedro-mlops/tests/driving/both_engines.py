"""What DuckDB and Spark make of the same rows: run by a Python that has both, apart from tests.

    SPARK_REMOTE=local[2] python both_engines.py FOLDER

Spark is asked by Connect, as a cluster of others is. The answers are printed as JSON.
"""

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.parsing import parse
from kedro_mlops.contract.quarantine import screen
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.core.engine import DEFAULT_CONNECTION, SPARK
from kedro_mlops.core.spark import Spark, connect

Moment = Annotated[pd.DatetimeTZDtype, "us", "UTC"]
N_ROWS = 3000
# the steps of a plan by which all rows of a table or file come to one task, if they are not few
TO_ONE_TASK = re.compile(
    r"Exchange (?:SinglePartition|hashpartitioning\(kedro_mlops: file#).*\n"
    r".*?(?:\+-|\*\(\d+\)) *(.*)"
)
OF_FEW = re.compile(r"\w*Aggregate\(keys=\[(kedro_mlops: file#\w+)?\]|LocalLimit")
# few rows are treated as many are: not sent whole to each task, nor put into one part
PROPERTIES = {
    "spark.sql.shuffle.partitions": 2,
    "spark.sql.autoBroadcastJoinThreshold": -1,
    "spark.sql.adaptive.coalescePartitions.enabled": "false",
}


class Told(Contract):
    """Text in ways that contracts may name."""

    said: pd.Timestamp = column("", format="%d.%m.%Y %H:%M")
    zoned: Moment = column("", format="%Y-%m-%d %H:%M:%S %z")
    plain: Moment = column("")
    monthly: pd.Timestamp = column("", format="%Y-%b")
    counted: pd.Timestamp = column("", format="epoch_s")
    share: float = column("", symbol="%", decimal=",")
    cost: float = column("", symbol="$", thousands=",")
    whole: int = column("")
    true: pd.BooleanDtype = column("")


class Bought(Contract):
    """Rows of which some break a rule, and some have the key of another."""

    number: int = column("")
    weight: float = column("", gt=0)
    place: str = column("", isin=["here", "there"])
    at: pd.Timestamp = column("")

    class Config:
        """What tells rows apart."""

        unique = ("number",)


COUNTED = "SELECT row_number() OVER (ORDER BY NULL) FROM parquet.`{}`"
TEXT = {
    "said": ["05.01.2013 07:03", "32.01.2013 00:00", "", "\v05.01.2013 07:03\f"],
    "zoned": [
        "2013-01-05 10:11:12 +0200",
        "2013-01-05 10:11:12 +02:00",
        "2013-01-05 10:11:12 +02",
        "2013-01-05",
        "2013-01-05 10:11:12 ",
        "2013-01-05 10:11:12 Z",
        "2013-01-05 10:11:12 +25:00",
        "2013-01-05 10:11:12 +0299",
        "2013-01-05 10:11:12 +02:00:30",
        "NA",
    ],
    "plain": [
        "2013-01-05T10:11:12+05:00",
        "2013/1/5 1:11",
        "0000-01-01",
        "2013-01-05 00:00:00 Asia/Tokyo",
        "2013/01/05 00:00 +0200",
        "2013-01-05 24:00",
        "2013-01-05 12:00+17:59:59",
        "2013-01-05 12:00+18:00",
        "2013-01-05 12:00+14:60",
        "2013-01-05 12:00:00\v",
        "2013-01-05\u2028",
    ],
    "monthly": ["2013-Nov", "2013-Feb", "\f2013-Jan\t", "2013-Novf", "v2013-Nov", "2013-Jan\x00"],
    "counted": ["1357000000", "1357000000.5", "x", "-62135596801", "-1e11", "1d"],
    "share": ["12,5 %", "3%", "4.5 %", "nan", "1_0", "5\v%", "5\u2003%", "\u00a05%", "5\u00a0%\v"],
    "cost": ["$1,200.50", "-3", "1,2", "x", "1f", "1,234\v", "+-5", "5\x00", "5\x1f", "5\u2028"],
    "whole": [
        *("1", "1.0", "1.5", "99999999999", "1_000", "1e3", "12345678901234567.00"),
        *("9223372036854775808", "9223372036854775807.5", "9.3e18", "-9223372036854775809"),
    ],
    "true": ["true", "0", "yes", "1", " t ", "false", "f", "False", "no", "\vf", "t\x00", "t\x1f"],
}


def main(folder: Path) -> None:
    """Ask both, and print what they answer."""
    spark, duckdb = connect(PROPERTIES), ibis.duckdb.connect()
    engines = (duckdb, spark)
    pd.DataFrame({name: pd.Series(said) for name, said in TEXT.items()}).to_parquet(
        folder / "told.parquet"
    )
    paths = write(folder)
    listed = sorted(map(str, Path(paths["folder"]).iterdir()), reverse=True)
    tables = {name: [engine.read_parquet(p) for engine in engines] for name, p in paths.items()}
    both = (duckdb.read_parquet(listed), spark.read_files(listed))
    tables["listed"] = [table.select("number", "weight", "place", "at") for table in both]
    found = {
        "text": [parsed(engine, folder / "told.parquet") for engine in engines],
        "screened": {name: [*map(screened, asked)] for name, asked in tables.items()},
        "of no files": screened(spark.read_parquet(paths["folder"]).distinct()),
        "to one task": to_one_task_of(spark, paths["folder"]),
        "counted one by one": offending(spark, COUNTED.format(paths["folder"])),
        "batches": batches(spark, paths["folder"]),
        "with hidden files": [
            # whose name would be a pattern, if there were none of that name
            with_hidden_files(folder / "hidden[1]{2,3}*", connection)
            for connection in (DEFAULT_CONNECTION, {"backend": SPARK, **PROPERTIES})
        ],
    }
    print(json.dumps(found, default=str))


def write(folder: Path) -> dict[str, str]:
    """The same rows in a folder of files, and in folders of such; their sizes are in no order."""
    rows = pd.DataFrame({"number": range(N_ROWS), "weight": 1.0, "place": "here"})
    rows["at"] = pd.Timestamp("2013-01-01 10:11:12.123456")
    rows.loc[::100, "weight"] = -1.0
    rows.loc[7::500, "place"] = "nowhere"
    rows.loc[13::250, "number"] = 13
    ends = [0, 20, 1500, 1600, 2900, N_ROWS]
    names = ["10.parquet", "2.parquet", "a é.parquet", "a.parquet", "b.parquet"]
    within = ["a/1.parquet", "a/10.parquet", "b 2/2.parquet", "c/0.parquet", "é/1.parquet"]
    for place, files in {"several": names, "within": within}.items():
        for name, start, end in zip(files, ends, ends[1:], strict=False):
            path = folder / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            rows[start:end].to_parquet(path, row_group_size=500)
    return {
        "folder": str(folder / "several"),
        "glob": str(folder / "within/*/*.parquet"),
    }


def parsed(engine: Any, path: Path) -> str:
    """What text says, and whether it says what it should, as CSV."""
    table = engine.read_parquet(path)
    told = {c.name: parse(c, table[c.name]) for c in Columns.of(Told).all}
    values = table.select({name: found.typed for name, found in told.items()}).to_pandas()
    failed = table.select({name: found.failed for name, found in told.items()}).to_pandas()
    return pd.concat([values, failed], axis=1).to_csv(index=False)


def screened(raw: ir.Table) -> dict[str, Any]:
    """All that is made of a raw table, its rows in an order of their own."""
    valid, quarantined, account = screen(raw, Bought)
    twice = [quarantined.to_pandas(), quarantined.to_pandas()]
    told = [rows.drop(columns="record").sort_values(["rule", "row"]) for rows in twice]
    return {
        "valid": valid.order_by("number").to_pandas().to_csv(index=False),
        "quarantined": [rows.to_csv(index=False) for rows in told],
        "rows": sorted(told[0]["row"]),
        "records": sorted(json.dumps(record, default=str) for record in twice[0]["record"]),
        "account": account.model_dump(),
    }


def to_one_task_of(spark: Spark, path: str) -> list[str]:
    """The steps of screening that move rows to one task, other than the last ones of few rows."""
    ask, found = spark._session.sql, list[str]()

    def asked(query: str) -> Any:
        found.extend(offending(spark, query, ask))
        return ask(query)

    spark._session.sql = asked
    screened(spark.read_parquet(path))
    spark._session.sql = ask
    return found


def offending(spark: Spark, query: str, ask: Any = None) -> list[str]:
    """What gives all its rows to one task, of the steps of a query."""
    if not query.startswith(("SELECT", "WITH")):
        return []
    [[plan]] = (ask or spark._session.sql)(f"EXPLAIN {query}").collect()
    return [step for step in TO_ONE_TASK.findall(plan) if not OF_FEW.search(step)]


def batches(spark: Spark, path: str) -> dict[str, Any]:
    """How many rows come in each batch, and whether they are in the order of the table."""
    table = spark.read_parquet(path).order_by("number", "at")
    found = list(table.to_pyarrow_batches(chunk_size=400))
    numbers = [number for batch in found for number in batch["number"].to_pylist()]
    return {
        "most": max(batch.num_rows for batch in found),
        "in order": numbers == sorted(numbers),
        "rows": len(numbers),
        "as told": all(batch.schema == table.schema().to_pyarrow() for batch in found),
    }


def with_hidden_files(folder: Path, connection: dict[str, Any]) -> dict[str, list[int]]:
    """What is read of a folder in which others write, and have left marks."""
    files = ["part-0", "_part-1", ".part-2", "_temporary/0/part-3"]
    for number, name in enumerate(files):
        path = folder / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"n": [number]}).to_parquet(path)
    for mark in ("_SUCCESS", ".part-0.parquet.crc"):
        (folder / mark).touch()
    read = {
        asked: TableDataset(filepath=str(folder / asked), connection=connection).load()
        for asked in ("", "*.parquet", "*")
    }
    return {asked: table.n.to_pyarrow().to_pylist() for asked, table in read.items()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
