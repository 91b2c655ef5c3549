"""The families of models that may be tried, and what each needs.

A project declares its own, with or without these; the catalog entries of models, and the service,
name where.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.task.task import Task

from .preprocessing import SinglePrecision, linear_preprocessing, tree_preprocessing

if TYPE_CHECKING:
    # a service imports families, too, and has no Optuna
    from optuna import Trial

Hyperparameters = dict[str, Any]

# exact second-order steps are cubic in the number of coefficients: a second each, at so many
MANY_COEFFICIENTS = 1_000


@dataclass(frozen=True)
class Family:
    """A kind of model: how it is built, where it is searched, and what whoever loads it needs.

    Attributes:
        preprocessing: What scikit-learn does with the columns before the estimator.
        classifier: An estimator of scikit-learn's kind, that takes a ``random_state``; none where
            the family has none for classes.
        regressor: Likewise, for numbers.
        takes_loss: Whether they take the task's ``loss``.
        fixed: Its hyperparameters that are not searched.
        wide: Those instead where there are more than ``MANY_COEFFICIENTS`` to be found, if others
            make sense then.
        default: Those of the first trial.
        suggest: Those of another trial.
        suggest_few: Likewise, where rows are so few that they are cross-validated, if others make
            sense then.
        suggest_broadly: Likewise, where nothing is known of the table before, if others make sense
            then.
        trusted: Types, by their import paths, that skops may load besides its own and the engine's.
        packages: What a Bento with such a model needs besides scikit-learn; ``uv.lock`` has them.
    """

    preprocessing: Callable[[Columns], ColumnTransformer]
    fixed: Hyperparameters
    default: Hyperparameters
    suggest: Callable[["Trial"], Hyperparameters]
    classifier: Callable[..., BaseEstimator] | None = None
    regressor: Callable[..., BaseEstimator] | None = None
    suggest_few: Callable[["Trial"], Hyperparameters] | None = None
    suggest_broadly: Callable[["Trial"], Hyperparameters] | None = None
    wide: Hyperparameters | None = None
    takes_loss: bool = False
    trusted: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()

    def learns(self, task: Task) -> bool:
        """Whether it has an estimator for such a task."""
        return getattr(self, task.estimator) is not None

    def build(
        self,
        task: Task,
        columns: Columns,
        hyperparameters: Hyperparameters,
        seed: int,
        n_coefficients: int = 0,
    ) -> Pipeline:
        """An unfitted pipeline of preprocessing and model.

        Args:
            task: What is asked.
            columns: The contract; the model is given its features.
            hyperparameters: Those that are searched.
            seed: Of the estimator.
            n_coefficients: About how many a linear model would have to find.

        Raises:
            ProjectError: if the family has no estimator for such a task.
        """
        if not self.learns(task):
            raise ProjectError(f"The family has no {task.estimator}: declare one, or try others.")
        estimator = getattr(self, task.estimator)
        loss = {"loss": task.loss.removeprefix("mean_")} if self.takes_loss else {}
        fixed = self.fixed
        if self.wide is not None and n_coefficients > MANY_COEFFICIENTS:
            fixed = self.wide
        model = estimator(**fixed, **loss, **hyperparameters, random_state=seed)
        return Pipeline([("preprocessing", self.preprocessing(columns)), ("model", model)])


Families = Mapping[str, Family]


def _suggest_linear(trial: "Trial") -> Hyperparameters:
    return {"C": trial.suggest_float("C", 1e-3, 10, log=True)}


def _suggest_ridge(trial: "Trial") -> Hyperparameters:
    return {"alpha": trial.suggest_float("alpha", 1e-3, 1e3, log=True)}


def _suggest_boosting(trial: "Trial") -> Hyperparameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.15, log=True),
        "max_iter": trial.suggest_int("max_iter", 80, 240, step=20),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 7, 47, step=4),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 20, 1000, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-2, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.3, 1.0),
    }


def _suggest_linear_few(trial: "Trial") -> Hyperparameters:
    return {"C": trial.suggest_float("C", 1e-3, 100, log=True)}


def _suggest_boosting_few(trial: "Trial") -> Hyperparameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 20, 200, step=20),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 3, 31, step=4),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 40, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-2, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.2, 1.0),
    }


def _suggest_boosting_broadly(trial: "Trial") -> Hyperparameters:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "max_iter": trial.suggest_int("max_iter", 60, 300, step=20),
        "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 64, log=True),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 2, 200, log=True),
        "l2_regularization": trial.suggest_float("l2_regularization", 1e-3, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.2, 1.0),
    }


FAMILIES: Families = {
    "logistic_regression": Family(
        preprocessing=linear_preprocessing,
        classifier=LogisticRegression,
        # exact second-order steps: few of them, as there are many more rows than columns
        fixed={"solver": "newton-cholesky"},
        default={"C": 0.1},
        suggest=_suggest_linear,
        suggest_few=_suggest_linear_few,
        suggest_broadly=_suggest_linear_few,
        wide={"solver": "lbfgs", "max_iter": 200},
    ),
    "ridge": Family(
        preprocessing=linear_preprocessing,
        regressor=Ridge,
        fixed={},
        default={"alpha": 1.0},
        suggest=_suggest_ridge,
    ),
    "gradient_boosting": Family(
        preprocessing=tree_preprocessing,
        classifier=HistGradientBoostingClassifier,
        regressor=HistGradientBoostingRegressor,
        takes_loss=True,
        # a random early-stopping split would learn from the future of its own training rows
        fixed={"early_stopping": False},
        default={
            "learning_rate": 0.05,
            "max_iter": 200,
            "max_leaf_nodes": 31,
            "min_samples_leaf": 20,
            "l2_regularization": 0.01,
            "max_features": 1.0,
        },
        suggest=_suggest_boosting,
        suggest_few=_suggest_boosting_few,
        suggest_broadly=_suggest_boosting_broadly,
    ),
}


_TREES = {"classifier": DecisionTreeClassifier, "regressor": DecisionTreeRegressor}


def loss_estimate(columns: Columns, scores: list[str], n_rows: int, seed: int) -> Pipeline:
    """Tells the loss of rows, by what is known of them and their scores; to be fitted on some.

    Of few trees with few leaves: losses vary a lot, and what is asked is their mean.
    """
    preprocessing = tree_preprocessing(columns)
    preprocessing.transformers.append(("scores", "passthrough", scores))
    trees = HistGradientBoostingRegressor(
        max_iter=50,
        max_leaf_nodes=8,
        min_samples_leaf=max(20, n_rows // 50),
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline([("preprocessing", preprocessing), ("model", trees)])


def shallow_tree(task: Task, columns: Columns, n_rows: int, seed: int) -> Pipeline:
    """The simplest sensible model: a tree that fits on a napkin, to be fitted on some rows."""
    least = min(100, max(5, n_rows // 20))
    tree = _TREES[task.estimator](max_depth=3, min_samples_leaf=least, random_state=seed)
    preprocessing = make_pipeline(tree_preprocessing(columns), SinglePrecision())
    return Pipeline([("preprocessing", preprocessing), ("model", tree)])
