import numpy as np
import pandas as pd
import pytest
from example.adopted import adopted

from kedro_mlops.core.errors import ProjectError

N = 400


def rows(target):
    random = np.random.default_rng(0)
    return pd.DataFrame({"size": random.normal(5, 1, len(target)).round(3), "churned": target})


def repeated(*values):
    return [values[i % len(values)] for i in range(N)]


@pytest.mark.parametrize(
    ("target", "task", "options"),
    [
        (repeated("no", "yes"), "binary", {"isin": ["no", "yes"], "positive": "yes"}),
        (repeated(0, 1), "binary", {"isin": [0, 1], "positive": 1}),
        (repeated("True", "False"), "binary", {}),
        # the rarer one, as no word says which
        (
            repeated("here", "here", "gone"),
            "binary",
            {"isin": ["here", "gone"], "positive": "gone"},
        ),
        (repeated("red", "green", "blue"), "multiclass", {"isin": ["blue", "green", "red"]}),
        (repeated(1, 2, 3), "multiclass", {"isin": ["1", "2", "3"]}),
        ([i * 0.37 for i in range(N)], "regression", {"ge": 0}),
        ([i - 200 for i in range(N)], "regression", {}),
    ],
)
def test_the_task_follows_from_the_target(target, task, options, tmp_path):
    label = adopted(rows(target), tmp_path, "churned").label

    assert label.task == task
    assert label.options == options


def test_a_person_says_otherwise(tmp_path):
    table = rows(repeated(1, 2, 3))

    assert adopted(table, tmp_path, "churned", task="regression").label.task == "regression"
    table = rows(repeated("no", "yes"))
    assert adopted(table, tmp_path, "churned", positive="no").label.classes == ("yes", "no")


def test_whole_numbers_of_which_some_are_rare_are_a_number(tmp_path):
    assert adopted(rows([*repeated(1, 2, 3), 9]), tmp_path, "churned").label.task == "regression"


@pytest.mark.parametrize(
    ("target", "asked", "said"),
    [
        (repeated("no", "yes"), {"target": "churn"}, "Did you mean 'churned'?"),
        (repeated("no"), {}, "always no (400): there is nothing to tell apart"),
        (["no", "yes"] * 20 + [None] * 360, {}, "missing in 360 of 400 rows"),
        (["no", "yes"] * 10, {}, "20 rows have a 'churned'"),
        ([*repeated("a", "b", "c"), "d"], {}, "too rare to be on every side of a split: d (1)"),
        ([f"c{i % 120}" for i in range(1200)], {}, "120 classes, and 100 are the most"),
        (repeated("no", "yes"), {"positive": "maybe"}, "There are no, yes"),
        (repeated("a", "b", "c"), {"task": "binary"}, "no binary task. Say --task multiclass"),
        (repeated("a", "b", "c"), {"task": "regression"}, "is text, and no number"),
        (repeated("2020-01-01", "2021-01-02", "2022-05-05"), {}, "holds moments"),
        (repeated("no", "yes"), {"drop": ("sise",)}, "Did you mean 'size'?"),
        (repeated("no", "yes"), {"time": "size"}, "It holds no moments"),
        (repeated("no", "yes"), {"key": ("churned",)}, "It is the target"),
    ],
)
def test_what_cannot_be_learned_is_refused_with_the_next_step(target, asked, said, tmp_path):
    with pytest.raises(ProjectError) as refused:
        adopted(rows(target), tmp_path, **{"target": "churned", **asked})

    assert said in str(refused.value)
