from datetime import date
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pytest
from example.contracts import Observation
from pydantic import ValidationError

from kedro_mlops.contract.columns import Columns
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.replay.nodes import (
    POLICY,
    TICK,
    Replay,
    compare_policies,
    draw_replay,
    render_replay,
)
from kedro_mlops.task.task import Costs

COLUMNS = Columns.of(Observation)
TICKS = ["2013-03-01", "2013-04-01"]
COSTS = Costs(false_negative=3, false_positive=1)
PARAMS = Replay(
    start="2013-03-01", end="2013-05-01", every="MS", benchmark="often", policies={"often": {}}
)


def lived(policy: str, sharpness: float, n_rows: int = 1200) -> pd.DataFrame:
    """Rows of two ticks; the sharper, the more the probability says of the label."""
    rng = np.random.default_rng(0)
    y = rng.random(n_rows) < 0.3
    p = np.clip(0.3 + sharpness * (y - 0.3) + rng.normal(0, 0.05, n_rows), 0.01, 0.99)
    minutes = pd.to_timedelta(np.linspace(0, 60 * 24 * 60, n_rows, endpoint=False), unit="min")
    moments = pd.Timestamp(TICKS[0]) + minutes
    return pd.DataFrame(
        {
            TICK: np.where(moments < pd.Timestamp(TICKS[1]), *TICKS),
            POLICY: policy,
            COLUMNS.event_time: moments,
            COLUMNS.label: y,
            "probability": p,
            "decision": p > 0.4,
        }
    )


def done(policy: str, n_retrained: int, false_alarm: bool = False) -> list[dict[str, Any]]:
    return [
        {
            "tick": tick,
            "until": {"2013-03-01": "2013-04-01", "2013-04-01": "2013-05-01"}[tick],
            "policy": policy,
            "retrained": number < n_retrained,
            "promoted": number < n_retrained,
            "false_alarm": false_alarm and number < n_retrained,
            "log_loss": 0.5,
            "estimate_error": 0.1 * number,
            "n_windows": 4,
            "n_drifted_windows": number,
            "n_drifted_columns": 3 * number,
            "why": "It was asked for.",
            "gate": "promote: better.",
            "gain": -0.1,
            "gain_low": -0.2,
            "gain_high": 0.0,
        }
        for number, tick in enumerate(TICKS)
    ]


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return pd.concat([lived("often", 0.3), lived("never", 0.05)], ignore_index=True)


@pytest.fixture(scope="module")
def acts() -> pd.DataFrame:
    return pd.DataFrame([*done("often", 2, false_alarm=True), *done("never", 0)])


@pytest.fixture(scope="module")
def table(scores: pd.DataFrame, acts: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    compared = compare_policies(COLUMNS, ibis.memtable(scores), acts, PARAMS, COSTS, bootstrap)
    return compared.set_index("policy")


def test_the_best_policy_comes_first(table: pd.DataFrame) -> None:
    assert table.index.tolist() == ["often", "never"]
    assert table.loc["often", "roc_auc"] > table.loc["never", "roc_auc"]


def test_every_tick_counts_the_same(table: pd.DataFrame, scores: pd.DataFrame) -> None:
    often = scores[scores[POLICY] == "often"]
    y, p = often[COLUMNS.label], often["probability"]
    losses = -np.log(np.where(y, p, 1 - p))

    by_tick = pd.Series(losses).groupby(often[TICK].to_numpy()).mean()

    assert table.loc["often", "log_loss"] == pytest.approx(by_tick.mean())
    assert table.loc["often", "log_loss_low"] < by_tick.mean() < table.loc["often", "log_loss_high"]


def test_policies_are_compared_on_the_same_days(table: pd.DataFrame) -> None:
    assert table.loc["often", ["difference", "difference_low", "difference_high"]].eq(0).all()
    assert table.loc["never", "difference_low"] > 0
    wide = table.loc["never", "log_loss_high"] - table.loc["never", "log_loss_low"]
    narrow = table.loc["never", "difference_high"] - table.loc["never", "difference_low"]
    assert narrow < 2 * wide


def test_costs_are_those_of_wrong_decisions(table: pd.DataFrame, scores: pd.DataFrame) -> None:
    never = scores[scores[POLICY] == "never"]
    missed = (never[COLUMNS.label] & ~never["decision"]).sum()
    alarms = (~never[COLUMNS.label] & never["decision"]).sum()

    assert table.loc["never", "total_cost"] == 3 * missed + alarms


def test_retrainings_and_false_alarms_are_counted(table: pd.DataFrame) -> None:
    assert table["n_retrained"].to_dict() == {"often": 2, "never": 0}
    assert table["n_false_alarms"].to_dict() == {"often": 2, "never": 0}


def test_the_drift_that_was_seen_is_summed_up(table: pd.DataFrame) -> None:
    seen = table.loc["often", ["n_windows", "n_drifted_windows", "n_drifted_columns"]]

    assert seen.tolist() == [8, 1, 3]
    assert table.loc["often", "estimate_error"] == pytest.approx(0.05)


def test_a_policy_that_retrains_costs_more_the_dearer_that_is(
    table: pd.DataFrame, acts: pd.DataFrame
) -> None:
    _, costs = draw_replay(table.reset_index(), acts, PARAMS)

    rises = {line.name: line.y[-1] - line.y[0] for line in costs.data}
    assert rises["never"] == 0
    assert rises["often"] > 0


def test_the_report_names_every_policy_and_retraining(
    table: pd.DataFrame, acts: pd.DataFrame
) -> None:
    plots = draw_replay(table.reset_index(), acts, PARAMS)

    html = render_replay(table.reset_index(), acts, PARAMS, *plots)

    assert html.count("It was asked for.") == 2
    assert "-0.1000" in html
    assert html.count("plotly-graph-div") == 2


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"benchmark": "ofen"}, r"No policy 'ofen'.*often"),
        ({"policies": {"often": {}, "oracle": {}}}, "'oracle' is always there"),
        ({"policies": {"often": {"gate": {}}}}, "cannot change 'gate'"),
    ],
)
def test_policies_that_cannot_be_compared_are_refused(
    changed: dict[str, Any], expected: str
) -> None:
    with pytest.raises(ValidationError, match=expected):
        Replay(**(PARAMS.model_dump() | changed))


def test_only_the_ticks_that_were_asked_for_are_compared(
    scores: pd.DataFrame, acts: pd.DataFrame, bootstrap: Bootstrap
) -> None:
    short = PARAMS.model_copy(update={"end": date(2013, 4, 1)})

    table = compare_policies(COLUMNS, ibis.memtable(scores), acts, short, COSTS, bootstrap)

    assert (table["n_ticks"] == 1).all()
    assert table.set_index("policy").loc["often", "n_retrained"] == 1
    [losses, _] = draw_replay(table, acts, short)
    assert set(losses.data[0].x) == {TICKS[0]}


def test_a_tick_without_labels_leaves_the_others(
    scores: pd.DataFrame, acts: pd.DataFrame, bootstrap: Bootstrap
) -> None:
    half = scores[scores[TICK] == TICKS[0]]

    table = compare_policies(COLUMNS, ibis.memtable(half), acts, PARAMS, COSTS, bootstrap)

    assert (table["n_ticks"] == 1).all()
