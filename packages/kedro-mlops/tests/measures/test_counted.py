"""What is counted says what rows say."""

from itertools import pairwise

import ibis
import numpy as np
import pandas as pd
import pytest
from example.factories import COLUMNS, protected

from kedro_mlops.measures.counted import Counted
from kedro_mlops.measures.fairness import rates_by_group
from kedro_mlops.measures.metrics import Bootstrap, Scored, measure
from kedro_mlops.measures.seen import calibration_curve, see, see_groups, see_parts
from kedro_mlops.task.metrics import Metrics
from kedro_mlops.task.outputs import Floats

BOOTSTRAP = Bootstrap(n_resamples=40, confidence=0.9, seed=1)
N_ROWS, TIME, Y = 60_000, COLUMNS.event_time, COLUMNS.label
EXACT = {"precision", "recall", "f1", "flagged_share", "lift"}
WITHIN = {
    "roc_auc": 1e-4,
    "average_precision": 1e-4,
    "log_loss": 1e-5,
    "brier_score": 1e-5,
    "calibration_error": 1e-5,
}


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """Two months of scores, and labels that follow from them; one in ten is not known."""
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 3, N_ROWS)
    labels = (rng.random(N_ROWS) < scores).astype(float)
    keys = {name: rng.permutation(N_ROWS) for name in COLUMNS.keys if name != TIME}
    moments = pd.Timestamp("2013-04-01") + pd.to_timedelta(rng.integers(0, 60 * 24, N_ROWS), "h")
    return pd.DataFrame(
        {
            **keys,
            TIME: moments,
            "probability": scores,
            "decision": scores >= 0.3,
            Y: np.where(rng.random(N_ROWS) < 0.1, np.nan, labels),
        }
    ).sort_values(COLUMNS.keys, ignore_index=True)


@pytest.fixture(scope="module")
def counted(rows: pd.DataFrame) -> Counted:
    seen = see(COLUMNS, ibis.memtable(rows.sample(frac=1, random_state=0)))
    assert (seen.n_predictions, len(seen.known)) == (N_ROWS, rows[Y].notna().sum())
    assert isinstance(seen.known, Counted)
    return seen.known


def test_metrics_and_their_intervals_are_those_of_the_rows(
    rows: pd.DataFrame, counted: Counted
) -> None:
    known = Scored.of(COLUMNS, rows.dropna(subset=[Y]))

    expected, found = measure(known, BOOTSTRAP), measure(counted, BOOTSTRAP)

    assert found.keys() == expected.keys() == EXACT | WITHIN.keys()
    for name, interval in expected.items():
        within = WITHIN.get(name, 1e-12)
        assert dict(found[name]) == pytest.approx(dict(interval), rel=0, abs=within), name


def test_rare_positives_are_told_apart_as_by_rows(rows: pd.DataFrame) -> None:
    rng = np.random.default_rng(2)
    scores = np.minimum(1e-3 * np.exp(rng.normal(0, 1.2, N_ROWS)), 1)
    # surely not, surely, and next to either
    scores[:40] = np.tile([0, 1, 1e-300, 1 - 1e-12], 10)
    labels = (rng.random(N_ROWS) < scores).astype(float)
    labels[::1000] = 1
    rare = rows.assign(probability=scores, decision=scores >= 0.01, **{Y: labels})
    metrics = Metrics({name: COLUMNS.task.metrics.of_scores[name] for name in WITHIN})

    expected = measure(Scored.of(COLUMNS, rare), BOOTSTRAP, metrics)
    found = measure(see(COLUMNS, ibis.memtable(rare)).known, BOOTSTRAP, metrics)

    # where a row lies in its cell is chance, of which few positives have more
    for name, within in (WITHIN | {"roc_auc": 3e-4}).items():
        assert dict(found[name]) == pytest.approx(dict(expected[name]), rel=0, abs=within), name


def test_the_same_rows_in_another_order_give_the_same_figures(
    rows: pd.DataFrame, counted: Counted
) -> None:
    shuffled = rows.sample(frac=1, random_state=1)

    again = see(COLUMNS, ibis.memtable(shuffled)).known

    assert measure(again, BOOTSTRAP) == measure(counted, BOOTSTRAP)


