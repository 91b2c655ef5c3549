"""Whatever is asked, a champion is watched: its scores, its performance, and its challenger."""

from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pandas as pd
import pytest
from example.factories import observations, screened, skew_of
from example.scoring import labelled_rows, scored
from example.tasks import AS_OF, HORIZON, WINDOW, Life
from prometheus_client.parser import text_string_to_metric_families

from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.models.package import Unloadable
from kedro_mlops.monitoring.alerts import raise_alerts
from kedro_mlops.monitoring.challenger_review import ChallengerReview, judge_challenger
from kedro_mlops.monitoring.decisions import RetrainDecision
from kedro_mlops.monitoring.drift import measure_drift
from kedro_mlops.monitoring.findings import Performance, Quality
from kedro_mlops.monitoring.labels import count_new_labels
from kedro_mlops.monitoring.nodes import measure_quality
from kedro_mlops.monitoring.parameters import Monitoring
from kedro_mlops.monitoring.performance import measure_performance, measure_windows
from kedro_mlops.monitoring.prometheus_text import expose
from kedro_mlops.monitoring.report import draw_monitoring, render_report
from kedro_mlops.monitoring.triggers import Retraining, decide
from kedro_mlops.task.task import Costs

CLEAN, NO_SKEW, NEVER = screened(), skew_of(), pd.DataFrame()
N_ROWS = 8000


@dataclass(frozen=True)
class Look:
    """What monitoring finds in two weeks of rows."""

    predictions: ir.Table
    labelled: ir.Table
    drift: pd.DataFrame
    quality: Quality
    performance: Performance
    windows: pd.DataFrame
    decision: RetrainDecision


class Watch:
    """Looks at rows of a world, with the champion of a life."""

    def __init__(
        self, life: Life, parameters: dict[str, Any], params: Monitoring, bootstrap: Bootstrap
    ) -> None:
        self.life, self.params, self.bootstrap = life, params, bootstrap
        self.retraining = Retraining(**parameters["retraining"])

    def rows(self) -> pd.DataFrame:
        """Two weeks of a world that is what it was."""
        columns = self.life.columns
        rows = observations(N_ROWS, HORIZON.days, 1, columns)
        since = AS_OF.moment - rows[columns.event_time].min().normalize()
        times = [columns.event_time, columns.label_time]
        return rows.assign(
            **{name: rows[name] + since for name in times}, parcel_number=np.arange(N_ROWS) + 1
        )

    def look(self, rows: pd.DataFrame) -> Look:
        columns, champion = self.life.columns, self.life.candidate
        asked = AS_OF, HORIZON
        model_input = ibis.memtable(rows)
        predictions = scored(columns, self.life.logged, champion, model_input, *asked)
        labelled, account = labelled_rows(columns, predictions, model_input, *asked)
        new = count_new_labels(columns, model_input, champion, *asked)
        drift = measure_drift(columns, predictions, champion, *asked, WINDOW, self.params)
        quality = measure_quality(
            columns, predictions, drift, CLEAN, NO_SKEW, champion, *asked, self.params
        )
        fairness = {"min_rows": 100, "max_difference": {}}
        performance = measure_performance(
            columns, labelled, account, new, champion, *asked, self.params, self.bootstrap, fairness
        )
        windows = measure_windows(columns, labelled, drift, champion, self.params, self.bootstrap)
        decision = decide(
            quality, performance, windows, NEVER, None, champion, *asked, self.retraining
        )
        return Look(predictions, labelled, drift, quality, performance, windows, decision)


@pytest.fixture(scope="module")
def watch(
    life: Life, parameters: dict[str, Any], params: Monitoring, bootstrap: Bootstrap
) -> Watch:
    return Watch(life, parameters, params, bootstrap)


@pytest.fixture(scope="module")
def calm(watch: Watch) -> Look:
    """A world that is what it was."""
    return watch.look(watch.rows())


