"""The engine that computes a dataset's tables, as its ``connection`` in the catalog says."""

import tempfile
import uuid
from typing import Any

import ibis
import ibis.expr.types as ir
from kedro_datasets._utils import ConnectionMixin

DUCKDB, SPARK = "duckdb", "pyspark"
# of datasets whose entry has none, as it is of kedro-datasets'
DEFAULT_CONNECTION = {"backend": DUCKDB, "database": ":memory:"}


def is_spark(value: ir.Value) -> bool:
    """Whether Spark will compute an expression."""
    return bool(value.get_backend().name == SPARK)


class EngineMixin(ConnectionMixin):
    """Connects a dataset of Ibis; those of one ``connection`` share it.

    The connection is as ``ibis.FileDataset`` has it, and is made when it is first asked for. Of
    Spark, all that it says besides ``backend`` are properties of the session.
    """

    # shared with the datasets of kedro-datasets
    _CONNECTION_GROUP = "ibis"

    def _connect(self) -> ibis.BaseBackend:
        config: dict[str, Any] = dict(self._connection_config)
        backend = config.pop("backend")
        if backend == DUCKDB and "temp_directory" not in config:
            # it makes the folder when a query needs one, and removes it
            config["temp_directory"] = f"{tempfile.gettempdir()}/kedro-tables-{uuid.uuid4().hex}"
        if backend != SPARK:
            return getattr(ibis, backend).connect(**config)
        from .spark import connect  # noqa: PLC0415 - not always there

        return connect(config)
