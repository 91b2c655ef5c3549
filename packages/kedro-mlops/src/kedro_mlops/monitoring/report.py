"""The monitoring report: one HTML page, readable in a minute, complete in itself."""

import ibis.expr.types as ir
import numpy as np
import pandas as pd
import plotly.graph_objects as go

from kedro_mlops.contract.columns import Columns
from kedro_mlops.measures.cells import cells
from kedro_mlops.measures.drift_profile import bin_labels
from kedro_mlops.measures.grids import EdgeGrid
from kedro_mlops.measures.seen import calibration_curve
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.reporting import charts
from kedro_mlops.reporting.pages import render_page

from .decisions import ChallengerDecision, RetrainDecision
from .findings import Performance, Quality, Skew

DRIFT_ROWS = 8


def draw_monitoring(
    contract: Columns,
    labelled: ir.Table,
    windows: pd.DataFrame,
    drift: pd.DataFrame,
    champion: ModelPackage,
) -> list[go.Figure]:
    """Pictures of the horizon: performance by window, calibration, score, drift."""
    task, metrics = contract.task, champion.metadata.metrics
    return [
        charts.performance(windows, metrics[task.loss], champion.metadata.tested_on, task.loss),
        charts.calibration(calibration_curve(contract, labelled)),
        _draw_scores(labelled, champion),
        charts.drift(_newest(drift)),
    ]


def _draw_scores(labelled: ir.Table, champion: ModelPackage) -> go.Figure:
    reference = champion.reference.score
    # of several, the first
    score = next(iter(reference.edges))
    edges = reference.edges[score]
    n_bins = len(edges) + 1
    before = np.array(reference.in_bins(score))
    bins = labelled.group_by(bin=cells(EdgeGrid(edges=edges, means=[]), labelled[score]))
    counted = bins.aggregate(n=labelled.count()).to_pyarrow().to_pydict()
    now = np.bincount(counted["bin"], counted["n"], minlength=n_bins)
    shares = {
        name: (counts / max(counts.sum(), 1)).tolist()
        for name, counts in {champion.metadata.tested_on: before, "now": now}.items()
    }
    return charts.distributions(score, bin_labels(edges), shares)


def _newest(drift: pd.DataFrame) -> pd.DataFrame:
    newest: pd.DataFrame = drift[drift["window_end"] == drift["window_end"].max()]
    return newest


def render_report(
    decision: RetrainDecision,
    quality: Quality,
    skew: Skew,
    performance: Performance,
    review: ChallengerDecision,
    drift: pd.DataFrame,
    champion: ModelPackage,
    *plots: go.Figure,
) -> str:
    """Render the report as HTML that needs no network; it says if that is no longer the champion.

    All else that it tells is of the model that was watched, and not of the present champion.
    """
    groups = performance.groups[0] if performance.groups else {}
    return render_page(
        "monitoring_report",
        decision=decision,
        quality=quality,
        skew=skew,
        performance=performance,
        review=review,
        # a CSV file has no empty texts
        drift=_newest(drift).head(DRIFT_ROWS).fillna({"in_words": ""}).to_dict(orient="records"),
        # of a group's row: all that has an interval
        rates=[name.removesuffix("_low") for name in groups if name.endswith("_low")],
        n_windows=drift["window_end"].nunique(),
        watched=performance.model,
        champion=champion.version,
        plots=[charts.embed(plot) for plot in plots],
        plotly_js=charts.script(),
    )
