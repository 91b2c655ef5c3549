"""How a contract says what a column is for.

A contract is a Pandera model. ``column`` is ``pandera.Field`` with one addition: the roles a
column plays, kept in the field's metadata. ``Columns.of(Contract)`` reads them back, so that no
module about running models needs to name a column.
"""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.dtypes import DataType, is_bool, is_datetime, is_float, is_int, is_numeric

from kedro_mlops.core.errors import ContractError
from kedro_mlops.core.names import own
from kedro_mlops.runtime import serving_spec
from kedro_mlops.runtime.checks import CHECKS
from kedro_mlops.runtime.kinds import Kind, Types, types_of
from kedro_mlops.task.record import Class, TaskName
from kedro_mlops.task.task import Loss, Task
from kedro_mlops.task.tasks import TASKS

from .contradictions import contradictions, contradictions_together
from .moments import is_real_moment
from .names import members_of, misnamed, misnamed_members, strangers

if TYPE_CHECKING:
    # a service reads contracts, too, and has no Ibis
    import ibis.expr.types as ir

# the columns by which every feature table is looked up
ENTITY = "entity"
DAY = "day"

Lookup = serving_spec.Lookup
Unseen = Literal["reject", "accept"]

FINITE = "is_finite"
REAL_MOMENT = "is_real_moment"
# what stands for no value in text, unless a contract says otherwise
MISSING = ("", "NA")
# the column of lines of a source that are no rows of its table
LINE = own("whole line")
# and of the numbers of its rows, from 1, where the engine would have to count them one by one
ROW = own("row")


class Contract(pa.DataFrameModel):
    """Base of contracts: a Pandera model whose numbers are numbers, and never infinite.

    ``Config.metadata = {"missing": [...]}`` says what stands for no value in a table of text, if
    that is not ``MISSING``; see ``column`` for one that has its own.
    """

    @pa.check(".*", regex=True, name=FINITE, error=FINITE)
    @classmethod
    def is_finite(cls, values: pd.Series) -> pd.Series:
        """Whether each value is finite; what is no number always is."""
        return ~values.isin([np.inf, -np.inf])


def real_moment(*names: str) -> Any:
    """Declare, as a member of a contract, that columns together say a moment that there is.

    Args:
        *names: What the columns of the year, the month, the day, and of hour, minute and second,
            as far as there are, are called: their aliases, if they have some.
    """

    def check(cls: Any, rows: pd.DataFrame) -> Any:  # noqa: ARG001
        return is_real_moment(*(rows[name] for name in names))

    return pa.dataframe_check(name=REAL_MOMENT, statistics={"columns": names})(check)


@dataclass(frozen=True)
class Role:
    """What a column is for; see ``column``."""

    key: bool = False
    assigned: bool = False
    group: bool = False
    event_time: bool = False
    known_ahead: bool = False
    label: TaskName | None = None
    positive: str | int | None = None
    loss: Loss | None = None
    coverage: float | None = None
    unit: str = ""
    label_time: bool = False
    feature: bool = False
    by_target: bool = False
    text: bool = False
    segment: bool = False
    personal: bool = False
    protected: bool = False
    lookup: Lookup | None = None
    unseen: Unseen | None = None
    missing: tuple[str, ...] | None = None
    source_name: str | None = None
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    symbol: str | None = None
    example: Any = None
    told: bool = False


