"""A service of several classes, and one of numbers: all that one of two classes does."""

import io
import json

import jsonschema
import msgspec
import numpy as np
import pandas as pd
import prometheus_client
import pyarrow as pa
import pytest
from example import ingestion
from example.contracts import Inputs
from example.factories import observations
from example.other_tasks import FATES, FateObservation, FatePrediction, small_package
from example.tasks import DelayObservation, DelayPrediction
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.prediction_log.datasets import read_log
from kedro_mlops.runtime.encoding import Coded
from kedro_mlops.serving.answers import answer_type
from kedro_mlops.serving.bulk_answers import TableAnswers, write_arrow, write_json
from kedro_mlops.serving.problem_details import ARROW, JSON
from kedro_mlops.serving.warm_up import warm_up
from kedro_mlops.task.outputs import DecisionRule, Probabilities, Quantity
from kedro_mlops.task.task import Costs

INPUTS = Columns.of(Inputs)
PREDICTIONS = {FateObservation: FatePrediction, DelayObservation: DelayPrediction}
# by what is dearer to miss, another class is taken than the most probable one
DEAR = Costs(of_classes={FATES[2]: {FATES[0]: 9, FATES[1]: 5}})
MADE = ["prediction_id", "predicted_at"]
ROWS = 600  # a table of the log has them


class Served:
    """A model of such a task, and what it is released as."""

    def __init__(self, observation, family, folder, seed=0, costs=None):
        self.observation, self.folder = observation, folder
        self.package = small_package(observation, family, seed, costs)
        columns = Columns.of(observation)
        rows = observations(columns=columns)
        label = columns[columns.label]
        self.spec = export(self.package, INPUTS, rows, 1e-9, folder, "parcels", label)
        self.spec.write(folder)
        self.released = folder, self.spec
        self.output = self.spec.output
        self.names = [each.name for each in self.output.told]
        self.log = Columns.of(PREDICTIONS[observation]).without_personal()


KINDS = {
    "classes by trees": (FateObservation, "gradient_boosting", "compiled trees", DEAR),
    "classes by scikit-learn": (FateObservation, "logistic_regression", "scikit-learn", None),
    "numbers by trees": (DelayObservation, "gradient_boosting", "compiled trees", None),
    "numbers by scikit-learn": (DelayObservation, "ridge", "scikit-learn", None),
}


@pytest.fixture(scope="module", params=KINDS)
def served(request, tmp_path_factory):
    observation, family, engine, costs = KINDS[request.param]
    found = Served(observation, family, tmp_path_factory.mktemp("served"), costs=costs)
    assert found.spec.engine == engine, found.spec.engine_reason
    return found


@pytest.fixture(scope="module", params=["classes by trees", "numbers by trees"])
def both(request, tmp_path_factory):
    """A champion, and a challenger that says otherwise."""
    observation, family, _, costs = KINDS[request.param]
    return [
        Served(observation, family, tmp_path_factory.mktemp("served"), seed, costs)
        for seed in (0, 1)
    ]


@pytest.fixture(scope="module")
def asked(real_rows):
    """Rows as callers send them, some with what the model has not seen, or the store has not."""
    rows = pd.concat([real_rows, real_rows.head(ROWS - len(real_rows))], ignore_index=True)
    rows["distance_km"] = np.linspace(1, 9_999, ROWS)
    rows["parcel_number"] = np.arange(1, ROWS + 1)
    rows.loc[::11, "van"] = None
    return rows[INPUTS.only(*(c.name for c in INPUTS.sent)).names]


def body_of(rows):
    return json.dumps({"rows": json_records(rows)}).encode()


def stream(rows):
    table, sink = pa.Table.from_pandas(rows, preserve_index=False), io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def row_by_row(one, rows):
    completed = one.store.complete_all(one.served.reader.judged(body_of(rows)))
    return json.loads(one.served.predictor.answer(completed))["predictions"]


def as_json(one, rows):
    return json.loads(one.served.answer_large(JSON, body_of(rows), JSON).body)["predictions"]


def as_arrow(one, rows):
    answers = pa.ipc.open_stream(
        one.served.answer_large(ARROW, stream(rows), ARROW).body
    ).read_all()
    return answers.to_pylist()


WAYS = [row_by_row, as_json, as_arrow]


@pytest.fixture
def some(served, way, asked):
    """Of these rows, fewer where each takes scikit-learn some 20 ms."""
    slow = way is row_by_row and served.spec.engine == "scikit-learn"
    return asked.iloc[::20].reset_index(drop=True) if slow else asked


def logged(served, folder):
    """The rows of the log, in the types of the contract."""
    rows = read_log(folder, served.log).to_pandas()
    return rows.astype({c.name: c.types.pandas for c in served.log.all})


