"""From model input to a candidate: split, fit, package."""

import hashlib
import logging
import time
from dataclasses import astuple, dataclass
from typing import Annotated, Any

import ibis
import ibis.expr.types as ir
import pandas as pd
from joblib import Parallel, delayed
from pydantic import Field, PositiveInt, TypeAdapter, model_validator
from sklearn.pipeline import Pipeline

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.dated import LEAST_OF_WINDOW
from kedro_mlops.contract.folds import Folds
from kedro_mlops.contract.sample import draw
from kedro_mlops.contract.splits import Side, Splits
from kedro_mlops.contract.timelines import timeline_of
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import hash_rows
from kedro_mlops.core.threads import one_thread
from kedro_mlops.core.time_params import AsOf, Parameters, Window
from kedro_mlops.core.wording import some_of_text
from kedro_mlops.measures.drift_profile import profile
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.measures.evaluation import Evaluation, Measured, RowSample
from kedro_mlops.measures.metrics import Scored
from kedro_mlops.models.families import Families, Family, Hyperparameters, loss_estimate
from kedro_mlops.models.folded import Folded, scores_of_rows
from kedro_mlops.models.metadata import Lineage, Metadata
from kedro_mlops.models.package import ModelPackage, Unloadable, content_hash
from kedro_mlops.models.preprocessing import informative, left_out, n_coefficients
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Costs

from .parts import alike, cut_folds, folds_of, parts_by

logger = logging.getLogger(__name__)


class Importance(Parameters):
    """How permutation importance is measured."""

    n_rows: int = Field(gt=0)
    n_repeats: int = Field(gt=0)


class CrossValidation(Parameters):
    """How few rows are learned from, all of which are needed to learn and to measure."""

    folds: int = Field(gt=1, description="Parts, each of which is measured by a model of its own")
    below_rows: PositiveInt = Field(description="Labelled rows from which there are windows")
    more_trials: PositiveInt = Field(
        description="By what the trials of each family are multiplied, since they take less time"
    )


class Modelling(Splits):
    """Parameters of the modelling pipeline."""

    min_rows: int = Field(gt=0, description="Labelled rows that every window must have")
    cross_validation: CrossValidation | None = Field(
        None, description="Of tables with few rows; null: never"
    )
    n_trials: dict[str, PositiveInt] = Field(
        min_length=1, description="Trials for each family of models"
    )
    max_tuning_seconds: float | None = Field(
        gt=0,
        description="Time after which no trial begins but the first of each family; null: no limit",
    )
    max_tuning_rows: PositiveInt | None = Field(
        None,
        description="Of the rows in memory, those that a trial learns from at most, drawn by their "
        "keys, of every class its share and a few; null: all",
    )
    learning_curve: list[Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=list,
        description="Shares of the rows from which the winner is learned once more each, to see "
        "what more rows are worth; none: nothing is said of it",
    )
    broad_search: bool = Field(
        default=False,
        description="Whether hyperparameters are sought far and wide, nothing being known of the "
        "table before",
    )
    patience: PositiveInt | None = Field(
        description="Trials of a family, none of which is better than those before, after which "
        "there are no more; null: no limit"
    )
    n_trials_made: dict[str, PositiveInt] | None = Field(
        default=None,
        description="Trials after which each family ends, whatever the time: those of a search "
        "that is made again",
    )
    prefer_simpler: bool = Field(
        description="Whether a simpler family is taken that the best is not surely better than"
    )
    n_workers: int = Field(gt=0, description="Trials at the same time, a core each")
    importance: Importance

    @model_validator(mode="before")
    @classmethod
    def _of_earlier_versions(cls, data: Any) -> Any:
        """They had a limit of their own for what models learn from."""
        if isinstance(data, dict) and "max_training_rows" in data:
            raise ValueError(
                "max_training_rows is now modelling.max_rows, which limits all rows that "
                "come into memory, those of the validation and the test window among them. Call it "
                "so in conf/base/parameters_modelling.yml."
            )
        return data

    @model_validator(mode="after")
    def _windows_have_enough_rows(self) -> "Modelling":
        if self.max_rows is not None and self.max_rows * LEAST_OF_WINDOW < self.min_rows:
            raise ValueError(
                f"modelling.max_rows is {self.max_rows}, of which a window may get a tenth, and it "
                f"needs {self.min_rows} rows: take at least {10 * self.min_rows}, or a smaller "
                "min_rows."
            )
        return self

    def for_folds(self) -> "Modelling":
        """Where tables have few rows: with more trials."""
        assert self.cross_validation is not None
        more = self.cross_validation.more_trials
        n_trials = {family: n * more for family, n in self.n_trials.items()}
        return self.model_copy(update={"n_trials": n_trials})