def test_days_that_are_counted_together_say_what_they_say_alone(rows: pd.DataFrame) -> None:
    table = ibis.memtable(rows)
    days = [pd.Timestamp(day) for day in ("2013-04-01", "2013-04-20", "2013-05-01", "2013-06-01")]
    ends = list(pairwise(days))

    parts = list(see_parts(COLUMNS, table, TIME, ends))

    assert sum(part.n_predictions for part in parts) == N_ROWS
    for (since, until), part in zip(ends, parts, strict=True):
        alone = see(COLUMNS, table.filter(table[TIME] >= since, table[TIME] < until))
        assert part.n_predictions == alone.n_predictions
        assert measure(part.known, BOOTSTRAP) == measure(alone.known, BOOTSTRAP)


def test_confusion_and_calibration_are_those_of_the_rows(
    rows: pd.DataFrame, counted: Counted
) -> None:
    known, task = Scored.of(COLUMNS, rows.dropna(subset=[Y])), COLUMNS.task

    curve = task.calibration_curve(counted.label, counted.score, counted.times)

    assert task.confusion(counted.label, counted.decided, counted.times) == task.confusion(
        known.label, known.decided
    )
    pd.testing.assert_frame_equal(curve, task.calibration_curve(known.label, known.score))
    pd.testing.assert_frame_equal(calibration_curve(COLUMNS, ibis.memtable(rows)), curve)


def test_rows_that_are_alike_are_one(rows: pd.DataFrame) -> None:
    several = pd.concat([rows.assign(**{COLUMNS.keys[0]: i}) for i in range(3)])

    once, thrice = (see(COLUMNS, ibis.memtable(each)).known for each in (rows, several))

    assert len(thrice) == 3 * len(once)
    assert len(thrice.label) == len(once.label) < len(rows)
    one, other = (measure(scored, BOOTSTRAP)["log_loss"].value for scored in (once, thrice))
    assert one == pytest.approx(other, abs=1e-12)


def test_groups_are_compared_as_their_rows_say(rows: pd.DataFrame) -> None:
    van = np.random.default_rng(2).choice(["large", "small", None], N_ROWS)
    told = rows.assign(van=van)
    known = told.dropna(subset=[Y])

    [ours] = see_groups(protected(COLUMNS, "van"), ibis.memtable(told), BOOTSTRAP).values()
    theirs = rates_by_group(Scored.of(COLUMNS, known), known["van"], BOOTSTRAP)

    assert (ours.groups, ours.n_rows.tolist()) == (theirs.groups, theirs.n_rows.tolist())
    assert ours.rates.keys() == theirs.rates.keys()
    for rate, figures in theirs.rates.items():
        np.testing.assert_allclose(ours.rates[rate], figures, atol=1e-12)


def test_what_was_counted_of_a_table_is_not_told_of_another(rows: pd.DataFrame) -> None:
    turned = rows.assign(**{Y: 1 - rows[Y]})

    one, other = (see(COLUMNS, ibis.memtable(each)).known for each in (rows, turned))

    areas = [measure(known, BOOTSTRAP)["roc_auc"].value for known in (one, other)]
    assert sum(areas) == pytest.approx(1, abs=1e-9)


def test_a_metric_of_the_owners_is_that_of_the_rows(rows: pd.DataFrame, counted: Counted) -> None:
    def top_tenth(labels: Floats, scores: Floats, weights: Floats) -> Floats:
        top = scores >= np.quantile(scores, 0.9)
        return np.asarray((weights @ (labels * top)) / (weights @ top))

    asked = COLUMNS.task.metrics | Metrics({"top_tenth": top_tenth})
    known = Scored.of(COLUMNS, rows.dropna(subset=[Y]))

    found, expected = (measure(scored, BOOTSTRAP, asked) for scored in (counted, known))

    assert found["top_tenth"] == expected["top_tenth"]
    assert found.keys() == expected.keys()
