"""What is counted reaches Prometheus, in one process and in several."""

import ast
import inspect
import subprocess
import sys
from collections import Counter

import numpy as np
import prometheus_client
import pytest
from example.factories import spec_of

from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.serving import metrics as module
from kedro_mlops.serving.answers import answer_type
from kedro_mlops.serving.bulk_answers import TableAnswers
from kedro_mlops.serving.metrics import SECONDS, Metrics, observe_many
from kedro_mlops.task.outputs import TENTHS, Probability

Answer = answer_type(Probability())
ANSWERS = [
    Answer("a", 0.05, False, "v1", {"wind": "no_key"}, []),
    Answer("b", 0.1, False, "v1", {}, ["depot"]),
    Answer("c", 1.0, True, "v1", {"wind": "no_key", "sun": "stale"}, []),
]


def as_table(answers, variant):
    return TableAnswers(
        prediction_id=[answer.prediction_id for answer in answers],
        predicted={
            name: np.array([getattr(answer, name) for answer in answers])
            for name in ("probability", "decision")
        },
        model_version=coded([answer.model_version for answer in answers]),
        missing_features=coded([answer.missing_features for answer in answers]),
        unseen_categories=coded([answer.unseen_categories for answer in answers]),
        variant=coded([variant] * len(answers)),
    )


def coded(values):
    return Coded(np.arange(len(values)), values)


# a process of several that share their metrics, as BentoML's workers do
WORKER = """
import sys
import numpy as np
from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.serving.answers import answer_type
from kedro_mlops.serving.metrics import Metrics
from kedro_mlops.serving.bulk_answers import TableAnswers
from kedro_mlops.task.outputs import DecisionRule, Probability

output = Probability(DecisionRule(threshold=0.41))
Answer = answer_type(output)

metrics = Metrics()
answers = [Answer(str(i), i / 10, i > 4, "v1", {}, []) for i in range(10)]
for answer in answers:
    metrics.answered(answer, "champion")
predicted = output.of_rows(np.array([answer.probability for answer in answers]))
same = [Coded(np.zeros(len(answers), int), [value]) for value in ("v1", {}, [], "champion")]
many = TableAnswers(["x"] * len(answers), predicted, *same)
metrics.answered_many(many)
metrics.in_progress.inc()
metrics.log_bytes.set(int(sys.argv[1]))
metrics.dropped(5)
metrics.dropped(7)
metrics.flush()
"""
GATHER = """
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


@pytest.fixture
def metrics(fresh_metrics):
    return Metrics()


def told(name, **labels):
    return prometheus_client.REGISTRY.get_sample_value(name, labels)


def test_rows_are_counted_alike_one_by_one_and_together(metrics):
    for answer in ANSWERS:
        metrics.answered(answer, "champion")
    metrics.answered_many(as_table(ANSWERS, "canary"))
    metrics.flush()

    for variant in ("champion", "canary"):
        model = {"model_version": "v1", "variant": variant}
        assert told("model_predictions_total", **model, decision="false") == 2
        assert told("model_predictions_total", **model, decision="true") == 1
        assert told("model_prediction_score_count", **model) == 3
        assert told("model_prediction_score_sum", **model) == pytest.approx(1.15)
        assert told("model_prediction_score_bucket", **model, le="0.1") == 2
        assert told("model_prediction_score_bucket", **model, le="0.9") == 2
        assert told("model_prediction_score_bucket", **model, le="1.0") == 3
    assert told("model_missing_features_total", feature="wind", reason="no_key") == 4
    assert told("model_missing_features_total", feature="sun", reason="stale") == 2
    assert told("model_unseen_categories_total", column="depot") == 2


def test_what_was_told_is_not_told_again(metrics):
    metrics.looked_up("table", "read")
    metrics.feature_age("table", 3)
    before = told("feature_store_lookups_total", table="table", result="read")
    for _ in range(3):
        metrics.flush()

    assert before == 0
    assert told("feature_store_lookups_total", table="table", result="read") == 1
    assert told("feature_age_days_bucket", table="table", le="3.0") == 1
    assert told("feature_age_days_bucket", table="table", le="2.0") == 0


def test_what_the_log_removed_is_counted_from_its_total(metrics):
    for total in (0, 100, 100, 250):
        metrics.dropped(total)

    assert told("prediction_log_dropped_bytes_total") == 250


def test_the_models_and_what_the_challenger_does_are_told(metrics):
    metrics.comes({"champion": spec_of(model_version="v1", as_of="1970-01-01T00:02:03")})
    metrics.switched("shadow")
    metrics.switched("off")

    assert told("model_trained_timestamp_seconds", model_version="v1", variant="champion") == 123
    assert [told("challenger_mode", mode=mode) for mode in ("off", "shadow", "canary")] == [1, 0, 0]
    family = {"family": "gradient_boosting", "engine": "scikit-learn"}
    assert told("model_info", model_version="v1", variant="champion", **family) == 1
    assert told("model_served", model_version="v1") == 1

    metrics.leaves({"champion": spec_of(model_version="v1")})

    assert told("model_info", model_version="v1", variant="champion", **family) == 0
    assert told("model_served", model_version="v1") == 0


@pytest.mark.parametrize("bounds", [SECONDS, TENTHS])
def test_many_values_are_observed_as_one_by_one(bounds):
    values = [*bounds, *(bound * 1.0001 for bound in bounds), 0.0, 1e9]
    registry = prometheus_client.CollectorRegistry()
    one, many = (
        prometheus_client.Histogram(name, name, buckets=bounds, registry=registry)
        for name in ("one", "many")
    )

    for value in values:
        one.observe(value)
    observe_many(many, values)

    said = [
        {
            (s.name.partition("_")[2], s.labels.get("le")): s.value
            for s in histogram.collect()[0].samples
            if not s.name.endswith("created")
        }
        for histogram in (one, many)
    ]
    assert said[0].keys() == said[1].keys()
    assert all(said[0][key] == pytest.approx(said[1][key]) for key in said[0])


def test_a_histogram_of_other_parts_is_told_value_by_value():
    class Other:
        def __init__(self):
            self.values = []

        def observe(self, value):
            self.values.append(value)

    other = Other()

    observe_many(other, [1.0, 2.0])

    assert other.values == [1.0, 2.0]


def test_processes_that_share_their_metrics_add_up(tmp_path):
    import os

    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    for n_bytes in ("10", "30"):
        command = [sys.executable, "-c", WORKER, n_bytes]
        subprocess.run(command, env=environment, check=True)

    done = subprocess.run(
        [sys.executable, "-c", GATHER], env=environment, capture_output=True, text=True, check=True
    )

    lines = dict(
        line.rsplit(" ", 1) for line in done.stdout.splitlines() if line and line[0] != "#"
    )
    model = 'model_version="v1",variant="champion"'
    assert lines[f'model_predictions_total{{decision="true",{model}}}'] == "20.0"
    assert lines[f"model_prediction_score_count{{{model}}}"] == "40.0"
    assert lines[f'model_prediction_score_bucket{{le="0.1",{model}}}'] == "8.0"
    assert lines["prediction_log_dropped_bytes_total"] == "14.0"


def test_every_metric_is_declared_just_once(metrics):
    tree = ast.parse(inspect.getsource(module))
    kinds = ("Counter", "Gauge", "Histogram")
    names = [
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    ]

    assert len(names) > 15
    assert max(Counter(names).values()) == 1
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Metrics()