class CodeVersion(Parameters):
    """Which code and which locked packages are running."""

    git_commit: str
    lock_hash: str

    @property
    def is_uncertain(self) -> bool:
        """Whether other code may have the same name: files differ from the commit, or none is."""
        return self.git_commit == "unknown" or self.git_commit.endswith("-dirty")

    def lineage_of(self, data_hash: str) -> Lineage:
        """Where a model comes from that this code trains on some rows."""
        return Lineage(**self.model_dump(), data_hash=data_hash)


@dataclass(frozen=True)
class Fitted:
    """The winner, fitted to be measured and to serve, and what it was fitted by and to.

    Attributes:
        evaluated: The model that is measured, fitted on all that precedes the test window; or
            one for each fold, fitted on others.
        final: The one that would serve, fitted up to the as-of moment.
        loss_estimate: What the loss of a row is expected to be, if the task needs it.
        training_seconds: What its fit took.
        recorded: What the model's metadata say of the fit, and it is known again by.
        searched: What they say of the search, of which others may end in the same fit.
    """

    evaluated: Pipeline | Folded
    final: Pipeline
    training_seconds: float
    recorded: dict[str, Any]
    searched: dict[str, Any]
    loss_estimate: Pipeline | None = None

    @property
    def folds(self) -> Folds | None:
        """Those of the rows it is measured on, if they are cross-validated."""
        return self.evaluated.folds if isinstance(self.evaluated, Folded) else None


def split_windows(
    contract: Columns, model_input: ir.Table, as_of: AsOf, params: Modelling, seed: int = 0
) -> list[pd.DataFrame]:
    """Cut the labelled rows into train, validation and test windows; see ``contract.timeline``.

    Where they are few they are cross-validated: all are test rows, but those before the first fold.
    Of more than ``max_rows`` that many are drawn, before they come into memory.

    Returns:
        Train, validation and test rows in the contract's columns, ordered by event time, or else
        as if shuffled.

    Raises:
        ProjectError: if a window has too few rows or only one class, or if there are so few rows
            that nothing can be learned from those of other folds.
    """
    timeline = timeline_of(contract)
    if params.cross_validation is not None:
        learned = timeline.learned(model_input, as_of, params, seed)
        n_rows = _count(learned)
        n_taken = min(n_rows, params.max_rows or n_rows)
        if n_taken < params.cross_validation.below_rows:
            rows = timeline.in_order(draw(contract, learned, n_taken, seed))
            return cut_folds(contract, rows.to_pandas(), params.cross_validation.folds)
    sides = timeline.split(model_input, as_of, params, seed)
    windows = [side.rows.to_pandas() for side in sides.values()]
    for (name, side), rows in zip(sides.items(), windows, strict=True):
        _check_window(contract, name, rows, side, params)
    return windows


def _count(rows: ir.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())


def count_rows(
    contract: Columns,
    model_input: ir.Table,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    as_of: AsOf,
    params: Modelling,
) -> RowSample:
    """How many labelled rows there are in each window, and how many of them were taken."""
    windows = {"train": train, "validation": validation, "test": test}
    n_taken = {name: len(rows) for name, rows in windows.items()}
    timeline = timeline_of(contract)
    if validation.empty:
        # of folds, the rows of all of them have been drawn alike
        n_rows = timeline.n_learned(model_input, as_of, params)
        n_train = round(n_rows * n_taken["train"] / sum(n_taken.values()))
        n_known = {"train": n_train, "validation": 0, "test": n_rows - n_train}
    else:
        n_known = timeline.n_labelled(model_input, as_of, params)
    if params.max_rows is None or sum(n_known.values()) <= params.max_rows:
        n_known = n_taken
    sample = RowSample(n_known=n_known, n_taken=n_taken)
    if sample.all_drawn_from is not None:
        logger.info(
            "%s rows were drawn by their keys, as modelling.max_rows says; %s",
            some_of_text(sum(n_taken.values()), sample.all_drawn_from),
            ", ".join(
                f"{name} {some_of_text(n, sample.drawn_from(name))}" for name, n in n_taken.items()
            ),
        )
    return sample


