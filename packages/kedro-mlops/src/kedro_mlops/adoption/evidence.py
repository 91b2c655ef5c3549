"""What a sample says of columns: which repeats another, is personal, or knows the answer."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from .personal import personal_columns
from .profile import TableProfile

Floats = NDArray[np.float64]

# as many rows are enough to see what tells all; of very many columns, so many values
MAX_ROWS, MAX_VALUES, MIN_ROWS = 20_000, 4_000_000, 2_000
# of what there is to tell, the share that one column alone may tell
TELLS_ALL, TELLS_ALL_OF_A_NUMBER = 0.98, 0.99
# and that whether it is there at all may tell
PRESENCE_TELLS = 0.9
# what adds up but for rounding, and what counts; of how many columns, of how many that are tried
EXACT, COUNTS, MOST_ADDENDS, MAX_ADDED = 1e-4, 1e-3, 3, 200
# a number that orders rows as the target does, but for rounding; some rows show whether it may
SAME_ORDER, MAY_BE_SAME, SHOWN_BY = 0.9999, 0.99, 500
# of fewer rows a measurement may well tell all classes apart
FEW_ROWS = 300
# then the spread within classes is some part of what is between them; and if the label was made by
# a limit to the column, values beside the limit are as close as others are
COPIED, CLOSE = 0.02, 3.5
# so few rows are told apart by chance
MIN_ROWS_TOLD = 40


@dataclass(frozen=True)
class Evidence:
    """What is found, by the column that it is found of, in words.

    Attributes:
        giveaways: Columns that alone tell the label.
        tells: Of each column, the share of the label that it tells alone, from 0 to 1.
        repeats: Columns that say what an earlier one says.
        personal: Columns with personal data.
    """

    giveaways: dict[str, str] = field(default_factory=dict)
    tells: dict[str, float] = field(default_factory=dict)
    repeats: dict[str, str] = field(default_factory=dict)
    personal: dict[str, str] = field(default_factory=dict)


def gather(profile: TableProfile, target: str, is_number: bool) -> Evidence:
    """Look at every column but the target."""
    others = [column.name for column in profile.columns if column.name != target]
    sample = _some_of(profile.sample, target)
    told = {name: _tells(sample, name, target, is_number) for name in others}
    giveaways = {
        name: _in_words(tells, is_number)
        for name, tells in told.items()
        if tells > (TELLS_ALL_OF_A_NUMBER if is_number else TELLS_ALL)
        and (is_number or not _may_measure(sample, name, target))
    }
    if is_number:
        giveaways |= _in_same_order(sample, [n for n in others if n not in giveaways], target)
        giveaways |= _addends(sample, [n for n in others if n not in giveaways], target)
    else:
        giveaways |= _present_only(sample, [n for n in others if n not in giveaways], target)
    return Evidence(
        giveaways=giveaways,
        tells=told,
        repeats=repeats(profile, others),
        personal=dict(personal_columns(profile[name] for name in others)),
    )


def _some_of(sample: pd.DataFrame, target: str) -> pd.DataFrame:
    """Rows of a known target, from all over the sample where there are more than are needed."""
    known = sample[sample[target].notna()]
    most = max(MIN_ROWS, MAX_VALUES // len(known.columns))
    return known.iloc[:: -(-len(known) // most)] if len(known) > most else known


def _in_words(tells: float, is_number: bool) -> str:
    if is_number:
        return f"alone explains {tells:.1%} of the target's variance"
    return f"alone tells {tells:.1%} of what there is to tell of the target"


def _present_only(sample: pd.DataFrame, names: Iterable[str], target: str) -> dict[str, str]:
    """Columns that have a value, or lack it, nearly only where the target is one of its classes."""
    found: dict[str, str] = {}
    for name in names:
        there = sample[[target]].assign(there=sample[name].notna().astype("float64"))
        tells = _tells(there, "there", target, is_number=False)
        if tells > PRESENCE_TELLS:
            found[name] = f"whether it is there alone tells {tells:.1%} of the target"
    return found


def _addends(sample: pd.DataFrame, names: Iterable[str], target: str) -> dict[str, str]:
    """Two or three numbers that add up to the target, times what each counts."""
    rows = sample[sample[target].notna()].iloc[:MAX_ROWS]
    known = [n for n in names if _is_number(rows[n]) and rows[n].notna().all()]
    if not 2 <= len(known) <= MAX_ADDED or len(rows) < MIN_ROWS_TOLD + 2 * len(known):
        return {}
    inputs = rows[known].to_numpy(np.float64)
    inputs, wanted = inputs - inputs.mean(axis=0), rows[target].to_numpy(np.float64)
    wanted = wanted - wanted.mean()
    counts, *_ = np.linalg.lstsq(inputs, wanted, rcond=None)
    matter = np.abs(counts) * inputs.std(axis=0) > COUNTS * wanted.std()
    added = [name for name, matters in zip(known, matter, strict=True) if matters]
    if not 2 <= len(added) <= MOST_ADDENDS:
        return {}
    total = inputs[:, matter] @ counts[matter]
    if np.abs(total - wanted).max() > EXACT * np.abs(wanted).max():
        return {}
    return {name: f"adds up to the target, with {' and '.join(o for o in added if o != name)}"
            for name in added}  # fmt: skip


def _in_same_order(sample: pd.DataFrame, names: Iterable[str], target: str) -> dict[str, str]:
    """Numbers by which rows are in the order of the target, or in the opposite one."""
    found: dict[str, str] = {}
    for name in names:
        rows = sample.loc[sample[target].notna(), [name, target]].iloc[:MAX_ROWS]
        if not _is_number(rows[name]):
            continue
        rows = rows.astype("float64").dropna()
        ranks = rows.iloc[:: len(rows) // SHOWN_BY + 1].rank()
        if not abs(ranks[name].corr(ranks[target])) > MAY_BE_SAME:
            continue
        ranks = rows.rank()
        enough = len(rows) >= MIN_ROWS_TOLD and rows.nunique().min() > MIN_ROWS_TOLD / 2
        if enough and abs(ranks[name].corr(ranks[target])) > SAME_ORDER:
            found[name] = "puts rows in the order of the target"
    return found


def _may_measure(sample: pd.DataFrame, name: str, target: str) -> bool:
    """Whether a number tells classes apart as a measurement can: by a gap, or not without fail.

    Of few rows, that is: the petals of some irises. A copy of the class, or what the class was
    made of by a limit, is none.
    """
    rows = sample[[name, target]].dropna()
    if len(rows) >= FEW_ROWS or not _is_number(rows[name]):
        return False
    values, codes = rows[name].to_numpy(np.float64), pd.factorize(rows[target])[0]
    order = np.argsort(values, kind="stable")
    values, codes = values[order], codes[order]
    spreads = [values[codes == code].std() for code in range(codes.max() + 1)]
    if min(spreads) < COPIED * values.std():
        return False
    edges = np.flatnonzero(np.diff(codes))
    if len(edges) > codes.max():
        return True
    steps = np.diff(values)
    return bool(steps[edges].min() > CLOSE * np.median(steps[steps > 0]))


def _is_number(values: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def _tells(sample: pd.DataFrame, name: str, target: str, is_number: bool) -> float:
    """The share of the target that a tree on one column tells, on rows that it has not seen.

    Of classes, the balanced accuracy beyond guessing; of a number, the share of its variance.
    """
    rows = sample.loc[sample[target].notna(), [name, target]].iloc[:MAX_ROWS]
    if len(rows) < MIN_ROWS_TOLD or rows[name].nunique() < 2:
        return 0.0
    inputs = numbers_of(rows[name])
    seen = np.arange(len(rows)) % 2 == 0
    if is_number:
        return _variance_told(inputs, rows[target].to_numpy(np.float64), seen)
    return _classes_told(inputs, pd.factorize(rows[target])[0], seen)


def _variance_told(inputs: Floats, target: Floats, seen: NDArray[np.bool_]) -> float:
    tree = DecisionTreeRegressor(min_samples_leaf=2, random_state=0)
    said = tree.fit(inputs[seen], target[seen]).predict(inputs[~seen])
    told = [float(r2_score(target[~seen], said))]
    known = ~np.isnan(inputs[:, 0])
    if known.all() and np.ptp(inputs[:, 0]) > 0 and np.ptp(target) > 0:
        told.append(float(np.corrcoef(inputs[:, 0], target)[0, 1]) ** 2)
    return max(0.0, *told)


def _classes_told(inputs: Floats, target: NDArray[np.intp], seen: NDArray[np.bool_]) -> float:
    if len({*target[seen]}) < 2 or len({*target[~seen]}) < 2:
        return 0.0
    tree = DecisionTreeClassifier(min_samples_leaf=2, class_weight="balanced", random_state=0)
    said = tree.fit(inputs[seen], target[seen]).predict(inputs[~seen])
    guessing = 1 / len({*target[~seen]})
    score = float(balanced_accuracy_score(target[~seen], said))
    return max(0.0, (score - guessing) / (1 - guessing))


def numbers_of(values: pd.Series) -> Floats:
    """A column as a tree takes it, with missing values; categories in the order of their names."""
    if pd.api.types.is_datetime64_any_dtype(values):
        values = values.astype("int64").where(values.notna())
    elif not (pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values)):
        codes, _ = pd.factorize(values, sort=True)
        values = pd.Series(np.where(codes < 0, np.nan, codes))
    return values.to_numpy(np.float64, na_value=np.nan).reshape(-1, 1)


def repeats(profile: TableProfile, names: Iterable[str]) -> dict[str, str]:
    """Columns whose values follow one to one from an earlier one's, and vice versa."""
    found: dict[str, str] = {}
    first: dict[object, str] = {}
    for name in names:
        column = profile[name]
        if column.n_distinct < 2 or name not in profile.sample:
            continue
        for mark, words in _marks(profile.sample[name]):
            if mark in first:
                found.setdefault(name, words.format(first[mark]))
            else:
                first[mark] = name
    return found


def _marks(values: pd.Series) -> Iterator[tuple[object, str]]:
    """What columns have in common that say the same, and what that is called."""
    codes, distinct = pd.factorize(values)
    if len(distinct) <= len(values) / 2:
        # which rows are alike; where nearly all differ that says nothing
        yield ("alike", codes.tobytes()), "says the same as '{}'"
    if _is_number(values):
        numbers = values.to_numpy(np.float64, na_value=np.nan)
        spread = np.nanstd(numbers)
        if spread > 0:
            scaled = np.round((numbers - np.nanmean(numbers)) / spread, 7) + 0.0
            yield ("scaled", scaled.tobytes()), "is '{}' on another scale"
            yield ("scaled", (-scaled + 0.0).tobytes()), "is '{}' on another scale"
    else:
        yield ("equal", tuple(values.astype("str").head(1000))), "is the same as '{}'"
