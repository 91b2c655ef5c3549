"""What goes wrong is said once and clearly, and harms nothing that is in force."""

import hashlib
import io
import json
import re
import shutil
import signal
import socket
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
from driving.project import HOST, Loop, Project, Running, versions
from driving.raw_tables import LAST_DAY, QUARTER, some_flights

INTERRUPTED = 130
DATA = "data/trial"
NO_CHAMPION = "data/nothing"


@dataclass(frozen=True)
class Trial:
    """A copy of what the sample loop made, to be mistreated."""

    loop: Loop

    @property
    def project(self) -> Project:
        return self.loop.project

    @property
    def data(self) -> Path:
        return self.project.folder / DATA

    @property
    def bentos(self) -> Path:
        """Where BentoML keeps the releases."""
        return Path(self.project.environment["BENTOML_HOME"]) / "bentos"

    def path(self, name: str) -> Path:
        """Where an artefact of the catalog is."""
        return self.data / self.loop.files[name].relative_to(self.loop.data)

    def in_force(self) -> dict[str, str]:
        """SHA-256 of every file of the champion's versions, and of the newest one's release."""
        champions = versions(self.path("champion"))
        champion = json.loads((champions[-1] / "metadata.json").read_text())
        folders = [*champions, self.bentos / champion["release"].replace(":", "/")]
        files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    def leftovers(self) -> set[Path]:
        """Files and folders that a writer was not done with, under their temporary names."""
        temporary = [p for p in self.data.rglob("*") if p.name.startswith((".", "tmp_"))]
        return {path for folder in temporary for path in (folder, *folder.rglob("*"))}

    def unreadable(self) -> list[Path]:
        """Artefacts that are not whole."""
        files = [path for path in self.data.rglob("*") if path.suffix in _READERS]
        return [path for path in set(files) - self.leftovers() if not _is_readable(path)]

    def refuses(self, command: str, *words: str, **environment: str) -> None:
        """Check that a command ends with one error that has the words, and harms nothing."""
        before = self.in_force()
        done = self.project.run(command, **environment)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        assert len(re.findall(r"^Error: ", done.stderr, re.MULTILINE)) == 1, done.stderr
        assert not [word for word in words if word not in done.stderr], done.stderr
        assert self.in_force() == before
        assert not self.unreadable()


@pytest.fixture(scope="module")
def trial(sample_loop: Loop) -> Trial:
    shutil.copytree(sample_loop.data, sample_loop.project.folder / DATA)
    sample_loop.project.with_environment("trial", DATA)
    return Trial(sample_loop)


@pytest.fixture(scope="module")
def champion_before(trial: Trial) -> dict[str, str]:
    """What is in force before anything goes wrong, and must stay so."""
    return trial.in_force()


@pytest.fixture(scope="module")
def promoting(trial: Trial) -> str:
    """An environment that makes another model, and promotes it."""
    parameters = (trial.project.folder / "conf/sample/parameters.yml").read_text()
    easy = "\nseed: 1\ngate:\n  max_loss_increase: 10\n  slices: { max_loss_increase: 10 }\n"
    return trial.project.with_environment("promoting", DATA, parameters=parameters + easy)


def _check_sqlite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        [(verdict,)] = connection.execute("pragma integrity_check").fetchall()
    if verdict != "ok":
        raise ValueError(verdict)


_READERS: dict[str, Callable[[Path], object]] = {
    ".json": lambda path: json.loads(path.read_text()),
    ".csv": pd.read_csv,
    ".parquet": pd.read_parquet,
    ".db": _check_sqlite,
    ".skops": lambda path: zipfile.ZipFile(path).testzip(),
}


def _is_readable(path: Path) -> bool:
    try:
        _READERS[path.suffix](path)
    except (ValueError, OSError, sqlite3.Error, zipfile.BadZipFile):
        return False
    return True


def _name(parameter: object) -> str:
    return parameter if isinstance(parameter, str) else getattr(parameter, "__name__", "")


# raw tables


@cache
def _flights() -> pd.DataFrame:
    return pd.read_csv(io.StringIO(some_flights(QUARTER, every=3)))


def _write(flights: pd.DataFrame, file: Path) -> None:
    flights.to_csv(file, index=False, compression="zip")


def no_file(file: Path) -> None:
    pass


