"""Times as cron says them, and as schedulers do that do not know cron."""

import re
from dataclasses import dataclass
from typing import Self

from kedro_mlops.core.errors import ProjectError

FIELDS = {
    "minute": (0, 59), "hour": (0, 23), "day of the month": (1, 31), "month": (1, 12),
    "day of the week": (0, 7),
}  # fmt: skip
DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")
# `5/15` is minute 5 alone to some, and also 20, 35 and 50 to others
PART = re.compile(r"(?:\*|(?P<first>\d+)-(?P<last>\d+))(?:/(?P<step>\d+))?|(?P<only>\d+)")


@dataclass(frozen=True)
class Times:
    """Moments that repeat; of each field the values, or none if it may have any."""

    minute: tuple[int, ...] | None
    hour: tuple[int, ...] | None
    day: tuple[int, ...] | None
    month: tuple[int, ...] | None
    weekday: tuple[int, ...] | None

    @classmethod
    def of(cls, text: str) -> Self:
        """Read five fields: minute, hour, day of the month, month, day of the week (0: Sunday).

        Raises:
            ProjectError: if it is no such line, or names days in both ways, of which cron means
                either and others mean both.
        """
        words = text.split()
        if len(words) != len(FIELDS):
            raise ProjectError(
                f"'{text}' is no time that cron knows: it has {len(words)} fields, not "
                f"{len(FIELDS)}: {', '.join(FIELDS)}. Every day at six: '0 6 * * *'."
            )
        fields = zip(words, FIELDS.items(), strict=True)
        minute, hour, day, month, weekday = (
            _values(word, name, *ends) for word, (name, ends) in fields
        )
        if day and weekday:
            raise ProjectError(
                f"'{text}' names days of the month and of the week: schedulers disagree on what "
                "that means. Name one of them, the other is '*'."
            )
        named = tuple(sorted({value % 7 for value in weekday})) if weekday else None
        return cls(minute, hour, day, month, named)

    @property
    def cron(self) -> str:
        """As every reader of cron takes them: values alone, of which Sunday is 0."""
        return " ".join(map(_listed, (self.minute, self.hour, self.day, self.month, self.weekday)))

    @property
    def calendar(self) -> str:
        """As systemd's ``OnCalendar`` takes them."""
        days = [",".join(DAYS[value] for value in self.weekday)] if self.weekday else []
        date = f"*-{_listed(self.month)}-{_listed(self.day)}"
        return " ".join([*days, date, f"{_listed(self.hour)}:{_listed(self.minute)}:00"])

    @property
    def quartz(self) -> str:
        """As Quartz takes them, which begins with seconds."""
        days = ",".join(DAYS[value].upper() for value in self.weekday) if self.weekday else "?"
        date = "?" if self.weekday else _listed(self.day)
        return f"0 {_listed(self.minute)} {_listed(self.hour)} {date} {_listed(self.month)} {days}"


def _values(word: str, name: str, low: int, high: int) -> tuple[int, ...] | None:
    """The values of a field; none if it may have any."""
    parts = [_part(part, low, high) for part in word.split(",")]
    if not all(parts):
        raise ProjectError(
            f"'{word}' is no {name} that cron knows: numbers from {low} to {high}, such as "
            f"'{low}', '{low}-{high}', '*/2', '{low}-{high}/2', with commas between them."
        )
    found = {value for part in parts for value in part}
    return None if word == "*" else tuple(sorted(found))


def _part(text: str, low: int, high: int) -> range:
    """What is between two commas; nothing if it is no such text."""
    match = PART.fullmatch(text)
    if match is None:
        return range(0)
    first = int(match["only"] or match["first"] or low)
    last = int(match["only"] or match["last"] or high)
    step = int(match["step"] or 1)
    return range(first, last + 1, step) if low <= first <= last <= high and step else range(0)


def _listed(values: tuple[int, ...] | None) -> str:
    return "*" if values is None else ",".join(map(str, values))
