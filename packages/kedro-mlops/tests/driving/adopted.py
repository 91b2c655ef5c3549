"""A copy of the project that has adopted a small table, one for each task; what is delivered to it.

The tables come with scikit-learn. Nobody has written anything about them but what an owner adds
afterwards: a unit, what is protected, and parameters that make the loop short.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from sklearn import datasets

from driving.pages import merged
from driving.project import Project, copy_project

LATE_SHARE = 0.25
CONTRACTS = "src/flight_delays/contracts.py"
# as few trials as there are families, and nothing that follows from today
SHORT = """
as_of: "2024-05-01"
bootstrap: { n_resamples: 100 }
behaviour: { n_rows: 100 }
modelling:
  n_trials: { gradient_boosting: 1 }
  n_workers: 1
  # so many come after it that a shift of theirs is seen
  later_share: 0.2
  importance: { n_rows: 100, n_repeats: 1 }
monitoring: { drift: { floors: { psi: 0.7 } } }
retraining: { max_age_days: null, new_labels_share: null, cooldown_days: 0 }
"""
OF_TUMOURS = """
costs: { false_negative: 10 }
modelling:
  n_trials: { logistic_regression: 2 }
  cross_validation: { folds: 3 }
"""
OF_WINES = """
costs: { of_classes: { north: { south: 3 } } }
behaviour:
  invariance:
    - { name: ash tells little, swap: [ash], max_change: 0.1 }
  direction:
    - name: northern wine has much proline
      add: { proline: 500 }
      score: probability_north
      expect: not_lower
      tolerance: 0.05
modelling:
  n_trials: { logistic_regression: 1 }
  cross_validation: null
"""
OF_PATIENTS = """
modelling:
  validation_share: 0.2
  test_share: 0.2
  n_trials: { ridge: 2 }
  cross_validation: null
"""


@dataclass(frozen=True)
class Table:
    """A table, and what its owner says of it.

    Attributes:
        target: The column to predict.
        parameters: For conf/local.
        key: The column that names a row.
        written: How its files are.
        edits: What the owner says more of it in contracts.py, by the words that are there.
    """

    rows: pd.DataFrame
    target: str
    parameters: str
    key: str = "row_id"
    written: dict[str, Any] = field(default_factory=dict)
    edits: dict[str, str] = field(default_factory=dict)


def breast_cancer() -> pd.DataFrame:
    """569 tumours, in columns whose names have spaces."""
    bunch = datasets.load_breast_cancer(as_frame=True)
    return bunch.data.assign(diagnosis=bunch.target_names[bunch.target])


def wine() -> pd.DataFrame:
    """178 wines: of their columns one has a slash, one is a keyword, and one is the log's own."""
    bunch = datasets.load_wine(as_frame=True)
    growers = np.array(["north", "middle", "south"])[bunch.target]
    bottles = [f"b-{number:03}" for number in range(len(growers))]
    rows = bunch.data.rename(columns={"hue": "variant"})
    return rows.assign(bottle_id=bottles, **{"class": growers})


def diabetes() -> pd.DataFrame:
    """442 patients, and a number."""
    rows = datasets.load_diabetes(as_frame=True, scaled=False).frame
    return rows.assign(sex=rows["sex"].map({1: "one", 2: "other"}))


TABLES = {
    "tumours": Table(breast_cancer(), "diagnosis", OF_TUMOURS),
    "wines": Table(
        wine(), "class", OF_WINES, key="bottle_id", written={"sep": ";", "decimal": ","}
    ),
    "patients": Table(
        diabetes(),
        "target",
        OF_PATIENTS,
        written={"sep": "\t"},
        edits={
            'label="regression"': 'label="regression", unit="points"',
            "segment=True": "segment=True, protected=True",
        },
    ),
}


@dataclass(frozen=True)
class Adopted:
    """A project that is about one of the tables now.

    Attributes:
        name: What the table is called.
        said: What adoption has said of it.
        late: The rows whose label comes late.
    """

    project: Project
    name: str
    table: Table
    said: str
    late: pd.Series

    @property
    def file(self) -> Path:
        """Where the project expects the table."""
        return self.project.folder / f"data/01_raw/{self.name}.csv"

    def deliver(self, rows: pd.DataFrame) -> None:
        """Put a file in the place of the one before."""
        rows.to_csv(self.file, index=False, **self.table.written)

    def without_late_labels(self) -> pd.DataFrame:
        """The rows, as far as they are known at first."""
        rows, target = self.table.rows, self.table.target
        return rows.assign(**{target: rows[target].mask(self.late)})

    def newcomers(self, shifted: str, by: float) -> pd.DataFrame:
        """As many rows again, of others, in which one number is another."""
        rows, key = self.table.rows, self.table.key
        others = rows.assign(**{shifted: rows[shifted] * by})
        return others.assign(**{key: "new-" + rows[key]}) if key in rows else others

    def say_more(self) -> None:
        """What only its owner knows is said, and committed."""
        folder = self.project.folder
        text = (folder / CONTRACTS).read_text()
        for old, new in self.table.edits.items():
            assert old in text
            text = text.replace(old, new)
        (folder / CONTRACTS).write_text(text)
        parameters = merged(yaml.safe_load(SHORT), yaml.safe_load(self.table.parameters))
        (folder / "conf/local/parameters.yml").write_text(yaml.safe_dump(parameters))
        identity = "-c user.name=test -c user.email=test@example.org"
        self.project.must(f"git add -A && git {identity} commit -qm Mine")


def adopt(source: Path, scratch: Path, name: str) -> Adopted:
    """Copy the project, and make it one about a table."""
    project, table = copy_project(source, scratch, is_measured=False), TABLES[name]
    file = scratch / f"{name}.csv"
    table.rows.to_csv(file, index=False, **table.written)
    said = project.must(f'make --silent adopt DATA={file} TARGET={table.target} ARGS="--yes"')
    # the packages stay as they are, although there are fewer in the project's declaration now
    (project.folder / ".venv/.synced").touch()
    late = pd.Series(np.random.default_rng(0).random(len(table.rows)) < LATE_SHARE)
    return Adopted(project, name, table, said, late)
