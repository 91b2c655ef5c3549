"""What a candidate must pass; every check says passed or not, value and limit."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import CheckResult, Interval
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.core.wording import interval_text, metric_name
from kedro_mlops.measures.evaluation import Footprint, Measured
from kedro_mlops.measures.metrics import Bootstrap, Scored, columns_of, paired_difference
from kedro_mlops.task.outputs import Floats


class SliceLimits(Parameters):
    """What every slice of some size must keep to."""

    min_rows: int = Field(gt=0, description="Rows of the test window from which a slice counts")
    at_least: dict[str, float] = Field(
        description="By main metric, what the upper end of a slice's interval must reach"
    )
    max_loss_increase: float = Field(
        ge=0,
        description="Loss by which a slice may exceed the champion's, where it is surely "
        "worse: the interval of the difference lies above 0",
    )


def leakage_checks(single_feature_auc: pd.DataFrame, limit: float) -> list[CheckResult]:
    """One check for every feature that gives the label away; one that passes if none does."""
    strongest = single_feature_auc.sort_values("tells", ascending=False)
    return _failed_or_first(
        [
            CheckResult.at_most(f"no leak through {feature}", auc, limit)
            for feature, auc in zip(strongest["feature"], strongest["tells"], strict=True)
        ]
    )


def metric_checks(
    measured: dict[str, Interval], at_least: dict[str, float], at_most: dict[str, float]
) -> list[CheckResult]:
    """Floors and ceilings of the metrics on the test window."""
    # one that these rows do not define is not measured, and within no limit
    values = dict.fromkeys([*at_least, *at_most], np.nan)
    values |= {name: interval.value for name, interval in measured.items()}
    return [
        *(
            CheckResult.at_least(f"{name} floor", values[name], limit)
            for name, limit in at_least.items()
        ),
        *(
            CheckResult.at_most(f"{name} ceiling", values[name], limit)
            for name, limit in at_most.items()
        ),
    ]


def slice_checks(slices: pd.DataFrame, limits: SliceLimits) -> list[CheckResult]:
    """By metric, one check for every slice that is below its floor; else one for the weakest.

    The upper end of the interval is judged: on few days, an honest slice may lie below by chance.
    """
    return [
        check
        for metric, limit in limits.at_least.items()
        for check in _floor_checks(slices[slices["n_rows"] >= limits.min_rows], metric, limit)
    ]


def _floor_checks(slices: pd.DataFrame, metric: str, limit: float) -> list[CheckResult]:
    value, low, high = columns_of([metric])
    weakest = slices.dropna(subset=[metric]).sort_values(high).to_dict("records")
    return _failed_or_first(
        [
            CheckResult.at_least(
                f"slice {row['segment']}={row['value']}: {metric} floor",
                row[high],
                limit,
                f"{row[value]:.4f} [{row[low]:.4f}, {row[high]:.4f}] on {row['n_rows']:,} rows, "
                f"limit of the upper end {limit:g}",
            )
            for row in weakest
        ]
    )


def baseline_checks(
    contract: Columns,
    predictions: pd.DataFrame,
    metrics: Measured,
    min_won: float,
    bootstrap: Bootstrap,
) -> list[CheckResult]:
    """The candidate must beat every baseline, and win enough of the loss of the better one."""
    scored = Scored.of(contract, predictions)
    others = {name: Scored.of(contract, predictions, name) for name in metrics.baselines}
    losses = {name: other.row_loss.mean() for name, other in others.items()}
    better = min(losses, key=losses.__getitem__)
    won = 1 - scored.row_loss.mean() / losses[better]
    loss = metric_name(contract.task.loss)
    found = f"{won:.2%} of the {loss} of {better}, {losses[better]:.4f}, limit {min_won:.2%}"
    return [
        *(
            compare(
                f"better than {name}",
                scored,
                other.score,
                0,
                bootstrap,
                lambda found: found.value < 0,
            )
            for name, other in others.items()
        ),
        CheckResult.at_least("loss won from the better baseline", won, min_won, found),
    ]


def behaviour_checks(behaviour: pd.DataFrame) -> list[CheckResult]:
    """What the behaviour suite has found."""
    return [
        CheckResult.model_validate(row | {"name": f"behaviour: {row['name']}"})
        for row in behaviour.to_dict("records")
    ]


def budget_checks(
    footprint: Footprint, max_megabytes: float, max_milliseconds: float
) -> list[CheckResult]:
    """The model must be small and quick enough to serve."""
    megabytes, milliseconds = footprint.model_bytes / 1e6, footprint.one_row_milliseconds
    how = f"{milliseconds:.2g} of a core by {footprint.engine}, limit {max_milliseconds:g}"
    return [
        CheckResult.at_most("model megabytes", megabytes, max_megabytes),
        CheckResult.at_most("one-row milliseconds", milliseconds, max_milliseconds, how),
    ]


def slice_contest_checks(
    contract: Columns,
    predictions: pd.DataFrame,
    other: Floats,
    limits: SliceLimits,
    bootstrap: Bootstrap,
) -> list[CheckResult]:
    """One check for every slice that is surely worse than another model; else the worst one."""
    limit = limits.max_loss_increase
    checks = [
        compare(
            f"slice {name}: not worse than champion",
            Scored.of(contract, predictions.iloc[rows]),
            other[rows],
            limit,
            bootstrap,
            lambda found: found.value <= limit or found.low <= 0,
        )
        for name, rows in _slices(contract, predictions)
        if len(rows) >= limits.min_rows
    ]
    return _failed_or_first(sorted(checks, key=lambda found: -found.value))


def compare(
    name: str,
    scored: Scored,
    other: Floats,
    limit: float,
    bootstrap: Bootstrap,
    passes: Callable[[Interval], bool],
) -> CheckResult:
    """The candidate's loss minus another's, on the same rows; what passes is said by each."""
    found = paired_difference(scored, other, bootstrap)
    return CheckResult(
        name=name,
        passed=passes(found),
        value=found.value,
        limit=limit,
        detail=f"{metric_name(scored.task.loss)} differs by {interval_text(found, '+.4f')}",
        interval=found,
    )


def _failed_or_first(checks: list[CheckResult]) -> list[CheckResult]:
    """Those that failed; if none did, the first, so that the nearest to its limit is on record."""
    return [found for found in checks if not found.passed] or checks[:1]


def _slices(contract: Columns, rows: pd.DataFrame) -> Iterator[tuple[str, NDArray[np.intp]]]:
    """Every segment's values, and where their rows are."""
    for segment in contract.segments:
        for value, positions in rows.groupby(segment, sort=True).indices.items():
            yield f"{segment}={value}", np.asarray(positions)
