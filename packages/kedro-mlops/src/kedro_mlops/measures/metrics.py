"""Metrics of models, with intervals that respect days.

Rows of one day share their circumstances, so they are not independent. The bootstrap therefore
draws whole days (the block bootstrap of Künsch, 1989, with days as blocks). A resample is then a
weight for every row, and a metric takes all resamples at once; see ``task.metrics``.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import pandas as pd
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.task.metrics import NO_MORE, Metrics, divided, weighted_mean
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.task import Task

# weights that are in memory at the same time, but for those of one resample
MOST_WEIGHTS = 2**22


class Bootstrap(Parameters):
    """How intervals are computed."""

    n_resamples: int = Field(ge=20)
    confidence: float = Field(gt=0, lt=1)
    seed: int


@dataclass(frozen=True)
class Scored:
    """Rows that a model has scored, and what really happened.

    Attributes:
        task: What the model was asked.
        label: What happened, or is expected to have, as the task has labels.
        score: What the model said.
        block: Of each row, what it shares with those that it is drawn with: its day.
        decided: What was decided, as the task has it; none where nothing was.
    """

    task: Task
    label: Floats
    score: Floats
    block: pd.Series
    decided: Floats | None = None

    @classmethod
    def of(cls, contract: Columns, rows: pd.DataFrame, model: str = "") -> Self:
        """Rows as scored by the model that decides, or by another of which the name is given."""
        scored = cls.of_scores(contract, rows, model)
        return scored if model else replace(scored, decided=contract.task.decided(rows))

    @classmethod
    def of_scores(cls, contract: Columns, rows: pd.DataFrame, model: str = "") -> Self:
        """Likewise, whatever was decided."""
        task = contract.task
        scores = task.output().scores_in(rows, model)
        return cls(task, task.labels(rows[contract.label]), scores, contract.blocks(rows))

    def __len__(self) -> int:
        return len(self.label)

    @property
    def times(self) -> Floats:
        """How many rows each stands for, shape (n_rows,)."""
        return np.ones(len(self.label))

    def resamples(self, bootstrap: "Bootstrap") -> Iterator[Floats]:
        """Weights of the rows as they are, and of resamples of their blocks, some at a time."""
        return _parts_of_resamples(self.block, bootstrap)

    def resampled(self, metrics: Metrics, bootstrap: "Bootstrap") -> dict[str, Floats]:
        """Each metric of the rows as they are, and of each resample."""
        asked = [(self.score, metrics.of_scores)]
        if self.decided is not None:
            asked.append((self.decided, metrics.of_decisions))
        figures: dict[str, list[Floats]] = {name: [] for _, wanted in asked for name in wanted}
        for weights in self.resamples(bootstrap):
            for said, wanted in asked:
                for name, metric in wanted.items():
                    figures[name].append(metric(self.label, said, weights))
        return {name: np.concatenate(parts) for name, parts in figures.items()}

    @property
    def confusion(self) -> dict[str, int]:
        """Rows by what they are and what was decided."""
        assert self.decided is not None
        return self.task.confusion(self.label, self.decided, self.times)

    @property
    def varies(self) -> bool:
        """Whether not all labels are the same."""
        return len(np.unique(self.label, axis=0)) > 1

    @property
    def row_loss(self) -> Floats:
        """The loss of each row, shape (n_rows,)."""
        return self.task.row_loss(self.label, self.score)


class Measurable(Protocol):
    """What metrics are measured on: rows, or what was counted of them."""

    @property
    def task(self) -> Task:
        """What the model was asked."""

    def __len__(self) -> int:
        """Rows."""

    def resampled(self, metrics: Metrics, bootstrap: Bootstrap) -> dict[str, Floats]:
        """Each metric of the rows as they are, and of each resample."""

    @property
    def confusion(self) -> dict[str, int]:
        """Rows by what they are and what was decided."""

    @property
    def varies(self) -> bool:
        """Whether not all labels are the same."""


def own_and_others(task: Task, metrics: Metrics) -> tuple[Metrics, Metrics]:
    """Those that are the task's own, and those that somebody has added, or put in their place."""
    own = {**task.metrics.of_scores, **task.metrics.of_decisions}

    def some(wanted: bool) -> Metrics:
        return Metrics(
            *(
                {name: each for name, each in of.items() if (own.get(name) is each) == wanted}
                for of in (metrics.of_scores, metrics.of_decisions)
            )
        )

    return some(True), some(False)


