"""What the command `adopt` says, asks and does."""

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from kedro_mlops.cli import adopt as module
from kedro_mlops.core import project

N = 400


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty project beside a table."""
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text("[tool.kedro]\n")
    monkeypatch.setattr(project, "_opened", [folder])
    random = np.random.default_rng(0)
    size = random.normal(50, 10, N).round(2)
    rows = pd.DataFrame(
        {
            "size": size,
            "signed up at": pd.date_range("2023-01-01", periods=N),
            "state": np.where(size + random.normal(0, 8, N) > 55, "gone", "here"),
        }
    )
    rows.to_csv(tmp_path / "customers.csv", index=False)
    return folder


def invoke(folder, *options, answers=None, monkeypatch=None):
    runner = CliRunner()
    if monkeypatch is not None:
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    data = str(folder.parent / "customers.csv")
    return runner.invoke(module.adopt, [data, *options], input=answers)


def contracts(folder):
    [file] = folder.glob("src/*/contracts.py")
    return file.read_text()


def test_without_a_terminal_the_proposals_are_taken(folder):
    done = invoke(folder, "--target", "state")

    assert done.exit_code == 0, done.output
    assert "customers.csv: 400 rows; state: binary" in done.output
    assert "two values; positive: gone (the rarer one" in done.output
    assert 'positive="gone"' in contracts(folder)
    assert (folder / "data/01_raw/customers.csv").exists()
    assert "Next: `make run`" in done.output


def test_in_a_terminal_only_a_person_knows_is_asked(folder, monkeypatch):
    done = invoke(folder, answers="state\nhere\nn\n", monkeypatch=monkeypatch)

    assert done.exit_code == 0, done.output
    assert "What is to be predicted?" in done.output
    assert "Which state is looked for?" in done.output
    assert "signed up at seems to say when a row happened" in done.output
    assert 'positive="here"' in contracts(folder)
    assert "event_time" not in contracts(folder)


def test_a_dry_run_changes_nothing(folder):
    done = invoke(folder, "--target", "state", "--dry-run")

    assert done.exit_code == 0, done.output
    assert "+class Inputs(Known):" in done.output
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]


def test_without_a_target_the_columns_are_named(folder):
    done = invoke(folder)

    assert done.exit_code == 1
    assert "Say what to predict: --target COLUMN. There are size, signed up at" in done.output


def test_edits_are_kept_unless_they_are_given_up(folder):
    invoke(folder, "--target", "state")
    [file] = folder.glob("src/*/contracts.py")
    file.write_text("mine\n")

    refused = invoke(folder, "--target", "state")
    forced = invoke(folder, "--target", "state", "--force")

    assert refused.exit_code == 1
    assert "contracts.py" in refused.output
    assert forced.exit_code == 0
    assert file.read_text() != "mine\n"