def predicted(served, log):
    """What the model's package says of the rows that were logged."""
    return pd.DataFrame(served.package.predict(log))


@pytest.mark.parametrize("way", WAYS)
def test_answers_and_log_are_the_predictions_of_the_model(served, way, state, some, tmp_path):
    one = state(served=served.released, max_rows=ROWS)

    answers = pd.DataFrame(way(one, some))

    log = logged(served, tmp_path / "log")
    expected = predicted(served, log)
    assert list(expected) == served.names
    assert len(log) == len(answers) == len(some)
    pd.testing.assert_frame_equal(answers[served.names], expected, rtol=0, atol=1e-12)
    pd.testing.assert_frame_equal(log[served.names], answers[served.names])
    assert log["prediction_id"].tolist() == answers["prediction_id"].tolist()
    assert len(expected.drop_duplicates()) > 5


def test_all_ways_log_the_same(served, state, asked, tmp_path):
    logs = []
    for way in WAYS:
        folder = tmp_path / way.__name__
        one = state(served=served.released, max_rows=ROWS, prediction_log_dir=str(folder))
        way(one, asked.head(30))
        logs.append(logged(served, folder).drop(columns=MADE))

    for log in logs[1:]:
        pd.testing.assert_frame_equal(log, logs[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_what_was_logged_is_ingested(served, way, state, some, tmp_path):
    one = state(served=served.released, max_rows=ROWS)
    answers = pd.DataFrame(way(one, some)).set_index("prediction_id")
    one.close()
    contract = PREDICTIONS[served.observation]
    datasets = ingestion.datasets(tmp_path, f"{contract.__module__}.{contract.__name__}")

    ingestion.run(datasets)

    found = datasets["served_predictions"].load().to_pandas().set_index("prediction_id")
    assert not (tmp_path / "served/rejected").exists()
    pd.testing.assert_frame_equal(
        found.loc[answers.index, served.names], answers[served.names], check_dtype=False
    )


def test_every_class_is_answered(tmp_path, state, asked):
    served = Served(FateObservation, "logistic_regression", tmp_path)
    answers = as_json(state(served=served.released, max_rows=ROWS), asked)

    assert {answer["prediction"] for answer in answers} == {*FATES}
    for answer in answers:
        told = [answer[f"probability_{name}"] for name in FATES]
        assert answer["prediction"] == FATES[int(np.argmax(told))]
        assert sum(told) == pytest.approx(1)


def test_the_answers_are_as_the_document_says(served, state, asked):
    one = state(served=served.released, max_rows=ROWS)
    document = json.loads(one.served.docs["/docs.json"].body)
    schema = document["components"]["schemas"]["Answer"]
    content = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    [example] = content["application/json"]["example"]["predictions"]

    answers = [*row_by_row(one, asked.head(5)), *as_json(one, asked.head(5))]

    for answer in [example, *answers]:
        jsonschema.validate(answer, schema, jsonschema.Draft202012Validator)
        assert list(answer) == schema["required"]
    assert list(schema["properties"]) == [*schema["required"], "explanation"]
    assert list(schema["properties"])[1 : 1 + len(served.names)] == served.names
    assert all(schema["properties"][name]["description"] for name in served.names)
    assert f"`{served.spec.label}`" in document["info"]["description"]


def test_the_document_names_the_classes_and_bounds_the_probabilities(state, tmp_path):
    one = state(served=Served(FateObservation, "gradient_boosting", tmp_path).released)

    said = json.loads(one.served.docs["/docs.json"].body)["components"]["schemas"]["Answer"][
        "properties"
    ]

    assert said["prediction"]["type"] == "string"
    assert said["prediction"]["enum"] == FATES
    for name in FATES:
        field = said[f"probability_{name}"]
        assert (field["type"], field["minimum"], field["maximum"]) == ("number", 0, 1)
        assert name in field["description"]


def test_the_document_says_the_unit_and_what_intervals_are(state, tmp_path):
    one = state(served=Served(DelayObservation, "gradient_boosting", tmp_path).released)

    said = json.loads(one.served.docs["/docs.json"].body)["components"]["schemas"]["Answer"][
        "properties"
    ]

    names = ["prediction", "prediction_low", "prediction_high"]
    assert [said[name]["type"] for name in names] == ["number"] * 3
    assert all("minutes" in said[name]["description"] for name in names)
    assert "80% of the time" in said["prediction_low"]["description"]


def test_info_says_what_is_asked_and_how_it_is_decided(served, state):
    said = json.loads(state(served=served.released).info)

    rule = served.package.metadata.rule
    if served.observation is FateObservation:
        assert (said["task"], said["label"], said["classes"]) == ("multiclass", "fate", FATES)
        assert said.get("costs") == rule.costs
        assert "unit" not in said
    else:
        assert (said["task"], said["label"], said["unit"]) == ("regression", "delay", "minutes")
        assert (said["coverage"], said["margin"]) == (0.8, rule.margin)
        assert "classes" not in said
    assert not {"positive", "threshold"} & said.keys()


def test_info_says_how_well_the_model_decides(state, boosted):
    said = json.loads(state().info)

    assert said["confusion"] == boosted.evaluation.confusion
    assert said["metrics"].keys() == boosted.metadata.metrics.keys()
    assert sum(said["confusion"].values()) > 0


def test_info_of_two_classes_says_which_is_the_positive_one(state):
    said = json.loads(state().info)

    assert (said["task"], said["label"]) == ("binary", "late")
    assert said["positive"] is True
    assert said["classes"] == [False, True]
    assert said["threshold"] == 0.25


def told(name, **labels):
    return prometheus_client.REGISTRY.get_sample_value(name, labels)


@pytest.mark.parametrize("way", WAYS)
def test_decisions_are_counted_by_class_and_scores_in_their_buckets(served, way, state, some):
    one = state(served=served.released, max_rows=ROWS)
    model = {"model_version": served.spec.model_version, "variant": "champion"}
    decisions = FATES if served.observation is FateObservation else [""]
    before = [told("model_predictions_total", **model, decision=name) for name in decisions]

    answers = pd.DataFrame(way(one, some))

    one.metrics.flush()
    assert before == [0] * len(decisions)
    counted = [told("model_predictions_total", **model, decision=name) for name in decisions]
    if served.observation is FateObservation:
        assert counted == [(answers["prediction"] == name).sum() for name in FATES]
        scores = answers[served.names[:-1]].max(axis=1)
        buckets = served.output.buckets
    else:
        assert counted == [len(some)]
        scores, buckets = answers["prediction"], served.spec.score_buckets
        assert len(buckets) > 3
        assert scores.between(buckets[0], buckets[-1]).any()
    for bound in buckets:
        n = told("model_prediction_score_bucket", **model, le=str(float(bound)))
        assert n == (scores <= bound).sum()
    assert told("model_prediction_score_sum", **model) == pytest.approx(scores.sum())
    samples = next(iter(one.metrics.predictions.collect())).samples
    assert {s.labels["decision"] for s in samples} == {*decisions}


@pytest.mark.parametrize("way", WAYS)
def test_a_shadow_is_logged_and_compared(both, way, state, asked, tmp_path):
    champion, challenger = both
    one = state(
        challenger.released, served=champion.released, max_rows=ROWS, challenger_mode="shadow"
    )

    answers = pd.DataFrame(way(one, asked))

    log = logged(champion, tmp_path / "log")
    ours, theirs = (log[log["variant"] == name] for name in ("champion", "shadow"))
    assert {*answers["model_version"]} == {champion.spec.model_version}
    assert {*theirs["model_version"]} == {challenger.spec.model_version}
    for found, model in ((ours, champion), (theirs, challenger)):
        rows = found.sort_values("parcel_number", ignore_index=True)
        assert len(rows) == ROWS
        expected = predicted(model, rows)
        pd.testing.assert_frame_equal(rows[model.names], expected, rtol=0, atol=1e-12)
    one.metrics.flush()
    version = {"model_version": challenger.spec.model_version}
    one_by_key = ours.set_index("parcel_number").sort_index()
    other = theirs.set_index("parcel_number").sort_index()
    n_otherwise = differing(champion, one_by_key, other)
    assert told("challenger_compared_total", **version) == ROWS
    assert told("challenger_disagreements_total", **version) == n_otherwise > 0
    assert told("challenger_failures_total", **version) == 0


def differing(served, one, other):
    """On how many rows other things would be done."""
    if served.observation is FateObservation:
        return (one["prediction"] != other["prediction"]).sum()
    mine = other["prediction"].between(one["prediction_low"], one["prediction_high"])
    its = one["prediction"].between(other["prediction_low"], other["prediction_high"])
    return (~mine & ~its).sum()


def test_a_canary_answers_its_share_by_all_ways(both, state, asked, tmp_path):
    champion, challenger = both
    found = []
    for way in WAYS:
        one = state(
            challenger.released,
            served=champion.released,
            max_rows=ROWS,
            challenger_mode="canary",
            challenger_share=0.3,
            prediction_log_dir=str(tmp_path / way.__name__),
        )
        found.append(pd.DataFrame(way(one, asked))[["model_version", *champion.names]])
        log = logged(champion, tmp_path / way.__name__)
        is_theirs = log["variant"] == "canary"
        assert {*log.loc[is_theirs, "model_version"]} == {challenger.spec.model_version}
        for model, told in ((challenger, log[is_theirs]), (champion, log[~is_theirs])):
            rows = told.reset_index(drop=True)
            expected = predicted(model, rows)
            pd.testing.assert_frame_equal(rows[model.names], expected, rtol=0, atol=1e-12)
        assert 0.15 < is_theirs.mean() < 0.45

    for answers in found[1:]:
        pd.testing.assert_frame_equal(answers, found[0])


def test_a_challenger_that_is_no_number_does_not_answer(both, state, asked, tmp_path, monkeypatch):
    champion, challenger = both
    one = state(
        challenger.released,
        served=champion.released,
        max_rows=ROWS,
        challenger_mode="canary",
        challenger_share=0.5,
    )
    model = one.served.predictor.challenger.model
    shape = (len(FATES),) if champion.observation is FateObservation else ()
    monkeypatch.setattr(model, "score_table", lambda rows: (np.full((ROWS, *shape), np.nan), {}))

    answers = as_json(one, asked)

    assert {answer["model_version"] for answer in answers} == {champion.spec.model_version}
    one.metrics.flush()
    version = {"model_version": challenger.spec.model_version}
    assert told("challenger_failures_total", **version) > 0


def test_a_challenger_of_which_another_thing_is_asked_is_refused(both, state, released, tmp_path):
    champion, _ = both

    with pytest.raises(ProjectError, match="cannot be tried beside"):
        state(champion.released, challenger_mode="shadow")
    changed = {"classes": FATES[::-1], "unit": "h"}
    other = champion.folder, msgspec.structs.replace(champion.spec, **changed)
    with pytest.raises(ProjectError, match="cannot be tried beside"):
        state(other, served=champion.released, challenger_mode="shadow")


def named(scores, decisions):
    """What was decided, in words."""
    return np.array([str(decision) for decision in decisions.tolist()])


def surest(scores, decisions):
    return scores.reshape(len(scores), -1).max(axis=1)


@pytest.mark.parametrize("way", WAYS)
def test_additions_are_given_scores_and_decisions(served, way, state, some):
    one = state(served=served.released, max_rows=ROWS, also=[named, surest])
    warm_up(one.served)

    answers = way(one, some)

    schema = json.loads(one.served.docs["/docs.json"].body)["components"]["schemas"]["Answer"]
    for answer in answers:
        told = [answer[name] for name in served.names]
        if served.observation is FateObservation:
            assert answer["named"] == told[-1]
            assert answer["surest"] == max(told[:-1])
        else:
            assert answer["named"] == str(told[1:])
            assert answer["surest"] == told[0]
    if way is not as_arrow:
        jsonschema.validate(answers[0], schema)
    assert schema["properties"]["named"]["description"] == "What was decided, in words."


# whatever is predicted, and whatever classes are called

finite = st.floats(-1e300, 1e300)
names_of_classes = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=8).filter(
        lambda text: text.isprintable() and not {*text} & {'"', "\\"}
    ),
    min_size=3,
    max_size=5,
    unique_by=str.lower,
)


