import re
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from kedro_mlops.cli.commands import run


@pytest.mark.parametrize("option", ["--pipelines", "--pipeline"])
def test_a_misspelt_pipeline_is_named_with_what_it_may_have_meant(option: str) -> None:
    arguments: list[Any] = [option, "modeling"]

    result = CliRunner().invoke(run, arguments)

    assert result.exit_code == 1
    assert "There is no pipeline 'modeling'. Did you mean 'modelling'?" in result.output


def test_help_lists_every_command_once(pytestconfig: pytest.Config) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "kedro", "--help"],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    listed = re.findall(r"^  ([a-z]+)  ", said, re.MULTILINE)
    assert {"run", "serve", "retrain", "replay", "champion"} <= set(listed)
    assert len(listed) == len(set(listed))