def loss_of(look: Look) -> tuple[float, float]:
    """As it was expected, and as it turned out."""
    found = look.performance
    return found.estimated[found.loss].value, found.metrics[found.loss].value


def test_the_loss_is_what_it_was_and_expected_to_be(life: Life, calm: Look) -> None:
    estimated, realised = loss_of(calm)
    before = life.candidate.metadata.metrics[life.columns.task.loss].value

    assert estimated == pytest.approx(realised, rel=0.1)
    assert estimated == pytest.approx(before, rel=0.1)
    assert {*calm.performance.estimated} == {*life.columns.task.estimated_metrics.names}
    assert {*calm.performance.metrics} == {*life.columns.task.metrics.names}
    known = calm.labelled[life.columns.label].notnull().mean().to_pyarrow().as_py()
    assert calm.performance.label_coverage == known > 0.9
    assert not calm.drift["drifted"].any()
    assert calm.quality.passed


def test_it_is_seen_without_labels_that_rows_are_harder(
    watch: Watch, life: Life, calm: Look
) -> None:
    rows = watch.rows()
    if life.columns.task.classes:
        is_hard = life.candidate.score(rows).max(axis=1) < 0.6
    else:
        # what happens there is the least sure
        is_hard = rows["temperature_c"] > 20

    hard = watch.look(rows[is_hard])

    estimated, realised = loss_of(hard)
    assert estimated > 1.2 * loss_of(calm)[0]
    assert estimated == pytest.approx(realised, rel=0.15)


def test_it_is_not_seen_without_labels_that_the_world_has_changed(
    watch: Watch, life: Life, calm: Look
) -> None:
    rows = watch.rows()
    classes, label = life.columns.task.classes, rows[life.columns.label]
    turned = label.map(dict(zip(classes, classes[::-1], strict=True))) if classes else 60 - label

    changed = watch.look(rows.assign(**{life.columns.label: turned}))

    estimated, realised = loss_of(changed)
    assert estimated == pytest.approx(loss_of(calm)[0])
    assert realised > 1.5 * estimated


def test_a_champion_without_a_model_of_its_loss_expects_none(
    watch: Watch, life: Life, calm: Look
) -> None:
    if life.candidate.loss_estimate is None:
        pytest.skip("chances of classes follow from scores")
    unreadable = Unloadable(b"", "it is of 1.0.2")

    for found in (None, unreadable):
        champion = replace(life.candidate, loss_estimate=found)
        windows = measure_windows(
            life.columns, calm.labelled, calm.drift, champion, watch.params, watch.bootstrap
        )
        loss = life.columns.task.loss
        assert windows[f"estimated_{loss}"].isna().all()
        assert windows[loss].tolist() == calm.windows[loss].tolist()


def test_scores_and_shares_that_moved_have_drifted(watch: Watch, life: Life) -> None:
    rows = watch.rows()
    far = rows["distance_km"] > 7000

    drift = watch.look(rows[far]).drift

    drifted = set(drift.loc[drift["drifted"] & (drift["kind"] == "score"), "column"])
    told = {*life.columns.task.output().score_columns(), "prediction"}
    assert drifted <= told
    assert "prediction" in drifted
    if life.columns.task.classes:
        assert {"probability_early", "probability_late"} <= drifted
        assert set(drift.loc[drift["kind"] == "score", "column"]) == told


def test_a_class_that_was_never_taken_is_no_category_that_was_not_seen(
    watch: Watch, life: Life, calm: Look
) -> None:
    drift = calm.drift.assign(unseen_share=np.where(calm.drift["kind"] == "score", 0.5, 0.0))

    quality = measure_quality(
        life.columns, calm.predictions, drift, CLEAN, NO_SKEW, life.candidate, AS_OF, HORIZON,
        watch.params,
    )  # fmt: skip

    assert quality.passed


