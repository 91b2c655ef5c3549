import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from kedro_datasets.plotly import JSONDataset

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.reporting import charts
from kedro_mlops.task.binary import Binary, cost_curve
from kedro_mlops.task.task import Costs

TASK = Binary("came", (False, True))
RNG = np.random.default_rng(0)
P = RNG.random(5000)
Y = (RNG.random(5000) < P).astype(np.float64)


def points(trace) -> list[tuple]:
    """The points of a trace, with the ends of their error bars where there are some."""
    axis = next((a for a in ("x", "y") if trace[f"error_{a}"]["array"] is not None), None)
    if axis is None:
        return list(zip(trace.x, trace.y, strict=True))
    bars, values = trace[f"error_{axis}"], np.asarray(trace[axis])
    low, high = values - bars.arrayminus, values + bars.array
    return list(zip(trace.x, trace.y, low.round(9), high.round(9), strict=True))


def test_models_are_compared_by_value_and_interval():
    metrics = {
        "candidate": {"log_loss": Interval(value=0.5, low=0.4, high=0.7)},
        "shallow_tree": {"log_loss": Interval(value=0.6, low=0.5, high=0.8)},
    }

    [trace] = charts.compare_models(metrics, "log_loss").data

    assert points(trace) == [(0.5, "candidate", 0.4, 0.7), (0.6, "shallow tree", 0.5, 0.8)]


def test_a_calibrated_model_lies_on_the_diagonal():
    ideal, model = charts.calibration(TASK.calibration_curve(Y, P)).data

    assert points(ideal) == [(0, 0), (1, 1)]
    assert len(model.x) == 10
    assert model.y == pytest.approx(model.x, abs=0.06)
    assert sum(int(n.replace(",", "")) for n in model.text) == len(Y)
    assert "text" in model.mode


def test_without_labels_there_is_only_the_diagonal():
    [ideal] = charts.calibration(TASK.calibration_curve(Y[:0], P[:0])).data

    assert ideal.name == "ideal"


def test_every_model_has_its_roc_curve_and_its_area():
    ends = [
        {"false_positive_rate": 0.0, "true_positive_rate": 0.0},
        {"false_positive_rate": 1.0, "true_positive_rate": 1.0},
    ]
    curves = {"model": ends, "coin_toss": ends}
    area = {"roc_auc": Interval(value=0.5, low=0.4, high=0.6)}

    model, coin = charts.roc_curves(curves, {"model": area, "coin_toss": area}).data

    assert model.name == "model: ROC AUC 0.500 [0.400, 0.600]"
    assert coin.name.startswith("coin toss: ROC AUC 0.500")
    assert points(coin) == [(0, 0), (1, 1)]


def costs_chart():
    thresholds, cost = cost_curve(Y, P, Costs(false_negative=3, false_positive=1))
    curve = pd.DataFrame({"threshold": thresholds, "cost": cost})
    return charts.costs(curve, 0.4, {"false_negative": 3, "false_positive": 1})


def test_the_cost_curve_is_lowest_where_costs_are_balanced_and_marks_the_choice():
    chart = costs_chart()

    [curve], [mark] = chart.data, chart.layout.shapes
    # a calibrated probability is worth an alarm from cost(alarm) / (cost(alarm) + cost(miss)) on
    assert curve.x[np.argmin(curve.y)] == pytest.approx(1 / (1 + 3), abs=0.05)
    assert (mark.x0, mark.x1) == (0.4, 0.4)
    assert chart.layout.annotations[0].text == "chosen: 0.400"
    assert chart.layout.title.text == "Cost: a miss 3, a false alarm 1"


def test_slices_are_grouped_by_segment_and_undefined_ones_left_out():
    table = pd.DataFrame(
        {
            "segment": ["shop", "shop", "size", "size"],
            "value": ["north", "south", 1, 2],
            "n_rows": [1000, 20, 500, 520],
            "roc_auc": [0.7, np.nan, 0.6, 0.65],
            "roc_auc_low": [0.6, np.nan, 0.5, 0.55],
            "roc_auc_high": [0.9, np.nan, 0.8, 0.75],
        }
    )

    shop, size = charts.slices(table, "log_loss").data

    assert (shop.name, points(shop)) == ("shop", [(0.7, "north (1,000)", 0.6, 0.9)])
    assert points(size) == [(0.6, "1 (500)", 0.5, 0.8), (0.65, "2 (520)", 0.55, 0.75)]


