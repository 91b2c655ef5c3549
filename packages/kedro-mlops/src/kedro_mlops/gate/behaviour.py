"""How a model answers to changes of its inputs whose effect is known beforehand.

Behavioural tests after Ribeiro et al. (2020), "Beyond accuracy: CheckList": a metric may be good
for the wrong reasons, and rows like those of tomorrow's may not be in the test window.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.models.package import ModelPackage

FOUND = ["name", "kind", "n_rows", "value", "limit", "passed", "detail"]


class Invariance(Parameters):
    """A change that should move the answer little: the values of another row."""

    name: str
    swap: list[str] = Field(min_length=1, description="Columns that get another row's values")
    max_change: float = Field(ge=0, description="Mean absolute change of the score")


class Direction(Parameters):
    """A change that should move the answer one way only."""

    name: str
    add: dict[str, float] = Field(min_length=1, description="What is added to which column")
    expect: Literal["not_lower", "not_higher"] = Field(description="What the score may be")
    score: str | None = Field(None, description="Which, where there is one for each class")
    tolerance: float = Field(
        ge=0, description="Mean change the wrong way; a row that moves the right way counts as 0"
    )


class Behaviour(Parameters):
    """The behaviour suite; its tests are the data's owner's."""

    n_rows: int = Field(gt=0, description="Rows of the test window that are changed")
    invariance: list[Invariance]
    direction: list[Direction]

    @model_validator(mode="after")
    def _each_named_once(self) -> Self:
        names = [*(test.name for test in self.invariance), *(test.name for test in self.direction)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"Two behaviour tests are called '{name}'.")
        return self


def read_suite(contract: Columns, params: Behaviour) -> Behaviour:
    """The behaviour suite, each of whose tests changes inputs of the model.

    A node of its own, so that a misspelt name stops the run before anything is trained.

    Raises:
        ProjectError: naming what is no input, or no number.
    """
    for invariance in params.invariance:
        _check_known(invariance.swap, contract.features, "an input of the model", invariance.name)
    numbers = contract.features_of_kind("numeric")
    scores = contract.task.output().score_columns()
    for direction in params.direction:
        if len(scores) > 1:
            _check_known([str(direction.score)], scores, "a score of the model", direction.name)
        what = "a number among the inputs of the model"
        _check_known([*direction.add], numbers, what, direction.name)
    return params


def check_behaviour(
    contract: Columns, candidate: ModelPackage, test: pd.DataFrame, suite: Behaviour, seed: int
) -> pd.DataFrame:
    """Change rows of the test window, and compare what the candidate says before and after.

    Returns:
        A row for each test: what was measured, its limit, and whether it passed.
    """
    sample = test.sample(min(suite.n_rows, len(test)), random_state=seed)
    rows = sample[candidate.metadata.features]
    found = [
        *(_test_invariance(candidate, rows, expected, seed) for expected in suite.invariance),
        *(_test_direction(contract, candidate, rows, expected) for expected in suite.direction),
    ]
    return pd.DataFrame(found, columns=FOUND)


def _test_invariance(
    model: ModelPackage, rows: pd.DataFrame, expected: Invariance, seed: int
) -> dict[str, Any]:
    order = np.random.default_rng(seed).permutation(len(rows))
    swapped = rows.copy()
    swapped[expected.swap] = rows[expected.swap].iloc[order].set_axis(rows.index)
    change = np.abs(model.score(swapped) - model.score(rows))
    if change.ndim > 1:
        # of several probabilities, as much as moves from some to others
        change = change.sum(axis=1) / 2
    return _found(expected.name, "invariance", change, expected.max_change)


def _test_direction(
    contract: Columns, model: ModelPackage, rows: pd.DataFrame, expected: Direction
) -> dict[str, Any]:
    read = [name for name in expected.add if name not in model.metadata.left_out]
    if not read:
        detail = f"the model was trained without {', '.join(expected.add)}, and cannot move"
        unmoved = np.zeros(len(rows))
        return _found(expected.name, "direction", unmoved, expected.tolerance, detail)
    added = rows.copy()
    for name in read:
        added[name] = rows[name] + expected.add[name]
    # beyond the contract no row ever comes, and what is missing cannot be more or less
    changed = _keeping_contract(contract, added, read)
    if changed.empty:
        return _found(expected.name, "direction", np.array([]), expected.tolerance)
    before, after = (model.predict(one) for one in (rows.loc[changed.index], changed))
    score = expected.score or model.metadata.output.score_columns()[0]
    rise = after[score] - before[score]
    wrong = -rise if expected.expect == "not_lower" else rise
    return _found(expected.name, "direction", np.maximum(wrong, 0), expected.tolerance)


def _keeping_contract(contract: Columns, rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The rows that have a value in each of the columns, and one that the contract allows."""
    rows = rows.dropna(subset=names)
    for name in names:
        for check in contract[name].judges:
            rows = rows[check(rows[name]).check_output]
    return rows


def _found(
    name: str, kind: str, change: NDArray[np.float64], limit: float, detail: str = ""
) -> dict[str, Any]:
    """What a test has found; one that could change no row has proved nothing, and fails."""
    value = float(change.mean()) if len(change) else 0.0
    way = "on average" if kind == "invariance" else "the wrong way on average"
    if not len(change):
        detail = "no row could be changed: values are missing, or leave the contract's bounds"
    detail = detail or (f"score moves by {value:.4f} {way}, limit {limit:g}, {len(change):,} rows")
    passed = bool(len(change)) and value <= limit
    found = (name, kind, len(change), value, limit, passed, detail)
    return dict(zip(FOUND, found, strict=True))


def _check_known(names: Sequence[str], known: Sequence[str], what: str, test: str) -> None:
    for name in names:
        if name not in known:
            raise ProjectError(
                f"The behaviour test '{test}' names '{name}', which is not {what}. "
                f"{suggestion(name, known)}"
            )