def test_windows_say_what_was_expected_and_what_came(life: Life, calm: Look) -> None:
    loss = life.columns.task.loss

    assert len(calm.windows) == 2
    assert calm.windows["n_predictions"].sum() == N_ROWS
    for name in (loss, f"{loss}_low", f"estimated_{loss}", f"estimated_{loss}_high"):
        assert calm.windows[name].notna().all(), name
    assert calm.windows[loss].tolist() == pytest.approx([loss_of(calm)[1]] * 2, rel=0.2)


def test_a_champion_that_has_become_bad_asks_for_retraining(
    watch: Watch, life: Life, calm: Look
) -> None:
    rows = watch.rows()
    shuffled = rows[life.columns.label].sample(frac=1, random_state=0).to_numpy()

    bad = watch.look(rows.assign(**{life.columns.label: shuffled}))

    [calm_rule] = [r for r in calm.decision.rules if r.rule == "performance"]
    [rule] = [r for r in bad.decision.rules if r.rule == "performance"]
    assert (calm_rule.fired, rule.fired) == (False, True)
    assert life.columns.task.loss.replace("_", " ") in rule.reason.lower()


@pytest.mark.parametrize("good", [True, False])
def test_a_shadow_is_stopped_if_it_is_worse(
    watch: Watch, life: Life, calm: Look, good: bool, parameters: dict[str, Any]
) -> None:
    columns, output = life.columns, life.candidate.metadata.output
    answered = calm.predictions.to_pandas()
    scores = output.scores_in(answered)
    worse = scores[::-1]
    shadow = answered.assign(
        prediction_id=answered["prediction_id"] + "v2",
        predicted_at=answered["predicted_at"] + pd.Timedelta(seconds=1),
        model_version="v2",
        variant="shadow",
        **output.of_rows(scores if good else worse),
    )
    served = ibis.memtable(pd.concat([answered, shadow]), schema=calm.predictions.schema())

    review, _ = judge_challenger(
        columns, served, ibis.memtable(watch.rows()), life.candidate, NEVER, AS_OF, HORIZON,
        ChallengerReview(**parameters["challenger_review"]), Costs(), watch.bootstrap,
    )  # fmt: skip

    assert review.outcome == ("continue" if good else "stop")
    assert review.champion is not None and review.challenger_metrics is not None
    ours, theirs = (
        found.metrics[columns.task.loss].value
        for found in (review.champion, review.challenger_metrics)
    )
    assert ours == pytest.approx(loss_of(calm)[1])
    assert (theirs == ours) == good
    assert columns.task.loss.replace("_", " ").capitalize() in review.reasons[0]


def test_the_report_and_prometheus_tell_what_was_found(
    watch: Watch, life: Life, calm: Look, parameters: dict[str, Any]
) -> None:
    columns, champion = life.columns, life.candidate
    review, _ = judge_challenger(
        columns, calm.predictions, ibis.memtable(watch.rows()), champion, NEVER, AS_OF, HORIZON,
        ChallengerReview(**parameters["challenger_review"]), Costs(), watch.bootstrap,
    )  # fmt: skip
    plots = draw_monitoring(columns, calm.labelled, calm.windows, calm.drift, champion)

    page = render_report(
        calm.decision, calm.quality, NO_SKEW, calm.performance, review, calm.drift, champion, *plots
    )
    text = expose(
        calm.performance, calm.windows, calm.quality, NO_SKEW, CLEAN, calm.decision, champion
    )

    samples = {
        (sample.name, sample.labels.get("kind")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    loss = columns.task.loss
    newest = calm.windows.iloc[-1]
    assert samples[f"model_{loss}", "realised"] == newest[loss]
    assert samples[f"model_{loss}", "estimated"] == newest[f"estimated_{loss}"]
    assert loss.replace("_", " ") in page.lower()
    assert champion.version in page
    for plot in plots:
        assert plot.layout.title.text
    assert raise_alerts(calm.decision, calm.quality, calm.performance, NO_SKEW) is not None
