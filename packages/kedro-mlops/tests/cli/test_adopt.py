"""What the command `adopt` says, asks and does."""

import itertools
import os
import pty
import select
import sqlite3
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from driving.kills import killed_at

from kedro_mlops.adoption.plan import Plan
from kedro_mlops.cli import adopt as module
from kedro_mlops.core import project
from kedro_mlops.core.run_lock import alone_in

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


ENDS = {"ctrl-c": b"\x03", "ctrl-d": b"\x04"}
AGAIN_SECONDS = 10
COMMAND = """
import signal
from pathlib import Path
from kedro_mlops.cli.adopt import adopt
from kedro_mlops.core import project
from kedro_mlops.core.run_lock import alone_in
# what is started in the background ignores it
signal.signal(signal.SIGINT, signal.default_int_handler)
project._opened = [Path()]
adopt(["../customers.csv"])
"""


def typed(folder, question, answer):
    """Start the command in a terminal, and answer; its status, and what it says."""
    process, terminal = pty.fork()
    if process == 0:  # pragma: no cover - is replaced
        os.chdir(folder)
        os.execv(sys.executable, [sys.executable, "-c", COMMAND])
    said, is_answered = "", False
    while True:
        ready, _, _ = select.select([terminal], [], [], AGAIN_SECONDS)
        try:
            said += os.read(terminal, 1024).decode().replace("\r", "") if ready else ""
        except OSError:  # the terminal is closed when the command has ended
            break
        # an end of input that is typed before the command listens may get lost
        if question in said and "Stopped" not in said and not (ready and is_answered):
            os.write(terminal, answer)
            is_answered = True
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), said


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


def test_wrong_answers_are_told_and_asked_again(folder, monkeypatch):
    done = invoke(folder, answers="stat\nstate\nmaybe\n\n\n", monkeypatch=monkeypatch)

    assert done.exit_code == 0, done.output
    assert "It has size, signed up at, state." in done.output
    assert "There is no column 'stat'. Did you mean 'state'?" in done.output
    assert "'maybe' is not one of" in done.output
    assert 'positive="gone"' in contracts(folder)
    assert "event_time=True" in contracts(folder)


def test_of_a_number_of_few_values_only_what_may_be_is_asked(folder, monkeypatch):
    rows = pd.read_csv(folder.parent / "customers.csv")
    rows["state"] = np.arange(len(rows)) % 7
    rows.to_csv(folder.parent / "customers.csv", index=False)

    done = invoke(
        folder, "--target", "state", answers="binary\nregression\nn\n", monkeypatch=monkeypatch
    )

    assert done.exit_code == 0, done.output
    assert "state has 7 values. Are they classes, or numbers? (multiclass, reg" in done.output
    assert "'binary' is not one of" in done.output
    assert 'label="regression"' in contracts(folder)


def test_many_columns_are_not_all_listed(folder, monkeypatch):
    rows = pd.read_csv(folder.parent / "customers.csv")
    more = pd.DataFrame({f"column {n}": rows["size"] * n for n in range(40)})
    rows.join(more).to_csv(folder.parent / "customers.csv", index=False)

    done = invoke(folder, answers="nothing like it\n", monkeypatch=monkeypatch)

    assert "column 26, …" in done.output
    assert "column 27" not in done.output


@pytest.mark.parametrize("end", ["ctrl-c", "ctrl-d"])
def test_who_stops_at_a_question_has_changed_nothing(folder, end):
    status, said = typed(folder, "What is to be predicted?", ENDS[end])

    assert status == 130
    assert said.endswith("Stopped. The project is as it was.\n")
    assert [path.name for path in folder.iterdir()] == ["pyproject.toml"]


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


def test_data_of_the_same_name_is_kept_unless_it_is_given_up(folder):
    kept = folder / "data/01_raw/customers.csv"
    kept.parent.mkdir(parents=True)
    kept.write_text("mine\n")

    refused = invoke(folder, "--target", "state")
    after = kept.read_text()
    forced = invoke(folder, "--target", "state", "--force")
    again = invoke(folder, "--target", "state")

    assert refused.exit_code == 1
    assert "data/01_raw/customers.csv" in refused.output
    assert after == "mine\n"
    assert (forced.exit_code, again.exit_code) == (0, 0)
    assert kept.read_text() == (folder.parent / "customers.csv").read_text()
    assert "Removed" not in forced.output


def test_a_database_is_reached_by_what_git_ignores_and_no_other_takes_its_name(folder):
    rows = pd.read_csv(folder.parent / "customers.csv")
    kept = folder / "conf/local/credentials.yml"
    kept.parent.mkdir(parents=True)
    kept.write_text("other: {key: 1}  # mine")
    for name in ("one", "two"):
        with sqlite3.connect(folder.parent / f"{name}.db") as database:
            rows.to_sql("customers", database, index=False)

    def adopted(name, *options):
        url = f"sqlite:///{folder.parent}/{name}.db#customers"
        runner = CliRunner()
        return runner.invoke(module.adopt, [url, "--target", "state", *options])

    first, refused, shown, forced = (
        adopted("one"), adopted("two"), adopted("two", "--dry-run"), adopted("two", "--force"),
    )  # fmt: skip

    assert [each.exit_code for each in (first, refused, shown, forced)] == [0, 1, 0, 0]
    assert "another customers_database already" in refused.output
    assert "changed, and not shown: conf/local/credentials.yml" in shown.output
    con = {"con": f"sqlite:///{folder.parent}/two.db"}
    assert yaml.safe_load(kept.read_text()) == {"other": {"key": 1}, "customers_database": con}
    assert "mine" in (kept.parent / "credentials.yml.before").read_text()
    assert "What conf/local/credentials.yml said is in" in forced.output
    assert "What conf/local/credentials.yml said" not in first.output


def test_two_at_once_are_none(folder):
    with ThreadPoolExecutor() as others, alone_in(folder / "data"):
        refused = others.submit(invoke, folder, "--target", "state").result()
        shown = others.submit(invoke, folder, "--target", "state", "--dry-run").result()

    assert (refused.exit_code, shown.exit_code) == (1, 0)
    assert "Another run is at work in" in refused.output
    assert [path.name for path in folder.iterdir() if path.name != "data"] == ["pyproject.toml"]
    assert invoke(folder, "--target", "state").exit_code == 0


def test_what_was_stopped_halfway_is_put_back_first(folder):
    invoke(folder, "--target", "state")
    files = dict.fromkeys(("conf/base/parameters.yml", "conf/base/more.yml"), "half\n")
    for step in itertools.count():
        assert killed_at(step, Plan(folder, files).carry_out)
        if (folder / "conf/base/more.yml").exists():
            break

    done = invoke(folder, "--target", "state", "--dry-run")

    assert done.exit_code == 0, done.output
    assert "An adoption was stopped halfway: the project is again as it was" in done.output
    assert "+++" not in done.output
    assert not (folder / "conf/base/more.yml").exists()
    assert not (folder / ".adopting").exists()
