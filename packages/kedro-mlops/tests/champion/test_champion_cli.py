import subprocess
import sys

import pytest
from click.testing import CliRunner

from kedro_mlops.cli.commands import cli

HEAVY = ["bentoml", "ibis", "pandas", "sklearn"]


def test_the_commands_explain_themselves() -> None:
    said = CliRunner().invoke(cli, ["champion", "--help"]).output

    listed = "show release history candidates rollback promote reproduce explain"
    for command in listed.split():
        assert f"  {command} " in said
        assert CliRunner().invoke(cli, ["champion", command, "--help"]).exit_code == 0


@pytest.mark.parametrize("arguments", [["reproduce"], ["explain"]])
def test_what_a_command_cannot_do_without_is_asked_for(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["champion", *arguments])

    assert done.exit_code == 2
    assert "Missing" in done.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["2013-a"],
        [],
        ["--reason", "why"],
        ["2013-a", "--reason", "why", "--winner"],
        ["2013-a", "--winner"],
        ["--reason", "why", "--winner"],
    ],
)
def test_a_person_promotes_with_a_reason_and_the_loop_only_a_winner(arguments: list[str]) -> None:
    done = CliRunner().invoke(cli, ["champion", "promote", *arguments])

    assert done.exit_code == 2
    assert "Say VERSION and --reason, --from and --reason, or only --winner." in done.output


def test_help_tells_of_which_environment_parameters_are():
    said = CliRunner().invoke(cli, ["champion", "promote", "--help"]).output

    assert "What --params says is of this one alone." in " ".join(said.split())


def test_help_does_not_wait_for_what_is_heavy() -> None:
    script = f"import sys, kedro_mlops.cli.commands; print(*set({HEAVY}) & set(sys.modules))"

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == ""
