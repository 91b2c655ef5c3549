"""What a column is for that is not the target, and which values it may have."""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal

from .evidence import Evidence
from .profile import ColumnProfile, TableProfile

Use = Literal["label", "key", "group", "time", "feature", "personal", "left out"]

# categories are closed where there are few, and each is there so often
MAX_CLOSED = 20
MIN_ROWS_CLOSED = 50
MAX_CATEGORIES = 1_000
MIN_ROWS_OF_A_CATEGORY = 3
MANY_WORDS = 4
NEARLY_ALL = 0.9
# so few rows may be numbered by chance
MIN_NUMBERED = 20
# the length of text that needs no further word
USUAL_LENGTH = 256
BEYOND = 10

ID = re.compile(
    r"(^|[\s_.-])(id|uuid|guid|key|nr|no|number|index|idx|rownames?)$|^unnamed|^$", re.I
)
UNNAMED = re.compile(r"unnamed: \d+(\.\d+)?|level_0")
CAPITAL_ID = re.compile(r"[a-z]I[dD]$")
AGE = re.compile(r"(^|[\s_.-])age([\s_.-]|$)|^alter$", re.I)
YEAR = re.compile(r"year|^yr|jahr", re.I)
SHARE = re.compile(
    r"rate|ratio|share|fraction|prob|percent|pct|proportion|anteil|quote|score|%", re.I
)
LATITUDE = re.compile(r"^lat$|latitude", re.I)
LONGITUDE = re.compile(r"^(lon|lng|long)$|longitude", re.I)


@dataclass(frozen=True)
class ColumnDecision:
    """What becomes of a column.

    Attributes:
        name: As the source has it.
        use: What it is for.
        type: What the contract calls the type of its values.
        reason: Why, in a line.
        options: What else the contract says of it.
        example: A value as people send it.
    """

    name: str
    use: Use
    type: str
    reason: str
    options: dict[str, Any] = field(default_factory=dict)
    example: Any = None


def decide_column(
    profile: TableProfile, column: ColumnProfile, evidence: Evidence, asked_text: bool
) -> ColumnDecision:
    """What a column is for, by what is found in it."""
    why_not = _why_left_out(profile, column, evidence, asked_text)
    said = spelling(column)
    type_ = TYPES[column.kind]
    if column.name in evidence.personal:
        return ColumnDecision(
            column.name, "personal", type_, evidence.personal[column.name],
            {"personal": True, "nullable": True, **said},
        )  # fmt: skip
    if why_not is not None:
        return ColumnDecision(
            column.name, "left out", type_, why_not, {"nullable": True, **said}, column.example
        )
    if asked_text:
        found, words = {"text": True, **said}, "free text, as asked"
    else:
        found, words = _values(column)
        found |= said
    options = {"feature": True, **found, "nullable": True}
    return ColumnDecision(column.name, "feature", type_, words, options, column.example)


TYPES = {
    "integer": "float",
    "number": "float",
    "boolean": "pd.BooleanDtype",
    "moment": "pd.Timestamp",
    "text": "str",
    "empty": "str",
}


def _why_left_out(
    profile: TableProfile, column: ColumnProfile, evidence: Evidence, asked_text: bool
) -> str | None:
    """Why it is no feature; none if it is one."""
    n_known = profile.n_rows - column.n_missing
    if column.kind == "empty" or n_known == 0:
        return "is empty"
    if column.n_distinct == 1 and column.n_missing == 0:
        return f"is always {column.common[0][0] if column.common else column.example}"
    if column.name in evidence.giveaways:
        return f"{evidence.giveaways[column.name]}: is it known before? If so, say feature=True"
    if numbers_lines(column) or is_identifier(profile, column):
        return "tells rows apart, and nothing of them"
    if column.kind == "text" and not asked_text:
        return _why_no_category(column, n_known) or evidence.repeats.get(column.name)
    return evidence.repeats.get(column.name)


def _why_no_category(column: ColumnProfile, n_known: int) -> str | None:
    near_unique = column.n_distinct > n_known / 2 and column.n_distinct > 20
    if near_unique and column.mean_words > MANY_WORDS:
        return f"is free text; `--text {column.name}` takes it"
    if near_unique:
        return f"{column.n_distinct:,} different values in {n_known:,} rows"
    if column.n_distinct > MAX_CATEGORIES and n_known < MIN_ROWS_OF_A_CATEGORY * column.n_distinct:
        return f"{column.n_distinct:,} categories, of hardly any rows each"
    if column.n_distinct > MAX_CATEGORIES and column.mean_words > MANY_WORDS:
        return f"is free text; `--text {column.name}` takes it"
    return None


