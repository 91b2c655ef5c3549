"""From a file to an answer: tables of which nobody has written anything, one for each task."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from driving.notebooks import PICTURE, run_notebook
from driving.project import Project, copy_project, free_port
from sklearn import datasets


def breast_cancer() -> pd.DataFrame:
    """569 tumours, in columns whose names have spaces."""
    bunch = datasets.load_breast_cancer(as_frame=True)
    return bunch.data.assign(diagnosis=bunch.target_names[bunch.target])


def wine() -> pd.DataFrame:
    """178 wines, a column of which has a slash in its name."""
    bunch = datasets.load_wine(as_frame=True)
    growers = np.array(["north", "middle", "south"])[bunch.target]
    bottles = [f"b-{number:03}" for number in range(len(growers))]
    return bunch.data.assign(bottle_id=bottles, class_=growers).rename(columns={"class_": "class"})


def diabetes() -> pd.DataFrame:
    """442 patients, and a number."""
    return datasets.load_diabetes(as_frame=True, scaled=False).frame


@dataclass(frozen=True)
class Table:
    """A table, the column to predict, how it is written, and what the service says of it."""

    rows: pd.DataFrame
    target: str
    written: dict[str, Any]
    about: dict[str, Any]


TABLES = {
    "tumours": Table(
        breast_cancer(), "diagnosis", {},
        {"task": "binary", "label": "diagnosis", "positive": "malignant"},
    ),
    "wines": Table(
        wine(), "class", {"sep": ";", "decimal": ","},
        {"task": "multiclass", "label": "class", "classes": ["middle", "north", "south"]},
    ),
    "patients": Table(diabetes(), "target", {"sep": "\t"}, {"task": "regression"}),
}  # fmt: skip


@dataclass(frozen=True)
class Adopted:
    """A project, the table that it is about now, and what adoption and the run have said."""

    project: Project
    table: Table
    said: str


@pytest.fixture(scope="module", params=TABLES)
def adopted(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> Adopted:
    table, scratch = TABLES[request.param], tmp_path_factory.mktemp(request.param)
    project = copy_project(pytestconfig.rootpath, scratch, is_measured=False)
    file = scratch / f"{request.param}.csv"
    table.rows.to_csv(file, index=False, **table.written)
    said = project.must(f'make --silent adopt DATA={file} TARGET={table.target} ARGS="--yes"')
    project.must("git add -A && git -c user.name=t -c user.email=t@example.org commit -qm Mine")
    return Adopted(project, table, said)


def test_what_was_decided_is_told_column_by_column(adopted: Adopted) -> None:
    lines = adopted.said.splitlines()

    for name in adopted.table.rows:
        assert any(line.startswith(f"{name} ") for line in lines), name
    assert "Next: `make run`" in lines[-1]


def test_nothing_is_left_of_the_example(adopted: Adopted) -> None:
    found = adopted.project.must("git ls-files src conf tests | xargs grep -il carrier || true")

    assert not found


def test_what_is_written_is_as_clean_as_what_was_there(adopted: Adopted) -> None:
    adopted.project.must("ruff format --check src tests && ruff check src tests && mypy src")


def test_the_same_again_changes_nothing_and_edits_are_kept(adopted: Adopted) -> None:
    project, target = adopted.project, adopted.table.target
    [file] = (project.folder / "data/01_raw").glob("*.csv")
    contracts = project.folder / "src/flight_delays/contracts.py"
    before = contracts.read_text()

    same = project.must(f"kedro adopt {file} --target {target} --dry-run --yes")
    contracts.write_text(before.replace(" …", ""))
    edited = project.run(f"kedro adopt {file} --target {target} --yes")
    kept = contracts.read_text()
    contracts.write_text(before)

    assert "+++" not in same
    assert edited.returncode == 1
    assert "src/flight_delays/contracts.py" in edited.stderr
    assert kept == before.replace(" …", "")


@pytest.fixture(scope="module")
def released(adopted: Adopted) -> Adopted:
    adopted.project.must("kedro run --env sample", timeout=600)
    return adopted


def test_a_champion_is_released_whose_answers_are_those_of_batch_scoring(released: Adopted) -> None:
    folder = released.project.folder / "data/sample/06_models"
    decision, release = (
        json.loads((folder / name).read_text()) for name in ("gate_decision.json", "release.json")
    )

    assert decision["outcome"] == "promote"
    assert release["rows_compared"] > 0
    assert release["largest_difference"] < 1e-9


def test_the_request_that_is_shown_is_answered_and_rows_of_the_file_are(released: Adopted) -> None:
    port, table = free_port(), released.table
    rows = table.rows.drop(columns=table.target).head(30)
    command = f"kedro serve --env sample --port {port}"
    with released.project.server(command, port) as (client, running):
        info = client.get("/info").json()
        running.wait_for(lambda: "curl" in running.stdout, "it says how to ask")
        [asked] = [line for line in running.stdout.splitlines() if line.startswith("curl")]
        answer = json.loads(subprocess.check_output(["bash", "-c", asked]))
        answered = client.post("/predict", json={"rows": rows.to_dict("records")})

    assert len(answer["predictions"]) == 1
    assert answered.status_code == 200
    assert len(answered.json()["predictions"]) == len(rows)
    assert info | table.about == info


def test_the_notebook_of_data_and_champion_needs_no_edit(released: Adopted) -> None:
    path = released.project.folder / "notebooks/explore.ipynb"

    shown = run_notebook(released.project, path, "sample")

    assert sum(PICTURE in output for output in shown) >= 4


def test_the_notebook_of_candidates_compares_those_of_several_runs(released: Adopted) -> None:
    folder = released.project.folder
    released.project.must("kedro run --env sample --params seed=1 --pipelines=modelling,gate")
    versions = [path.name for path in (folder / "data/sample/06_models/candidate").iterdir()]

    shown = run_notebook(released.project, folder / "notebooks/model.ipynb", "sample")

    tables = [output["text/html"] for output in shown if "text/html" in output]
    assert len(versions) == 2
    assert any(all(moment in table for moment in versions) for table in tables)
    assert sum(PICTURE in output for output in shown) >= 4


def test_the_project_has_tests_of_its_own_which_pass(released: Adopted) -> None:
    said = released.project.must("pytest -q -p no:cacheprovider tests/test_contracts.py")

    assert "skipped" not in said
    assert Path(released.project.folder, "tests/test_loop.py").exists()
