"""Spark as the engine of tables, with moments as other engines have them."""

import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pandas as pd

from .errors import ProjectError

try:
    from ibis.backends.pyspark import Backend
    from pyspark.sql import SparkSession
except ImportError as error:
    raise ProjectError(
        "Tables are to be computed by Spark, which is not installed: "
        "`uv sync --frozen --extra spark`."
    ) from error


class Spark(Backend):
    """Ibis's, of which moments keep their types.

    It would write moments without a zone as some with one, and give all in nanoseconds, by which
    pandas tells other hashes.
    """

    @property
    def has_delta(self) -> bool:
        """Whether the session has Delta Lake, as one of Databricks has."""
        extensions = self._session.conf.get("spark.sql.extensions", None) or ""
        return "DATABRICKS_RUNTIME_VERSION" in os.environ or "delta" in extensions.lower()

    def read_files(self, files: Sequence[str]) -> ir.Table:
        """The rows of Parquet files, of which some may lack columns that others have."""
        name = f"files_{uuid.uuid4().hex}"
        rows = self._session.read.option("mergeSchema", "true").parquet(*files)
        rows.createOrReplaceTempView(name)
        return self.table(name)

    def to_parquet(self, expr: ir.Table, /, path: str | Path, **options: Any) -> None:
        """Write a table in the types that it has."""
        super().to_parquet(_typed(expr), path, **options)

    def to_delta(self, expr: ir.Table, /, path: str | Path, **options: Any) -> None:
        """Write a table in the types that it has, as Delta Lake of the session does."""
        super().to_delta(_typed(expr), path, **options)

    def execute(self, expr: ir.Expr, /, **options: Any) -> Any:
        """Compute, and bring what comes of it into memory."""
        found = super().execute(expr, **options)
        if isinstance(found, pd.DataFrame):
            moments = found.select_dtypes(["datetime", "datetimetz"])
            return found.assign(**{str(name): moments[name].dt.as_unit("us") for name in moments})
        is_moments = isinstance(found, pd.Series) and expr.type().is_timestamp()
        return found.dt.as_unit("us") if is_moments else found


def connect(properties: Mapping[str, Any]) -> Spark:
    """Begin a session, or take the one that there is.

    Args:
        properties: Of the session, those that only a new one takes among them. Where
            ``SPARK_REMOTE`` names a server of Spark Connect, that is used, and no master.

    Raises:
        ProjectError: if there is no Java.
    """
    builder, is_remote = SparkSession.builder, "SPARK_REMOTE" in os.environ
    if not (is_remote or "JAVA_HOME" in os.environ or shutil.which("java")):
        raise ProjectError(
            "Tables are to be computed by Spark, and there is no Java. Install version 17 or "
            "later, e.g. `apt-get install default-jre-headless`, or say by JAVA_HOME where it is, "
            "or by SPARK_REMOTE which server of Spark Connect is to compute them."
        )
    for name, value in properties.items():
        if not (is_remote and name == "spark.master"):
            builder = builder.config(name, value)
    Spark.register_options()
    engine: Spark = Spark().connect(builder.getOrCreate())
    return engine


def _typed(expr: ir.Table) -> ir.Table:
    types = expr.schema()
    naive = [name for name in types if types[name].is_timestamp() and not types[name].timezone]
    return expr.mutate({name: _without_zone(expr[name]) for name in naive}) if naive else expr


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]
    name="to_timestamp_ntz", signature=((dt.timestamp,), dt.timestamp)
)
def _without_zone(moment: datetime) -> datetime:
    """A moment without a zone; the engine's own."""
    raise NotImplementedError
