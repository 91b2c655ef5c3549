from collections.abc import Callable
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, Y
from example.history import History

from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.challenger_review import ChallengerReview, judge_challenger
from kedro_mlops.monitoring.decisions import ChallengerDecision, Figures
from kedro_mlops.task.outputs import PROBABILITY
from kedro_mlops.task.task import Costs

Decision = ChallengerDecision
Judge = Callable[..., tuple[Decision, pd.DataFrame]]
NEVER = pd.DataFrame()


@pytest.fixture(scope="module")
def answered(predictions: ir.Table) -> pd.DataFrame:
    """What the champion answered: every row of the horizon."""
    return predictions.to_pandas()


@pytest.fixture(scope="module")
def judge(
    predictions: ir.Table,
    history: History,
    package: ModelPackage,
    as_of: AsOf,
    horizon: Horizon,
    trial: ChallengerReview,
    costs: Costs,
    bootstrap: Bootstrap,
) -> Judge:
    """Judges what is served, after what was judged before."""

    def run(
        *served: pd.DataFrame, past: pd.DataFrame = NEVER, **params: float
    ) -> tuple[Decision, pd.DataFrame]:
        rows = pd.concat(served)[list(predictions.columns)]
        return judge_challenger(
            COLUMNS,
            ibis.memtable(rows, schema=predictions.schema()),
            history.model_input,
            package,
            past,
            as_of,
            horizon,
            trial.model_copy(update=params),
            costs,
            bootstrap,
        )

    return run


def challenging(
    rows: pd.DataFrame, variant: str = "shadow", version: str = "v2", **changed: Any
) -> pd.DataFrame:
    """The rows as a challenger answers them, a moment later."""
    return rows.assign(
        prediction_id=rows["prediction_id"] + version,
        predicted_at=rows["predicted_at"] + pd.Timedelta(seconds=1),
        model_version=version,
        variant=variant,
        **changed,
    )


def wrong(rows: pd.DataFrame) -> pd.Series:
    return 1 - rows[PROBABILITY].clip(0.01, 0.99)


def test_without_a_challenger_there_is_no_trial(judge: Judge, answered: pd.DataFrame) -> None:
    decision, history = judge(answered)
    nobody, _ = judge(answered.head(0))

    assert (decision.outcome, decision.challenger) == ("none", None)
    assert decision.decided_at == "2013-04-15T00:00:00"
    assert decision.stopped == []
    assert nobody.outcome == "none"
    assert history["outcome"].tolist() == ["none"]


def test_a_shadow_that_is_surely_worse_is_stopped(
    judge: Judge, answered: pd.DataFrame, package: ModelPackage, labelled: pd.DataFrame
) -> None:
    shadow = challenging(answered, probability=wrong(answered), decision=True)

    decision, history = judge(answered, shadow)

    known = labelled.dropna(subset=[Y])
    one, other = decision.challenger_metrics, decision.champion
    assert (decision.outcome, decision.challenger, decision.variant) == (
        "stop", "v2", "shadow",
    )  # fmt: skip
    assert (one.model_version, other.model_version) == ("v2", package.version)
    assert one.n_rows == other.n_rows == len(known)
    losses = -np.log(np.where(known[Y] == 1, known[PROBABILITY], 1 - known[PROBABILITY]))
    assert other.metrics["log_loss"].value == pytest.approx(losses.mean())
    assert one.metrics["log_loss"].value > other.metrics["log_loss"].value
    assert one.metrics["roc_auc"].value == pytest.approx(
        1 - other.metrics["roc_auc"].value, abs=1e-3
    )
    # it decides always, which is wrong for every negative
    assert one.metrics["cost"].value == pytest.approx((known[Y] == 0).mean())
    assert decision.difference.low > 0.01
    [reason] = decision.reasons
    assert f"{decision.difference.value:+.4f} [" in reason
    assert "surely worse by more than 0.01" in reason
    assert decision.stopped == ["v2"]
    assert history[["challenger", "outcome", "reasons"]].to_numpy().tolist() == [
        ["v2", "stop", reason]
    ]


@pytest.mark.parametrize("variant", ["shadow", "canary"])
def test_a_challenger_that_is_as_good_goes_on(
    judge: Judge, answered: pd.DataFrame, variant: str
) -> None:
    canary = np.arange(len(answered)) % 3 == 0
    champions = answered if variant == "shadow" else answered[~canary]

    decision, _ = judge(champions, challenging(answered[canary], variant))

    assert decision.outcome == "continue"
    assert "it is not surely worse by more than 0.01" in decision.reasons[0]
    assert "better" not in decision.reasons[0]
    assert decision.stopped == []
    n_rows = decision.champion.n_rows, decision.challenger_metrics.n_rows
    assert (n_rows[0] == n_rows[1]) == (variant == "shadow")


@pytest.mark.parametrize("variant", ["shadow", "canary"])
def test_a_challenger_that_is_surely_better_is_proposed(
    judge: Judge, answered: pd.DataFrame, variant: str
) -> None:
    canary = np.arange(len(answered)) % 3 == 0
    champions = answered if variant == "shadow" else answered[~canary]
    champions = champions.assign(probability=wrong(champions))

    decision, history = judge(champions, challenging(answered[canary], variant))
    stopped, _ = judge(
        champions, challenging(answered[canary], variant), past=history.assign(outcome="stop")
    )

    assert decision.difference.high < 0
    assert (decision.outcome, decision.stopped) == ("propose", [])
    assert "`kedro champion promote v2 --reason …`" in decision.reasons[0]
    # what was stopped stays so
    assert stopped.outcome == "stop"


