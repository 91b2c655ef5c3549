"""Small real things for tests: rows that keep the contract, and models fitted on them."""

import io
import json
import zipfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pandas as pd
import pandera.pandas as pa
import sklearn
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from example.contracts import Inputs, Observation, Prediction
from kedro_mlops.contract.columns import Column, Columns, Role
from kedro_mlops.contract.dated import windows_back
from kedro_mlops.contract.screening_account import ScreeningAccount, TableAccount
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.json_records import json_records
from kedro_mlops.export.fields import fields_of
from kedro_mlops.measures.drift_profile import profile
from kedro_mlops.measures.drift_reference import Reference
from kedro_mlops.measures.evaluation import Evaluation
from kedro_mlops.models.decision import Decision, Outcome
from kedro_mlops.models.metadata import Lineage, Metadata
from kedro_mlops.models.package import (
    ModelPackage,
    Unloadable,
    content_hash,
    dump_estimator,
)
from kedro_mlops.models.preprocessing import linear_preprocessing, tree_preprocessing
from kedro_mlops.models.stand_in import as_arrays
from kedro_mlops.monitoring.findings import Answered, Performance, Quality, Skew, Watched
from kedro_mlops.release.artefacts import ProvenRelease
from kedro_mlops.runtime.encoding import ArrayColumn
from kedro_mlops.runtime.serving_spec import (
    ENGINE_FILES,
    SPEC_LABEL,
    Encoding,
    ServingSpec,
    hash_of,
)
from kedro_mlops.task.record import DecisionRule
from kedro_mlops.task.task import Calibration

COLUMNS, PREDICTION = Columns.of(Observation), Columns.of(Prediction)
LOGGED = PREDICTION.without_personal()
X, Y = COLUMNS.features, COLUMNS.label
FIRST_DAY = pd.Timestamp("2013-01-01")
LABEL_DELAY = pd.Timedelta(hours=5)


def protected(columns: Columns, *names: str) -> Columns:
    """The columns, some of which are protected."""
    return replace(
        columns,
        all=tuple(
            replace(c, role=replace(c.role, protected=True)) if c.name in names else c
            for c in columns.all
        ),
    )


def with_compared(columns: Columns, name: str) -> Columns:
    """The columns, and one of text that is only compared."""
    added = Column(name, "categorical", columns.all[0].dtype, True, name, Role(protected=True))
    return replace(columns, all=(*columns.all, added))


def observations(
    n_rows: int = 240, n_days: int = 12, seed: int = 0, columns: Columns = COLUMNS
) -> pd.DataFrame:
    """Labelled rows that keep the contract; the label follows the first numeric feature.

    Unless it is one of two classes, also the third; and the second says how surely.
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({column.name: _values(column, n_rows, rng) for column in columns.all})
    minutes = np.linspace(0, n_days * 24 * 60 - 1, n_rows).astype(int)
    signal = rows[columns.features_of_kind("numeric")[0]].rank(pct=True)
    rows[columns.event_time] = FIRST_DAY + pd.to_timedelta(minutes, unit="min")
    rows[columns.label_time] = rows[columns.event_time] + LABEL_DELAY
    rows[columns.label] = _label(columns, rows, signal, rng.normal(0, 0.3, n_rows))
    return rows


def _label(columns: Columns, rows: pd.DataFrame, signal: pd.Series, noise: Any) -> Any:
    """What happens, of the kind that the label is."""
    label = columns[columns.label]
    if label.kind == "boolean":
        return pd.array(signal + noise > 0.5, dtype="boolean")
    unsure, other = (
        rows[name].rank(pct=True).fillna(0.5) for name in columns.features_of_kind("numeric")[1:3]
    )
    value = 0.6 * signal + 0.4 * other + noise * unsure
    if label.kind == "numeric":
        return 60 * value
    edges = np.linspace(0, 1, len(label.classes) + 1)[1:-1]
    return np.array(label.classes, dtype=object)[np.digitize(value, edges)]


def _values(column: Column, n_rows: int, rng: np.random.Generator) -> Any:
    """Values that keep the column's checks: drawn from its choices or bounds, or its example."""
    if column.kind != "numeric":
        choices = column.checks.get("isin", [column.role.example])
        return rng.choice(choices, n_rows)
    low = column.checks.get("ge", column.checks.get("gt", 0))
    values = rng.uniform(low, column.checks.get("le", column.checks.get("lt", low + 100)), n_rows)
    if column.nullable:
        values[rng.random(n_rows) < 0.1] = np.nan
    return values if column.nullable or "float" in str(column.dtype) else values.astype(int) + 1


