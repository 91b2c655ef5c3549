"""Texts of several words as features."""

import numpy as np
import pandas as pd
import pytest

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.models.contributions import linear_contributions
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import dump_estimator, load_estimator
from kedro_mlops.models.preprocessing import left_out


class Letter(Contract):
    """Something that was written."""

    words: str = column("What was written", feature=True, text=True, nullable=True)
    pages: float = column("Pages", feature=True)
    angry: bool = column("Whether who wrote it is angry", label="binary")


COLUMNS = Columns.of(Letter)
ANGRY, CALM = ["late", "broken", "refund now", "never again"], ["thanks", "great", "see you soon"]


def letters(n_rows: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    angry = rng.random(n_rows) < 0.4
    words = [
        " ".join([*rng.choice(ANGRY if one else CALM, 3), f"number {i}"])
        for i, one in enumerate(angry)
    ]
    return pd.DataFrame(
        {
            "words": pd.array(words, "str"),
            "pages": rng.integers(1, 9, n_rows).astype(float),
            "angry": angry.astype(int),
        }
    )


@pytest.fixture(scope="module", params=["logistic_regression", "gradient_boosting"])
def model(request):
    family, rows = FAMILIES[request.param], letters(400)
    built = family.build(COLUMNS.task, COLUMNS, family.default, seed=0)
    return built.fit(rows[COLUMNS.features], rows["angry"])


def test_what_a_text_says_tells_the_label(model):
    rows = letters(200, seed=1)

    assert (model.predict(rows[COLUMNS.features]) == rows["angry"]).mean() > 0.95


def test_a_text_is_read_the_same_alone_and_among_others(model):
    rows = letters(30, seed=2)[COLUMNS.features]
    rows.loc[3, "words"] = None
    rows.loc[4, "words"] = "words that nobody knows"

    together = model[0].transform(rows)

    alone = np.vstack([model[0].transform(rows.iloc[[i]]) for i in range(len(rows))])
    assert np.isfinite(together).all()
    np.testing.assert_array_equal(alone, together)


def test_it_survives_storage_without_pickle(model):
    rows = letters(30, seed=2)[COLUMNS.features]

    loaded = load_estimator(dump_estimator(model))

    np.testing.assert_array_equal(loaded.predict_proba(rows), model.predict_proba(rows))


def test_the_contribution_of_a_text_is_told_as_one():
    family, rows = FAMILIES["logistic_regression"], letters(200)
    model = family.build(COLUMNS.task, COLUMNS, family.default, seed=0)
    model.fit(rows[COLUMNS.features], rows["angry"])

    told = linear_contributions(model, rows[COLUMNS.features])

    assert told.shape == (200, 3)
    np.testing.assert_allclose(told.sum(axis=1), model.decision_function(rows[COLUMNS.features]))


def test_texts_that_are_all_different_are_not_left_out():
    assert left_out(COLUMNS, letters(100)) == {}
