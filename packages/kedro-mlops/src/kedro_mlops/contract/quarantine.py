"""Quarantine: the rows of a raw table that break its contract are set aside, with their reasons.

The rest goes on, in the declared types. Nothing is lost: valid and quarantined rows together are
the rows that were read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import ibis
import ibis.expr.types as ir
import pandas as pd
import pandera.pandas as pa
from ibis import _
from pydantic import Field

from kedro_mlops.core.engine import is_spark
from kedro_mlops.core.errors import BadDataError
from kedro_mlops.core.names import own
from kedro_mlops.core.time_params import Parameters

from . import proved
from .columns import LINE, ROW, Columns
from .numbering import WHERE, located, numbered, where
from .parsing import Parsed, as_named, as_table, parse
from .repeated import repeated_keys
from .rules import (
    Rule,
    any_of,
    column_rules,
    count_bad,
    count_broken,
    count_rows,
    key_rule,
    moment_rules,
    shown,
)
from .screening_account import BrokenRule, ScreeningAccount, TableAccount

Derive = Callable[[Mapping[str, ir.Value]], dict[str, ir.Value]]

_RECORD, _NTH = own("record"), own("nth")
# columns of one query
TOGETHER = 60
EXAMPLES = 3
WORST = 3


def screen(
    raw: pd.DataFrame | ir.Table,
    contract: type[pa.DataFrameModel],
    derive: Derive | None = None,
    derived: type[pa.DataFrameModel] | None = None,
) -> tuple[ir.Table, ir.Table, TableAccount]:
    """Part the rows of a raw table into those that keep the contract and those that break it.

    Of several rows with one key, the first that breaks no other rule is kept.

    Args:
        raw: The table as the source gives it; ``RawTableValidator`` has passed it.
        contract: What its rows must keep.
        derive: What will be made of the values of a row, by name; it is asked of those that keep
            the contract. Without it, a derived value that breaks its contract stops the run later.
        derived: What that must keep, as far as it is among its columns.

    Returns:
        The valid rows, in the contract's columns and types. The quarantined ones, as one row per
        broken rule, rule by rule: ``row``, counted from 1, ``column``, ``rule``, ``value`` as text,
        and ``record``, all that the source said; to order them would hold all of these in memory.
        And the account: rows read, valid and quarantined,
        and of each broken rule the number of rows and examples, worst first.
    """
    columns = Columns.of(contract)
    source = as_named(located(as_table(raw)), columns)
    parsed = {c.name: parse(c, source[c.name]) for c in columns.all}
    typed = {name: found.typed for name, found in parsed.items()}
    n_read, broken = _broken(source, columns, parsed)
    made = derive(typed) if derive else {}
    if derived:
        more = _derived_rules(columns, typed, Columns.of(derived), made, broken)
        broken += count_broken(source, list(more))
    judged = _judged(source, typed, made, [rule for rule, _ in broken])
    is_bad = any_of([judged[_flag(i)] for i in range(len(broken))])
    bad = _held(judged.filter(is_bad)) if broken else judged
    n_bad = _count_rows(bad) if broken and is_spark(bad) else count_bad(source, broken)
    reasons = [
        _reasons(bad.filter(bad[_flag(i)]), rule, bad[_value(i)])
        for i, (rule, _) in enumerate(broken)
    ]
    # without the numbers of the rows, which would keep the engine from working in parallel
    good = source.filter(~any_of([rule.broken for rule, _ in broken]))
    valid = good.select(typed)
    _, n_repeated = repeated_keys(valid, columns.unique)
    if n_repeated:
        kept = judged.filter(~is_bad)
        repeated = _held(_repeated(kept, columns.unique))
        rule = Rule(columns.unique, key_rule(columns.unique), ibis.literal(True))
        reasons.append(_reasons(repeated, rule, _text(repeated[name] for name in columns.unique)))
        broken.append((rule, n_repeated))
        valid = kept.anti_join(repeated, ROW).select(columns.names)
    else:
        proved.note_kept(valid, columns)
    n_quarantined = n_bad + n_repeated
    account = _account(columns, n_read, n_quarantined, _worst_first(broken, reasons, columns))
    nothing = _reasons(judged.limit(0), Rule((), "", ibis.literal(True)), ibis.literal(""))
    return valid, _one_after_the_other(reasons or [nothing]), account


def _judged(
    source: ir.Table, typed: dict[str, ir.Value], made: dict[str, ir.Value], rules: Sequence[Rule]
) -> ir.Table:
    """The rows with their numbers, typed and as they are said, and which rules each breaks."""
    said = {name: source[name] for name in source.columns if name not in WHERE}
    values = {**made, **said}
    judged = where(source) | {_RECORD: ibis.struct(said)} | typed
    for i, rule in enumerate(rules):
        value = _text(values[name] for name in rule.columns)
        judged |= {_flag(i): rule.broken, _value(i): rule.broken.ifelse(value, ibis.null())}
    return numbered(source.select(judged), source)


def _account(
    columns: Columns, n_read: int, n_quarantined: int, rules: list[BrokenRule]
) -> TableAccount:
    return TableAccount(
        contract=columns.name,
        n_read=n_read,
        n_valid=n_read - n_quarantined,
        n_quarantined=n_quarantined,
        share=n_quarantined / max(n_read, 1),
        rules=rules,
    )


class Screening(Parameters):
    """Parameters of screening."""

    max_quarantine_share: float = Field(
        ge=0, le=1, description="Share of a table's rows beyond which it is bad data"
    )


def judge_screening(params: Screening, *accounts: TableAccount) -> ScreeningAccount:
    """Whether the raw tables, each with its account by ``screen``, are fit to go on with."""
    largest = max((account.share for account in accounts), default=0.0)
    return ScreeningAccount(
        passed=largest <= params.max_quarantine_share,
        max_quarantine_share=params.max_quarantine_share,
        largest_share=largest,
        tables=list(accounts),
    )


def admit(screening: ScreeningAccount, **tables: ir.Table) -> dict[str, ir.Table]:
    """Let the screened tables pass, unless too much of one is in the quarantine.

    Raises:
        BadDataError: naming the table, the share, and its three worst rules.
    """
    limit = screening.max_quarantine_share
    for account in screening.tables:
        if account.share > limit:
            worst = "; ".join(_in_words(rule) for rule in account.rules[:WORST])
            raise BadDataError(
                f"{account.n_quarantined:,} of {account.n_read:,} rows "
                f"({account.share:.1%}) break {account.contract}, more than "
                f"screening.max_quarantine_share={limit:g}. Worst: {worst}. They are in the "
                "quarantine, with their reasons: mend the source, or change what "
                "contracts.py asks of it. Nothing was trained, and the champion "
                "stays."
            )
    return tables


def _in_words(rule: BrokenRule) -> str:
    examples = ", ".join("missing" if v is None else repr(v) for v in rule.examples)
    return f"{rule.column}: {rule.rule} ({rule.n_rows:,} rows, e.g. {examples})"


def _broken(
    source: ir.Table, columns: Columns, parsed: dict[str, Parsed]
) -> tuple[int, list[tuple[Rule, int]]]:
    """The rows there are, and the rules that some of them break, and how many.

    Some columns are asked for at a time, and each is read once, whatever is asked of it: an engine
    plans long expressions in much more than so many times the time.
    """
    n_read, counted = 0, dict[tuple[tuple[str, ...], str], int]()
    for part in _parts(columns):
        read = source.select(
            {name: parsed[name].typed for name in part}
            | {_failed(name): parsed[name].failed for name in part}
            | {name: source[name] for name in (LINE,) if name in source.columns}
        )
        short = {name: replace(parsed[name], typed=read[name], failed=read[_failed(name)])
                 for name in part}  # fmt: skip
        rules = list(_rules(columns.only(*part), short, read))
        n_read, counts = count_rows(read, rules)
        counted |= {(r.columns, r.name): n for r, n in zip(rules, counts, strict=True)}
    some = {name for (names, _), n_rows in counted.items() if n_rows for name in names}
    rules = list(_rules(columns.only(*some), parsed, source))
    found = [(rule, counted[rule.columns, rule.name]) for rule in rules]
    return n_read, [(rule, n_rows) for rule, n_rows in found if n_rows]


def _parts(columns: Columns) -> Iterator[list[str]]:
    """Some columns at a time; those that are a moment together stay together."""
    together = dict.fromkeys(name for names in columns.moments for name in names)
    names = [*together, *(name for name in columns.names if name not in together)]
    size = max(TOGETHER, len(together))
    for start in range(0, max(len(names), 1), size):
        yield names[start : start + size]


def _rules(columns: Columns, parsed: dict[str, Parsed], source: ir.Table) -> Iterator[Rule]:
    if LINE not in source.columns:
        yield from _cell_rules(columns, parsed)
        return
    no_row = source[LINE].notnull()
    yield Rule((LINE,), "has a cell for each column", no_row)
    for rule in _cell_rules(columns, parsed):
        yield rule.unless(no_row)


def _cell_rules(columns: Columns, parsed: dict[str, Parsed]) -> Iterator[Rule]:
    for column in columns.all:
        if parsed[column.name].may_fail:
            kind = "a whole number" if column.integer else column.kind
            yield Rule((column.name,), f"is {kind}", parsed[column.name].failed)
    typed = {name: found.typed for name, found in parsed.items()}
    asked = list(column_rules(columns, typed))
    for rule in asked:
        # what could not be parsed is no longer there, which is not the source's fault
        found = parsed[rule.columns[0]]
        yield rule.unless(found.failed) if found.may_fail else rule
    for rule in moment_rules(columns, typed):
        yield rule.unless(ibis.or_(*(r.broken for r in asked if r.columns[0] in rule.columns)))


def _derived_rules(
    columns: Columns,
    typed: dict[str, ir.Value],
    derived: Columns,
    made: dict[str, ir.Value],
    broken: list[tuple[Rule, int]],
) -> Iterator[Rule]:
    """What is asked of derived values, and not of the raw ones already; of rows that are fine.

    Of others, which break one of these rules, the engine might refuse to make the values at all.
    """
    asked = {rule.broken.op() for rule in column_rules(columns, typed)}
    for rule in column_rules(derived.only(*made), made):
        if rule.broken.op() not in asked:
            yield _if_fine(broken, rule)


def _if_fine(broken: list[tuple[Rule, int]], asked: Rule) -> Rule:
    if not broken:
        return asked
    is_bad = any_of([rule.broken for rule, _ in broken])
    return replace(asked, broken=is_bad.ifelse(False, asked.broken), proof=None)


def _count_rows(rows: ir.Table) -> int:
    return int(rows.count().to_pyarrow().as_py())


def _held(rows: ir.Table) -> ir.Table:
    """Rows that several queries ask for, of which Spark would walk the table for each."""
    return rows.cache() if is_spark(rows) else rows


def _failed(name: str) -> str:
    return own(f"failed {name}")


def _flag(number: int) -> str:
    return own(f"broken {number}")


def _value(number: int) -> str:
    return own(f"value {number}")


def _text(values: Iterable[ir.Value]) -> ir.StringValue:
    """The values that a rule is about, as one text; missing if it is about one that is missing."""
    first, *more = (value.cast("string") for value in values)
    return ibis.literal(", ").join([t.fill_null("") for t in (first, *more)]) if more else first


def _reasons(bad: ir.Table, rule: Rule, value: ir.StringValue) -> ir.Table:
    return bad.select(
        row=_[ROW],
        column=ibis.literal(rule.column),
        rule=ibis.literal(rule.name),
        value=value,
        record=_[_RECORD],
    )


def _one_after_the_other(tables: Sequence[ir.Table]) -> ir.Table:
    """All rows of tables, in an expression that is not deep; Ibis's own puts them in any order."""
    if len(tables) == 1:
        return tables[0]
    middle = len(tables) // 2
    return _one_after_the_other(tables[:middle]).union(_one_after_the_other(tables[middle:]))


