"""Explained answers: one by one, together and by Arrow the same, and additive to the raw score."""

import json
from dataclasses import replace
from urllib.parse import parse_qsl

import jsonschema
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from example.contracts import Inputs, Observation
from example.factories import COLUMNS, observations
from example.http import JSON as JSON_TYPE
from example.http import problem_of
from example.other_tasks import FateObservation, small_package
from example.tasks import DelayObservation
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.serving_form import export
from kedro_mlops.models.preprocessing import linear_preprocessing
from kedro_mlops.runtime.encoding import row_encoder
from kedro_mlops.serving.additions import Additions
from kedro_mlops.serving.model import ServedModel
from kedro_mlops.serving.problem_details import ARROW, JSON
from kedro_mlops.serving.refusals import BadRequestError
from kedro_mlops.task.outputs import DecisionRule, Probability

MODELS = [
    (Observation, "gradient_boosting"),
    (Observation, "logistic_regression"),
    (FateObservation, "gradient_boosting"),
    (FateObservation, "logistic_regression"),
    (DelayObservation, "gradient_boosting"),
    (DelayObservation, "ridge"),
]
SENT = [column.name for column in Columns.of(Inputs).all if column.role.lookup is None]


def exported(package, folder, label=None):
    folder.mkdir(exist_ok=True)
    spec = export(package, Columns.of(Inputs), observations(), 1e-9, folder, label=label)
    spec.write(folder)
    return folder, spec


@pytest.fixture(scope="module", params=MODELS, ids=lambda model: f"{model[0].__name__} {model[1]}")
def model(request, tmp_path_factory):
    """A package of a task and a family, and its release."""
    observation, family = request.param
    package = small_package(observation, family)
    return package, exported(package, tmp_path_factory.mktemp("explained"))


@pytest.fixture
def asked(real_rows):
    """Rows as callers send them, some with what the model has not seen, or the store has not."""
    rows = real_rows[SENT].head(60).reset_index(drop=True)
    rows.loc[::9, "area"] = "QQQ"
    rows.loc[::11, "van"] = None
    return rows


def body_of(rows):
    return json.dumps({"rows": json_records(rows)}).encode()


def completed(state, body):
    return state.store.complete_all(state.served.reader.judged(body))


def explained(state, body):
    rows = completed(state, body)
    return json.loads(state.served.predictor.answer(rows, explain=True))["predictions"]


def raw_scores(package, state, body):
    """What scikit-learn computes of completed rows before its link; of several classes each."""
    fields = state.served.predictor.model.spec.fields
    rows = pd.DataFrame(
        [values for values, _ in completed(state, body)], columns=[field.name for field in fields]
    )
    rows = rows.astype({field.name: field.types.pandas for field in fields})[COLUMNS.features]
    estimator = package.estimator
    told = getattr(estimator, "decision_function", estimator.predict)
    return told(rows)


def test_contributions_add_up_to_the_raw_score(state, model, asked):
    package, served = model
    body, one = body_of(asked), state(served=served)

    answers = explained(one, body)

    raw = raw_scores(package, one, body)
    classes = list(package.metadata.output.classes)
    for answer, own in zip(answers, raw, strict=True):
        explanation = answer["explanation"]
        assert set(explanation["contributions"]) == set(COLUMNS.features)
        if own.ndim:
            assert explanation["class"] == answer["prediction"]
            own = own[classes.index(explanation["class"])]  # noqa: PLW2901
        total = explanation["base"] + sum(explanation["contributions"].values())
        assert total == pytest.approx(own, rel=0, abs=1e-9)
    signal = COLUMNS.features_of_kind("numeric")[0]
    assert len({answer["explanation"]["contributions"][signal] for answer in answers}) > 1