def _check_window(
    contract: Columns, name: str, rows: pd.DataFrame, side: Side, params: Modelling
) -> None:
    n_classes = rows[contract.label].nunique()
    if len(rows) < params.min_rows or n_classes < 2:
        fewer = ", or a smaller modelling.min_rows" if len(rows) < params.min_rows else ""
        raise ProjectError(
            f"The {name} window{side.end} has {len(rows)} labelled rows of {n_classes} classes; "
            f"it needs {params.min_rows} rows of 2. Choose {side.remedy}{fewer}."
        )


def fit(
    contract: Columns,
    family: Family,
    hyperparameters: Hyperparameters,
    seed: int,
    *windows: pd.DataFrame,
) -> Pipeline:
    """Fit one model on the rows of all the windows, which follow each other in time."""
    rows = pd.concat(windows, ignore_index=True)
    known = informative(contract, rows)
    width = n_coefficients(known, rows)
    model = family.build(contract.task, known, hyperparameters, seed, width)
    # sums depend, in their last digits, on the number of threads that share them
    with one_thread():
        return model.fit(rows[contract.features], rows[contract.label])


def fit_winner(
    contract: Columns,
    families: Families,
    train: pd.DataFrame,
    validation: pd.DataFrame,
    test: pd.DataFrame,
    recipe: Hyperparameters,
    known_candidate: ModelPackage | None,
    params: Modelling,
    seed: int,
    code: CodeVersion,
    sample: RowSample | None = None,
) -> Fitted:
    """Refit the winner to be measured and to serve, at the same time if there are workers for it.

    Unless the candidate that is known is of the same features, rows, recipe, seed and code: then
    its models are taken as they were fitted.
    """
    windows = (train, validation, test)
    folds = folds_of(contract, *windows, params.cross_validation)
    train, validation, of_test = alike(contract, sample, *windows, seed)
    known = pd.concat([train, validation, of_test], ignore_index=True)
    recorded = {
        "family": recipe["family"],
        "hyperparameters": recipe["hyperparameters"],
        "loss": contract.task.loss,
        "features": contract.features,
        "left_out": left_out(contract, known),
        "n_folds": len(folds) if folds else None,
        **timeline_of(contract).record(*windows),
        "n_training_rows": len(known),
        "n_known_rows": sample.all_drawn_from if sample else None,
        "lineage": code.lineage_of(hash_rows(*windows)),
        "seed": seed,
    }
    searched = {name: recipe[name] for name in ("n_trials", "choice")}
    if known_candidate is not None and not code.is_uncertain:
        fitted = _fitted_before(known_candidate, recorded, searched)
        if fitted is not None:
            return fitted
    parts = parts_by(contract, folds, train, validation, test)
    with Parallel(min(params.n_workers, 1 + len(parts)), backend="threading") as parallel:
        *measured, (final, seconds) = parallel(
            delayed(_fit_timed)(contract, families[recipe["family"]], recipe, seed, rows)
            for rows in (*(part.known for part in parts), known)
        )
    models = [model for model, _ in measured]
    evaluated = Folded(models, folds) if folds else models[0]
    estimate = fit_loss_estimate(contract, evaluated, test, seed)
    return Fitted(evaluated, final, seconds, recorded, searched, estimate)


def fit_loss_estimate(
    contract: Columns, evaluated: Pipeline | Folded, test: pd.DataFrame, seed: int
) -> Pipeline | None:
    """Learn what the loss of a row is, by what is known of it and what is predicted.

    From rows of the test window, from which the model that predicts has not learned: its errors
    on others would be too small. None where the task needs no such model.

    What it tells of new rows is right as long as the loss of a row, given what is known of it, is
    what it was on the test window (NannyML calls that direct loss estimation): it sees that more
    rows are hard to predict, and not that the world has changed.
    """
    task = contract.task
    if not task.estimates_loss:
        return None
    output = task.output()
    scores = scores_of_rows(contract, output, evaluated, contract.features, test)
    rows = test[contract.features].assign(**output.named(scores))
    known = informative(contract, rows)
    model = loss_estimate(known, output.score_columns(), len(rows), seed)
    # sums depend, in their last digits, on the number of threads that share them
    with one_thread():
        return model.fit(rows, task.row_loss(task.labels(test[contract.label]), scores))


