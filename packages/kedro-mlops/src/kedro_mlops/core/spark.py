"""Spark as the engine of tables, with moments as other engines have them."""

import os
import shutil
from collections.abc import Mapping
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

    def to_parquet(self, expr: ir.Table, /, path: str | Path, **options: Any) -> None:
        """Write a table in the types that it has."""
        types = expr.schema()
        naive = [name for name in types if types[name].is_timestamp() and not types[name].timezone]
        typed = expr.mutate({name: _without_zone(expr[name]) for name in naive}) if naive else expr
        super().to_parquet(typed, path, **options)

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


@ibis.udf.scalar.builtin(  # type: ignore[untyped-decorator]
    name="to_timestamp_ntz", signature=((dt.timestamp,), dt.timestamp)
)
def _without_zone(moment: datetime) -> datetime:
    """A moment without a zone; the engine's own."""
    raise NotImplementedError