def test_in_whatever_form_the_explanation_is_the_same(state, model, asked):
    body, one = body_of(asked), state(served=model[1])
    rows = explained(one, body)

    bulk = json.loads(one.served.answer_large(JSON, body, JSON, explain=True).body)["predictions"]
    reply = one.served.answer_large(JSON, body, ARROW, explain=True)
    table = pa.ipc.open_stream(reply.body).read_all().to_pylist()

    for answer, large, row in zip(rows, bulk, table, strict=True):
        found = answer["explanation"]
        assert list(large["explanation"]) == list(found)
        assert large["explanation"].get("class") == row.get("explanation_class")
        assert large["explanation"].get("class") == found.get("class")
        assert large["explanation"]["base"] == row["explanation_base"]
        assert large["explanation"]["base"] == pytest.approx(found["base"], abs=1e-12)
        said = {name: row[f"contribution_{name}"] for name in found["contributions"]}
        assert said == large["explanation"]["contributions"]
        assert said == pytest.approx(found["contributions"], abs=1e-12)


def test_answers_are_as_the_document_says(state, model, asked):
    body, one = body_of(asked), state(served=model[1])
    document = json.loads(one.served.docs["/docs.json"].body)
    schema = {
        "$ref": "#/components/schemas/Answer",
        "components": document["components"],
        "unevaluatedProperties": False,
    }

    [plain, *_] = json.loads(one.served.predictor.answer(completed(one, body)))["predictions"]

    for answer in [plain, *explained(one, body)]:
        jsonschema.validate(answer, schema)
    assert "explanation" not in plain
    [asks] = document["paths"]["/predict"]["post"]["parameters"]
    assert (asks["name"], asks["in"], asks["schema"]["enum"]) == ("explain", "query", ["true"])
    said = document["components"]["schemas"]["Explanation"]["properties"]["base"]["description"]
    assert one.served.predictor.model.spec.output.raw in said


def test_what_is_explained_is_logged_as_what_is_not(state, asked, released):
    one = state()
    one.served.predictor.answer(completed(one, body_of(asked.head(1))))
    n_bytes = one.prediction_log.n_bytes

    one.served.predictor.answer(completed(one, body_of(asked.head(1))), explain=True)

    assert one.prediction_log.n_bytes == 2 * n_bytes


def test_columns_that_are_made_of_one_feature_are_added(released):
    folder, spec = released
    model, rows = ServedModel(folder, spec, 1), observations(20)
    made_of = np.array(spec.encoding.made_of)
    assert list(made_of).count(COLUMNS.event_time) == 2
    values = rows.astype(object).where(rows.notna(), None)[[field.name for field in spec.fields]]

    for row in values.itertuples(index=False):
        base, found = model.explain(row, 0)
        matrix = np.array([row_encoder(spec)(row)[0]])
        *columns, expected_base = model._trees.contributions(matrix)[0]
        assert base == expected_base
        for name, contribution in found.items():
            assert contribution == sum(np.array(columns)[made_of == name])


def test_a_row_is_explained_by_the_model_that_answered_it(state, released, asked, tmp_path):
    package = small_package(Observation, "logistic_regression")
    other = exported(package, tmp_path / "new", COLUMNS[COLUMNS.label])
    one = state(other, challenger_mode="canary", challenger_share=0.5)
    by_version = {found[1].model_version: ServedModel(*found, 1) for found in (released, other)}
    body = body_of(asked)
    rows = completed(one, body)

    few = explained(one, body)
    many = json.loads(one.served.answer_large(JSON, body, JSON, explain=True).body)["predictions"]

    assert {answer["model_version"] for answer in few} == set(by_version)
    for (values, _), answer, large in zip(rows, few, many, strict=True):
        expected = by_version[answer["model_version"]].explain(values, 0)
        assert answer["explanation"]["base"] == pytest.approx(expected.base)
        for found in (answer, large):
            contributions = found["explanation"]["contributions"]
            assert contributions == pytest.approx(expected.contributions, abs=1e-12)


@pytest.fixture
def unexplained(tmp_path):
    """A model of a family of which contributions are not known."""
    estimator = Pipeline(
        [("preprocessing", linear_preprocessing(COLUMNS)), ("model", GaussianNB())]
    )
    rows = observations()
    estimator.fit(rows[COLUMNS.features], rows[COLUMNS.label].astype(int))
    package = small_package(Observation, "gradient_boosting")
    return exported(replace(package, estimator=estimator), tmp_path / "other")


