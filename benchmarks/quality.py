"""How well small tables are learned, beside a random search of boosted trees, on the same rows.

What is compared is the share of the simplest baseline's loss that is won on rows that neither has
seen: those that the project sets aside as what came after training.
"""

import time
from pathlib import Path
from typing import NamedTuple

import ibis
import numpy as np
import pandas as pd
import yaml
from scipy.stats import loguniform, randint, uniform
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import RandomizedSearchCV

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.time_params import AsOf
from kedro_mlops.measures.metrics import Bootstrap
from kedro_mlops.modelling.fitting import fit_winner
from kedro_mlops.modelling.nodes import split_windows
from kedro_mlops.modelling.parameters import CodeVersion, Modelling
from kedro_mlops.modelling.tuning import tune
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import scores_of
from kedro_mlops.task.outputs import Floats

TABLES = ("breast_cancer", "wine", "digits", "diabetes")
FAMILIES_OF = {
    "classifier": {"logistic_regression": 2, "gradient_boosting": 6},
    "regressor": {"ridge": 2, "gradient_boosting": 6},
}
CONF = Path(__file__).parents[1] / "conf/base/parameters_modelling.yml"
AS_OF, NOWHERE = AsOf("2024-01-01"), CodeVersion(git_commit="unknown", lock_hash="")
BOOTSTRAP = Bootstrap(n_resamples=50, confidence=0.95, seed=0)
N_WORKERS, MOST_SECONDS = 2, 45
N_SEARCHED, N_FOLDS, N_PARTS = 40, 5, 3
SEARCHED = {
    "learning_rate": loguniform(0.02, 0.3),
    "max_iter": randint(20, 300),
    "max_leaf_nodes": randint(3, 48),
    "min_samples_leaf": randint(2, 50),
    "l2_regularization": loguniform(1e-3, 100),
    "max_features": uniform(0.2, 0.8),
}


class Quality(NamedTuple):
    """The loss on rows that nobody has seen, and the seconds that it took.

    Attributes:
        baseline: The loss of what says the same of every row.
    """

    table: str
    baseline: float
    ours: float
    searched: float
    our_seconds: float
    searched_seconds: float

    @property
    def share(self) -> float:
        """What is won of the baseline's loss, as a share of what the search wins."""
        return (self.baseline - self.ours) / (self.baseline - self.searched)


def compare(name: str, seed: int, n_searched: int = N_SEARCHED) -> Quality:
    """Learn one table both ways; another seed sets other rows aside."""
    columns, rows = _table(name, seed)
    params = _parameters(columns)
    windows = split_windows(columns, ibis.memtable(rows), AS_OF, params)
    known = pd.concat(windows, ignore_index=True)
    everything = columns.outcomes(ibis.memtable(rows)).to_pandas()
    fresh = everything[~everything["row"].isin(known["row"])]
    task, began = columns.task, time.perf_counter()
    labels = task.labels(fresh[columns.label])

    recipe, *_ = tune(
        columns, FAMILIES, *windows, pd.DataFrame(), None, params, BOOTSTRAP, seed, NOWHERE
    )
    fitted = fit_winner(columns, FAMILIES, *windows, recipe, None, params, seed, NOWHERE)
    our_seconds = time.perf_counter() - began
    ours = scores_of(task.output(), fitted.final, fresh[columns.features])

    began = time.perf_counter()
    search = _search(columns, seed, n_searched).fit(known[columns.features], known[columns.label])
    searched_seconds = time.perf_counter() - began
    searched = task.output().ask(search.best_estimator_, fresh[columns.features])
    mean = np.broadcast_to(task.mean(task.labels(known[columns.label])), ours.shape)

    def loss(scores: Floats) -> float:
        return float(task.row_loss(labels, scores).mean())

    return Quality(name, loss(mean), loss(ours), loss(searched), our_seconds, searched_seconds)


def _table(name: str, seed: int) -> tuple[Columns, pd.DataFrame]:
    read = getattr(datasets, f"load_{name}")(as_frame=True)
    rows = read.data.assign(row=[f"{seed}-{i}" for i in range(len(read.data))])
    features = {each: (float, column(each, feature=True)) for each in read.data}
    if name == "diabetes":
        of_label = (float, column("What is asked", label="regression"))
        rows["label"] = read.target.astype(float)
    else:
        classes = [str(each) for each in read.target_names]
        kind = {"positive": classes[-1]} if len(classes) == 2 else {}
        task = "binary" if kind else "multiclass"
        of_label = (str, column("What is asked", label=task, isin=classes, **kind))
        rows["label"] = np.array(classes)[read.target]
    fields = {"row": (str, column("Its number", key=True)), **features, "label": of_label}
    types = {each: kind for each, (kind, _) in fields.items()}
    body = {"__annotations__": types, **{each: field for each, (_, field) in fields.items()}}
    return Columns.of(type(name, (Contract,), body)), rows.astype({"label": types["label"]})


def _parameters(columns: Columns) -> Modelling:
    """Those of the project, with the families that learn it."""
    said = yaml.safe_load(CONF.read_text())["modelling"]
    n_trials = FAMILIES_OF[columns.task.estimator]
    more = {"n_trials": n_trials, "n_workers": N_WORKERS, "max_tuning_seconds": MOST_SECONDS}
    return Modelling(**said | more)


def _search(columns: Columns, seed: int, n_searched: int) -> RandomizedSearchCV:
    learner, scoring = HistGradientBoostingClassifier, "neg_log_loss"
    if columns.task.estimator == "regressor":
        learner, scoring = HistGradientBoostingRegressor, "neg_mean_squared_error"
    return RandomizedSearchCV(
        learner(early_stopping=False, random_state=seed),
        SEARCHED,
        n_iter=n_searched,
        cv=N_FOLDS,
        scoring=scoring,
        n_jobs=N_WORKERS,
        random_state=seed,
    )


def on_average(name: str, n_searched: int = N_SEARCHED) -> Quality:
    """Likewise, on average of as many parts that are set aside: one of them is few rows."""
    found = [compare(name, seed, n_searched)[1:] for seed in range(N_PARTS)]
    return Quality(name, *np.mean(found, axis=0))


def measure() -> None:
    """Print both, table by table."""
    print("loss on fresh rows, and the share won of what a random search wins\n")
    columns = ("baseline", "searched", "ours", "share", "seconds", "searched")
    print(f"{'':16}" + "".join(f"{name:>10}" for name in columns))
    for name in TABLES:
        found = on_average(name)
        losses = f"{found.baseline:10.4g}{found.searched:10.4g}{found.ours:10.4g}"
        seconds = f"{found.our_seconds:10.0f}{found.searched_seconds:10.0f}"
        print(f"{name:16}{losses}{found.share:10.1%}{seconds}", flush=True)
