"""A day, as people and schedulers type it."""

from datetime import datetime
from typing import Any

import click

from kedro_mlops.orchestration.loop import TODAY


class Day(click.DateTime):
    """A date, or ``today``, which is that of the machine."""

    name = "day"

    def __init__(self) -> None:
        super().__init__(["%Y-%m-%d"])

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """The first moment of the day."""
        if value == TODAY:
            return datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        day: datetime = super().convert(value, param, ctx)
        return day
