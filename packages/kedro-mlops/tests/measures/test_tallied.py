"""What is added up where rows are says what rows say: of several classes, and of numbers."""

from dataclasses import dataclass, replace
from itertools import pairwise

import ibis
import numpy as np
import pandas as pd
import pytest
from example.factories import protected
from example.tasks import ASKED
from example.undated import LOANS

from kedro_mlops.contract.columns import Columns
from kedro_mlops.measures import metrics as metrics_module
from kedro_mlops.measures import seen as seen_module
from kedro_mlops.measures.fairness import rates_by_group
from kedro_mlops.measures.metrics import Bootstrap, Measurable, Scored, measure
from kedro_mlops.measures.seen import (
    Expectation,
    calibration_curve,
    n_drawn,
    see,
    see_groups,
    see_parts,
)
from kedro_mlops.task.metrics import Metrics, weighted_mean
from kedro_mlops.task.outputs import Floats
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.tally import Sums
from kedro_mlops.task.task import Calibration

BOOTSTRAP = Bootstrap(n_resamples=40, confidence=0.9, seed=1)
N_ROWS = 20_000
# of ranks; all others follow from sums
RANKS = {"roc_auc": 1e-4, "median_absolute_error": 4e-4}


@dataclass(frozen=True)
class World:
    """Two months of predictions, and labels, of which one in ten is not known."""

    contract: Columns
    rows: pd.DataFrame

    @property
    def table(self) -> ibis.Table:
        """In no order."""
        return ibis.memtable(self.rows.sample(frac=1, random_state=0))

    @property
    def known(self) -> Scored:
        """Those with a label, in memory."""
        return Scored.of(self.contract, self.rows.dropna(subset=[self.contract.label]))


def classes() -> tuple[Columns, dict[str, Floats], Floats]:
    contract = Columns.of(ASKED["classes"][0])
    rng = np.random.default_rng(0)
    # the last one is rare, and some rows have two of the same chance
    scores = rng.dirichlet([2, 1, 0.02], N_ROWS)
    scores[:200] = [0.4, 0.4, 0.2]
    codes = (rng.random((N_ROWS, 1)) > scores.cumsum(axis=1)[:, :2]).sum(axis=1)
    return contract, contract.task.output().of_rows(scores), codes.astype(float)


def numbers() -> tuple[Columns, dict[str, Floats], Floats]:
    """Far from 0, with a few that are further, and a few errors of 0."""
    contract = Columns.of(ASKED["number"][0])
    rng = np.random.default_rng(0)
    scores = 1e6 + rng.normal(0, 30, N_ROWS)
    label = scores + rng.standard_t(3, N_ROWS) * 10
    label[:50] = scores[:50]
    return contract, contract.task.output(DecisionRule(margin=15)).of_rows(scores), label


@pytest.fixture(scope="module", params=[classes, numbers], ids=["classes", "numbers"])
def world(request: pytest.FixtureRequest) -> World:
    contract, said, label = request.param()
    rng = np.random.default_rng(1)
    keys = {name: rng.permutation(N_ROWS) for name in contract.keys if name != contract.event_time}
    moments = pd.Timestamp("2013-04-01") + pd.to_timedelta(rng.integers(0, 60 * 24, N_ROWS), "h")
    known = np.where(rng.random(N_ROWS) < 0.1, np.nan, label)
    rows = pd.DataFrame({**keys, contract.event_time: moments, **said, contract.label: known})
    return World(contract, rows.sort_values(contract.keys, ignore_index=True))


@pytest.fixture(scope="module")
def tallied(world: World) -> Measurable:
    return see(world.contract, world.table).known


def compare(found: Measurable, rows: Scored, metrics: Metrics | None = None) -> None:
    ours, theirs = (measure(scored, BOOTSTRAP, metrics) for scored in (found, rows))

    assert ours.keys() == theirs.keys()
    for name, interval in theirs.items():
        within = {"rel": RANKS.get(name, 1e-8), "abs": 1e-8}
        assert dict(ours[name]) == pytest.approx(dict(interval), **within), name


def test_metrics_and_their_intervals_are_those_of_the_rows(
    world: World, tallied: Measurable
) -> None:
    assert len(tallied) == len(world.known)
    assert {*measure(tallied, BOOTSTRAP)} == {*world.contract.task.metrics.names}
    compare(tallied, world.known)


def test_the_same_rows_in_another_order_give_the_same_figures(
    world: World, tallied: Measurable
) -> None:
    again = see(world.contract, ibis.memtable(world.rows)).known

    assert measure(again, BOOTSTRAP) == measure(tallied, BOOTSTRAP)


