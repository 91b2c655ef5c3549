"""What becomes of a table: the task, and a decision for each column, with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from kedro_mlops.contract.names import LOGGED, folded
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.task.outputs import OUTPUTS

from .asked import Asked, check_columns
from .behaviour import Behaviour, suggest
from .evidence import Evidence, gather
from .features import ColumnDecision, Use, decide_column
from .keys import keys_of, repeated_id
from .labels import Label, decide_label
from .moments import Days, days_of, propose_time
from .notes import notes_of
from .profile import ColumnProfile, TableProfile
from .python_text import identifier

MAX_SEGMENTS = 2
MAX_SEGMENT_VALUES = 8
MIN_SEGMENT_ROWS = 50
# what is said of how a source writes values
SPELLINGS = (
    "source_name", "format", "decimal", "thousands", "symbol", "missing", "str_length"
)  # fmt: skip


@dataclass(frozen=True)
class Adoption:
    """What was decided of a table.

    Attributes:
        table: What it is called in the project.
        source: What it is called by people.
        n_rows: How many rows it has.
        label: What is predicted.
        columns: Of every column, in the order of the source.
        keys: What identifies a row; empty if nothing does.
        group: What rows have in common that belong together.
        time: The column that says when.
        proposed_time: One that plausibly does, where none was taken.
        proposed_group: One whose rows may belong together, where no key was said.
        days: What follows from the time.
        as_of: The day as of which the project looks at the world.
        strongest: How much of the target a feature alone tells at most, from 0 to 1.
        loss_increase: What is little, in the unit of the loss.
        behaviour: What suggests itself to hold for any model.
    """

    table: str
    source: str
    n_rows: int
    label: Label
    columns: tuple[ColumnDecision, ...]
    as_of: str
    keys: tuple[str, ...] = ()
    group: str | None = None
    time: str | None = None
    proposed_time: str | None = None
    proposed_group: str | None = None
    days: Days | None = None
    strongest: float = 0.0
    loss_increase: float = 0.01
    behaviour: Behaviour = field(default_factory=Behaviour)
    evidence: Evidence = field(default_factory=Evidence, repr=False)

    def of_use(self, *uses: Use) -> list[ColumnDecision]:
        """The columns that are for that."""
        return [column for column in self.columns if column.use in uses]

    @property
    def perhaps_personal(self) -> list[str]:
        """Text that nearly every row has another of."""
        return [
            c.name for c in self.of_use("left out") if c.type == "str" and "values in" in c.reason
        ]

    @property
    def features(self) -> list[ColumnDecision]:
        """What the model is given."""
        return [column for column in self.columns if column.options.get("feature")]


def decide(
    profile: TableProfile, asked: Asked, source: str, today: date, table: str | None = None
) -> Adoption:
    """Decide what an owner would have decided.

    Args:
        profile: What was found in the table.
        asked: What a person has said.
        source: What people call the table.
        today: The day as of which rows without a date are looked at.
        table: What the project calls it.

    Raises:
        ProjectError: if nothing can be learned, saying what to do.
    """
    check_columns(profile, asked)
    label = decide_label(
        profile, asked.target, asked.task, asked.positive, drop_rare=asked.drop_rare
    )
    names = _other_names(profile, label)
    if names:
        profile, asked = profile.renamed(names), asked.renamed(names)
        label = replace(label, name=asked.target)
    proposed, is_safe = propose_time(profile, (asked.target, *asked.drop, *asked.personal))
    time = asked.time or (proposed if asked.take_time and is_safe else None)
    evidence = gather(profile, asked.target, is_number=label.is_number)
    evidence = replace(
        evidence, personal=evidence.personal | dict.fromkeys(asked.personal, "as asked")
    )
    keys, group = keys_of(profile, asked, time)
    columns = tuple(
        _decide(profile, column, asked, label, evidence, time, keys, group)
        for column in profile.columns
    )
    columns = _with_segments(profile, columns)
    columns = tuple(_with_notes(profile[column.name], column) for column in columns)
    adoption = Adoption(
        table=table or identifier(source, "table"),
        source=source,
        n_rows=profile.n_rows,
        label=label,
        columns=columns,
        as_of=today.isoformat(),
        keys=keys,
        group=group,
        time=time,
        proposed_time=None if time else proposed,
        proposed_group=None if asked.key or time else repeated_id(profile, columns),
        evidence=evidence,
    )
    _check_features(adoption)
    adoption = _with_evidence(adoption, profile)
    if time is None:
        return adoption
    days = days_of(profile, time)
    return replace(adoption, days=days, as_of=days.as_of)


def _other_names(profile: TableProfile, label: Label) -> dict[str, str]:
    """What columns are called instead that are called as the log of the service calls its own."""
    told = OUTPUTS[label.task](classes=label.classes).told
    own = {folded(name) for name in (*LOGGED, *(each.name for each in told))}
    names = [column.name for column in profile.columns]
    used = own | {folded(name) for name in names}
    found: dict[str, str] = {}
    for name in names:
        if folded(name) in own:
            endings = (f"{name}{'_' * n}" for n in range(1, len(names) + 2))
            found[name] = next(each for each in endings if folded(each) not in used)
            used.add(folded(found[name]))
    return found


def _with_evidence(adoption: Adoption, profile: TableProfile) -> Adoption:
    """What the sample says of limits, and of what suggests itself."""
    label, names = adoption.label, [c.name for c in adoption.features]
    told = [adoption.evidence.tells.get(name, 0.0) for name in names]
    spread = float(profile.sample[label.name].var()) if label.is_number else 1.0
    learned = [c for c in adoption.features if "text" not in c.options]
    return replace(
        adoption,
        strongest=max(told, default=0.0),
        loss_increase=float(f"{spread / 100:.1g}"),
        behaviour=suggest(
            profile.sample, label, [c.name for c in learned],
            [c.name for c in learned if c.type in ("float", "int")], adoption.evidence.tells,
        ),
    )  # fmt: skip


def _decide(
    profile: TableProfile,
    column: ColumnProfile,
    asked: Asked,
    label: Label,
    evidence: Evidence,
    time: str | None,
    keys: Sequence[str],
    group: str | None,
) -> ColumnDecision:
    name = column.name
    found = decide_column(profile, column, evidence, name in asked.text)
    said = {word: found.options[word] for word in SPELLINGS if word in found.options}
    if name in asked.drop and found.use == "feature":
        options = {"nullable": True, **said}
        found = replace(found, use="left out", reason="as asked", options=options)
    if name == label.name:
        options = {"label": label.task, **said, **label.options, "nullable": True}
        return ColumnDecision(name, "label", label.type, label.reason, options, column.example)
    roles = {"key": name in keys, "group": name == group, "event_time": name == time}
    said = {role: True for role, has in roles.items() if has} | said
    if not any(roles.values()):
        return found
    if name in asked.personal:
        raise ProjectError(f"--personal {name}: It identifies rows, and would reach the log.")
    if name == time:
        learned = {} if name in asked.drop else {"feature": True}
        return replace(found, use="time", reason="when it happened", options={**said, **learned})
    whole = column.kind == "integer"
    return replace(
        found,
        use="group" if name == group else "key",
        type="int" if whole else found.type,
        reason="rows of one are split as one" if name == group else "identifies a row",
        options=said,
        example=column.example,
    )


def _with_notes(found: ColumnProfile, column: ColumnDecision) -> ColumnDecision:
    """With what else a person should know of it."""
    return replace(column, reason="; ".join([column.reason, *notes_of(found)]))


def _with_segments(
    profile: TableProfile, columns: tuple[ColumnDecision, ...]
) -> tuple[ColumnDecision, ...]:
    """By the first features of few values, with enough rows each, metrics are told apart."""
    chosen = [c.name for c in columns if c.use == "feature" and _is_segment(profile[c.name])]
    segments = chosen[:MAX_SEGMENTS]
    return tuple(
        replace(c, options={"feature": True, "segment": True, **c.options})
        if c.name in segments
        else c
        for c in columns
    )


def _is_segment(column: ColumnProfile) -> bool:
    counts = [n for _, n in column.common]
    few = column.kind in ("text", "boolean") and 2 <= column.n_distinct <= MAX_SEGMENT_VALUES
    return few and min(counts, default=0) >= MIN_SEGMENT_ROWS


def _check_features(adoption: Adoption) -> None:
    if not adoption.features:
        why = "; ".join(f"{c.name} ({c.reason})" for c in adoption.of_use("left out", "personal"))
        raise ProjectError(
            f"Of the columns none is left to predict '{adoption.label.name}' by: {why}. Deliver "
            "others; free text is taken by --text."
        )
