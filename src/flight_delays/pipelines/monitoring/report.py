"""The monitoring report: one HTML page, readable in a minute, complete in itself."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from ibis.expr import types as ir
from plotly.offline import get_plotlyjs

from flight_delays import charts
from flight_delays.metrics import calibration_curve
from flight_delays.model_package import ModelPackage
from flight_delays.moments import AsOf, Horizon
from flight_delays.pages import render_page
from flight_delays.profiles import bin_labels, recount

from .nodes import SCORE, Monitoring, Y

DRIFT_ROWS = 8


def draw_monitoring(
    labelled: pd.DataFrame,
    weekly: pd.DataFrame,
    drift: pd.DataFrame,
    predictions: ir.Table,
    champion: ModelPackage,
    params: Monitoring,
) -> list[go.Figure]:
    """Pictures of the horizon: performance by week, calibration, score, drift."""
    reference = champion.reference.score
    known = labelled.dropna(subset=[Y])
    return [
        charts.weekly_performance(weekly, champion.metadata.metrics["log_loss"]),
        charts.calibration(calibration_curve(known[Y].astype(np.int8), known[SCORE].to_numpy())),
        charts.distributions(
            bin_labels(reference.edges[SCORE]),
            {"test window": reference.counts[SCORE], "now": recount(reference, predictions)[SCORE]},
        ),
        charts.drift(drift, params.max_psi),
    ]


def render_report(
    decision: dict[str, Any],
    quality: dict[str, Any],
    skew: dict[str, Any],
    performance: dict[str, Any],
    drift: pd.DataFrame,
    weekly_plot: go.Figure,
    live_calibration_plot: go.Figure,
    score_plot: go.Figure,
    drift_plot: go.Figure,
    champion: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
) -> str:
    """Render the report as HTML that needs no network."""
    plots = [weekly_plot, live_calibration_plot, score_plot, drift_plot]
    return render_page(
        "monitoring_report",
        decision=decision,
        quality=quality,
        skew=skew,
        performance=performance,
        drift=drift.head(DRIFT_ROWS).to_dict(orient="records"),
        champion=champion.metadata,
        first_day=as_of.moment,
        last_day=as_of.after(horizon.days - 1),
        plots=[charts.embed(plot) for plot in plots],
        plotly_js=get_plotlyjs(),
    )
