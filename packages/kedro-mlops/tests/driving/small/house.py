"""A copy of the project, whose owner's part is a small house; and what is delivered to it."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from driving.project import Project, copy_project

HERE = Path(__file__).parent
LATE_SHARE = 0.25


@dataclass(frozen=True)
class House:
    """A project about one of the tables.

    Attributes:
        key: The column that names a row.
        label: The column of what really happened.
        rows: All rows, with their labels.
        late: Those whose label comes late.
    """

    project: Project
    key: str
    label: str
    rows: pd.DataFrame
    late: pd.Series

    def deliver(self, rows: pd.DataFrame) -> None:
        """Put a CSV file in the place of the one before."""
        rows.to_csv(self.project.folder / "data/01_raw/observations.csv", index=False)

    def without_late_labels(self) -> pd.DataFrame:
        """The rows, as far as they are known at first."""
        return self.rows.assign(**{self.label: self.rows[self.label].mask(self.late)})

    def newcomers(self, shifted: str, by: float) -> pd.DataFrame:
        """As many rows again, of others, in which one number is another."""
        names = "new-" + self.rows[self.key]
        return self.rows.assign(**{self.key: names, shifted: self.rows[shifted] * by})


def breast_cancer() -> pd.DataFrame:
    """569 tumours, two classes."""
    bunch = datasets.load_breast_cancer(as_frame=True)
    means = [name for name in bunch.feature_names if name.startswith("mean ")]
    rows = bunch.frame[means].drop(columns="mean fractal dimension")
    rows.columns = rows.columns.str.replace(" ", "_")
    return _named("patient", rows, diagnosis=bunch.target_names[bunch.target])


def wine() -> pd.DataFrame:
    """178 wines, three classes."""
    bunch = datasets.load_wine(as_frame=True)
    rows = bunch.data.drop(columns="od280/od315_of_diluted_wines")
    rows = rows.astype({"magnesium": int, "proline": int})
    return _named("bottle", rows, grower=np.array(["north", "middle", "south"])[bunch.target])


def diabetes() -> pd.DataFrame:
    """442 patients, and a number."""
    bunch = datasets.load_diabetes(as_frame=True, scaled=False)
    names = {
        "bp": "blood_pressure", "s1": "cholesterol", "s2": "ldl", "s3": "hdl",
        "s5": "triglycerides", "s6": "glucose",
    }  # fmt: skip
    rows = bunch.data.drop(columns="s4").rename(columns=names)
    rows = rows.astype({"age": int, "sex": int}).astype({"sex": str})
    return _named("patient", rows, progression=bunch.target)


TABLES = {"breast_cancer": breast_cancer, "wine": wine, "diabetes": diabetes}


def _named(key: str, rows: pd.DataFrame, **label: Any) -> pd.DataFrame:
    rows = rows.assign(**label)
    rows.insert(0, key, [f"{key[0]}{number:03}" for number in range(len(rows))])
    return rows


def move_in(source: Path, scratch: Path, table: str) -> House:
    """Copy the project, and put the small house about a table in the place of its own."""
    project, rows = copy_project(source, scratch, is_measured=False), TABLES[table]()
    folder = project.folder
    house = folder / "src/flight_delays"
    shutil.rmtree(house / "pipelines/data_engineering")
    shutil.copytree(HERE / "data_engineering", house / "pipelines/data_engineering")
    shutil.copyfile(HERE / table / "contracts.py", house / "contracts.py")
    base = folder / "conf/base"
    shutil.copytree(HERE / "conf", base, dirs_exist_ok=True)
    shutil.copyfile(HERE / table / "parameters.yml", folder / "conf/local/parameters.yml")
    _replace(base / "parameters_release.yml", "name: flight_delays", f"name: {table}")
    _replace(folder / "bentofile.yaml", "name: flight-delays", f"name: {table.replace('_', '-')}")
    _replace(house / "service.py", '"flight_delays",', f'"{table}",')
    project.must("git add -A && git -c user.name=test -c user.email=t@example.org commit -qm Mine")
    key, *_, label = rows.columns
    late = pd.Series(np.random.default_rng(0).random(len(rows)) < LATE_SHARE)
    return House(project, key, label, rows, late)


def _replace(file: Path, words: str, others: str) -> None:
    text = file.read_text()
    assert words in text
    file.write_text(text.replace(words, others))