def _repeated(valid: ir.Table, key: Iterable[str]) -> ir.Table:
    """All but the first row of every key."""
    nth = ibis.row_number().over(ibis.window(group_by=key, order_by=ROW))
    return valid.mutate(nth.name(_NTH)).filter(_[_NTH] > 0).order_by(ROW)


def _worst_first(
    broken: list[tuple[Rule, int]], reasons: list[ir.Table], columns: Columns
) -> list[BrokenRule]:
    """Each broken rule, with the number of rows and the values of the first of them."""
    found = [
        BrokenRule(
            column=rule.column,
            rule=rule.name,
            n_rows=n_rows,
            examples=shown(columns, rule.columns, examples),
        )
        for (rule, n_rows), examples in zip(broken, _examples(reasons), strict=True)
    ]
    return sorted(found, key=lambda rule: (-rule.n_rows, rule.column))


def _examples(reasons: list[ir.Table]) -> list[list[str | None]]:
    """The values of the first rows of each, in one query."""
    if not reasons:
        return []
    first = [
        rows.order_by("row")
        .limit(EXAMPLES)
        .select("row", "value", number=ibis.literal(number, "int32"))
        for number, rows in enumerate(reasons)
    ]
    examples: list[list[str | None]] = [[] for _ in reasons]
    for found in ibis.union(*first).order_by("number", "row").to_pyarrow().to_pylist():
        examples[found["number"]].append(found["value"])
    return examples
