"""How the rows that a model learns from and is measured on are divided."""

from dataclasses import dataclass

import ibis.expr.types as ir
from pydantic import Field, PositiveInt, model_validator

from kedro_mlops.core.time_params import Parameters


class Splits(Parameters):
    """How rows are divided: by days where they have a date, else by shares."""

    validation_days: int = Field(gt=0, description="Days before the test window, for tuning")
    test_days: int = Field(gt=0, description="Last days before as-of, measured once")
    validation_share: float = Field(
        0.2, gt=0, lt=1, description="Of rows without a date: the share for tuning"
    )
    test_share: float = Field(0.2, gt=0, lt=1, description="Of them, the share measured once")
    later_share: float = Field(
        0.2, gt=0, lt=1, description="Of them, the share set aside as what came after training"
    )
    max_rows: PositiveInt | None = Field(
        None,
        description="Labelled rows that come into memory at most, to learn from and to measure on, "
        "drawn by their keys; null: all",
    )

    @model_validator(mode="after")
    def _some_are_left_to_learn_from(self) -> "Splits":
        if self.bounds[1] <= 0:
            raise ValueError(
                "validation_share, test_share and later_share leave no rows to train on: their "
                "sum must be below 1."
            )
        return self

    @property
    def bounds(self) -> tuple[float, ...]:
        """Where train, validation, test and what came after begin and end."""
        later = 1 - self.later_share
        test = later - self.test_share
        # of decimal shares, what they say
        return 0.0, *(round(end, 9) for end in (test - self.validation_share, test, later)), 1.0


@dataclass(frozen=True)
class Side:
    """Labelled rows that are used alike.

    Attributes:
        rows: Them, or those that were drawn, in their order; labels are numbers or codes.
        end: Until when they are, in words.
        remedy: What to do if there are too few.
    """

    rows: ir.Table
    end: str
    remedy: str