def half_a_zip(file: Path) -> None:
    _write(_flights(), file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def semicolons(file: Path) -> None:
    _flights().to_csv(file, index=False, compression="zip", sep=";")


def another_encoding(file: Path) -> None:
    flights = _flights().assign(tailnum="Zoë")
    flights.to_csv(file, index=False, compression="zip", encoding="cp1252")


def a_column_is_missing(file: Path) -> None:
    _write(_flights().drop(columns="distance"), file)


def a_column_has_another_name(file: Path) -> None:
    _write(_flights().rename(columns={"carrier": "airline"}), file)


def no_rows(file: Path) -> None:
    _write(_flights().head(0), file)


def text_in_place_of_numbers(file: Path) -> None:
    _write(_flights().assign(distance="far"), file)


DAMAGED: dict[Callable[[Path], None], list[str]] = {
    no_file: ["flights.csv.zip", "No such file", "that entry in the catalog"],
    half_a_zip: ["flights.csv.zip", "is damaged", "not a zip file"],
    semicolons: ["raw_flights lacks year, month", 'load_args: { sep: ";" }', "year;month;day"],
    another_encoding: ["flights.csv.zip is not utf-8", "in line 2", "encoding"],
    a_column_is_missing: ["distance", "It has year, month, day", "contracts.py"],
    a_column_has_another_name: ["carrier", "airline", "contracts.py"],
    no_rows: ["the table has rows", "contracts.py"],
    text_in_place_of_numbers: ["distance", "is numeric", "far", "contracts.py"],
}


@pytest.mark.parametrize(("damage", "words"), DAMAGED.items(), ids=_name)
def test_a_raw_table_that_is_not_what_it_should_be_is_named(
    trial: Trial, tmp_path: Path, damage: Callable[[Path], None], words: list[str]
) -> None:
    file = tmp_path / "flights.csv.zip"
    damage(file)
    override = f"raw_flights:\n  filepath: {file}\n"
    env = trial.project.with_environment("damaged", DATA, catalog=override)

    trial.refuses(f"kedro run --env {env} --pipelines=data_engineering", "raw_flights", *words)

    decision = json.loads(trial.path("retrain_decision").read_text())
    [alert] = json.loads(trial.path("alerts").read_text())
    assert (decision["outcome"], alert["kind"]) == ("wait", "bad data")
    assert alert["message"] in decision["reasons"][0]
    assert words[0] in alert["message"]


# rows that break the contract

BAD_CELLS = {"distance": "far", "carrier": "ZZ", "hour": 24, "dest": "Houston"}
SHARES = {"distance": 0.4, "carrier": 0.3, "hour": 0.2, "dest": 0.1}
WORST = [
    "distance: is numeric (",
    "'far'",
    "carrier: isin",
    "'ZZ'",
    "hour: less_than_or_equal_to(23)",
]


def _spoil(share: float) -> tuple[pd.DataFrame, pd.Series]:
    """Flights of which a share of the rows has one bad cell; and those cells, by row and column."""
    flights = _flights().astype(dict.fromkeys(BAD_CELLS, object))
    rows = flights.sample(frac=share, random_state=0).index
    bad = {}
    for column, part in SHARES.items():
        chosen = rows[: round(part * share * len(flights))]
        rows = rows[len(chosen) :]
        flights.loc[chosen, column] = BAD_CELLS[column]
        bad |= {(row + 1, column): str(BAD_CELLS[column]) for row in chosen}
    return flights, pd.Series(bad)


# by the column that is spoilt, what each breaks
IMPOSSIBLE = {
    "dep_delay": "9.97e36",
    "arr_delay": "-1e15",
    "air_time": "1e10",
    "distance": "140000",
}
MOMENT = ["year", "month", "day", "hour", "minute"]


def _make_impossible(flights: pd.DataFrame, bad: pd.Series) -> pd.Series:
    """Give good rows values that no engine can work with; and those, by row and column."""
    february = flights.index[(flights["month"] == 2) & (flights["day"] == 28)]
    first, *rows = february.difference([row - 1 for row, _ in bad.index])[: len(IMPOSSIBLE) + 1]
    flights.loc[first, "day"] = 30
    told = {(first + 1, ", ".join(MOMENT)): ", ".join(map(str, flights.loc[first, MOMENT]))}
    for row, (column, value) in zip(rows, IMPOSSIBLE.items(), strict=True):
        flights[column] = flights[column].astype(object)
        flights.loc[row, column] = value
        told[row + 1, column] = value
    return pd.Series(told)


def _env_of_raw_flights(trial: Trial, flights: pd.DataFrame, folder: Path, data: str) -> str:
    _write(flights, folder / "flights.csv.zip")
    override = f"raw_flights:\n  filepath: {folder / 'flights.csv.zip'}\n"
    return trial.project.with_environment("spoilt", data, catalog=override)


def test_too_many_bad_rows_stop_the_run_and_leave_the_decision_to_wait(
    trial: Trial, tmp_path: Path
) -> None:
    flights, bad = _spoil(0.05)
    env = _env_of_raw_flights(trial, flights, tmp_path, DATA)

    trial.refuses(
        f"kedro run --env {env}", f"{len(bad):,} of {len(flights):,} rows (5.0%)", "RawFlights",
        "screening.max_quarantine_share=0.01", *WORST,
    )  # fmt: skip

    quarantined = pd.read_parquet(trial.path("flights_quarantine"))
    screening = json.loads(trial.path("data_screening").read_text())
    decision = json.loads(trial.path("retrain_decision").read_text())
    [account] = [table for table in screening["tables"] if table["contract"] == "RawFlights"]
    assert quarantined["row"].nunique() == account["n_quarantined"] == len(bad)
    assert account["n_valid"] + account["n_quarantined"] == account["n_read"] == len(flights)
    assert [rule["column"] for rule in account["rules"]] == list(SHARES)
    assert not screening["passed"]
    assert decision["outcome"] == "wait"
    assert "Bad data vetoes retraining" in decision["reasons"][0]
    assert "RawFlights" in decision["reasons"][0]
    [alert] = json.loads(trial.path("alerts").read_text())
    assert alert["kind"] == "bad data"
    assert "RawFlights" in alert["message"]


def test_a_few_bad_rows_are_set_aside_and_each_is_accounted_for(
    trial: Trial, tmp_path: Path
) -> None:
    flights, bad = _spoil(0.005)
    repeated = _flights().drop([row - 1 for row, _ in bad.index]).head(10)
    flights = pd.concat([flights, repeated], ignore_index=True)
    bad = pd.concat([bad, _make_impossible(flights, bad)])
    env = _env_of_raw_flights(trial, flights, tmp_path, "data/spoilt")

    said = trial.project.must(f"kedro run --env {env} --pipelines=data_engineering")

    names = ("screened_flights", "flights_quarantine", "data_screening")
    *tables, file = (_moved(trial.path(name), "data/spoilt") for name in names)
    valid, quarantined = (pd.read_parquet(table) for table in tables)
    screening = json.loads(file.read_text())
    [account] = [table for table in screening["tables"] if table["contract"] == "RawFlights"]
    by_cell = quarantined.set_index(["row", "column"])["value"]
    twice = by_cell.drop(bad.index)
    assert account["n_read"] == len(flights)
    assert account["n_valid"] == len(valid) == len(flights) - len(bad) - len(repeated)
    assert account["n_quarantined"] == quarantined["row"].nunique() == len(bad) + len(repeated)
    assert by_cell[bad.index].tolist() == bad.tolist()
    assert [row for row, _ in twice.index] == list(range(len(flights) - 9, len(flights) + 1))
    assert screening["passed"]
    assert f"{len(bad) + len(repeated) + 1} rows set aside in quarantine" in said


def _moved(path: Path, data: str) -> Path:
    """Where the environment with other data has what the trial has at a path."""
    return Path(str(path).replace(DATA, data))


# what is typed

MISTYPED: dict[str, list[str]] = {
    "run --env trial --pipelines=data_engineering --params as_of=2014-06-01": [
        "as_of=2014-06-01", LAST_DAY, "kedro run --params as_of=",
    ],
    "run --env trial --pipelines=scoring --params as_of=soon": [
        "'as_of'", "soon", "valid date", "conf/base/parameters",
    ],
    "run --env trial --pipelines=scoring --params as_off=2013-03-01": [
        "'as_off'", "Did you mean 'as_of'?",
    ],
    "run --env trial --pipelines=modelling --params modelling.test_dayz=3": [
        "'modelling'", "test_dayz", "conf/base/parameters",
    ],
    "run --env trial --pipelines=modeling": ["'modeling'", "Did you mean 'modelling'?"],
    "run --env trail --pipelines=scoring": ["conf/trail"],
}  # fmt: skip


@pytest.mark.parametrize(("typed", "words"), MISTYPED.items(), ids=_name)
def test_what_is_mistyped_is_named_with_what_was_meant(
    trial: Trial, typed: str, words: list[str]
) -> None:
    trial.refuses(f"kedro {typed}", *words)


def test_serving_before_there_is_a_champion_says_how_to_get_one_whatever_the_port(
    trial: Trial,
) -> None:
    env = trial.project.with_environment("nothing", NO_CHAMPION)

    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        trial.refuses(f"kedro serve --env {env} --port {port}", "no champion yet", "make run")


def test_serving_on_a_port_that_is_taken_says_what_else_to_do(trial: Trial) -> None:
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        trial.refuses(f"kedro serve --env trial --port {port}", f"port {port}", f"{port + 1}")


# a full disk; a limit on the size of files stands for it


def test_a_disk_that_is_full_while_tables_are_written_is_named_and_the_next_run_works(
    trial: Trial,
) -> None:
    command, leftovers = "kedro run --env trial --pipelines=data_engineering", trial.leftovers()

    trial.refuses(f"ulimit -f 300; {command}", "flights.parquet", "File too large", "run again")

    trial.project.must(command)
    assert not trial.unreadable()
    assert trial.leftovers() == leftovers


def test_a_disk_that_is_full_while_the_model_is_stored_is_named(
    trial: Trial, tmp_path: Path
) -> None:
    command = "kedro run --env trial --pipelines=release --to-nodes=release.store_model"
    sizes = [path.stat().st_size for path in (trial.project.folder / DATA).rglob("model.skops")]

    trial.refuses(
        # in kB
        f"ulimit -f {min(sizes) // 1024 - 10}; {command}",
        "File too large",
        "run again",
        BENTOML_HOME=str(tmp_path),
    )

    assert not list(tmp_path.rglob("*.skops"))


# stopped and killed


@pytest.fixture(scope="module")
def stopped(trial: Trial, promoting: str) -> Running:
    """A run that Ctrl-C has stopped while it was tuning."""
    command = f"kedro run --env {promoting} --pipelines=modelling,gate"
    with trial.project.started(command) as running:
        running.wait_for(lambda: "0/3" in running.stderr, "tuning began")
        running.send_to_group(signal.SIGINT)
        running.process.wait(30)
    return running


@pytest.fixture(scope="module")
def due(trial: Trial, promoting: str, stopped: Running) -> str:
    """The command that is to promote what the next run has made."""
    trial.project.must(f"kedro run --env {promoting} --pipelines=modelling,gate")
    return f"kedro run --env {promoting}"


def test_ctrl_c_while_tuning_stops_at_once_and_the_next_run_works(
    trial: Trial, champion_before: dict[str, str], stopped: Running, due: str
) -> None:
    decision = json.loads(trial.path("gate_decision").read_text())

    assert stopped.process.returncode == INTERRUPTED
    assert "Stopped. The champion and its release are as they were." in stopped.stderr
    assert "Traceback" not in stopped.said
    assert decision["outcome"] == "promote"
    assert trial.in_force() == champion_before
    assert not trial.unreadable()
    assert not trial.leftovers()


def test_a_run_that_is_ended_anywhere_in_the_release_leaves_the_champion_and_the_next_promotes(
    trial: Trial, champion_before: dict[str, str], due: str
) -> None:
    champion = trial.path("champion")

    with trial.project.started(f"{due} --pipelines=release") as running:
        running.wait_for(lambda: _is_helped(running, "build_bento"), "the Bento was being built")
        running.process.kill()
    assert trial.in_force() == champion_before

    with trial.project.started(f"{due} --pipelines=release") as running:
        running.wait_for(lambda: _is_helped(running, "verify"), "the Bento was asked")
        running.send_to_group(signal.SIGINT)
        assert running.process.wait(30) == INTERRUPTED
        assert not running.family()
    assert "Traceback" not in running.said
    assert trial.in_force() == champion_before

    with trial.project.started(f"{due} --pipelines=release") as running:
        running.wait_for(
            lambda: any(champion.glob("*/.partial-*")), "the champion was written", every=0.002
        )
        running.process.kill()
    assert trial.in_force() == champion_before
    assert not trial.unreadable()

    trial.project.must(f"{due} --pipelines=gate,release")
    [*_, newest] = versions(champion)
    decision = json.loads(trial.path("gate_decision").read_text())
    metadata = json.loads((newest / "metadata.json").read_text())
    assert len(versions(champion)) == 2
    assert metadata["version"] == decision["candidate"]
    assert (trial.bentos / metadata["release"].replace(":", "/") / "bento.yaml").exists()


def _is_helped(running: Running, node: str) -> bool:
    """Whether a node runs and has started another process."""
    return f" {node}" in running.stdout and len(running.family()) > 1
