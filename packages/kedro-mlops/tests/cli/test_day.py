from datetime import datetime

import click
import pytest
from click.testing import CliRunner

from kedro_mlops.cli.commands import run
from kedro_mlops.cli.day import Day


def test_today_is_the_day_of_the_machine_and_others_are_named() -> None:
    before = datetime.now().astimezone().date()

    today = Day().convert("today", None, None)

    assert before <= today.date() <= datetime.now().astimezone().date()
    assert (today.hour, today.minute, today.second) == (0, 0, 0)
    assert Day().convert("2013-03-08", None, None).isoformat() == "2013-03-08T00:00:00"
    with pytest.raises(click.BadParameter):
        Day().convert("tomorrow", None, None)


def test_a_run_is_told_its_day_in_one_way() -> None:
    result = CliRunner().invoke(run, ["--until", "today", "--params", "as_of=2013-01-01"])

    assert result.exit_code == 1
    assert "--until says which day as_of is: leave that out of --params." in result.output
