import json

import jsonschema
import numpy as np
import pyarrow as pa
import pytest

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.serving.additions import Additions
from kedro_mlops.serving.problem_details import ARROW, JSON
from kedro_mlops.serving.warm_up import warm_up
from kedro_mlops.task.outputs import DecisionRule, Probability


def advice(probabilities, decisions):
    """What to do,
    in words."""
    return np.where(decisions, 'Say "wait".', "Nothing: gö.")


def odds(probabilities, decisions):
    return np.where(decisions, probabilities / (1 - probabilities), np.nan)


def percent(probabilities, decisions):
    return (probabilities * 100).astype(int)


def near(probabilities, decisions):
    return np.abs(probabilities - 0.5) < 0.1


FUNCTIONS = [advice, odds, percent, near]
OUTPUT = Probability(DecisionRule(threshold=0.5))
NAMES = [function.__name__ for function in FUNCTIONS]


@pytest.fixture
def adding(state):
    return state(also=FUNCTIONS)


@pytest.fixture
def body(real_rows, adding):
    names = [field.name for field in adding.served.predictor.model.spec.sent]
    return json.dumps({"rows": json_records(real_rows[names])}).encode()


def one_by_one(state, body):
    rows = state.store.complete_all(state.served.reader.judged(body))
    return json.loads(state.served.predictor.answer(rows))["predictions"]


def test_what_is_added_is_in_every_answer_in_whatever_form(adding, body):
    rows = one_by_one(adding, body)
    bulk = json.loads(adding.served.answer_large(JSON, body, JSON).body)["predictions"]
    table = pa.ipc.open_stream(adding.served.answer_large(JSON, body, ARROW).body).read_all()

    decided = {answer["decision"] for answer in rows}
    for answer in rows:
        p, decision = answer["probability"], answer["decision"]
        assert answer["advice"] == ('Say "wait".' if decision else "Nothing: gö.")
        assert answer["odds"] == (pytest.approx(p / (1 - p)) if decision else None)
        assert answer["percent"] == int(p * 100)
        assert answer["near"] is (abs(p - 0.5) < 0.1)
    assert decided == {True, False}
    assert [{name: answer[name] for name in NAMES} for answer in bulk] == [
        {name: answer[name] for name in NAMES} for answer in rows
    ]
    assert table.select(NAMES).to_pylist() == [
        {name: answer[name] for name in NAMES} for answer in rows
    ]


def test_what_is_added_is_documented_with_its_type_and_its_docstring(adding, body):
    document = json.loads(adding.served.docs["/docs.json"].body)
    schema = document["components"]["schemas"]["Answer"]
    answers = document["paths"]["/predict"]["post"]["responses"]["200"]["content"]
    [example] = answers["application/json"]["example"]["predictions"]

    said = {name: schema["properties"][name] for name in NAMES}

    assert [said[name]["type"] for name in ("advice", "percent", "near")] == [
        "string", "integer", "boolean",
    ]  # fmt: skip
    assert said["odds"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert said["odds"]["description"].startswith("null where")
    assert schema["properties"]["advice"]["description"] == "What to do, in words."
    assert set(NAMES) <= set(schema["required"])
    for answer in [example, *one_by_one(adding, body)]:
        jsonschema.validate(answer, schema)


def test_without_additions_answers_are_as_they_were(state, example):
    plain = state()
    body = json.dumps({"rows": [example]}).encode()

    [answer] = one_by_one(plain, body)
    [large] = json.loads(plain.served.answer_large(JSON, body, JSON).body)["predictions"]

    assert not set(NAMES) & answer.keys()
    assert large.keys() == answer.keys()


def test_nothing_is_logged_of_what_cannot_be_answered(state, example):
    def late(probabilities, decisions):
        if 0.75 not in probabilities:
            raise RuntimeError("it does not work today")
        return decisions

    broken = state(also=[late])
    body = json.dumps({"rows": [example]}).encode()

    with pytest.raises(RuntimeError, match="not work today"):
        one_by_one(broken, body)
    with pytest.raises(RuntimeError, match="not work today"):
        broken.served.answer_large(JSON, body, JSON)

    assert broken.prediction_log.n_bytes == 0


def test_what_is_added_is_tried_before_anybody_asks(state):
    asked = []

    def heard(probabilities, decisions):
        asked.append(len(probabilities))
        return decisions

    warm_up(state(also=[heard]).served)

    assert asked[-1] > 2


@pytest.mark.parametrize(
    "wrong", [lambda p, d: "all", lambda p, d: p[:1], lambda p, d: d.astype(object)]
)
def test_a_function_that_has_no_value_for_each_row_is_refused_with_its_name(wrong):
    wrong.__name__ = "advice"

    with pytest.raises(ProjectError, match=r"test_additions\.advice must return an array of 2"):
        Additions([wrong], OUTPUT)


def test_names_that_answers_have_already_are_refused():
    def decision(probabilities, decisions):
        return decisions

    with pytest.raises(ProjectError, match="names of its own, unlike prediction_id"):
        Additions([decision], OUTPUT)
    with pytest.raises(ProjectError, match="names of its own"):
        Additions([advice, advice], OUTPUT)
