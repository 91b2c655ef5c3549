import os
import re
import shutil
import stat
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from example.contracts import Inputs
from example.factories import arrays_of, fitted, observations, tiny_package
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.pipeline import Pipeline

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.export import compiled
from kedro_mlops.export.serving_form import export
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import dump_estimator, load_estimator
from kedro_mlops.models.preprocessing import tree_preprocessing
from kedro_mlops.runtime.encoding import encode_rows
from kedro_mlops.runtime.known_rows import KNOWN_ROWS
from kedro_mlops.runtime.serving_spec import MODEL, SPEC, TREES, ServingSpec, hash_of
from kedro_mlops.runtime.trees import Trees
from kedro_mlops.task.record import DecisionRule

COLUMNS = Columns.of(Inputs)
ROWS = observations(200)
TOLERANCE = 1e-9


def program(folder, name, script):
    """A program on the path."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!{shutil.which('sh')}\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_compiled_trees_are_equal_to_scikit_learn_on_every_row(released, boosted, history):
    folder, spec = released
    rows = history.model_input.to_pandas()

    matrix = encode_rows(arrays_of(rows, COLUMNS), spec.encoding)
    served = Trees(folder / TREES, spec.encoding.width).predict(matrix)

    expected = boosted.score(rows)
    np.testing.assert_allclose(served, expected, rtol=0, atol=1e-12)
    output = boosted.metadata.output
    decisions = output.of_rows(expected)["decision"]
    assert (output.of_rows(served)["decision"] == decisions).all()
    assert 0.05 < decisions.mean() < 0.95


def test_a_plan_says_what_serves_and_where_it_comes_from(released, boosted, windows):
    folder, spec = released

    assert spec.engine == "compiled trees"
    assert re.fullmatch(
        rf"Equal to scikit-learn on {len(windows[-1]):,} rows, (within .*|to the last bit)\.",
        spec.engine_reason,
    )
    assert sorted(path.name for path in folder.iterdir()) == [KNOWN_ROWS, SPEC, TREES]
    assert spec.files == {
        name: hash_of((folder / name).read_bytes()) for name in (KNOWN_ROWS, TREES)
    }
    assert (spec.model_version, spec.output) == (boosted.version, boosted.metadata.output)
    assert spec.features == boosted.metadata.features
    assert spec.event_time == COLUMNS.event_time
    assert [field.name for field in spec.fields] == [
        column.name for column in (*COLUMNS.sent, *COLUMNS.looked_up)
    ]
    assert ServingSpec.read(folder, hash_of((folder / SPEC).read_bytes())) == spec


def test_scikit_learn_serves_what_is_not_made_of_trees(tmp_path):
    package = tiny_package("logistic_regression")

    spec = export(package, COLUMNS, ROWS, TOLERANCE, tmp_path)

    assert spec.engine == "scikit-learn"
    assert spec.engine_reason == (
        "LogisticRegression is not compiled; trees of HistGradientBoosting are."
    )
    assert spec.files == {
        name: hash_of((tmp_path / name).read_bytes()) for name in (KNOWN_ROWS, MODEL)
    }
    # what it has seen is known all the same
    assert spec.encoding.categories.keys() == set(COLUMNS.features_of_kind("categorical"))
    assert set(spec.encoding.categories["courier"]) == set(ROWS["courier"])
    served = load_estimator((tmp_path / MODEL).read_bytes())
    np.testing.assert_array_equal(
        served.predict_proba(ROWS[package.metadata.features])[:, 1], package.score(ROWS)
    )


def falls_back(folder, package=None, rows=ROWS, tolerance=TOLERANCE):
    """Why scikit-learn serves a model of trees; nothing else of the attempt may be left."""
    spec = export(package or tiny_package(), COLUMNS, rows, tolerance, folder)
    assert spec.engine == "scikit-learn"
    assert sorted(path.name for path in folder.iterdir()) == [KNOWN_ROWS, MODEL]
    assert list(spec.files) == [KNOWN_ROWS, MODEL]
    return spec.engine_reason


def test_without_compiler_scikit_learn_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "out").mkdir()

    assert falls_back(tmp_path / "out") == "There is no C compiler here (cc, gcc or clang)."


@pytest.mark.parametrize("script", ["echo no room >&2; exit 1", "kill -9 $$"])
def test_where_the_compiler_fails_scikit_learn_serves_and_its_words_are_told(
    tmp_path, monkeypatch, script
):
    compiler = program(tmp_path / "bin", "cc", script)
    monkeypatch.setenv("PATH", str(compiler.parent))
    (tmp_path / "out").mkdir()

    why = falls_back(tmp_path / "out")

    assert why.startswith(f"`{compiler}` failed: ")
    assert ("no room" in why) == ("no room" in script)


def test_where_the_compiler_cannot_be_run_scikit_learn_serves(tmp_path, monkeypatch):
    compiler = program(tmp_path / "bin", "cc", "")
    compiler.write_bytes(b"\0no program")
    monkeypatch.setenv("PATH", str(compiler.parent))
    (tmp_path / "out").mkdir()

    assert f"`{compiler}` failed" in falls_back(tmp_path / "out")


def test_a_compiler_that_makes_what_cannot_be_loaded_is_found_out(tmp_path, monkeypatch):
    compiler = program(tmp_path / "bin", "cc", f"echo no library > {TREES}")
    monkeypatch.setenv("PATH", str(compiler.parent))
    (tmp_path / "out").mkdir()

    assert "cannot be used here" in falls_back(tmp_path / "out")


def test_one_run_compiles_a_model_once(tmp_path, monkeypatch):
    calls = tmp_path / "calls"
    compiler = program(
        tmp_path / "bin", "cc", f'echo called >> {calls}; exec {compiled.compiler()} "$@"'
    )
    monkeypatch.setenv("PATH", f"{compiler.parent}:{os.environ['PATH']}")
    package = tiny_package()

    for folder in (tmp_path / "measured", tmp_path / "released"):
        folder.mkdir()
        assert export(package, COLUMNS, ROWS, TOLERANCE, folder).engine == "compiled trees"

    assert calls.read_text() == "called\n"
    measured, released = (tmp_path / name / TREES for name in ("measured", "released"))
    assert measured.read_bytes() == released.read_bytes()


@pytest.fixture
def tampered(tmp_path, monkeypatch):
    """Lets the compiled trees answer something else than the probability."""

    def tamper(answer):
        source, right = compiled.SOURCE.read_text(), "link(out + r * N_OUTPUTS)"
        assert right in source
        wrong = tmp_path / "wrong/trees.c"
        wrong.parent.mkdir()
        wrong.write_text(source.replace(right, f"{right}, out[r] = {answer}"))
        monkeypatch.setattr(compiled, "SOURCE", wrong)

    (tmp_path / "out").mkdir()
    return tamper


def test_trees_that_differ_are_found_out(tmp_path, tampered):
    tampered("out[r] + (r == 50 ? 1e-6 : 0.0)")

    why = falls_back(tmp_path / "out")

    assert why.startswith("Compiled, the trees differ from scikit-learn by 1e-06 in their scores")
    assert why.endswith("of which 1e-09 is accepted, and in 0 of 200 decisions.")


def test_decisions_must_be_the_same_whatever_the_tolerance(tmp_path, tampered):
    tampered("1")

    assert "in 0 of 200 decisions" not in falls_back(tmp_path / "out", tolerance=10)


def test_trees_that_answer_no_number_are_found_out(tmp_path, tampered):
    tampered("NAN")

    assert "differ from scikit-learn by nan" in falls_back(tmp_path / "out")


class Numbers(Contract):
    """A contract without any text."""

    moment: pd.Timestamp = column("Moment", event_time=True)
    number: float = column("Number", feature=True, nullable=True)


def test_a_contract_without_categories_is_compiled_too(tmp_path):
    rows = pd.DataFrame({"moment": pd.Timestamp("2013-07-15"), "number": np.arange(100.0)})
    columns = Columns.of(Numbers)
    model = HistGradientBoostingClassifier(max_iter=3)
    estimator = Pipeline([("preprocessing", tree_preprocessing(columns)), ("model", model)])
    estimator.fit(rows[["number"]], rows["number"] > 40)
    package = replace(tiny_package(features=["number"]), estimator=estimator)

    spec = export(package, columns, rows, TOLERANCE, tmp_path)

    assert (spec.engine, spec.encoding.numbers) == ("compiled trees", ["number"])


class Visits(Contract):
    """A contract with categories by target, and dates."""

    opened_at: pd.Timestamp = column("Moment", feature=True, nullable=True)
    street: str = column("Of many", feature=True, by_target=True, nullable=True)
    label: str = column("What is asked", label="multiclass", isin=["a", "b", "c"])


def test_categories_by_target_and_dates_are_compiled_and_explained(tmp_path):
    columns, rng = Columns.of(Visits), np.random.default_rng(0)
    streets = np.array([*(f"street {i}" for i in range(40)), None])[rng.integers(0, 41, 400)]
    rows = pd.DataFrame(
        {
            "opened_at": pd.date_range("1999-01-01", periods=400, freq="31h").astype(
                "datetime64[us]"
            ),
            "street": pd.array(streets, "str"),
        }
    )
    labels = (pd.factorize(streets)[0] + (np.arange(400) > 200)) % 3
    boosting = FAMILIES["gradient_boosting"]
    model = boosting.build(columns.task, columns, {"max_iter": 20}, seed=0)
    estimator = load_estimator(dump_estimator(model.fit(rows, labels)))
    said = {"task": "multiclass", "classes": ["a", "b", "c"], "features": columns.features}
    package = replace(tiny_package(rule=DecisionRule(), **said), estimator=estimator)
    asked = rows.assign(street=rows["street"].where(np.arange(400) % 9 > 0, "nowhere"))

    spec = export(package, columns.inputs, asked, TOLERANCE, tmp_path)

    assert spec.engine == "compiled trees"
    trees = Trees(tmp_path / TREES, spec.encoding.width)
    matrix = encode_rows(arrays_of(asked, columns), spec.encoding)
    np.testing.assert_allclose(trees.predict(matrix), package.score(asked), rtol=0, atol=1e-15)
    explained = trees.contributions(matrix)
    np.testing.assert_allclose(explained.sum(axis=2), trees.raw(matrix), rtol=0, atol=1e-9)
    assert spec.encoding.made_of == ["street"] * 3 + ["opened_at"] * 4


def test_another_model_of_trees_is_served_by_scikit_learn(tmp_path):
    small = RandomForestClassifier(n_estimators=2, max_depth=2, random_state=0)
    features = COLUMNS.features
    estimator = Pipeline([("preprocessing", fitted()[0]), ("model", small)])
    small.fit(fitted()[0].transform(ROWS[features]), np.arange(len(ROWS)) % 2)
    package = replace(tiny_package(), estimator=estimator)

    assert falls_back(tmp_path, package).startswith("RandomForestClassifier is not compiled")


def of_three_classes(**said):
    """A package with a model that has learned three classes."""
    model = HistGradientBoostingClassifier(max_iter=2)
    estimator = Pipeline([("preprocessing", fitted()[0]), ("model", model)])
    model.fit(fitted()[0].transform(ROWS[COLUMNS.features]), np.arange(len(ROWS)) % 3)
    return replace(tiny_package(**said), estimator=estimator)


def test_trees_of_other_classes_than_are_answered_are_left_to_scikit_learn(tmp_path):
    why = falls_back(tmp_path, of_three_classes())

    assert why == ("Compiled, the trees give scores of shape (200, 3), scikit-learn (200,).")


def test_trees_of_several_classes_are_compiled(tmp_path):
    rule = DecisionRule(costs=[[0, 1, 1], [1, 0, 1], [9, 9, 0]])
    package = of_three_classes(task="multiclass", classes=["a", "b", "c"], rule=rule)

    spec = export(package, COLUMNS, ROWS, TOLERANCE, tmp_path)

    assert (spec.engine, spec.output) == ("compiled trees", package.metadata.output)
    matrix = encode_rows(arrays_of(ROWS, COLUMNS), spec.encoding)
    served = Trees(tmp_path / TREES, spec.encoding.width).predict(matrix)
    np.testing.assert_allclose(served, package.score(ROWS), rtol=0, atol=1e-12)
    assert spec.output.told[-1].description == "The class that is expected to cost least"
    assert ServingSpec.read(tmp_path, spec.write(tmp_path)) == spec


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
def test_trees_of_numbers_are_compiled(tmp_path, loss):
    preprocessing = fitted()[0]
    label = ROWS["distance_km"].to_numpy() * 2
    model = HistGradientBoostingRegressor(max_iter=5, loss=loss)
    model.fit(preprocessing.transform(ROWS[COLUMNS.features]), label)
    estimator = Pipeline([("preprocessing", preprocessing), ("model", model)])
    rule = DecisionRule(margin=3.5, coverage=0.9)
    of_numbers = tiny_package(task="regression", classes=[], unit="km", rule=rule)
    package = replace(of_numbers, estimator=estimator)

    spec = export(package, COLUMNS, ROWS, TOLERANCE, tmp_path)

    assert (spec.engine, spec.output) == ("compiled trees", package.metadata.output)
    matrix = encode_rows(arrays_of(ROWS, COLUMNS), spec.encoding)
    served = Trees(tmp_path / TREES, spec.encoding.width).predict(matrix)
    np.testing.assert_allclose(served, package.score(ROWS), rtol=1e-12)
    assert np.ptp(served) > 1
    # what scores are counted in is known from the test window alone
    assert spec.score_buckets == sorted(package.reference.score.edges["probability"])


def test_preprocessing_that_does_more_is_left_to_scikit_learn(tmp_path):
    from sklearn.compose import ColumnTransformer

    numbers = COLUMNS.features_of_kind("numeric")
    preprocessing = ColumnTransformer([("own", "passthrough", numbers)])
    model = HistGradientBoostingClassifier(max_iter=2)
    estimator = Pipeline([("preprocessing", preprocessing), ("model", model)])
    estimator.fit(ROWS[COLUMNS.features], np.arange(len(ROWS)) % 2)
    package = replace(tiny_package(), estimator=estimator)

    assert "preprocessing" in falls_back(tmp_path, package)


def test_the_machine_has_a_compiler_for_these_tests():
    assert compiled.compiler(), f"install gcc; PATH is {os.environ['PATH']}"
