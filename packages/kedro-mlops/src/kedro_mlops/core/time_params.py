"""The moment at which a pipeline looks at the world, and the windows of time around it."""

from datetime import date

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, RootModel


class Parameters(BaseModel):
    """Base of typed parameters: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AsOf(RootModel[date]):
    """The first moment of a day; nothing that was known only later may be used."""

    model_config = ConfigDict(frozen=True)

    @property
    def moment(self) -> pd.Timestamp:
        """The first moment of the day."""
        return pd.Timestamp(self.root)

    def after(self, days: int) -> pd.Timestamp:
        """The moment that many days later."""
        return self.moment + pd.Timedelta(days=days)

    def before(self, days: int) -> pd.Timestamp:
        """The moment that many days earlier."""
        return self.moment - pd.Timedelta(days=days)

    def __str__(self) -> str:
        return self.root.isoformat()


class Horizon(Parameters):
    """How far beyond the as-of moment the champion is watched."""

    days: int = Field(gt=0, description="Days after the as-of moment that are scored and watched")


class Window(Parameters):
    """The stretch of time that is looked at as one."""

    days: int = Field(gt=0, description="Days of a window")
