"""Small models of other things than whether a parcel comes late, as a service has them."""

from dataclasses import replace
from typing import Any

import ibis
import pandas as pd

from example.contracts import Inputs
from example.factories import observations, tiny_package
from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.measures.drift_profile import profile
from kedro_mlops.models.families import FAMILIES, Families
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.prediction_log.contract import PredictionColumns
from kedro_mlops.task.task import Costs

FATES = ["on time", "late, but 'fine' & ÿ", "lost"]


class Fate(Contract):
    """What became of a parcel: classes that no member of Python could be called by."""

    fate: str = column("What becomes of it", label="multiclass", isin=FATES, nullable=True)
    known_at: pd.Timestamp = column("When that is known", label_time=True, nullable=True)


class FateObservation(Fate, Inputs):
    """One row to learn from."""


class FatePrediction(PredictionColumns, Inputs, of=Fate):
    """One row of the prediction log."""


def small_package(
    observation: type[Contract],
    family: str,
    seed: int = 0,
    costs: Costs | None = None,
    families: Families = FAMILIES,
) -> ModelPackage:
    """A small model of a family, fitted to what is asked; another seed says other things."""
    columns = Columns.of(observation)
    task, rows = columns.task, observations(seed=seed, columns=columns)
    label = rows[columns.label]
    if task.classes:
        codes = pd.Categorical(label, categories=task.classes).codes
        labels = pd.Series(codes + seed) % len(task.classes)
    else:
        labels = label + 100 * seed
    fixed: dict[str, Any] = {"max_iter": 40} if family == "gradient_boosting" else {}
    estimator = families[family].build(task, columns, fixed, seed)
    estimator.fit(rows[columns.features], labels)
    scores = task.output().ask(estimator, rows[columns.features])
    package = tiny_package(
        evaluated=False,
        task=task.name,
        classes=list(task.classes),
        unit=task.unit,
        rule=task.choose_rule(task.labels(labels), scores, costs or Costs()),
    ).with_record(version=f"20130113-{family}-{seed}", family=family)
    told = ibis.memtable(pd.DataFrame({"score": scores.reshape(len(rows), -1)[:, 0]}))
    reference = package.reference.model_copy(update={"score": profile(told, ["score"], [])})
    return replace(package, estimator=estimator, reference=reference)