def column(
    description: str,
    *,
    key: bool = False,
    assigned: bool = False,
    group: bool = False,
    event_time: bool = False,
    known_ahead: bool = False,
    label: TaskName | None = None,
    positive: str | int | None = None,
    loss: Loss | None = None,
    coverage: float | None = None,
    unit: str = "",
    label_time: bool = False,
    feature: bool = False,
    by_target: bool = False,
    text: bool = False,
    segment: bool = False,
    personal: bool = False,
    protected: bool = False,
    lookup: Lookup | None = None,
    unseen: Unseen | None = None,
    missing: tuple[str, ...] | None = None,
    source_name: str | None = None,
    format: str | None = None,  # noqa: A002 - as pandas.to_datetime has it
    decimal: str = ".",
    thousands: str | None = None,
    symbol: str | None = None,
    example: Any = None,
    told: bool = False,
    **checks: Any,
) -> Any:
    """Declare a column of a contract.

    Args:
        description: What the column holds, with its unit.
        key: Part of the observation's identity.
        assigned: Of a key that is text: whether callers of the service may leave it out. The id of
            the prediction then takes its place, so that the label can come by that.
        group: Where rows have no date: what those have in common that belong together, such as the
            patient. They are never on two sides of a split, and are drawn as one for intervals.
        event_time: The moment the prediction is about. Rows may have none; then neither has the
            label a moment, and what comes before what is drawn by lot: see ``contract.timeline``.
        known_ahead: In a table of events: known before the event, when the prediction is made. All
            that is not is hindsight, and no feature may depend on it.
        label: What really happened, and by it the task: ``binary`` for a boolean column, or one of
            two values by ``isin`` with the ``positive`` one, ``multiclass`` for a categorical one
            with ``isin``, ``regression`` for a number.
        positive: Of a binary label that is text or a whole number: the value whose probability is
            predicted. Of a boolean one it is true.
        loss: Of a label that is a number: what decides between models, ``mean_squared_error``
            unless it is said to be ``mean_absolute_error``.
        coverage: Of such a label: the share of the predicted intervals that are to hold it, 0.9
            unless another is said.
        unit: Of such a label, for people.
        label_time: The moment from which the label is known. It may be before the event, as of what
            was cancelled; the row is learned from when both are past.
        feature: An input of the model.
        by_target: Of a feature of many categories: a model is given what the rows of each are
            labelled on average, instead of a code or an indicator.
        text: Of a feature that is text of several words: a model is given what it is about, by its
            words and their parts, instead of a code.
        segment: A column by whose values metrics are sliced.
        personal: Personal data: it may be looked up by, but never reaches the model, the
            prediction log, a report or an error message.
        protected: Its groups are to be treated alike, and are compared: text or a boolean, since
            the groups of a number are yours to say. The model is given it only if it is a
            ``feature`` too; callers of the service send it, and it is logged, only if it is a
            feature, a segment, a key, or what is looked up by.
        lookup: Where the service finds the value; without it, the caller sends it.
        unseen: What the service does with a category that the model has not seen: ``reject`` it,
            or ``accept`` it and say so in the answer. By default a column with ``isin`` rejects.
        missing: What stands for no value where the source is text. By default, what does so in the
            whole table, except where it is a value: what ``isin`` lists, and any word in a column
            of text that is not ``nullable``.
        source_name: What the source calls it, and callers of the service, where that is not its
            name: the log of the service has columns of its own, such as ``decision``.
        format: How a source that is text says a moment, in the directives of ``strptime``, such as
            ``%d.%m.%Y``; by ISO 8601 unless that is said. A moment that says its zone, which is
            ``+02``, ``+0200`` or ``+02:00`` by ``%z``, is read as UTC. Or that a number counts
            since 1970, by ``epoch_s``, ``epoch_ms``, ``epoch_us`` or ``epoch_ns``.
        decimal: What stands before the fraction of a number there, ``.`` or ``,``.
        thousands: What stands there between groups of three digits, if anything does: ``,``,
            ``.``, ``'`` or a space.
        symbol: What stands before or behind a number there, such as ``%``, ``$`` or ``EUR``.
        example: A realistic value, shown in the API's documentation.
        told: In a prediction log: one of what every prediction has.
        **checks: Pandera's own arguments: ``ge``, ``isin``, ``nullable`` and so on. With
            ``coerce``, or ``Config.coerce`` for all columns, the service takes values in other
            types, too, where these can only mean one of the column's: text as the source says it,
            or a whole number for text.
    """
    role = Role(
        key, assigned, group, event_time, known_ahead, label, positive, loss, coverage, unit,
        label_time, feature, by_target, text, segment, personal, protected, lookup, unseen, missing,
        source_name, format, decimal, thousands, symbol, example, told,
    )  # fmt: skip
    return pa.Field(description=description, metadata={"role": role}, **checks)


