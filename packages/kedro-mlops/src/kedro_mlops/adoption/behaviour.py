"""What suggests itself to hold for any model of a table: tried with a small model of the sample."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from kedro_mlops.core.threads import one_thread

from .evidence import numbers_of
from .labels import Label

Floats = NDArray[np.float64]

MAX_ROWS = 5_000
MIN_ROWS = 200
MAX_COLUMNS = 100
N_DIRECTIONS = 2
# what is found may be so many times as large by another model, and no less than a share
ROOM = 4
LEAST_ROOM = 0.05
LITTLE = 0.05
# and the share of the target that such a feature tells alone, at most: where others say the same,
# this model does without it, and another need not
LITTLE_TOLD = 0.05
# rank correlation from which a number goes with the target
GOES_WITH = 0.25
# and what goes with another so much is not moved alone: a model may weigh one against the other
TOGETHER = 0.7


@dataclass(frozen=True)
class Expected:
    """A behaviour test; see ``gate.behaviour``.

    Attributes:
        name: What it says.
        column: The feature that is changed.
        limit: What the score may move, the wrong way or at all.
        step: What is added.
        expect: What the score may be then.
        score: Which score, where there are several.
    """

    name: str
    column: str
    limit: float
    step: float = 0.0
    expect: Literal["not_lower", "not_higher"] = "not_lower"
    score: str | None = None


@dataclass(frozen=True)
class Behaviour:
    """Tests of both kinds."""

    invariance: tuple[Expected, ...] = ()
    direction: tuple[Expected, ...] = ()


@dataclass(frozen=True)
class _Tried:
    """A model that was fitted to half of the rows, and the other half.

    Attributes:
        model: Of two classes or of a number.
        rows: What it is asked about.
        target: What is true of them.
        unit: What is much of a score.
    """

    model: Any
    rows: pd.DataFrame
    target: Floats
    unit: float

    def score(self, rows: pd.DataFrame) -> Floats:
        """The probability of the positive class, or the number."""
        if isinstance(self.model, HistGradientBoostingRegressor):
            return np.asarray(self.model.predict(rows))
        return np.asarray(self.model.predict_proba(rows)[:, 1])


def suggest(
    sample: pd.DataFrame,
    label: Label,
    features: Sequence[str],
    numeric: Sequence[str],
    tells: Mapping[str, float],
) -> Behaviour:
    """Which behaviour suggests itself: three tests at most, each of which has room.

    Args:
        sample: Rows.
        label: What is predicted. Of several classes nothing is suggested.
        features: What it is predicted by.
        numeric: Those of them that are numbers.
        tells: What each feature alone tells, from 0 to 1.
    """
    rows = sample[sample[label.name].notna()].iloc[:MAX_ROWS]
    if label.is_one_of_several or len(rows) < MIN_ROWS or len(features) > MAX_COLUMNS:
        return Behaviour()
    tried = _try(rows, label, features)
    return Behaviour(
        tuple(_of_no_importance(tried, tells)) if len(features) > 2 else (),
        tuple(_directions(tried, label, numeric))[:N_DIRECTIONS],
    )


def _try(rows: pd.DataFrame, label: Label, features: Sequence[str]) -> _Tried:
    inputs = pd.DataFrame({name: numbers_of(rows[name])[:, 0] for name in features})
    if label.is_number:
        target = rows[label.name].to_numpy(np.float64)
        model, unit = (
            HistGradientBoostingRegressor(max_iter=50, random_state=0),
            float(target.std()) or 1.0,
        )
    else:
        positive = label.classes[1]
        said = rows[label.name]
        target = (said.astype(str) == str(positive)).to_numpy(np.float64)
        model, unit = HistGradientBoostingClassifier(max_iter=50, random_state=0), 1.0
    seen = np.arange(len(inputs)) % 2 == 0
    # threads would wait for each other longer than they work
    with one_thread():
        model.fit(inputs[seen], target[seen])
    return _Tried(model, inputs[~seen], target[~seen], unit)


def _of_no_importance(tried: _Tried, tells: Mapping[str, float]) -> Iterator[Expected]:
    """The feature that moves scores least if rows swap its values, of those that tell little."""
    before, random = tried.score(tried.rows), np.random.default_rng(0)
    moved: dict[str, float] = {}
    ranks = tried.rows.rank()
    for name in (each for each in tried.rows if tells[str(each)] < LITTLE_TOLD):
        if _goes_with_another(ranks, name):
            continue
        swapped = random.permutation(tried.rows[name].to_numpy())
        after = tried.score(_with(tried.rows, name, swapped))
        moved[str(name)] = float(np.abs(after - before).mean())
    least = min(moved, key=moved.__getitem__, default=None)
    if least is not None and moved[least] < LITTLE * tried.unit:
        yield Expected(f"{least} matters little", least, _limit(moved[least], tried.unit))


def _directions(tried: _Tried, label: Label, numeric: Sequence[str]) -> Iterator[Expected]:
    """Numbers that go with the target, of which the model says so, too; the strongest first."""
    ranks = tried.rows[list(numeric)].rank()
    with_target = ranks.corrwith(pd.Series(tried.target, index=ranks.index).rank())
    strong = with_target[with_target.abs() >= GOES_WITH].sort_values(key=abs, ascending=False)
    for name, found in strong.items():
        step = float(f"{tried.rows[name].std():.1g}")
        if _goes_with_another(ranks, name) or not step > 0:
            continue
        rise = tried.score(_with(tried.rows, name, tried.rows[name] + step))
        rise = (rise - tried.score(tried.rows)) * np.sign(found)
        wrong = float(np.maximum(-rise, 0).mean())
        if rise.mean() > wrong:
            what = label.name if label.is_number else f"the chance of {label.classes[1]}"
            way, expect = ("lower", "not_lower") if found > 0 else ("raise", "not_higher")
            yield Expected(
                f"more {name} does not {way} {what}", str(name), _limit(wrong, tried.unit), step,
                expect,  # type: ignore[arg-type]
            )  # fmt: skip


def _goes_with_another(ranks: pd.DataFrame, name: Hashable) -> bool:
    return bool(ranks.corrwith(ranks[name]).drop(name).abs().max() > TOGETHER)


def _with(rows: pd.DataFrame, name: Hashable, values: Any) -> pd.DataFrame:
    changed = rows.copy()
    changed[name] = values
    return changed


def _limit(found: float, unit: float) -> float:
    return float(f"{ROOM * found + LEAST_ROOM * unit:.2g}")
