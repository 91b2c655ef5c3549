import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from driving.warm_start import run_warm
from kedro.framework.cli.utils import KedroCliError, _check_module_importable

from kedro_mlops.champion import moves
from kedro_mlops.cli import commands
from kedro_mlops.cli.commands import run
from kedro_mlops.core.errors import ProjectError


def failed_in(project: Path, output: Path, *typed: str) -> str:
    """All that a command says that fails."""
    status = run_warm(["kedro", *typed], project, dict(os.environ), output, timeout=300)
    assert status == 1
    return "".join((output / name).read_text() for name in ("stdout", "stderr"))


@pytest.mark.parametrize("option", ["--pipelines", "--pipeline"])
def test_a_misspelt_pipeline_is_named_with_what_it_may_have_meant(option: str) -> None:
    arguments: list[Any] = [option, "modeling"]

    result = CliRunner().invoke(run, arguments)

    assert result.exit_code == 1
    assert "There is no pipeline 'modeling'. Did you mean 'modelling'?" in result.output


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("--from-nodes=nowhere", r"nodes named \['nowhere'\]\. `kedro registry describe`"),
        ("--to-outputs=nothing", r"datasets named \['nothing'\]\. .*describe-datasets"),
        ("--namespaces=nobody", r"namespaces: \['nobody'\]\. `kedro"),
        ("--tags=none", "no nodes after applying all provided filters"),
        ("--nodes=release.store_model", "Nothing keeps 'selected', .* by --to-nodes in place"),
        ("--runner=Nobody", "There is no runner 'Nobody'.*by the SequentialRunner"),
        ("--runner=no.where.Nobody", "There is no runner 'no.where.Nobody'"),
    ],
)
def test_a_part_of_a_run_that_there_is_not_is_named_with_the_next_step(
    pytestconfig: pytest.Config, tmp_path: Path, typed: str, said: str
) -> None:
    failed = failed_in(pytestconfig.rootpath, tmp_path, "run", typed)

    assert re.search(rf"^Error: .*{said}", failed, re.MULTILINE), failed
    assert "Traceback" not in failed


def test_an_error_of_kedros_own_commands_says_what_is_wrong(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    failed = failed_in(pytestconfig.rootpath, tmp_path, "registry", "describe", "nothing")

    assert failed.startswith("Error: 'nothing' pipeline not found")
    assert "NoneType" not in failed


def test_a_package_that_a_command_of_kedro_needs_is_named_with_the_next_step(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["kedro", "jupyter", "lab"])

    with pytest.raises(KedroCliError) as missing:
        _check_module_importable("no_such_lab")
    missing.value.show()

    assert capsys.readouterr().err == (
        "Error: no_such_lab is not installed. For this once: "
        "`uv run --with no_such_lab kedro jupyter lab`.\n"
    )


def test_a_winner_whose_release_fails_keeps_no_loop_from_its_training(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: Any) -> None:
        raise ProjectError("It answers otherwise.")

    monkeypatch.setattr(moves, "promote_winner", fail)

    commands._promote_winner(catalog=None)

    assert "has won its trial is not promoted: It answers otherwise." in capsys.readouterr().err


def test_help_lists_every_command_once(pytestconfig: pytest.Config) -> None:
    said = subprocess.run(
        [sys.executable, "-m", "kedro", "--help"],
        cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip

    listed = re.findall(r"^  ([a-z]+)  ", said, re.MULTILINE)
    assert {"run", "serve", "retrain", "replay", "champion"} <= set(listed)
    assert len(listed) == len(set(listed))
