"""What tells the rows of a table apart, and what some of them have in common."""

from collections.abc import Sequence

from kedro_mlops.core.errors import ProjectError

from .asked import Asked
from .features import ColumnDecision, is_called_id, says_of_what
from .profile import TableProfile

MIN_GROUPS = 20


def keys_of(
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


def repeated_id(profile: TableProfile, columns: Sequence[ColumnDecision]) -> str | None:
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
