"""What becomes of a table: the task, and a decision for each column, with its reason."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from kedro_mlops.contract.names import LOGGED, folded
from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.task.outputs import OUTPUTS
from kedro_mlops.task.record import TaskName

from .behaviour import Behaviour, suggest
from .evidence import Evidence, gather
from .features import ColumnDecision, Use, decide_column, is_called_id, says_of_what
from .labels import Label, decide_label
from .moments import Days, days_of, propose_time
from .notes import notes_of
from .profile import ColumnProfile, TableProfile
from .python_text import identifier

MAX_SEGMENTS = 2
MAX_SEGMENT_VALUES = 8
MIN_SEGMENT_ROWS = 50
MIN_GROUPS = 20
# what is said of how a source writes values
SPELLINGS = (
    "source_name", "format", "decimal", "thousands", "symbol", "missing", "str_length"
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What a person has said of the table.

    Attributes:
        target: The column to predict.
        time: The moment that a row is about.
        key: What identifies rows, or those whom they are about.
        task: What is predicted, if it is not to be found out.
        positive: Of two values, the one whose probability is predicted.
        drop: Columns that are not to be learned from.
        personal: Columns with personal data.
        text: Columns of free text that are to be learned from.
        drop_rare: Whether rows of classes that are too rare are left without a label.
        take_time: Whether a moment that is safe to take is taken for the time of rows.
    """

    target: str
    time: str | None = None
    key: tuple[str, ...] = ()
    task: TaskName | None = None
    positive: str | None = None
    drop: tuple[str, ...] = ()
    personal: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    drop_rare: bool = False
    take_time: bool = False

    def renamed(self, names: Mapping[str, str]) -> "Asked":
        """The same, of columns that are called otherwise."""

        def called(*columns: str) -> tuple[str, ...]:
            return tuple(names.get(name, name) for name in columns)

        return replace(
            self,
            target=names.get(self.target, self.target),
            time=self.time and names.get(self.time, self.time),
            key=called(*self.key),
            drop=called(*self.drop),
            personal=called(*self.personal),
            text=called(*self.text),
        )


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
    _check_columns(profile, asked)
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
    keys, group = _keys(profile, asked, time)
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
        proposed_group=None if asked.key or time else _repeated_id(profile, columns),
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


def _check_columns(profile: TableProfile, asked: Asked) -> None:
    names = [column.name for column in profile.columns]
    twice = [name for name, n in Counter(names).items() if n > 1]
    if twice:
        raise ProjectError(
            f"The table has several columns of one name: {', '.join(twice)}. Rename them at the "
            "source, since the API has one field for each."
        )
    if len(names) < 2:
        raise ProjectError(
            f"The table has one column, '{', '.join(names)}'. Is it separated by something else?"
        )
    given = {
        "--time": filter(None, [asked.time]), "--key": asked.key, "--drop": asked.drop,
        "--personal": asked.personal, "--text": asked.text,
    }  # fmt: skip
    for option, columns in given.items():
        for name in columns:
            if name not in names:
                raise ProjectError(f"{option} {name}: There is no such column. "
                                   f"{suggestion(name, names)}")  # fmt: skip
            if name == asked.target:
                raise ProjectError(f"{option} {name}: It is the target.")
    if asked.time and profile[asked.time].kind != "moment":
        raise ProjectError(
            f"--time {asked.time}: It holds no moments, but {profile[asked.time].kind}, such as "
            f"{profile[asked.time].example!r}."
        )
    for name in asked.text:
        if profile[name].kind != "text":
            raise ProjectError(f"--text {name}: It holds no text, but {profile[name].kind}.")
    for name in filter(None, [asked.time, *asked.key]):
        n_missing = profile[name].n_missing
        if n_missing > profile.n_rows / 100:
            raise ProjectError(
                f"'{name}' is missing in {n_missing:,} of {profile.n_rows:,} rows, of which nobody "
                "knows where they belong: mend the source, or choose another column."
            )


def _keys(
    profile: TableProfile, asked: Asked, time: str | None
) -> tuple[tuple[str, ...], str | None]:
    """What identifies a row, and what rows have in common that belong together."""
    if not asked.key:
        return _own_keys(profile, asked, time), None
    named = [*asked.key, *([time] if time and time not in asked.key else [])]
    if _is_unique(profile, asked.key):
        return asked.key, None
    if time:
        return (tuple(named) if _is_unique(profile, named) else ()), None
    group = asked.key[0]
    if profile[group].n_distinct < MIN_GROUPS:
        raise ProjectError(
            f"--key {group}: Rows of one would be split as one, and there are only "
            f"{profile[group].n_distinct}, of {MIN_GROUPS} that a split needs: leave it out."
        )
    return (), group


def _own_keys(profile: TableProfile, asked: Asked, time: str | None) -> tuple[str, ...]:
    """A column that is called an identifier and is one, if nobody has named any."""
    for column in profile.columns:
        name = column.name
        given = name in (asked.target, time, *asked.personal)
        if given or not is_called_id(name) or not says_of_what(name):
            continue
        if column.kind in ("integer", "text") and _is_unique(profile, [name]):
            return (name,)
    return ()


def _repeated_id(profile: TableProfile, columns: Sequence[ColumnDecision]) -> str | None:
    """A column that is called an identifier, and has several rows of most of its values."""
    for decided in columns:
        column = profile[decided.name]
        several = MIN_GROUPS <= column.n_distinct <= profile.n_rows / 2 and not column.n_missing
        is_free = decided.use in ("feature", "left out") and says_of_what(column.name)
        if several and is_free and is_called_id(column.name):
            return column.name
    return None


def _is_unique(profile: TableProfile, names: Sequence[str]) -> bool:
    """Whether no two rows have the same values, which none lacks."""
    columns = [profile[name] for name in names]
    if any(column.n_missing or column.n_odd for column in columns):
        return False
    if profile.sample.duplicated(list(names)).any():
        return False
    # of many rows the number of values is known to about a percent
    return len(names) > 1 or columns[0].n_distinct >= 0.98 * profile.n_rows


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