def test_days_that_are_counted_together_say_what_their_rows_say(world: World) -> None:
    contract, moment = world.contract, world.rows[world.contract.event_time]
    days = [pd.Timestamp(day) for day in ("2013-04-01", "2013-04-20", "2013-05-01", "2013-06-01")]
    ends = list(pairwise(days))

    parts = list(see_parts(contract, world.table, contract.event_time, ends))

    assert sum(part.n_predictions for part in parts) == N_ROWS
    for (since, until), part in zip(ends, parts, strict=True):
        inside = replace(world, rows=world.rows[(moment >= since) & (moment < until)])
        assert part.n_predictions == len(inside.rows)
        compare(part.known, inside.known)


def test_confusion_and_calibration_are_those_of_the_rows(world: World, tallied: Measurable) -> None:
    known, task = world.known, world.contract.task

    ours = calibration_curve(world.contract, world.table)
    theirs = task.calibration_curve(known.label, known.score)

    assert tallied.confusion == known.confusion
    # bins of numbers are made of whole cells
    within = {"rtol": 1e-8} if task.classes else {"atol": 0.3, "rtol": 0, "check_exact": False}
    columns = ["predicted", "observed"]
    pd.testing.assert_frame_equal(ours[columns], theirs[columns], **within)
    assert ours["n_rows"].tolist() == pytest.approx(theirs["n_rows"].tolist(), rel=0.01)


OTHER_NUMBERS = {
    "an even number of rows": ([5.0, 5.0, 7.0, 8.0], [6.0, 8.0, 9.0, 9.0]),
    "one label is a typing error": ([5.0, 9.0, 7.0, 1e11], [6.0, 8.0, 9.0, 9.0]),
    "all are far from 0": ([1.7345678e9, 1.7345688e9], [1.7345679e9, 1.7345685e9]),
    "a day of one label": ([0.3, 0.3, 0.3, 0.3, 7.0, 8e4], [0.2, 0.4, 0.4, 0.5, 9.0, 9.0]),
    "hardly any error": ([0.0, 7.0], [1e-300, 7.0]),
    "one row": ([5.0], [6.0]),
}


