"""What is said of the columns of a contract that cannot all be meant."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from kedro_mlops.runtime.checks import CHECKS
from kedro_mlops.task.task import misplaced
from kedro_mlops.task.tasks import TASKS

from .names import LOGGED, alike_but_for_case, folded, strangers, taken_by_log

if TYPE_CHECKING:
    # which asks here before it is one
    from .columns import Column, Columns

# what may stand in a number that is text, before its fraction and between groups of digits
DECIMALS, THOUSANDS = (".", ","), (",", ".", " ", "'")
IS_SYMBOL = re.compile(r"[^\W\d]+|[^\w\s+\-.,']+")


def contradictions(column: "Column", called: dict[str, str]) -> Iterator[str]:
    """What is said of a column that contradicts itself, or what is said of others.

    Args:
        column: The column.
        called: What columns are called, by their Python names.
    """
    role = column.role
    exposing = ("feature", "segment", "key", "group", "label", "protected")
    exposed = [name for name in exposing if getattr(role, name)]
    yield from _in_spelling(column)
    if role.personal and exposed:
        yield (
            f"is personal data and {exposed[0]}: it would reach the model, its log or a report; "
            "derive a column that is not personal, or look values up by it"
        )
    if role.protected and role.label:
        yield "is the label and protected: groups are compared by what happened to them"
    elif role.protected and column.kind not in ("categorical", "boolean"):
        yield f"is {column.kind} and protected: bin it first, since groups are text or boolean"
    yield from _misassigned(column)
    if role.group and role.label:
        yield "is the label and a group: which rows belong together is known before"
    yield from _misread(column)
    if role.feature and (role.label or role.label_time):
        yield "is the label and a feature: the model would be told the answer"
    for name in column.checks:
        if name not in CHECKS:
            known = ", ".join(CHECKS)
            yield f"has the check '{name}', which is not made everywhere; use one of {known}"
        elif CHECKS[name].array is None and column.kind != "categorical":
            yield f"is {column.kind}, and `{name}` is for text"
    for strange in strangers([role.lookup.by] if role.lookup else [], called):
        yield f"is looked up, and {strange}"
    if role.label in TASKS:
        yield from TASKS[role.label].contradictions(column)
    elif role.label is not None:
        yield f"says label={role.label!r}: use one of {', '.join(TASKS)}"
    else:
        yield from misplaced(role)


def _misassigned(column: "Column") -> Iterator[str]:
    """What is said of a key that the service may assign that contradicts it."""
    role = column.role
    if not role.assigned:
        return
    if not (role.key and column.kind == "categorical"):
        yield "says `assigned`, which is for a `key` that is text: it takes the prediction's id"
    if column.nullable:
        yield "says `assigned` and `nullable`: rows to learn from have it; callers may leave it out"
    others = ("feature", "segment", "protected", "lookup")
    for said in (*(name for name in others if getattr(role, name)), *column.checks):
        yield f"says `assigned` and `{said}`: nothing follows from the id of a prediction"


def _misread(column: "Column") -> Iterator[str]:
    """What is said of how a model reads a column that contradicts itself."""
    role = column.role
    for name in ("by_target", "text"):
        if getattr(role, name) and not (role.feature and column.kind == "categorical"):
            yield f"says `{name}`, which is for features that are text"
    if role.by_target and role.text:
        yield "is text and has categories: leave `text` or `by_target` out"


def contradictions_together(columns: "Columns") -> Iterator[str]:
    """What is said of the columns of a contract that contradicts what is said of others."""
    yield from _in_time(columns)
    if not columns.named("label"):
        return
    told = [each.name for each in columns.task.output().told]
    taken = {folded(name) for name in (*LOGGED, *told)}
    yield from (taken_by_log(name) for name in columns.names if folded(name) in taken)
    for alike in alike_but_for_case([column.asked_as for column in columns.sent]):
        yield f"has {alike}, by `source_name`, of which the source has one: call them otherwise"


def _in_spelling(column: "Column") -> Iterator[str]:
    """What is said of how text spells its values that cannot be."""
    role = column.role
    if role.format is not None and column.kind != "datetime":
        yield f"is {column.kind}, and `format` is for moments"
    if (role.decimal != "." or role.thousands) and column.kind != "numeric":
        yield f"is {column.kind}, and `decimal` and `thousands` are for numbers"
    if role.symbol is not None and column.kind != "numeric":
        yield f"is {column.kind}, and `symbol` is for numbers"
    if role.symbol is not None and not IS_SYMBOL.fullmatch(role.symbol):
        yield f"says symbol={role.symbol!r}: use a sign or letters, as the source has them"
    if role.decimal not in DECIMALS:
        yield f"says decimal={role.decimal!r}: use one of {' '.join(DECIMALS)}"
    if role.thousands not in (None, *THOUSANDS) or role.thousands == role.decimal:
        yield (
            f"says thousands={role.thousands!r}: use what is not its `decimal`, of "
            f"{', '.join(map(repr, THOUSANDS))}"
        )


def _in_time(columns: "Columns") -> Iterator[str]:
    """What is said of when rows are, and of which belong together, that contradicts itself."""
    dated, grouped = columns.has_time, columns.named("group")
    learned_from = columns.keys and columns.named("label")
    if learned_from and dated != bool(columns.named("label_time")):
        there, lacking = ("event_time", "label_time") if dated else ("label_time", "event_time")
        yield (
            f"has a column with `{there}` and none with `{lacking}`: declare both, or, for rows "
            "without a date, neither; a label that is known at once is known at the `event_time`"
        )
    if dated and grouped:
        yield (
            f"has an `event_time`, and '{grouped[0]}' with `group`: rows that have a date are "
            "split by it, and drawn by days; leave one of the two out"
        )
    if len(grouped) > 1:
        yield f"has several columns with `group`, {', '.join(grouped)}: derive one from them"
    daily = [c.name for c in columns.looked_up if c.role.lookup and c.role.lookup.daily]
    if daily and not dated:
        yield (
            f"looks '{daily[0]}' up by the day of the row, and has no `event_time`: say "
            "`daily=False` in its Lookup, of a table with one row per entity"
        )
    if not dated:
        for column in (columns[name] for name in columns.ordered_by if learned_from):
            if column.nullable or (column.kind == "numeric" and not column.integer):
                yield (
                    f"has no `event_time`, and tells rows apart by '{column.name}', which may be "
                    "missing or a fraction: use what is neither, by `key` or `group`"
                )
