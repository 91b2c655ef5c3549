"""Figures and commands as people read and type them."""

import json
import re
from collections.abc import Iterable, Mapping

from .artefacts import Interval

_NAMES = {
    "roc_auc": "ROC AUC",
    "brier_score": "Brier score",
    "f1": "F1",
    "macro_f1": "macro F1",
    "r2": "R²",
    "flagged_share": "share flagged",
}
# what a name in a list is not told from the others by, unless it is quoted
_MARKS = {",", '"', "\\", *map(chr, range(32))}
_LISTED = re.compile(r'"(?:[^"\\]|\\.)*"|[^", ][^",]*')


def metric_name(name: str) -> str:
    """What a metric is called."""
    return _NAMES.get(name, name.replace("_", " "))


def interval_text(interval: Interval, spec: str = ".3f") -> str:
    """A value, and the ends of its interval, in a format."""
    return f"{interval.value:{spec}} [{interval.low:{spec}}, {interval.high:{spec}}]"


def some_of_text(n_rows: int, drawn_from: int | None) -> str:
    """How many rows, and of how many they were drawn, if they are not all."""
    return f"{n_rows:,}" if drawn_from is None else f"{n_rows:,} of {drawn_from:,}"


def listed(names: Iterable[str]) -> str:
    """Names in one text, out of which ``names_in`` takes them again, whatever they are."""
    return ", ".join(
        json.dumps(name, ensure_ascii=False) if _MARKS & {*name} or name != name.strip() else name
        for name in names
    )


def names_in(text: str) -> list[str]:
    """The names that ``listed`` has written."""
    found = _LISTED.findall(text)
    return [json.loads(name) if name.startswith('"') else name for name in found]


def measured_text(metrics: Mapping[str, Interval], *names: str) -> str:
    """Some metrics by name, those that were measured, with their intervals."""
    found = [name for name in names if name in metrics]
    return ", ".join(f"{metric_name(name)} {interval_text(metrics[name])}" for name in found)


def in_environment(text: str, env: str | None) -> str:
    """The text, with the commands in it as they are typed for an environment, if it has a name."""
    commands = r"`(kedro (?:run|serve|retrain|replay|champion)\b[^`]*|make (?:run|serve))`"
    return re.sub(commands, lambda found: f"`{typed(found[1], env)}`", text)


def typed(command: str, env: str | None) -> str:
    """A command as it is typed for an environment, if it has a name, and is not of another."""
    if not env or "--env" in command:
        return command
    option = f"--env {env}"
    return f'{command} ARGS="{option}"' if command.startswith("make") else f"{command} {option}"