def _fitted_before(
    known: ModelPackage, recorded: dict[str, Any], searched: dict[str, Any]
) -> Fitted | None:
    """A candidate's models, if just they would be fitted, and what the fit took is known."""
    evaluated, final = known.evaluated, known.estimator
    seconds = known.evaluation.training_seconds if known.evaluation else None
    same = all(getattr(known.metadata, name) == value for name, value in recorded.items())
    loaded = isinstance(evaluated, Pipeline | Folded) and isinstance(final, Pipeline)
    estimate = known.loss_estimate
    if not (same and loaded and seconds is not None) or isinstance(estimate, Unloadable):
        return None
    logger.info("The winner has been fitted to these rows: it is %s", known.version)
    return Fitted(evaluated, final, seconds, recorded, searched, estimate)


def _fit_timed(
    contract: Columns,
    family: Family,
    recipe: Hyperparameters,
    seed: int,
    rows: pd.DataFrame,
) -> tuple[Pipeline, float]:
    start = time.perf_counter()
    model = fit(contract, family, recipe["hyperparameters"], seed, rows)
    return model, time.perf_counter() - start


def choose_rule(
    contract: Columns, validation_predictions: pd.DataFrame, costs: Costs
) -> DecisionRule:
    """How to decide, by the validation window.

    Raises:
        ProjectError: if the costs are not those of such a task.
    """
    contract.task.check_costs(costs)
    scored = Scored.of_scores(contract, validation_predictions)
    return contract.task.choose_rule(scored.label, scored.score, costs)


def profile_reference(
    contract: Columns,
    model_input: ir.Table,
    test_predictions: pd.DataFrame,
    as_of: AsOf,
    window: Window,
    params: Modelling,
    seed: int = 0,
) -> Reference:
    """What the features looked like in training, and the scores and classes on the test window.

    Both with how much windows of that time differed, or random parts of rows without a date, which
    is what monitoring calls normal.
    """
    scored, timeline = Scored.of_scores(contract, test_predictions), timeline_of(contract)
    known = timeline.known(model_input, as_of, params, seed)
    task = contract.task
    columns, taken = task.output().score_columns(), task.output().share_columns
    scores = ibis.memtable(test_predictions[[*contract.ordered_by, *columns, *taken]])
    numeric = contract.features_of_kind("numeric")
    categorical = contract.features_of_kind("categorical", "boolean")
    of_rows, of_scores = (timeline.parts(table, as_of, window.days) for table in (known, scores))
    return Reference(
        n_days=timeline.n_days(known),
        features=profile(known, numeric, categorical, of_rows),
        score=profile(scores, columns, taken, of_scores),
        calibration=task.calibrate(scored.label, scored.score),
    )


def package_candidate(
    contract: Columns,
    fitted: Fitted,
    rule: DecisionRule,
    metrics: Measured,
    reference: Reference,
    evaluation: Evaluation,
    as_of: AsOf,
    parameters: dict[str, Any],
) -> ModelPackage:
    """Put the model together with all that must travel with it.

    Raises:
        ProjectError: if that is of another day: another training has begun since.
    """
    task, fitted_hash = contract.task, content_hash(fitted.final)
    identity = hashlib.sha256(f"{fitted_hash} {_in_short(rule)}".encode()).hexdigest()
    metadata = Metadata(
        **({"evaluated_until": as_of.moment} | fitted.recorded | fitted.searched),
        version=f"{as_of.root:%Y%m%d}-{identity[:12]}",
        content_hash=fitted_hash,
        task=task.name,
        classes=list(task.classes),
        unit=task.unit,
        rule=rule,
        as_of=as_of.moment,
        trained_until=as_of.moment,
        metrics=metrics.candidate,
        parameters=TypeAdapter(dict[str, Any]).dump_python(parameters, mode="json"),
    )
    package = ModelPackage(
        fitted.final,
        metadata,
        reference,
        evaluated=fitted.evaluated,
        evaluation=evaluation,
        loss_estimate=fitted.loss_estimate,
    )
    package.check_dates()
    return package


def _in_short(rule: DecisionRule) -> str:
    """What the rule has."""
    return " ".join(repr(value) for value in astuple(rule) if value is not None)