@pytest.mark.parametrize("guarded", [True, False])
def test_a_model_that_cannot_be_explained_says_so_and_answers_as_ever(
    state, serve, unexplained, asked, guarded
):
    one = state(served=unexplained)
    server, body = serve(one, guarded), body_of(asked.head(2))

    refused = server.ask("POST", "/predict?explain=true", body, content_type=JSON_TYPE)

    problem_of(refused, 501, "GaussianNB has no coefficients")
    assert one.prediction_log.n_bytes == 0
    with pytest.raises(BadRequestError, match="no coefficients"):
        one.served.answer_large(JSON, body, JSON, explain=True)
    assert one.prediction_log.n_bytes == 0
    assert server.ask("POST", "/predict", body, content_type=JSON_TYPE).status == 200


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize("n_rows", [1, 12, 500])
def test_explanations_are_asked_for_by_the_query(state, serve, real_rows, guarded, n_rows):
    server = serve(state(), guarded)
    body = body_of(real_rows[SENT].head(n_rows))

    plain = server.ask("POST", "/predict", body, content_type=JSON_TYPE).said["predictions"]
    asked = server.ask("POST", "/predict?explain=true", body, content_type=JSON_TYPE)
    arrow = server.ask(
        "POST", "/predict?explain=true", body, content_type=JSON_TYPE,
        accept="application/vnd.apache.arrow.stream",
    )  # fmt: skip

    assert asked.status == 200
    for answer, explanation in zip(plain, asked.said["predictions"], strict=True):
        found = explanation.pop("explanation")
        assert explanation | {"prediction_id": ""} == answer | {"prediction_id": ""}
        odds = np.log(answer["probability"] / (1 - answer["probability"]))
        total = found["base"] + sum(found["contributions"].values())
        assert total == pytest.approx(odds, abs=1e-9)
    table = pa.ipc.open_stream(arrow.body).read_all()
    assert "contribution_area" in table.column_names


@pytest.mark.parametrize("guarded", [True, False])
@pytest.mark.parametrize(
    "query",
    ["explain=false", "explain=1", "explain", "explain=", "explain=True", "Explain=true", "x=1",
     "explain=true&x=1", "explain=true&explain=true", "%ff=1", "=", "explain=true;"],
)  # fmt: skip
def test_any_other_query_is_refused(state, serve, asked, query, guarded):
    server = serve(state(), guarded)

    refused = server.ask(
        "POST", f"/predict?{query}", body_of(asked.head(1)), content_type=JSON_TYPE
    )

    problem_of(refused, 400, "?explain=true")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#")))
@example(query="explain=tru%65")
@example(query="&explain=true&")
@example(query="&")
def test_whatever_the_query_is_it_is_answered_as_it_says(served, asked, query):
    answer = served.ask("POST", f"/predict?{query}", body_of(asked.head(1)), content_type=JSON_TYPE)

    pairs = parse_qsl(query, keep_blank_values=True)
    if pairs in ([], [("explain", "true")]):
        [prediction] = answer.said["predictions"]
        assert ("explanation" in prediction) is bool(pairs)
    else:
        problem_of(answer, 400, "?explain=true")


@pytest.fixture
def served(state, serve):
    return serve(state())


@pytest.mark.parametrize("name", ["explanation", "explanation_base", "contribution_area"])
def test_what_is_added_to_answers_is_not_named_like_an_explanation(name):
    def added(probabilities, decisions):
        return decisions

    added.__name__ = name

    with pytest.raises(ProjectError, match="names of its own"):
        Additions([added], Probability(DecisionRule(threshold=0.5)))


def test_what_is_added_to_answers_stays_beside_the_explanation(state, asked):
    def doubled(probabilities, decisions):
        return 2 * probabilities

    one = state(also=[doubled])
    body = body_of(asked)

    few = explained(one, body)
    many = json.loads(one.served.answer_large(JSON, body, JSON, explain=True).body)["predictions"]

    for answer in [*few, *many]:
        assert answer["doubled"] == 2 * answer["probability"]
        assert answer["explanation"]["contributions"]
