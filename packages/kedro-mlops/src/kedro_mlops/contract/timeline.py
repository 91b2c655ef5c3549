"""What comes before what: by the date of rows, or, where they have none, by a place of their own.

A model is measured on rows that come after those it has learned from, and is watched on those that
come after both. Where rows have an ``event_time``, that is time. Where they have none, every row
has a place that is a pure function of its keys, or of its group: the MD5 of their text, which is
the same on every engine, whatever other rows there are. In the order of places rows are as if
shuffled, so that ranges of it are random parts, and no group is in two.

Stages ask the ``Timeline`` of their contract, and do not know which of the two it is.
"""

from abc import ABC, abstractmethod
from datetime import datetime
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from kedro_mlops.core.time_params import AsOf, Horizon

from .columns import Columns
from .folds import Folds
from .places import Places
from .splits import Side, Splits


class Timeline(ABC):
    """What comes before what."""

    def __init__(self, contract: Columns) -> None:
        self.contract = contract

    # the column of predictions by which they are watched
    moment: str

    @abstractmethod
    def split(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> dict[str, Side]:
        """The labelled rows to train on, to validate and to test, none of which is in two.

        Of more than ``max_rows`` that many are drawn.
        """

    @abstractmethod
    def n_labelled(self, table: ir.Table, as_of: AsOf, splits: Splits) -> dict[str, int]:
        """How many rows each side has, before any are drawn."""

    @abstractmethod
    def known(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """The rows from which a model learns in the end: all those of ``split``."""

    @abstractmethod
    def learned(self, table: ir.Table, as_of: AsOf, splits: Splits, seed: int) -> ir.Table:
        """Of those, the ones that have a label; labels are numbers or codes."""

    @abstractmethod
    def n_learned(self, table: ir.Table, as_of: AsOf, splits: Splits) -> int:
        """How many rows ``learned`` has, before any are drawn."""

    @abstractmethod
    def n_new(self, table: ir.Table, since: datetime, until: datetime) -> int:
        """How many labelled rows came to be known between two moments; 0 if nobody knows when."""

    @abstractmethod
    def in_order(self, rows: ir.Table) -> ir.Table:
        """Rows in their order."""

    @abstractmethod
    def marks(self, rows: pd.DataFrame) -> NDArray[np.str_]:
        """Of each row, the text by which it is in a fold."""

    @abstractmethod
    def folds(self, rows: pd.DataFrame, n_folds: int) -> Folds:
        """That many folds of labelled rows, or as many as can be made of them."""

    @abstractmethod
    def before(self, rows: pd.DataFrame, folds: Folds, fold: int) -> NDArray[np.bool_]:
        """The rows from which the model learns that is measured on a fold."""

    @abstractmethod
    def record(
        self, train: pd.DataFrame, validation: pd.DataFrame, test: pd.DataFrame
    ) -> dict[str, Any]:
        """What a model's metadata say of the rows that were learned from, to be asked later."""

    @abstractmethod
    def n_days(self, known: ir.Table) -> int:
        """How many days rows are of; 0 if they have none."""

    @abstractmethod
    def days(self, rows: pd.DataFrame) -> dict[str, str]:
        """The first day and the last day of rows, if they have some."""

    @abstractmethod
    def unseen(self, rows: pd.DataFrame, until: datetime, places: Places | None) -> pd.Series:
        """The rows that a model has surely not learned from, having got so far."""

    @abstractmethod
    def due(
        self, table: ir.Table, places: Places | None, as_of: AsOf, horizon: Horizon
    ) -> ir.Table:
        """The rows that are to be scored, by a model that has learned up to some places."""

    @abstractmethod
    def predicted_at(self, table: ir.Table, as_of: AsOf) -> ir.TimestampValue:
        """When batch scoring would have been asked for rows."""

    @abstractmethod
    def labelled(self, table: ir.Table, as_of: AsOf, horizon: Horizon) -> ir.Table:
        """The rows whose label is known when the horizon ends, of those that may be scored."""

    @abstractmethod
    def came_later(self, labelled: ir.Table) -> ir.BooleanValue:
        """Of rows whose label is known, whether that came on another day than the row."""

    @abstractmethod
    def parts(self, table: ir.Table, as_of: AsOf, days: int) -> ir.IntegerValue:
        """A number of the part that each row is in, where parts differ as much as is normal."""