@dataclass(frozen=True)
class Column:
    """One column of a contract, ready to be read by those who obey it.

    Attributes:
        finite: Whether its values are numbers that may not be infinite.
        checks: What else its values must keep: the names of ``CHECKS``, and the limit of each.
        judges: All that its values must keep, to be called on them.
        coerce: Whether callers may send values in other types, too.
    """

    name: str
    kind: Kind
    dtype: DataType
    nullable: bool
    description: str
    role: Role
    finite: bool = False
    checks: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = MISSING
    judges: tuple[pa.Check, ...] = field(default=(), compare=False, repr=False)
    coerce: bool = False

    @property
    def asked_as(self) -> str:
        """What its source calls it, and callers of the service."""
        return self.role.source_name or self.name

    @property
    def integer(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind == "numeric" and is_int(self.dtype)

    @property
    def types(self) -> Types:
        """The types of its values; numbers that may be missing have that of fractions."""
        return types_of(self.kind, self.integer and not self.nullable)

    @property
    def engine_type(self) -> str:
        """The type of its values in Ibis, where any may be missing."""
        zoned = getattr(self.dtype, "tz", None)
        return "timestamp('UTC')" if zoned else types_of(self.kind, self.integer).ibis

    @property
    def classes(self) -> tuple[Class, ...]:
        """Of a label that is one of some values, those, in the order of their codes.

        Of two, the positive one is last.
        """
        named = self.checks.get("isin", ())
        if self.kind == "boolean":
            return (False, True)
        if self.role.positive is not None:
            return tuple(sorted(named, key=lambda value: bool(value == self.role.positive)))
        return tuple(named)

    @property
    def accepts_unseen(self) -> bool:
        """Whether the service answers where the model has not seen the category."""
        if self.kind != "categorical":
            return False
        return (self.role.unseen or ("reject" if "isin" in self.checks else "accept")) == "accept"


@dataclass(frozen=True)
class Columns:
    """A contract as data: its columns, in order, and the roles they play.

    Attributes:
        all: The columns.
        name: What the contract is called.
        description: What a row of it is.
        unique: The columns by which no two rows are equal.
        moments: Columns that together say a moment that there is; see ``real_moment``.
    """

    all: tuple[Column, ...]
    name: str = ""
    description: str = ""
    unique: tuple[str, ...] = ()
    moments: tuple[tuple[str, ...], ...] = ()

    @classmethod
    def of(cls, contract: type[pa.DataFrameModel]) -> Self:
        """Read the columns of a Pandera model.

        Raises:
            ContractError: if what is said of a column contradicts itself, or what is asked could
                be enforced only in part.
        """
        found = cls(_columns_of(contract), contract.__name__, inspect.getdoc(contract) or "")
        schema = contract.to_schema()
        return replace(found, unique=_unique(schema), moments=_moments(schema))

    @property
    def names(self) -> list[str]:
        """Every column."""
        return [c.name for c in self.all]

    @property
    def keys(self) -> list[str]:
        """The columns that identify a row."""
        return [c.name for c in self.all if c.role.key]

    @property
    def has_time(self) -> bool:
        """Whether a row is about a moment."""
        return bool(self.named("event_time"))

    @property
    def event_time(self) -> str:
        """The moment that a row is about."""
        return self._only("event_time")

    @property
    def group(self) -> str | None:
        """What rows have in common that belong together, if they have no date."""
        return next(iter(self.named("group")), None)

    @property
    def ordered_by(self) -> list[str]:
        """What says where a row belongs: its moment, or else its group, or else its keys."""
        return self.named("event_time") or self.named("group") or self.keys

    @property
    def row_index(self) -> list[str]:
        """What identifies a row, and its moment and its group, which may be among that."""
        return list(dict.fromkeys([*self.keys, *self.named("event_time", "group")]))

    @property
    def label(self) -> str:
        """What really happened."""
        return self._only("label")

    @cached_property
    def task(self) -> Task:
        """What is predicted: one of two outcomes, one of several, or a number."""
        label = self[self.label]
        assert label.role.label is not None
        return TASKS[label.role.label].of(label)

    def outcomes(self, table: "ir.Table") -> "ir.Table":
        """The table with its label as a number, missing where it is.

        Where it is one of some values, that is their code: of two, 1 if positive, else 0. All that
        learns from labels or measures by them reads them so.
        """
        label, classes = table[self.label], self.task.classes
        if not classes:
            return table.mutate({self.label: label.cast("float64")})
        if len(classes) == 2:
            return table.mutate({self.label: (label == classes[1]).cast("int8")})
        codes = label.cases(*((value, code) for code, value in enumerate(classes)))
        return table.mutate({self.label: codes.cast("int16")})

    def blocks(self, rows: pd.DataFrame) -> pd.Series:
        """Of each row, what it shares with those that it is not independent of.

        That is its day; of rows without a date the group, or, where there is none, nothing.
        """
        if self.has_time:
            days: pd.Series = rows[self.event_time].dt.normalize()
            return days
        return pd.util.hash_pandas_object(rows[self.ordered_by], index=False)

    @property
    def label_time(self) -> str:
        """The moment from which the label is known."""
        return self._only("label_time")

    @property
    def segments(self) -> list[str]:
        """The columns by which metrics are sliced."""
        return [c.name for c in self.all if c.role.segment]

    @property
    def features(self) -> list[str]:
        """The inputs of the model."""
        return [c.name for c in self.all if c.role.feature]

    @property
    def inputs(self) -> Self:
        """What is known when a prediction is made: all but what really happened.

        Nor is what is only compared among it: whoever asks for a prediction need not tell it.
        """
        return self._those(lambda role: not (role.label or role.label_time))._asked()

    @property
    def looked_up(self) -> list[Column]:
        """Columns that the service finds in the online store."""
        return [c for c in self.all if c.role.lookup is not None]

    @property
    def sent(self) -> list[Column]:
        """Columns that the caller of the service sends."""
        return [c for c in self.all if c.role.lookup is None]

    @property
    def hindsight(self) -> list[str]:
        """Columns of a table of events that are known only after the event."""
        return [c.name for c in self.all if not c.role.known_ahead]

    @property
    def personal(self) -> list[str]:
        """Columns that hold personal data."""
        return [c.name for c in self.all if c.role.personal]

    @property
    def protected(self) -> list[str]:
        """Columns whose groups are to be treated alike."""
        return [c.name for c in self.all if c.role.protected]

    @property
    def only_compared(self) -> list[str]:
        """Columns that are protected and nothing else, and by which nothing is looked up."""
        used = {*self.keys, *self.ordered_by, *self.features, *self.segments}
        for column in self.looked_up:
            used |= {column.name, column.role.lookup.by} if column.role.lookup else set()
        return [name for name in self.protected if name not in used]

    def only(self, *names: str) -> Self:
        """Just the named columns."""
        wanted = frozenset(names)
        return replace(self, all=tuple(c for c in self.all if c.name in wanted))

    def without_personal(self) -> Self:
        """The columns that may be logged and shown; what is only compared is not logged."""
        return self._asked()._those(lambda role: not role.personal)

    def features_of_kind(self, *kinds: Kind) -> list[str]:
        """The inputs of the model that are of one of the kinds; text is of none."""
        return [c.name for c in self.all if c.role.feature and c.kind in kinds and not c.role.text]

    @property
    def by_target(self) -> list[str]:
        """The features whose categories become what their rows are labelled on average."""
        return [c.name for c in self.all if c.role.feature and c.role.by_target]

    @property
    def texts(self) -> list[str]:
        """The features that are text of several words."""
        return [c.name for c in self.all if c.role.feature and c.role.text]

    @property
    def event_moments(self) -> list[str]:
        """The moment of the event, if it is a feature."""
        return [c.name for c in self.all if c.role.feature and c.role.event_time]

    @property
    def dates(self) -> list[str]:
        """The features that are other moments."""
        moments, of_event = self.features_of_kind("datetime"), self.event_moments
        return [name for name in moments if name not in of_event]

    def __getitem__(self, name: str) -> Column:
        return self._by_name[name]

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.all}

    def _asked(self) -> Self:
        compared = self.only_compared
        return replace(self, all=tuple(c for c in self.all if c.name not in compared))

    def _those(self, wanted: Callable[[Role], object]) -> Self:
        return replace(self, all=tuple(c for c in self.all if wanted(c.role)))

    def named(self, *roles: str) -> list[str]:
        """The columns that play a role, of one role after the other."""
        return [c.name for role in roles for c in self.all if getattr(c.role, role)]

    def _only(self, role: str) -> str:
        found = self.named(role)
        if len(found) != 1:
            raise ContractError(f"The contract needs one column with `{role}`, it has {found}.")
        return found[0]