def predictions(n_rows: int) -> pd.DataFrame:
    """Rows of the prediction log; the first ones are the same however many there are."""
    rows = observations(240).head(n_rows)
    return rows.assign(
        prediction_id=[f"p{i:03}" for i in range(n_rows)],
        predicted_at=pd.Timestamp("2013-02-01 12:34:56.789012"),
        model_version="v1",
        variant="champion",
        probability=np.linspace(0, 1, 240)[:n_rows] / 3,
        decision=[i % 2 == 0 for i in range(n_rows)],
        missing_features=[None if i % 3 else "a=unknown_key" for i in range(n_rows)],
    )[PREDICTION.names]


def json_lines(rows: pd.DataFrame) -> bytes:
    """Rows as lines of the prediction log."""
    return "".join(f"{json.dumps(record)}\n" for record in json_records(rows)).encode()


@cache
def fitted(family: str = "gradient_boosting", seed: int = 0) -> Pipeline:
    """A fitted model of a family; two with different seeds differ."""
    boosting = HistGradientBoostingClassifier(max_iter=5, early_stopping=False, random_state=0)
    preprocessing, model = {
        "gradient_boosting": (tree_preprocessing, boosting),
        "logistic_regression": (linear_preprocessing, LogisticRegression()),
    }[family]
    rows = observations(seed=seed)
    pipeline = Pipeline([("preprocessing", preprocessing(COLUMNS)), ("model", model)])
    # sums of floats, and with them the model's hash, depend on how threads share the rows
    with threadpool_limits(1):
        return pipeline.fit(rows[X], rows[Y].astype(int))


@cache
def tiny_reference() -> Reference:
    """The reference of ``observations``: four windows of three days, and calibrated scores."""
    rows = ibis.memtable(observations())
    score = ibis.memtable(pd.DataFrame({"probability": np.linspace(0, 1, 100)}))
    numeric = COLUMNS.features_of_kind("numeric")
    categorical = COLUMNS.features_of_kind("categorical", "boolean")
    return Reference(
        n_days=12,
        features=profile(
            rows,
            numeric,
            categorical,
            windows_back(rows[COLUMNS.event_time], FIRST_DAY + pd.Timedelta(days=12), 3),
        ),
        score=profile(score, ["probability"], []),
        calibration=Calibration(intercept=0, slope=1),
    )


def tiny_evaluation() -> Evaluation:
    """What was found of a small model; one slice has too few rows of a class."""
    interval = {"value": 0.6, "low": 0.5, "high": 0.7}
    sliced = {"segment": COLUMNS.segments[0], "n_rows": 1234, "positive_share": 0.25}
    loss = {"log_loss": 0.61, "log_loss_low": 0.51, "log_loss_high": 0.71}
    ranked = {"roc_auc": 0.81, "roc_auc_low": 0.72, "roc_auc_high": 0.88}
    return Evaluation(
        screened=[{"contract": "Raw", "n_read": 1200, "n_quarantined": 7}],
        window={
            "n_rows": 5678,
            "label": {"positive_share": 0.234},
            "first_day": "2013-01-10",
            "last_day": "2013-01-12",
        },
        baselines={"base_rate": {"log_loss": interval}},
        calibration=[{"predicted": 0.2, "observed": 0.25, "n_rows": 5000}],
        slices=[
            {**sliced, "value": "both", **loss, **ranked},
            {**sliced, "value": "few", **dict.fromkeys(loss), **dict.fromkeys(ranked)},
        ],
        importance=[{"feature": X[0], "importance": 0.1, "spread": 0.01}],
        confusion={
            "true_positives": 801,
            "false_positives": 1602,
            "false_negatives": 503,
            "true_negatives": 2772,
        },
        roc={"model": [dict.fromkeys(("false_positive_rate", "true_positive_rate"), 1.0)]},
        cost=[{"threshold": 0.4, "cost": 0.5}],
        costs={"false_negative": 3, "false_positive": 1},
    )


