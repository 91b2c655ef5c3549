"""Contributions, judged by the package shap in an environment of its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import skops.io
import uv
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from kedro_mlops.export.compiled import compile_trees
from kedro_mlops.models.contributions import linear_contributions
from kedro_mlops.models.package import TRUSTED_TYPES
from kedro_mlops.runtime.trees import Trees

N_ROWS, WIDTH = 1500, 6
NAMES = [f"x{i}" for i in range(WIDTH)]
WITH_SHAP = [uv.find_uv_bin(), "run", "--no-sync", "--with", "shap==0.51.*", "python", "-c"]
JUDGE = """
import sys, pathlib, numpy, shap, skops.io
folder, *trusted = sys.argv[1:]
for found in pathlib.Path(folder).iterdir():
    rows = numpy.load(found / "rows.npy")
    model = skops.io.load(found / "model.skops", trusted=trusted)
    if hasattr(model, "coef_"):
        explainer = shap.LinearExplainer(model, numpy.zeros((1, rows.shape[1])))
    else:
        explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")
    values = explainer.shap_values(rows)
    numpy.savez(found / "judged.npz", values=values, base=explainer.expected_value)
"""


def run(*arguments):
    # what it would compile is used once
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    return subprocess.run(
        [*WITH_SHAP, *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """By engine and task: what we find, and what shap does, the base at the end."""
    there = run("")
    if there.returncode:
        pytest.skip(f"shap cannot be had here: {there.stderr[-300:]}")
    folder = tmp_path_factory.mktemp("judged")
    found = {name: make(folder / name) for name, make in MADE.items()}
    done = run(JUDGE, str(folder), *TRUSTED_TYPES)
    assert done.returncode == 0, done.stderr
    return {name: (ours, _read(folder / name)) for name, ours in found.items()}


def _read(folder):
    judged = np.load(folder / "judged.npz")
    values = np.moveaxis(judged["values"], 2, 1) if judged["values"].ndim > 2 else judged["values"]
    base = np.broadcast_to(np.squeeze(judged["base"]), values.shape[:-1])
    return np.concatenate([values, base[..., None]], axis=-1)


def _labels(n_classes):
    """Rows, and what follows from several columns together."""
    random = np.random.default_rng(n_classes)
    X = random.normal(size=(N_ROWS, WIDTH))
    y = X[:, 0] * X[:, 1] + X.sum(axis=1) + random.normal(size=N_ROWS)
    if n_classes:
        y = np.digitize(y, np.quantile(y, np.linspace(0, 1, n_classes + 1)[1:-1]))
    return X, y


def _trees(n_classes):
    def make(folder: Path):
        folder.mkdir()
        X, y = _labels(n_classes)
        X[::7, 2] = np.nan
        kind = HistGradientBoostingClassifier if n_classes else HistGradientBoostingRegressor
        model = kind(max_iter=20, early_stopping=False, random_state=0).fit(X, y)
        _write(folder, model, X[:100])
        compile_trees(model, WIDTH, folder / "trees.so")
        return Trees(folder / "trees.so", WIDTH).contributions(X[:100])

    return make


def _linear(n_classes):
    def make(folder: Path):
        folder.mkdir()
        X, y = _labels(n_classes)
        rows = pd.DataFrame(X, columns=NAMES)
        preprocessing = ColumnTransformer([("numeric", StandardScaler(), NAMES)])
        model = LogisticRegression() if n_classes else Ridge()
        estimator = Pipeline([("preprocessing", preprocessing), ("model", model)]).fit(rows, y)
        _write(folder, model, estimator[:-1].transform(rows[:100]))
        return linear_contributions(estimator, rows[:100])

    return make


def _write(folder, model, rows):
    np.save(folder / "rows.npy", rows)
    skops.io.dump(model, folder / "model.skops")


MADE = {
    **{f"trees, {n_classes} classes": _trees(n_classes) for n_classes in (0, 2, 3)},
    **{f"linear, {n_classes} classes": _linear(n_classes) for n_classes in (0, 2, 3)},
}


@pytest.mark.parametrize("name", MADE)
def test_contributions_are_those_of_shap(judged, name):
    ours, theirs = judged[name]

    assert ours.shape == theirs.shape
    assert np.abs(ours[..., :-1]).max() > 0.1
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