@pytest.mark.parametrize("said", OTHER_NUMBERS.values(), ids=OTHER_NUMBERS)
def test_numbers_of_all_sizes_say_what_rows_say(said: tuple[list[float], list[float]]) -> None:
    contract = Columns.of(ASKED["number"][0])
    label, scores = map(np.array, said)
    moments = pd.Timestamp("2013-04-01") + pd.to_timedelta(np.arange(len(label)) // 4, "D")
    keys = {name: range(len(label)) for name in contract.keys if name != contract.event_time}
    output = contract.task.output(DecisionRule(margin=1)).of_rows(scores)
    rows = pd.DataFrame({**keys, contract.event_time: moments, **output, contract.label: label})
    world = World(contract, rows)

    known = see(contract, world.table).known

    compare(known, world.known)
    assert known.varies == world.known.varies
    ends = [(day, day + pd.Timedelta(days=1)) for day in moments.unique()]
    parts = see_parts(contract, world.table, contract.event_time, ends)
    for (since, until), part in zip(ends, parts, strict=True):
        inside = replace(world, rows=rows[(moments >= since) & (moments < until)])
        compare(part.known, inside.known)


def test_of_many_classes_some_resamples_are_weighed_at_once(
    world: World, tallied: Measurable, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = measure(tallied, BOOTSTRAP)
    monkeypatch.setattr(metrics_module, "MOST_WEIGHTS", 20_000)
    wide = []
    weighed = Sums.weighed
    monkeypatch.setattr(Sums, "weighed", lambda *of: wide.append(len(of[1])) or weighed(*of))

    for name, interval in measure(tallied, BOOTSTRAP).items():
        assert dict(interval) == pytest.approx(dict(together[name]), rel=1e-12), name
    assert sum(wide) == BOOTSTRAP.n_resamples + 1
    assert max(wide) < 10


def test_labels_that_are_all_the_same_do_not_vary(world: World, tallied: Measurable) -> None:
    one = world.rows.assign(**{world.contract.label: world.rows[world.contract.label].iloc[0]})

    assert tallied.varies
    assert not see(world.contract, ibis.memtable(one)).known.varies


def test_a_label_without_bounds_stops_nothing(world: World) -> None:
    if world.contract.task.classes:
        pytest.skip("codes have bounds")
    endless = world.rows.assign(delay=world.rows["delay"].mask(world.rows.index == 7, np.inf))

    found = measure(see(world.contract, ibis.memtable(endless)).known, BOOTSTRAP)

    assert found["mean_absolute_error"].value > 1e90
    assert found["median_absolute_error"].value < 10


def test_what_is_expected_is_what_the_rows_expect(world: World) -> None:
    task, rows = world.contract.task, world.rows
    calibration = Calibration(intercept=[0.1, -0.2, 0.3], slope=0.8) if task.classes else None
    losses = np.arange(N_ROWS) % 7 + 1.0
    expectation = Expectation(calibration, lambda drawn: losses[: len(drawn)])

    found = see(world.contract, world.table, expectation).expected()

    scored = Scored.of_scores(world.contract, rows)
    expected = task.expected(scored.score, calibration, losses)
    compare(found, replace(scored, label=expected), task.estimated_metrics)


def test_what_does_not_follow_from_sums_is_told_by_rows_and_by_some_if_they_are_many(
    world: World, tallied: Measurable, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[int]()

    def first_score(labels: Floats, scores: Floats, weights: Floats) -> Floats:
        asked.append(len(labels))
        return weighted_mean(scores.reshape(len(labels), -1)[:, 0], weights)

    def last_label(labels: Floats, scores: Floats, weights: Floats) -> Floats:
        return weighted_mean(labels.reshape(len(labels), -1)[:, -1], weights)

    own = {"first_score": first_score, "last_label": last_label}
    metrics = world.contract.task.metrics | Metrics(own)
    compare(tallied, world.known, metrics)
    asked.clear()
    monkeypatch.setattr(seen_module, "MOST_ROWS", 300)

    some = measure(see(world.contract, world.table).known, BOOTSTRAP, metrics)

    assert max(asked) == 300
    exactly = measure(world.known, BOOTSTRAP, metrics)
    for name in own:
        # also of a class that is rare: it has no more than its share
        width = some[name].high - some[name].low
        assert some[name].value == pytest.approx(exactly[name].value, abs=width), name


def test_a_metric_that_an_owner_has_put_in_the_place_of_one_of_the_task_is_the_owners(
    world: World, tallied: Measurable
) -> None:
    task = world.contract.task

    def other(labels: Floats, scores: Floats, weights: Floats) -> Floats:
        return np.full(len(weights), 7.0)

    found = measure(tallied, BOOTSTRAP, Metrics({task.loss: other}))

    assert found[task.loss].value == 7


def test_groups_are_compared_as_their_rows_say(world: World) -> None:
    contract, rng = protected(world.contract, "van"), np.random.default_rng(2)
    vans = rng.choice(["large", "small", None], N_ROWS, p=[0.6, 0.3, 0.1])
    rows = world.rows.assign(van=vans)
    known = rows.dropna(subset=[contract.label])

    [ours] = see_groups(contract, ibis.memtable(rows), BOOTSTRAP).values()
    theirs = rates_by_group(Scored.of(contract, known), known["van"], BOOTSTRAP)

    assert (ours.groups, ours.n_blocks) == (["large", "small"], theirs.n_blocks)
    assert ours.n_rows.tolist() == theirs.n_rows.tolist()
    assert ours.rates.keys() == theirs.rates.keys()
    for rate, figures in theirs.rates.items():
        np.testing.assert_allclose(ours.rates[rate], figures, rtol=1e-8, atol=1e-8)


def test_many_rows_are_said_to_stand_for_all_where_not_all_is_counted(world: World) -> None:
    task, more = world.contract.task, Metrics({"own": weighted_mean})

    assert n_drawn(world.contract, 200_000, more) is None
    assert n_drawn(world.contract, 200_001, more) == 200_000
    # the model of the loss reads rows
    assert (n_drawn(world.contract, 200_001, Metrics()) is None) == bool(task.classes)


def test_rows_without_a_date_are_drawn_in_parts_that_tell_as_much() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(1, 3, N_ROWS)
    rows = pd.DataFrame(
        {
            "loan": [f"L{i:05}" for i in range(N_ROWS)],
            "probability": scores,
            "decision": scores > 0.3,
            "defaulted": (rng.random(N_ROWS) < scores).astype(float),
        }
    )
    many = BOOTSTRAP.model_copy(update={"n_resamples": 400})

    ours = measure(see(LOANS, ibis.memtable(rows)).known, many)
    theirs = measure(Scored.of(LOANS, rows), many)

    assert ours.keys() == theirs.keys()
    for name, interval in theirs.items():
        found, width = ours[name], interval.high - interval.low
        assert found.value == pytest.approx(interval.value, abs=1e-4), name
        assert found.high - found.low == pytest.approx(width, rel=0.25), name
