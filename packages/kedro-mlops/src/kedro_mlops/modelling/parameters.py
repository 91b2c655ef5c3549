"""What can be said of modelling, and which code it is done by."""

from typing import Annotated, Any

from pydantic import Field, PositiveInt, model_validator

from kedro_mlops.contract.dated import LEAST_OF_WINDOW
from kedro_mlops.contract.splits import Splits
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.models.metadata import Lineage


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