def test_importances_keep_their_order():
    table = pd.DataFrame({"feature": ["b", "a"], "importance": [0.2, 0.1], "spread": [0.01, 0.02]})

    chart = charts.importance(table, "log_loss")

    [bars] = chart.data
    assert list(zip(bars.x, bars.y, bars.error_x.array, strict=True)) == [
        (0.2, "b", 0.01),
        (0.1, "a", 0.02),
    ]
    assert chart.layout.yaxis.autorange == "reversed"


def test_trials_are_grouped_by_family_and_the_best_so_far_never_rises():
    losses = [0.6, 0.7, 0.5, 0.55, 0.4]
    table = pd.DataFrame({"family": ["a_b", "a_b", "c", "c", "c"], "log_loss": losses})
    # of some folds alone
    table["is_pruned"] = [False, False, False, False, True]

    first, second, best = charts.trials(table).data

    assert (first.name, points(first)) == ("a b", [(0, 0.6), (1, 0.7)])
    assert (second.name, points(second)) == ("c", [(2, 0.5), (3, 0.55), (4, 0.4)])
    assert points(best) == [(0, 0.6), (1, 0.6), (2, 0.5), (3, 0.5), (4, 0.5)]


def test_windows_are_shown_realised_and_estimated_over_the_interval_of_the_test_window():
    table = pd.DataFrame(
        {
            "window_start": ["2013-07-01", "2013-07-08"],
            "log_loss": [0.5, 0.6],
            "log_loss_low": [0.4, 0.5],
            "log_loss_high": [0.6, 0.8],
            "estimated_log_loss": [0.51, 0.52],
            "estimated_log_loss_low": [0.41, 0.42],
            "estimated_log_loss_high": [0.61, 0.62],
        }
    )

    chart = charts.performance(
        table, Interval(value=0.45, low=0.42, high=0.48), "test window", "log_loss"
    )

    (realised, estimated), (band, line) = chart.data, chart.layout.shapes
    assert points(realised) == [("2013-07-01", 0.5, 0.4, 0.6), ("2013-07-08", 0.6, 0.5, 0.8)]
    assert points(estimated) == [("2013-07-01", 0.51, 0.41, 0.61), ("2013-07-08", 0.52, 0.42, 0.62)]
    assert (realised.name, estimated.name) == ("realised", "estimated")
    assert (band.y0, band.y1, line.y0) == (0.42, 0.48, 0.45)


def test_distributions_stand_side_by_side():
    shares = {"reference": [0.75, 0.25], "now": [0, 1]}

    reference, now = charts.distributions("probability", ["low", "high"], shares).data

    assert (reference.name, points(reference)) == ("reference", [("low", 0.75), ("high", 0.25)])
    assert (now.name, points(now)) == ("now", [("low", 0), ("high", 1)])


def test_every_column_is_shown_as_a_share_of_its_own_limit_and_red_if_it_has_drifted():
    table = pd.DataFrame(
        {
            "column": ["a", "b"],
            "of_limit": [2, 0.5],
            "drifted": [True, False],
        }
    )

    chart = charts.drift(table)

    [bars], [limit] = chart.data, chart.layout.shapes
    assert points(bars) == [(2, "a"), (0.5, "b")]
    assert bars.marker.color == (charts.RED, charts.BLUE)
    assert limit.x0 == 1


def test_a_picture_comes_back_from_the_catalogs_file(tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "costs_plot.json"))
    chart = costs_chart()

    dataset.save(chart)

    assert dataset.load() == chart


def test_figures_are_written_without_ipython_which_can_be_imported_after_all() -> None:
    written = (
        "import sys; from kedro_mlops.reporting import charts; made = charts.figure('a', 'b', 'c');"
        "made.to_json(); charts.embed(made); charts.script();"
        "print('IPython' in sys.modules); import IPython.core.display"
    )

    done = subprocess.run(
        [sys.executable, "-c", written], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "False"


def test_names_are_drawn_as_they_are():
    table = pd.DataFrame({"feature": ["<b>bold</b>"], "importance": [1.0], "spread": [0.1]})

    page = charts.embed(charts.importance(table, "log_loss"))

    # a tag neither to the page, nor to Plotly, which knows some itself
    assert '"&lt;b&gt;bold&lt;' in page