def is_identifier(profile: TableProfile, column: ColumnProfile) -> bool:
    """Whether it names rows, or those that rows are about."""
    n_known = profile.n_rows - column.n_missing
    unique = column.n_distinct >= NEARLY_ALL * n_known
    if column.kind == "integer":
        assert isinstance(column.low, int | float) and isinstance(column.high, int | float)
        in_a_row = unique and column.high - column.low + 1 == n_known
        return n_known > MIN_NUMBERED and (in_a_row or (unique and is_called_id(column.name)))
    if column.kind == "text":
        return is_called_id(column.name) and column.n_distinct > n_known / 2
    return False


def numbers_lines(column: ColumnProfile) -> bool:
    """Whether it is an index that was written with the table."""
    name = column.name.strip().lower()
    return name in ("", "rownames") or bool(UNNAMED.fullmatch(name) and column.kind == "integer")


def is_called_id(name: str) -> bool:
    """Whether a name is one of identifiers."""
    return bool(ID.search(name.strip()) or CAPITAL_ID.search(name.strip()))


def says_of_what(name: str) -> bool:
    """Whether a name says more than that it numbers lines."""
    return name.strip().lower() not in ("", "index", "idx", "nr", "no", "number", "rownames") and (
        not name.lower().startswith("unnamed")
    )


def _values(column: ColumnProfile) -> tuple[dict[str, Any], str]:
    """Which values a feature may have, and what it is, in words."""
    if column.kind in ("integer", "number"):
        return bounds_of(column)
    if column.kind == "boolean":
        return {}, "true or false"
    if column.kind == "moment":
        return {}, f"a moment, {column.low:%Y-%m-%d} to {column.high:%Y-%m-%d}"
    values = closed(column)
    if values:
        return {"isin": values}, f"{len(values)} categories, closed: all are frequent"
    return {}, f"{column.n_distinct:,} categories; new ones are accepted"


def closed(column: ColumnProfile) -> list[str]:
    """All categories, in order, where there surely are no others."""
    counts = dict(column.common)
    if not 2 <= len(counts) == column.n_distinct <= MAX_CLOSED or column.n_odd:
        return []
    folded = {str(value).strip().lower() for value in counts}
    if min(counts.values()) < MIN_ROWS_CLOSED or len(folded) < len(counts):
        return []
    return sorted(str(value) for value in counts)


def bounds_of(column: ColumnProfile) -> tuple[dict[str, Any], str]:
    """Bounds with room, by what sort of number it is; never just the range that was seen."""
    low, high = column.low, column.high
    assert isinstance(low, int | float) and isinstance(high, int | float)
    whole = column.kind == "integer"
    usual = _usual_bounds(column.name, low, high, whole)
    if usual is None and low >= 0:
        usual = "a count" if whole else "an amount", 0, far_beyond(high)
    elif usual is None:
        most = far_beyond(max(-low, high))
        usual = "a whole number" if whole else "a number", -most, most
    words, least, most = usual
    return {"ge": least, "le": most}, f"{words}; {low:g} to {high:g} seen"


def _usual_bounds(
    name: str, low: float, high: float, whole: bool
) -> tuple[str, float, float] | None:
    """What numbers of such a name are, and the bounds that these have by their nature."""
    sorts = [
        (LATITUDE, -90, 90, "degrees"),
        (LONGITUDE, -180, 180, "degrees"),
        (AGE, 0, 120, "an age"),
        (SHARE, 0, 1, "a share"),
        (SHARE, 0, 100, "a share in percent"),
    ]
    if whole and YEAR.search(name) and low >= 1000 and high <= 2200:
        return "a year", math.floor(low / 100) * 100, 2200
    for words, least, most, what in sorts:
        whole_share = most == 1 and whole
        if words.search(name) and least <= low and high <= most and not whole_share:
            return what, least, most
    return None


def far_beyond(value: float) -> float:
    """Ten times a value at least, as a round number."""
    if value == 0:
        return BEYOND
    beyond = value * BEYOND
    size = 10.0 ** math.floor(math.log10(beyond))
    rounded = next(step * size for step in (1, 2, 5, 10) if step * size >= beyond * (1 - 1e-12))
    return float(f"{rounded:.3g}")


def spelling(column: ColumnProfile) -> dict[str, Any]:
    """How the source says its values, where that is not as usual."""
    said: dict[str, Any] = {}
    if column.source_name:
        said["source_name"] = column.source_name
    if column.format:
        said["format"] = column.format
    if column.decimal != ".":
        said["decimal"] = column.decimal
    if column.thousands:
        said["thousands"] = column.thousands
    if column.symbol:
        said["symbol"] = column.symbol
    if set(column.missing) - {"", "NA"}:
        said["missing"] = ["", "NA", *sorted(set(column.missing) - {"", "NA"})]
    if column.kind == "text" and column.max_length > USUAL_LENGTH / 2:
        said["str_length"] = {"max_value": int(far_beyond(column.max_length))}
    return said
