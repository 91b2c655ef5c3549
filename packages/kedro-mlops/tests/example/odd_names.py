"""Tables whose columns are called as no programmer would call them, for the three tasks."""

from typing import Any

import numpy as np
import pandas as pd

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.prediction_log.contract import PredictionColumns

NAMES = [
    *("Sale Price", "größe", "class", "a.b", "a[0]", 'x"y', "it's", "%", "1st", "_private"),
    *("model_config", "json", "schema", "copy", "__row", "row", "column", "rule", "value"),
    *("record", "count", "score", "label", "entity", "day", "index", "weight", "new\nline"),
    *("tab\tulator", " spaces ", "x" * 200, "🛩", "<b>bold</b>", "{{ x }}", "$ref", "/", "~"),
    *("self", "by", "having", "a, b", "a: b", "%(x)s", ":p", "\\", "`", "name", "n", "window"),
    *("bin", "mean", "median", "base_rate", "shallow_tree", "version", "tick", "policy", "kind"),
    *("x_minute_of_day", "None", "${x}", "field_0", "_61_", "a", "=", "params:a", "true", "it;"),
]
KEY, GROUPED, MOMENT, LABEL = "the key, of 'all'", 'se"g;ment', "x", "what <i>was</i>"
KNOWN = "known, at last"
TEXTS = ["low", "high", 'odd"']


def contracts(task: str, dated: bool = False) -> tuple[type[Contract], type[Contract]]:
    """What is learned from, and the prediction log."""
    labels: dict[str, tuple[Any, dict[str, Any]]] = {
        "binary": (str, {"isin": ["no", "yes"], "positive": "yes"}),
        "multiclass": (str, {"isin": ["low", "middle", "high"]}),
        "regression": (float, {}),
    }
    kind, said = labels[task]
    inputs = _contract("Inputs", _inputs(dated))
    of_label = [(kind, column("What it was", alias=LABEL, label=task, nullable=True, **said))]
    if dated:
        of_label.append((pd.Timestamp, column("When", alias=KNOWN, label_time=True, nullable=True)))
    label = _contract("Label", of_label)
    observed = type("Observed", (label, inputs), {"__annotations__": {}})
    config = type("Config", (), {"unique": ["prediction_id"]})
    log = type(
        "Log", (PredictionColumns, inputs), {"Config": config, "__annotations__": {}}, of=label
    )
    return observed, log


def _inputs(dated: bool) -> list[tuple[Any, Any]]:
    key = column("Which", alias=KEY, key=True, assigned=True)
    segment = column("Part", alias=GROUPED, segment=True, protected=True, feature=True, isin=TEXTS)
    moment = column(
        "When",
        alias=MOMENT,
        feature=True,
        event_time=dated,
        nullable=not dated,
        example="2024-01-01T10:00",
    )
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (float, {"ge": -100, "nullable": True, "example": 1.5}),
        (int, {"ge": 0, "example": 3}),
        (str, {"example": "low", "nullable": True}),
        (pd.BooleanDtype, {"nullable": True, "example": True}),
    ]
    others = [
        (kinds[i % 4][0], column(f"It: {i}", alias=name, feature=True, **kinds[i % 4][1]))
        for i, name in enumerate(NAMES)
    ]
    return [(str, key), (str, segment), (pd.Timestamp, moment), *others]


def _contract(name: str, columns: list[tuple[Any, Any]]) -> type[Contract]:
    members = {f"{name.lower()}_{i}": found for i, found in enumerate(columns)}
    annotations = {member: kind for member, (kind, _) in members.items()}
    declared = {member: made for member, (_, made) in members.items()}
    return type(name, (Contract,), {"__annotations__": annotations, **declared})


def table(task: str, n_rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Rows whose label follows the first column."""
    rng = np.random.default_rng(seed)
    kinds = [
        lambda: rng.normal(size=n_rows),
        lambda: rng.integers(0, 9, n_rows),
        lambda: rng.choice(TEXTS, n_rows),
        lambda: pd.array(rng.random(n_rows) < 0.5, dtype="boolean"),
    ]
    columns: dict[str, Any] = {
        KEY: [f"k{i}" for i in range(n_rows)],
        GROUPED: rng.choice(TEXTS, n_rows),
        MOMENT: pd.Timestamp("2024-02-10")
        + pd.to_timedelta(np.linspace(0, 95, n_rows), "D").floor("s"),
        **{name: kinds[i % 4]() for i, name in enumerate(NAMES)},
    }
    number = columns[NAMES[0]] + rng.normal(0, 0.3, n_rows)
    columns[LABEL] = {
        "binary": np.where(number > 0, "yes", "no"),
        "multiclass": np.array(["low", "middle", "high"])[np.digitize(number, [-0.4, 0.4])],
        "regression": number,
    }[task]
    columns[KNOWN] = columns[MOMENT] + pd.Timedelta(days=1)
    return pd.DataFrame(columns)


def columns_of(task: str, dated: bool = False) -> tuple[Columns, Columns]:
    """The two contracts as data."""
    observed, log = contracts(task, dated)
    return Columns.of(observed), Columns.of(log)
