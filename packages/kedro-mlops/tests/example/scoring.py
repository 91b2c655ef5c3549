"""Predictions as a table."""

from typing import Any

import ibis
import ibis.expr.types as ir

from kedro_mlops.monitoring.labels import join_labels
from kedro_mlops.scoring.nodes import score


def labelled_rows(*asked: Any) -> tuple[ir.Table, dict[str, int]]:
    """What ``join_labels`` gives, all of it in memory."""
    rows, account = join_labels(*asked)
    return ibis.memtable(rows.read_all()), account


def scored(*asked: Any) -> ir.Table:
    """What ``score`` gives, all of it in memory."""
    return ibis.memtable(score(*asked).read_all())
