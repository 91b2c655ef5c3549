"""How the champion does: on the labels that are known, and by estimate where they are not yet."""

from typing import Any

import ibis.expr.types as ir
import pandas as pd

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.core.wording import listed, names_in
from kedro_mlops.measures.fairness import FairnessLimits, judge_groups, table_of_groups
from kedro_mlops.measures.metrics import Bootstrap, Measurable, columns_of, flatten, measure
from kedro_mlops.measures.seen import Expectation, Seen, n_drawn, see, see_groups, see_parts
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.task.metrics import NO_MORE, Metrics

from .findings import Performance, Watched
from .parameters import Monitoring

WINDOW_COLUMNS = [
    "model_version", "window_start", "window_end", "n_predictions", "n_labelled",
    "label_coverage", "drifted", "drifted_columns",
]  # fmt: skip


def measure_performance(
    contract: Columns,
    labelled: ir.Table,
    labels: dict[str, int],
    new_labels: int,
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    params: Monitoring,
    bootstrap: Bootstrap,
    fairness: FairnessLimits | dict[str, Any],
    more: Metrics = NO_MORE,
) -> Performance:
    """Metrics on the labels known so far, with intervals and label coverage, and an estimate.

    The estimate needs no labels. Of classes, it takes calibrated scores for their chances
    (confidence-based performance estimation; Białek et al., 2024, arXiv:2401.08348); of numbers, a
    model of the loss (``fit_loss_estimate``) for what it will be. It is right as long as the
    relation between what is known of a row and its label is what it was on the test window: it
    sees rows that are harder, and not a world that has changed.
    """
    seen = see(contract, labelled, _expectation(champion))
    known, n_predictions = seen.known, seen.n_predictions
    # a part of the gate's parameters, which Kedro types only where it types the whole
    limits = FairnessLimits.model_validate(fairness)
    learned = _learned_from_these(champion, as_of)
    unknown_because = learned or _too_few(known, n_predictions, params)
    can_estimate = not learned and n_predictions >= params.min_labelled_rows
    task, metadata = contract.task, champion.metadata
    estimated = _estimate(seen, bootstrap) if can_estimate else {}
    groups = {} if unknown_because else see_groups(contract, labelled, bootstrap)
    return Performance(
        model=Watched(**metadata.model_dump(mode="json", include={*Watched.model_fields})),
        first_day=f"{as_of.moment:%Y-%m-%d}",
        last_day=f"{as_of.after(horizon.days - 1):%Y-%m-%d}",
        n_predictions=n_predictions,
        n_labelled=len(known),
        label_coverage=len(known) / max(n_predictions, 1),
        labels=labels,
        new_labels=new_labels if contract.has_time else None,
        unknown_because=unknown_because,
        loss=task.loss,
        listed=task.listed,
        metrics={} if unknown_because else measure(known, bootstrap, more=more),
        confusion={} if unknown_because else known.confusion,
        estimated=estimated,
        tested_on=metadata.tested_on,
        reference=metadata.metrics,
        groups=table_of_groups(contract, groups, bootstrap),
        fairness=judge_groups(groups, limits, bootstrap),
        n_drawn=n_drawn(contract, n_predictions, more),
    )


def measure_windows(
    contract: Columns,
    labelled: ir.Table,
    drift: pd.DataFrame,
    champion: ModelPackage,
    params: Monitoring,
    bootstrap: Bootstrap,
) -> pd.DataFrame:
    """What is known of each window: predictions, labels, performance, estimate, drift.

    Returns:
        One row per window with predictions, oldest first: ``WINDOW_COLUMNS``, the task's main
        metrics, and those that are estimated without labels, with intervals.
    """
    rows, task = [], contract.task
    parts = list(drift.groupby(["window_start", "window_end"], sort=True))
    ends = [(pd.Timestamp(str(start)), pd.Timestamp(str(end))) for (start, end), _ in parts]
    moment = timeline_of(contract).moment
    all_seen = see_parts(contract, labelled, moment, ends, _expectation(champion))
    for ((start, end), part), seen in zip(parts, all_seen, strict=True):
        known, n_predictions = seen.known, seen.n_predictions
        drifted = part[part["drifted"]]
        beyond = drifted["kind"].value_counts()
        # its figures on rows that it has learned from would flatter it
        learned = pd.Timestamp(str(start)) < champion.metadata.trained_until
        figures = {}
        if not learned:
            estimated = _estimate(seen, bootstrap)
            realised = measure(known, bootstrap, task.main_metrics)
            figures = flatten(realised) | flatten(estimated, "estimated_")
        rows.append(
            {
                "model_version": champion.version,
                "window_start": start,
                "window_end": end,
                "n_predictions": n_predictions,
                "n_labelled": len(known),
                "label_coverage": len(known) / max(n_predictions, 1),
                "drifted": bool(
                    beyond.get("score", 0) or beyond.get("feature", 0) >= params.drift.min_features
                ),
                "drifted_columns": listed(drifted["column"]),
                **figures,
            }
        )
    measured = columns_of(task.main_metrics.names)
    measured += columns_of(task.estimated_metrics.names, "estimated_")
    return pd.DataFrame(rows, columns=[*WINDOW_COLUMNS, *measured])


def drifted_names(windows: pd.DataFrame) -> list[str]:
    """The columns that drifted in each of the windows."""
    return [name for names in windows["drifted_columns"] for name in names_in(names)]


def _learned_from_these(champion: ModelPackage, as_of: AsOf) -> str | None:
    if champion.metadata.trained_until <= as_of.moment:
        return None
    return (
        f"The champion was trained as of {champion.metadata.as_of:%Y-%m-%d}: it has learned "
        f"from rows after {as_of}, and its figures on them would flatter it."
    )


def _too_few(known: Measurable, n_predictions: int, params: Monitoring) -> str | None:
    needed = params.min_labelled_rows
    if len(known) < needed:
        return (
            f"Not enough data to judge performance: {len(known)} labelled rows, {needed} are "
            "needed."
        )
    coverage = len(known) / n_predictions
    if coverage < params.min_label_coverage:
        return (
            f"Not enough data to judge performance: {coverage:.1%} of the predictions have their "
            f"label, {params.min_label_coverage:.0%} are needed."
        )
    if not known.varies:
        return "Not enough data to judge performance: all labels are the same."
    return None


def _expectation(champion: ModelPackage) -> Expectation:
    return Expectation(champion.reference.calibration, champion.expected_losses)


def _estimate(seen: Seen, bootstrap: Bootstrap) -> dict[str, Interval]:
    """What metrics are to be expected, whatever the labels are."""
    expected = seen.expected()
    return measure(expected, bootstrap, expected.task.estimated_metrics)