def measure(
    scored: Measurable,
    bootstrap: Bootstrap,
    metrics: Metrics | None = None,
    more: Metrics = NO_MORE,
) -> dict[str, Interval]:
    """Metrics with bootstrap intervals: the task's, or others; of decisions where some were taken.

    A metric that these rows do not define, such as ROC AUC on one class, is left out, and so is one
    without an interval.
    """
    if not len(scored):
        return {}
    metrics = (scored.task.metrics if metrics is None else metrics) | more
    intervals = {
        name: percentile_interval(figures, bootstrap)
        for name, figures in scored.resampled(metrics, bootstrap).items()
    }
    return {name: interval for name, interval in intervals.items() if interval.is_finite}


def paired_difference(scored: Scored, other: Floats, bootstrap: Bootstrap) -> Interval:
    """Difference in loss to other scores of the same rows; negative favours the rows' own."""
    difference = scored.row_loss - scored.task.row_loss(scored.label, other)
    return percentile_interval(resampled_mean(difference, scored.block, bootstrap), bootstrap)


def unpaired_difference(one: Scored, other: Scored, bootstrap: Bootstrap) -> Interval:
    """Difference in loss between two groups of rows, one minus other, on the same days."""
    weights = resample_blocks(pd.concat([one.block, other.block], ignore_index=True), bootstrap)
    losses = [
        divided(part @ rows.row_loss, part.sum(axis=1))
        for rows, part in ((one, weights[:, : len(one)]), (other, weights[:, len(one) :]))
    ]
    return percentile_interval(losses[0] - losses[1], bootstrap)


def columns_of(metrics: Iterable[str], prefix: str = "") -> list[str]:
    """The columns of a table that ``flatten`` gives."""
    return [f"{prefix}{metric}{end}" for metric in metrics for end in ("", "_low", "_high")]


def flatten(measured: Mapping[str, Interval], prefix: str = "") -> dict[str, float]:
    """Metrics as columns of a table: each with its name, and its ends as ``_low`` and ``_high``."""
    figures = [figure for interval in measured.values() for _, figure in interval]
    return dict(zip(columns_of(measured, prefix), figures, strict=True))


def resampled_mean(values: Floats, blocks: pd.Series, bootstrap: Bootstrap) -> Floats:
    """Mean of the rows as they are, and of each resample of blocks, shape (1 + n_resamples,)."""
    parts = _parts_of_resamples(blocks, bootstrap)
    return np.concatenate([weighted_mean(values, weights) for weights in parts])


def percentile_interval(resampled: Floats, bootstrap: Bootstrap) -> Interval:
    """The value on the rows as they are, and the percentile interval of the resamples."""
    value, *others = resampled
    tail = (1 - bootstrap.confidence) / 2
    defined = [other for other in others if np.isfinite(other)] or [np.nan]
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(value=value, low=low, high=high)


def resample_blocks(blocks: pd.Series, bootstrap: Bootstrap) -> Floats:
    """Row weights of the rows as they are, and of each resample: how often their block was drawn.

    Returns:
        Shape (1 + n_resamples, n_rows); the first row is all ones.
    """
    return np.vstack(list(_parts_of_resamples(blocks, bootstrap)))


def _parts_of_resamples(blocks: pd.Series, bootstrap: Bootstrap) -> Iterator[Floats]:
    """The same, some resamples after the others, so that many rows have room in memory."""
    codes, drawn_from = pd.factorize(blocks)
    weights = draw_blocks(len(drawn_from), bootstrap)
    for some in parts_of(weights, len(codes)):
        yield some[:, codes]


def draw_blocks(n_blocks: int, bootstrap: Bootstrap) -> Floats:
    """How often each block is drawn: once, and then by each resample.

    Returns:
        Shape (1 + n_resamples, n_blocks).
    """
    rng = np.random.default_rng(bootstrap.seed)
    drawn = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=bootstrap.n_resamples)
    return np.vstack([np.ones(n_blocks), drawn])


def parts_of(weights: Floats, n_rows: int) -> Iterator[Floats]:
    """Some resamples after the others, so that weights of so many rows have room in memory."""
    at_once = max(MOST_WEIGHTS // max(n_rows, 1), 1)
    for first in range(0, len(weights), at_once):
        yield weights[first : first + at_once]