def tiny_package(
    family: str = "gradient_boosting", seed: int = 0, evaluated: bool = True, **metadata: Any
) -> ModelPackage:
    """A small model package; keyword arguments replace fields of its metadata."""
    estimator = fitted(family, seed)
    fields = {
        "version": f"20130113-{family}-{seed}",
        "content_hash": content_hash(estimator),
        "family": family,
        "hyperparameters": {"max_iter": 5},
        "features": X,
        "rule": DecisionRule(threshold=0.4),
        "as_of": FIRST_DAY + pd.Timedelta(days=12),
        "trained_until": FIRST_DAY + pd.Timedelta(days=12),
        "evaluated_until": FIRST_DAY + pd.Timedelta(days=9),
        "n_training_rows": 240,
        "metrics": {"log_loss": {"value": 0.5, "low": 0.4, "high": 0.6}},
        "lineage": Lineage(git_commit="c0ffee", data_hash="da7a", lock_hash="10c4"),
        "seed": seed,
    }
    return ModelPackage(
        estimator,
        Metadata(**{**fields, **metadata}),
        tiny_reference(),
        evaluated=fitted(family, seed + 1) if evaluated else None,
        evaluation=tiny_evaluation(),
    )


def decided(outcome: Outcome = "promote", candidate: str = "2013-a", **fields: Any) -> Decision:
    """What was decided of a candidate; keyword arguments replace the rest."""
    said = {"champion_before": None, "reasons": ["It had to be so."]}
    return Decision(outcome=outcome, candidate=candidate, **{**said, **fields})


def screened(*tables: tuple[str, int, int], largest_share: float = 0.0) -> ScreeningAccount:
    """What screening found of tables: of each its contract, rows read and rows in quarantine."""
    accounts = [
        TableAccount(
            contract=name, n_read=read, n_valid=read - out, n_quarantined=out, share=0, rules=[]
        )
        for name, read, out in tables
    ]
    return ScreeningAccount(
        passed=True, max_quarantine_share=0.01, largest_share=largest_share, tables=accounts
    )


def skew_of(share: float = 0.0, by_another: int = 0, in_words: str = "") -> Skew:
    """What the champion was served with, and whether it was the champion."""
    answered = Answered(n_rows=3, by_another=by_another, models=[], in_words=in_words)
    return Skew(n_served=0, n_compared=0, n_unknown=0, share=share, answered=answered, columns=[])


def quality_of(*checks: CheckResult) -> Quality:
    """The quality of data by its checks."""
    passed = all(check.passed for check in checks)
    return Quality(n_rows=100, n_days=10, passed=passed, checks=checks)


def performance_of(**found: Any) -> Performance:
    """How a champion did; keyword arguments replace the rest."""
    metadata = tiny_package().metadata
    said = {
        "model": Watched(**metadata.model_dump(mode="json", include={*Watched.model_fields})),
        "first_day": "2013-04-01",
        "last_day": "2013-04-30",
        "n_predictions": 1000,
        "n_labelled": 500,
        "label_coverage": 0.5,
        "labels": dict.fromkeys(("pending", "later", "repeated", "contradicting", "unknown"), 0),
        "new_labels": 0,
        "unknown_because": None,
        "metrics": {},
        "confusion": {},
        "estimated": {},
        "reference": metadata.metrics,
    }
    return Performance(**{**said, **found})