def declared_in(module: ModuleType) -> list[type[Contract]]:
    """The contracts of a module, in the order of their declaration."""
    return [
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Contract) and each is not Contract
    ]


@cache
def _columns_of(contract: type[pa.DataFrameModel]) -> tuple[Column, ...]:
    members = members_of(contract, Contract)
    for misnaming in misnamed_members(members, Contract):
        raise ContractError(f"{contract.__name__} in contracts.py: {misnaming}.")
    schema = contract.to_schema()
    missing = (getattr(contract.__config__, "metadata", None) or {}).get("missing", MISSING)
    columns = tuple(
        replace(_column(name, spec, missing), coerce=spec.coerce or schema.coerce)
        for name, spec in schema.columns.items()
    )
    called = {field.original_name: field.name for _, field in contract.__fields__.values()}
    for misnaming in misnamed(members, called):
        raise ContractError(f"{contract.__name__} in contracts.py {misnaming}.")
    for column in columns:
        for contradiction in contradictions(column, called):
            raise ContractError(
                f"{contract.__name__}.{column.name} in contracts.py {contradiction}."
            )
        if schema.columns[column.name].unique:
            raise ContractError(
                f"Column '{column.name}' is unique: say `unique` in the Config of "
                f"{contract.__name__}."
            )
    if any(check.name != REAL_MOMENT for check in schema.checks):
        raise ContractError(f"{contract.__name__} checks the whole table; check columns instead.")
    for strange in strangers([*_unique(schema), *chain(*_moments(schema))], called):
        raise ContractError(f"{contract.__name__} in contracts.py {strange}.")
    for contradiction in contradictions_together(Columns(columns)):
        raise ContractError(f"{contract.__name__} in contracts.py {contradiction}.")
    return columns


