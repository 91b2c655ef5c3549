"""How a model answers to changes of its inputs whose effect is known beforehand.

Behavioural tests after Ribeiro et al. (2020), "Beyond accuracy: CheckList": a metric may be good
for the wrong reasons, and rows like those of tomorrow's may not be in the test window.
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from flight_delays.columns import Columns
from flight_delays.contracts import Observation
from flight_delays.errors import suggestion
from flight_delays.model_package import ModelPackage
from flight_delays.moments import Parameters

COLUMNS = Columns.of(Observation)
FOUND = ["name", "kind", "n_rows", "value", "limit", "passed", "detail"]


class Invariance(Parameters):
    """A change that should move the answer little: the values of another row."""

    name: str
    swap: list[str] = Field(min_length=1, description="Columns that get another row's values")
    max_change: float = Field(ge=0, description="Mean absolute change of the probability")

    @field_validator("swap")
    @classmethod
    def _of_inputs(cls, names: list[str]) -> list[str]:
        _check_known(names, COLUMNS.features, "an input of the model")
        return names


class Direction(Parameters):
    """A change that should move the answer one way only."""

    name: str
    add: dict[str, float] = Field(min_length=1, description="What is added to which column")
    expect: Literal["not_lower", "not_higher"] = Field(description="What the probability may be")
    tolerance: float = Field(
        ge=0, description="Mean change the wrong way; a row that moves the right way counts as 0"
    )

    @field_validator("add")
    @classmethod
    def _of_numbers(cls, amounts: dict[str, float]) -> dict[str, float]:
        numbers = COLUMNS.features_of_kind("numeric")
        _check_known([*amounts], numbers, "a number among the inputs of the model")
        return amounts


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


def check_behaviour(
    candidate: ModelPackage, test: pd.DataFrame, params: Behaviour, seed: int
) -> pd.DataFrame:
    """Change rows of the test window, and compare what the candidate says before and after.

    Returns:
        A row for each test: what was measured, its limit, and whether it passed.
    """
    sample = test.sample(min(params.n_rows, len(test)), random_state=seed)
    rows = sample[candidate.metadata.features]
    found = [
        *(_test_invariance(candidate, rows, expected, seed) for expected in params.invariance),
        *(_test_direction(candidate, rows, expected) for expected in params.direction),
    ]
    return pd.DataFrame(found, columns=FOUND)


def _test_invariance(
    model: ModelPackage, rows: pd.DataFrame, expected: Invariance, seed: int
) -> dict[str, Any]:
    order = np.random.default_rng(seed).permutation(len(rows))
    swapped = rows.copy()
    swapped[expected.swap] = rows[expected.swap].iloc[order].set_axis(rows.index)
    change = np.abs(model.predict(swapped) - model.predict(rows))
    return _found(expected.name, "invariance", change, expected.max_change)


def _test_direction(model: ModelPackage, rows: pd.DataFrame, expected: Direction) -> dict[str, Any]:
    read = [name for name in expected.add if name not in model.metadata.left_out]
    if not read:
        detail = f"the model was trained without {', '.join(expected.add)}, and cannot move"
        return _result(expected.name, "direction", len(rows), 0.0, expected.tolerance, True, detail)
    added = rows.assign(**{name: rows[name] + expected.add[name] for name in read})
    # beyond the contract no row ever comes, and what is missing cannot be more or less
    changed = _keeping_contract(added, read)
    if changed.empty:
        return _found(expected.name, "direction", np.array([]), expected.tolerance)
    rise = model.predict(changed) - model.predict(rows.loc[changed.index])
    wrong = -rise if expected.expect == "not_lower" else rise
    return _found(expected.name, "direction", np.maximum(wrong, 0), expected.tolerance)


def _keeping_contract(rows: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """The rows that have a value in each of the columns, and one that the contract allows."""
    rows = rows.dropna(subset=names)
    declared = Observation.to_schema().columns
    for name in names:
        for check in declared[name].checks:
            rows = rows[check(rows[name]).check_output]
    return rows


def _found(name: str, kind: str, change: NDArray[np.float64], limit: float) -> dict[str, Any]:
    """What a test has found; one that could change no row has proved nothing, and fails."""
    value = float(change.mean()) if len(change) else 0.0
    way = "on average" if kind == "invariance" else "the wrong way on average"
    detail = f"probability moves by {value:.4f} {way}, limit {limit:g}, {len(change):,} rows"
    if not len(change):
        detail = "no row could be changed: values are missing, or leave the contract's bounds"
    passed = bool(len(change)) and value <= limit
    return _result(name, kind, len(change), value, limit, passed, detail)


def _result(*found: Any) -> dict[str, Any]:
    return dict(zip(FOUND, found, strict=True))


def _check_known(names: Sequence[str], known: Sequence[str], what: str) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"'{name}' is not {what}. {suggestion(name, known)}")
