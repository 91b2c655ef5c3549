"""The example asked otherwise: not whether a parcel comes late, but how it comes, and how late."""

from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import pandas as pd

from example.contracts import Inputs
from example.factories import FIRST_DAY, observations
from example.trained import Trained, model
from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.core.time_params import AsOf, Horizon, Window
from kedro_mlops.modelling import nodes as modelling
from kedro_mlops.modelling.fitting import fit
from kedro_mlops.modelling.parameters import Modelling
from kedro_mlops.models.families import FAMILIES
from kedro_mlops.models.package import ModelPackage, content_hash
from kedro_mlops.prediction_log.contract import PredictionColumns

N_DAYS, N_ROWS, SEED = 70, 4200, 0
AS_OF, HORIZON, WINDOW = AsOf("2013-02-26"), Horizon(days=14), Window(days=7)


class Known(Contract):
    """When it is known."""

    known_at: pd.Timestamp = column("When it came", label_time=True, nullable=True)


class Coming(Known):
    """How it came: of one of three kinds."""

    coming: str = column(
        "How it came", label="multiclass", isin=["early", "on_time", "late"], nullable=True
    )


class Delay(Known):
    """How late it came: a number."""

    delay: float = column(
        "How late it came", label="regression", unit="minutes", coverage=0.8, nullable=True
    )


class TypicalDelay(Known):
    """How late it came, where it is the typical parcel that counts."""

    delay: float = column(
        "How late it came", label="regression", loss="mean_absolute_error", nullable=True
    )


class ComingObservation(Coming, Inputs):
    """One row to learn from."""


class DelayObservation(Delay, Inputs):
    """One row to learn from."""


class TypicalDelayObservation(TypicalDelay, Inputs):
    """One row to learn from."""


class ComingPrediction(PredictionColumns, Inputs, of=Coming):
    """One row of the prediction log."""


class DelayPrediction(PredictionColumns, Inputs, of=Delay):
    """One row of the prediction log."""


class TypicalDelayPrediction(PredictionColumns, Inputs, of=TypicalDelay):
    """One row of the prediction log."""


ASKED = {
    "classes": (ComingObservation, ComingPrediction),
    "number": (DelayObservation, DelayPrediction),
    "typical_number": (TypicalDelayObservation, TypicalDelayPrediction),
}
LINEAR = {"classifier": "logistic_regression", "regressor": "ridge"}


@dataclass(frozen=True)
class Life:
    """What one question makes of the example.

    Attributes:
        columns: Of what is learned from.
        logged: Of the prediction log.
        rows: All that there are, before and after the as-of day.
        windows: Train, validation and test.
        trained: What the modelling nodes made of them.
    """

    columns: Columns
    logged: Columns
    rows: pd.DataFrame
    windows: list[pd.DataFrame]
    params: Modelling
    trained: Trained

    @property
    def model_input(self) -> ir.Table:
        """The rows as a table of the engine."""
        return ibis.memtable(self.rows)

    @property
    def candidate(self) -> ModelPackage:
        """What was packaged."""
        return self.trained.candidate

    @property
    def linear(self) -> str:
        """The linear family that learns it."""
        return LINEAR[self.columns.task.estimator]

    def of_family(self, name: str, **hyperparameters: Any) -> ModelPackage:
        """The candidate, with a model of a family in the place of its own."""
        family = FAMILIES[name]
        found = family.default | hyperparameters
        estimator = fit(self.columns, family, found, SEED, *self.windows[:2])
        package = replace(self.candidate, estimator=estimator)
        return package.with_record(
            family=name,
            hyperparameters=found,
            content_hash=content_hash(estimator),
            version=f"2013-{name}",
        )


def live(asked: str, params: Modelling, **stages: Any) -> Life:
    """Through the modelling nodes, from rows to a candidate."""
    columns, logged = (Columns.of(contract) for contract in ASKED[asked])
    rows = observations(N_ROWS, N_DAYS, SEED, columns)
    # some never come
    rows.loc[::50, columns.label] = None
    model_input = ibis.memtable(rows)
    n_trials = {LINEAR[columns.task.estimator]: 2, "gradient_boosting": 2}
    params = params.model_copy(update={"n_trials": n_trials})
    windows = modelling.split_windows(columns, model_input, AS_OF, params)
    found = model(model_input, windows, AS_OF, WINDOW, params, columns=columns, **stages)
    return Life(columns, logged.without_personal(), rows, windows, params, found)


assert AS_OF.after(HORIZON.days) == FIRST_DAY + pd.Timedelta(days=N_DAYS)