def released_as(bento: str, **fields: Any) -> ProvenRelease:
    """A release that was proven; keyword arguments replace the rest."""
    said = {
        "model": "parcels:2013-a",
        "engine": "compiled trees",
        "challenger": None,
        "labels": {},
        "rows_compared": 50,
        "features_compared": X,
        "largest_difference": 0.0,
        "tolerance": 1e-9,
    }
    return ProvenRelease(bento=bento, **{**said, **fields})


def from_scikit_learn(version: str, model: bytes) -> bytes:
    """The model as another version of scikit-learn would have written it."""
    there = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as archive, zipfile.ZipFile(there, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "schema.json":
                content = content.replace(
                    rf'"\"{sklearn.__version__}\""'.encode(), rf'"\"{version}\""'.encode()
                )
            changed.writestr(name, content)
    return there.getvalue()


def of_another_scikit_learn(package: ModelPackage) -> ModelPackage:
    """The package as it is read after scikit-learn was upgraded."""
    models = [package.estimator, package.evaluated]
    found = [
        Unloadable(from_scikit_learn("1.0.2", dump_estimator(model)), "it is of 1.0.2")
        for model in models
        if model is not None
    ]
    return replace(
        package.with_record(content_hash=content_hash(found[0])),
        estimator=found[0],
        evaluated=found[1] if len(found) > 1 else None,
    )


def arrays_of(rows: pd.DataFrame, columns: Columns) -> dict[str, ArrayColumn]:
    """The features of a table as the encoding takes them."""
    return as_arrays(rows, {name: columns[name].kind for name in columns.features})


def spec_of(contract: type[pa.DataFrameModel] = Inputs, **changes: Any) -> ServingSpec:
    """What a service is told of a contract; keyword arguments replace the rest."""
    columns = Columns.of(contract)
    times = [column.name for column in columns.all if column.role.event_time]
    fields = fields_of(columns)
    said = {
        "model_version": "20130113-tiny",
        "family": "gradient_boosting",
        "as_of": "2013-01-13T00:00:00",
        "task": "binary",
        "rule": DecisionRule(threshold=0.4),
        "classes": [False, True],
        "metrics": {"log_loss": {"value": 0.5, "low": 0.4, "high": 0.6}},
        "git_commit": "c0ffee",
        "data_hash": "da7a",
        "event_time": times[0] if times else "",
        "fields": sorted(fields, key=lambda field: bool(field.source)),
        "features": columns.features,
        "engine": "scikit-learn",
        "engine_reason": "It is a test.",
        "encoding": Encoding({}, [], []),
    }
    return ServingSpec(**{**said, **changes})


def write_spec(version: str, folder: Path, **changes: Any) -> str:
    """A released model that is whole, but no model; what its spec hashes to."""
    name = ENGINE_FILES[changes.get("engine", "scikit-learn")]
    (folder / name).write_bytes(version.encode())
    files = {name: hash_of(version.encode())}
    return spec_of(model_version=version, files=files, **changes).write(folder)


def write_bento(home: Path, release: str, *models: str) -> None:
    """A Bento of a few models in BentoML's store, as far as it is read."""
    folder = home / "bentos" / release.replace(":", "/")
    folder.mkdir(parents=True)
    services = [{"name": "service", "models": [{"tag": tag} for tag in models]}]
    name, _, version = release.partition(":")
    described = {"name": name, "version": version, "services": services}
    (folder / "bento.yaml").write_text(yaml.safe_dump(described))


def write_labels(folder: Path, spec_sha256: str) -> None:
    """What BentoML's store has beside the files of a model, as far as it is read."""
    labels = {SPEC_LABEL: spec_sha256, "as_of": "2013-01-13"}
    (folder / "model.yaml").write_text(yaml.safe_dump({"labels": labels}))