@pytest.mark.parametrize("variant", ["shadow", "canary"])
def test_a_winner_is_promoted_by_the_loop_once_the_trial_has_been_long_enough(
    judge: Judge, answered: pd.DataFrame, variant: str
) -> None:
    canary = np.arange(len(answered)) % 3 == 0
    champions = answered if variant == "shadow" else answered[~canary]
    served = (
        champions.assign(probability=wrong(champions)),
        challenging(answered[canary], variant),
    )

    enough, _ = judge(*served, promote_winner=True, effect=0.5)
    too_early, _ = judge(*served, promote_winner=True, effect=0.001)
    as_good, _ = judge(answered, challenging(answered), promote_winner=True, effect=0.5)

    assert (enough.outcome, too_early.outcome, as_good.outcome) == (
        "promote", "propose", "continue",
    )  # fmt: skip
    assert "It is surely better, and becomes the champion." in enough.reasons[0]
    assert " to tell 0.5);" in enough.reasons[0]
    assert "`kedro champion promote v2" in too_early.reasons[0]


def test_a_shadow_is_compared_on_the_same_rows(judge: Judge, answered: pd.DataFrame) -> None:
    """The rows of the shadow alone are harder than those of the champion; that is not its fault."""
    late = answered.sort_values(PROBABILITY).tail(len(answered) // 3)

    decision, _ = judge(answered, challenging(late))

    assert decision.difference == Interval(value=0, low=0, high=0)
    assert decision.champion.n_rows == decision.challenger_metrics.n_rows


def test_a_canary_that_is_surely_worse_is_stopped(judge: Judge, answered: pd.DataFrame) -> None:
    canary = np.arange(len(answered)) % 5 == 0
    part = answered[canary]

    decision, _ = judge(answered[~canary], challenging(part, "canary", probability=wrong(part)))

    assert (decision.outcome, decision.variant) == ("stop", "canary")
    one, other = decision.challenger_metrics, decision.champion
    assert 3 * one.n_rows < other.n_rows
    assert decision.difference.value == pytest.approx(
        one.metrics["log_loss"].value - other.metrics["log_loss"].value
    )


def test_a_canary_is_compared_with_what_was_answered_meanwhile(
    judge: Judge, answered: pd.DataFrame
) -> None:
    canary = np.arange(len(answered)) % 5 == 0
    since = answered["predicted_at"] >= pd.Timestamp("2013-04-08")

    decision, _ = judge(answered[~canary], challenging(answered[canary & since], "canary"))
    whole, _ = judge(answered[~canary], challenging(answered[canary], "canary"))

    assert 0 < decision.champion.n_rows < 0.7 * whole.champion.n_rows


@pytest.mark.parametrize(
    ("params", "needed"),
    [
        ({"min_labelled_rows": 1_000_000}, "1,000,000 of each are needed"),
        ({"min_days": 15}, "on 15 days"),
    ],
)
def test_too_few_rows_or_days_say_nothing(
    judge: Judge, answered: pd.DataFrame, params: dict[str, int], needed: str
) -> None:
    decision, _ = judge(answered, challenging(answered, probability=wrong(answered)), **params)

    assert decision.outcome == "continue"
    assert "Not enough data to judge v2" in decision.reasons[0]
    assert needed in decision.reasons[0]
    assert decision.difference is None


def test_a_challenger_without_a_label_or_of_unknown_rows_goes_on(
    judge: Judge, answered: pd.DataFrame
) -> None:
    [number] = [c.name for c in COLUMNS.all if c.role.key and c.kind == "numeric"]
    elsewhere = challenging(answered, **{number: answered[number] + 100_000})

    decision, _ = judge(answered, elsewhere)

    assert decision.outcome == "continue"
    assert "0 labelled rows of it" in decision.reasons[0]
    assert decision.challenger_metrics == Figures(model_version="v2", n_rows=0)


def test_of_a_row_that_was_asked_for_again_the_last_answer_counts(
    judge: Judge, answered: pd.DataFrame
) -> None:
    first = challenging(answered, probability=wrong(answered))
    again = challenging(answered).assign(
        predicted_at=lambda r: r["predicted_at"] + pd.Timedelta(1, "s")
    )

    decision, _ = judge(answered, first, again)

    assert decision.outcome == "continue"
    assert decision.difference.value == 0


def test_what_was_stopped_stays_stopped(judge: Judge, answered: pd.DataFrame) -> None:
    bad, good = challenging(answered, probability=wrong(answered)), challenging(answered)
    stopped, past = judge(answered, bad)

    still, more = judge(answered, good, past=past)
    switched_off, _ = judge(answered, past=pd.concat([past, more]))
    other, after = judge(answered, challenging(answered, version="v3"), past=past)
    ended, _ = judge(answered, past=pd.concat([past, after]))

    for decision in (still, switched_off):
        assert (decision.outcome, decision.challenger) == ("stop", "v2")
        assert decision.reasons == stopped.reasons
    assert (other.outcome, other.challenger, other.stopped) == ("continue", "v3", ["v2"])
    assert (ended.outcome, ended.stopped) == ("none", ["v2"])


def test_the_newest_challenger_is_on_trial_and_a_new_champion_is_none(
    judge: Judge, answered: pd.DataFrame, package: ModelPackage
) -> None:
    before = challenging(answered, version="v1").assign(
        predicted_at=answered["predicted_at"] - pd.Timedelta(days=30)
    )
    once = challenging(answered, "canary", version=package.version)

    newest, _ = judge(answered, before, challenging(answered))
    promoted, _ = judge(answered, once)

    assert newest.challenger == "v2"
    assert promoted.outcome == "none"
