"""How the columns of a table are read: as some rows tell, and as all of them bear out."""

import re
from collections.abc import Mapping
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from .counting import Counts, count, parsed
from .spelling import (
    MAX_EXACT,
    TOLERANCE,
    Reading,
    counted_since,
    is_no_value,
    read_as,
    shows_comma,
)

HAS_DIGIT = re.compile(r"\d")
# a number of so few values may have names among them; so many odd ones are by chance
FEW_VALUES, BY_CHANCE = 50, 0.001
# so often a word stands for no value in a column of many numbers, if there are so few of them
MIN_WORD, MAX_WORDS = 3, 5
# odd values among which there may be words for no value
MOST_ODD = 100

Found = Mapping[str, tuple[Reading, Counts]]


def readings_of(said: pa.Table, comma: bool) -> dict[str, Reading]:
    """How each column is read, as far as some rows tell."""
    texts = {
        name: said[name].drop_null().to_pylist()
        for name in said.column_names
        if pa.types.is_string(said[name].type) or pa.types.is_large_string(said[name].type)
    }
    comma = comma or any(map(shows_comma, texts.values()))
    return {
        name: read_as(name, texts[name], comma) if name in texts else _of_type(name, said[name])
        for name in said.column_names
    }


def verified(table: ir.Table, readings: Mapping[str, Reading]) -> Found:
    """How columns are read, and what is counted then; as something weaker where too much is odd."""
    counted = count(table, readings)
    found = {name: _with_words(table[name], readings[name], counted[name]) for name in readings}
    doubted = {name: weaker for name, each in found.items() if (weaker := _weaker(*each))}
    for name, (reading, counts) in (verified(table, doubted) if doubted else {}).items():
        # what is odd as a whole number, and no number either, is no reason
        if _is_refused(*found[name]) or counts["odd"] < found[name][1]["odd"]:
            found[name] = reading, counts
    return found


def _of_type(name: str, values: pa.ChunkedArray) -> Reading:
    dtype = values.type
    if values.null_count == len(values):
        return Reading("empty")
    if pa.types.is_boolean(dtype):
        return Reading("boolean")
    if pa.types.is_timestamp(dtype) or pa.types.is_date(dtype):
        return Reading("moment", zoned=getattr(dtype, "tz", None) is not None)
    # whole numbers of which some are missing are often kept as fractions
    numbers = pc.drop_null(pc.cast(values, "float64", safe=False))
    is_whole = pc.all(pc.equal(numbers, pc.trunc(numbers))).as_py()
    found = Reading("integer" if is_whole else "number")
    return counted_since(name, found, [*pc.min_max(numbers).as_py().values()]) or found


def _with_words(source: ir.Column, reading: Reading, counts: Counts) -> tuple[Reading, Counts]:
    """With what stands for no value only in rows that have not been looked at."""
    if not (counts["odd"] and source.type().is_string()):
        return reading, counts
    odd = source.as_table().filter(parsed(source, reading).failed)
    words = odd.group_by(source.get_name()).aggregate(__n=ibis._.count())
    most = words.order_by(ibis.desc("__n")).limit(MOST_ODD).to_pyarrow()
    words_of = dict(zip(*most.to_pydict().values(), strict=True))
    missing = {word: n for word, n in words_of.items() if is_no_value(word, reading.kind)}
    repeated = {w: n for w, n in words_of.items() if w not in missing and n >= MIN_WORD}
    if counts["distinct"] > FEW_VALUES and _are_words(reading, repeated):
        missing |= repeated
    counts = counts | {what: counts[what] - sum(missing.values()) for what in ("given", "odd")}
    return replace(reading, missing=(*reading.missing, *missing)), counts


def _are_words(reading: Reading, odd: Mapping[str, int]) -> bool:
    """Whether numbers are replaced by a few words, each of them often."""
    is_number = reading.kind in ("integer", "number")
    return is_number and len(odd) <= MAX_WORDS and not any(map(HAS_DIGIT.search, odd))


def _weaker(reading: Reading, counts: Counts) -> Reading | None:
    """What else the values of a column may be, if they are not all what some of them seemed."""
    if reading.kind == "integer" and counts["odd"] and not _is_code(counts):
        return replace(reading, kind="number")
    if not _is_refused(reading, counts):
        return None
    words = tuple(word for word in reading.missing if is_no_value(word, "text"))
    return Reading("text", missing=words)


def _is_refused(reading: Reading, counts: Counts) -> bool:
    named = reading.kind in ("integer", "number") and counts["distinct"] <= FEW_VALUES
    tolerance = BY_CHANCE if named else TOLERANCE
    too_odd = (counts["odd"] or 0) > tolerance * (counts["given"] or 0)
    return reading.kind not in ("text", "empty") and (too_odd or _is_code(counts))


def _is_code(counts: Counts) -> bool:
    """Whether whole numbers are names: they begin with a zero, or are too large to count with."""
    if "codes" not in counts:
        return False
    large = max(abs(counts["low"] or 0), abs(counts["high"] or 0)) > MAX_EXACT
    return large or bool(counts["codes"])
