"""How a model treats the groups of a protected column, with intervals by days.

What is compared are rates by group, as Fairlearn defines them (Weerts et al., 2023); which, is the
task's. Of two classes, groups whose selection rates are equal have demographic parity; where the
other two rates are, equalized odds (Hardt et al., 2016). A row whose group is not known is of none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import ndtr, stdtrit

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import CheckResult, Interval
from kedro_mlops.core.json_records import json_records
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.core.wording import interval_text, metric_name
from kedro_mlops.task.metrics import divided
from kedro_mlops.task.outputs import Floats

from .metrics import (
    Bootstrap,
    Scored,
    columns_of,
    flatten,
    percentile_interval,
    resample_blocks,
)


class FairnessLimits(Parameters):
    """How far the groups of a protected column may lie apart; without a limit, at will."""

    min_rows: int = Field(gt=0, description="Rows from which a group counts")
    max_difference: dict[str, float] = Field(
        description="By rate, how far groups may differ in it, in its unit"
    )


@dataclass(frozen=True)
class GroupRates:
    """The rates of each group, of the rows as they are and of each resample of days.

    Attributes:
        groups: What the groups are called.
        n_rows: Rows of each group, shape (n_groups,).
        n_blocks: Days of all rows.
        rates: By name, shape (1 + n_resamples, n_groups); nan where a group has
            no row that a rate could be of.
    """

    groups: list[str]
    n_rows: NDArray[np.int64]
    n_blocks: int
    rates: Mapping[str, Floats]


@dataclass(frozen=True)
class Disparity:
    """How far the rates of groups lie apart.

    Attributes:
        difference: Between the highest and the lowest rate.
        ratio: Of the lowest rate to the highest; 1 where both are 0.
        lowest: The group with the lowest rate.
        highest: The group with the highest.
        n_groups: Groups that were compared.
    """

    difference: Interval
    ratio: float
    lowest: str
    highest: str
    n_groups: int


def rates_by_group(scored: Scored, groups: pd.Series, bootstrap: Bootstrap) -> GroupRates:
    """The rates of each group of rows that were decided, with those of each resample of days."""
    assert scored.decided is not None
    group, names = pd.factorize(groups, sort=True)
    block, blocks = pd.factorize(scored.block)
    known = group >= 0
    shape = len(blocks), len(names)
    cell = block[known] * len(names) + group[known]
    weights = resample_blocks(pd.Series(blocks), bootstrap)

    def summed(values: Floats) -> Floats:
        of_blocks = np.bincount(cell, values[known], minlength=shape[0] * shape[1]).reshape(shape)
        return np.asarray(weights @ of_blocks)

    counted = scored.task.row_rates(scored.label, scored.score, scored.decided)
    return GroupRates(
        [str(name) for name in names],
        np.bincount(group[known], minlength=len(names)),
        len(blocks),
        {rate: divided(summed(part), summed(of)) for rate, (part, of) in counted.items()},
    )


def measure_groups(
    contract: Columns, predictions: pd.DataFrame, bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """The rates of every group of every protected column, with intervals.

    Returns:
        Rows with ``protected``, ``group``, ``n_rows`` and the task's rates, the largest groups
        first; no figures of a rate that is not defined.
    """
    return table_of_groups(contract, _of_columns(contract, predictions, bootstrap), bootstrap)


def table_of_groups(
    contract: Columns, by_column: Mapping[str, GroupRates], bootstrap: Bootstrap
) -> list[dict[str, Any]]:
    """The same, of rates that are known."""
    rows: list[dict[str, Any]] = []
    columns = ["protected", "group", "n_rows", *columns_of(contract.task.rates)]
    for column, found in by_column.items():
        for i in np.argsort(-found.n_rows, kind="stable"):
            intervals = {
                rate: percentile_interval(values[:, i], bootstrap)
                for rate, values in found.rates.items()
            }
            rows.append(
                {"protected": column, "group": found.groups[i], "n_rows": int(found.n_rows[i])}
                | flatten(intervals)
            )
    return json_records(pd.DataFrame(rows, columns=columns))


def disparity(found: GroupRates, rate: str, min_rows: int, confidence: float) -> Disparity | None:
    """How far a rate differs between groups; nothing if not two of them have the rows and it."""
    counted = np.flatnonzero((found.n_rows >= min_rows) & np.isfinite(found.rates[rate][0]))
    if len(counted) < 2:
        return None
    rates = found.rates[rate][:, counted]
    lowest, highest = rates[0].argmin(), rates[0].argmax()
    low, high = rates[0, lowest], rates[0, highest]
    return Disparity(
        difference=_largest_difference(rates, found.n_blocks, confidence),
        ratio=float(low / high) if high else 1.0,
        lowest=found.groups[counted[lowest]],
        highest=found.groups[counted[highest]],
        n_groups=len(counted),
    )


def fairness_checks(
    contract: Columns, predictions: pd.DataFrame, limits: FairnessLimits, bootstrap: Bootstrap
) -> list[CheckResult]:
    """One check for every limit and protected column: how far its groups lie apart.

    The lower end of the interval is judged: groups that are treated alike differ by chance.
    """
    return judge_groups(_of_columns(contract, predictions, bootstrap), limits, bootstrap)


def judge_groups(
    by_column: Mapping[str, GroupRates], limits: FairnessLimits, bootstrap: Bootstrap
) -> list[CheckResult]:
    """The same, of rates that are known."""
    return [
        _fairness_check(name, rate, rates, limits, bootstrap)
        for name, rates in by_column.items()
        for rate in limits.max_difference
    ]


def _of_columns(
    contract: Columns, predictions: pd.DataFrame, bootstrap: Bootstrap
) -> dict[str, GroupRates]:
    return {
        name: rates_by_group(Scored.of(contract, predictions), predictions[name], bootstrap)
        for name in contract.protected
    }


def _fairness_check(
    column: str, rate: str, rates: GroupRates, limits: FairnessLimits, bootstrap: Bootstrap
) -> CheckResult:
    limit, groups = limits.max_difference[rate], f"groups of at least {limits.min_rows:,} rows"
    name = f"fairness of {column}: {rate} difference"
    found = disparity(rates, rate, limits.min_rows, bootstrap.confidence)
    if found is None:
        detail = f"not judged: the {metric_name(rate)} is not known of two {groups}"
        return CheckResult(name=name, passed=True, value=np.nan, limit=limit, detail=detail)
    return CheckResult(
        name=name,
        passed=found.difference.low <= limit,
        value=found.difference.low,
        limit=limit,
        detail=f"{interval_text(found.difference, '.4f')} from {found.lowest} to {found.highest}, "
        f"ratio {found.ratio:.3f}, among {found.n_groups} {groups}, limit of the lower end "
        f"{limit:g}",
        interval=found.difference,
    )


def _largest_difference(rates: Floats, n_blocks: int, confidence: float) -> Interval:
    """The largest difference between two groups, with an interval that holds for all pairs at once.

    The largest of many differences is large by chance alone, in every resample, so that percentiles
    of it would call noise sure. Instead each pair has the interval of as many standard errors as no
    pair is off by in that share of resamples (Westfall and Young, 1993), by Student's t, since
    the errors are as uncertain as the days are few. The ends are the highest of all pairs.
    """
    one, other = np.triu_indices(rates.shape[1], k=1)
    differences = rates[:, one] - rates[:, other]
    size, off = np.abs(differences[0]), np.abs(differences[1:] - differences[0])
    error = np.sqrt(np.nanmean(off**2, axis=0))
    # a resample may lack a group
    furthest = np.nan_to_num(divided(off, np.broadcast_to(error, off.shape))).max(axis=1)
    tail = ndtr(-np.quantile(furthest, confidence))
    margin = -stdtrit(max(n_blocks - 1, 1), tail) * error
    return Interval(
        value=size.max(),
        low=max(0.0, (size - margin).max()),
        high=min(max(1.0, size.max()), (size + margin).max()),
    )