def _unique(schema: pa.DataFrameSchema) -> tuple[str, ...]:
    return (schema.unique,) if isinstance(schema.unique, str) else tuple(schema.unique or ())


def _moments(schema: pa.DataFrameSchema) -> tuple[tuple[str, ...], ...]:
    return tuple(check.statistics["columns"] for check in schema.checks)


def _column(name: str, spec: Any, missing: Iterable[str]) -> Column:
    role = (spec.metadata or {}).get("role", Role())
    kind = _kind(spec.dtype)
    limits = dict(map(_limit, spec.checks))
    declared = {check.pandera: check.name for check in CHECKS.values()}
    checks: dict[str, Any] = {
        declared.get(n, n): limit for n, limit in limits.items() if n != FINITE
    }
    words = spec.nullable or kind != "categorical"
    usual = (t for t in missing if t not in checks.get("isin", []) and (words or not t))
    return Column(
        name=name,
        kind=kind,
        dtype=spec.dtype,
        nullable=spec.nullable,
        description=spec.description or "",
        role=role,
        finite=FINITE in limits and is_float(spec.dtype),
        checks=checks,
        missing=tuple(usual) if role.missing is None else role.missing,
        judges=tuple(spec.checks),
    )


def _limit(check: pa.Check) -> tuple[str, Any]:
    """What a check is called, and its limit; of a length that is the most there may be."""
    given = {name: value for name, value in (check.statistics or {}).items() if value is not None}
    if check.name == "str_length" and given.keys() != {"max_value"}:
        return f"str_length by {', '.join(given)}", None
    return str(check.name), next(iter(given.values()), None)


def _kind(dtype: DataType) -> Kind:
    kinds: dict[Kind, Callable[[DataType], bool]] = {
        "boolean": is_bool,
        "numeric": is_numeric,
        "datetime": is_datetime,
    }
    return next((kind for kind, holds in kinds.items() if holds(dtype)), "categorical")
