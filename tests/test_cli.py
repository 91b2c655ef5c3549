from typing import Any

import pytest
from click.testing import CliRunner

from flight_delays.cli import run


@pytest.mark.parametrize("option", ["--pipelines", "--pipeline"])
def test_a_misspelt_pipeline_is_named_with_what_it_may_have_meant(option: str) -> None:
    arguments: list[Any] = [option, "modeling"]

    result = CliRunner().invoke(run, arguments)

    assert result.exit_code == 1
    assert "There is no pipeline 'modeling'. Did you mean 'modelling'?" in result.output