@st.composite
def some_scores(draw):
    """An output, and scores of some rows."""
    n_rows = draw(st.integers(1, 6))
    if draw(st.booleans()):
        alike = {"margin": draw(st.floats(0, 1e300))}
        unlike = {"margins": [(-5.0, 0.5), (0.0, draw(st.floats(0, 9))), (1e6, 7.0)]}
        rule = DecisionRule(**(alike if draw(st.booleans()) else unlike), coverage=0.9)
        return Quantity(rule), draw(arrays(float, n_rows, elements=finite))
    classes = draw(names_of_classes)
    costs = draw(st.none() | arrays(float, (len(classes),) * 2, elements=st.floats(0, 100)))
    rule = DecisionRule(costs=None if costs is None else costs.tolist())
    shape = (n_rows, len(classes))
    return Probabilities(rule, classes), draw(arrays(float, shape, elements=st.floats(0, 1)))


@given(some_scores())
def test_rows_and_tables_are_written_alike(of):
    output, scores = of
    answer = answer_type(output)
    n_rows = len(scores)
    same = np.zeros(n_rows, np.int64)
    ids = pa.array([f"{i:032}" for i in range(n_rows)])
    coded = [Coded(same, [value]) for value in ("v1", {}, [], "champion")]
    table = TableAnswers(ids, output.of_rows(scores), *coded)

    rows = [
        answer(name, *output.of_row(score), "v1", {}, [])
        for name, score in zip(ids.to_pylist(), scores.tolist(), strict=True)
    ]

    singly = json.loads(msgspec.json.encode(rows))
    assert json.loads(write_json(table.told()))["predictions"] == singly
    arrow = pa.ipc.open_stream(write_arrow(table.told())).read_all()
    names = [each.name for each in output.told]
    assert arrow.select(names).to_pylist() == [
        {name: row[name] for name in names} for row in singly
    ]
    assert bool(np.all(output.is_sound(output.columns(scores))))
    assert not np.any(output.differ(output.columns(scores), output.columns(scores)))
