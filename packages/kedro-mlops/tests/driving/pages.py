"""The code of a page of docs/, put into a copy of the project as an owner does."""

import re
from pathlib import Path
from typing import Any

import yaml


def extensions(page: str) -> list[tuple[str, str, str]]:
    """The code of the page, its kind, and the file that the words before it name."""
    words, *parts = re.split(r"^```(python|yaml|diff)\n(.*?)^```$", page, flags=re.M | re.S)
    found = []
    for kind, code, after in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        found.append((re.findall(r"`([\w/]+\.(?:py|yml))`", words)[-1], kind, code))
        words = after
    return found


def patched(text: str, changes: str) -> str:
    """The text after changes, each a few lines with what is taken out and what comes in."""
    for change in changes.strip("\n").split("\n\n"):
        lines = [(line[:1], f"{line[1:]}\n") for line in change.splitlines()]
        old = "".join(line for sign, line in lines if sign != "+")
        assert text.count(old) == 1, old
        text = text.replace(old, "".join(line for sign, line in lines if sign != "-"))
    return text


def merged(old: Any, new: Any) -> Any:
    """What is said last, group by group."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return old | {name: merged(old.get(name), value) for name, value in new.items()}


def extend(folder: Path, page: str, part: str = "") -> None:
    """Put the code of a page into the project; what is said in YAML is added to what a file says.

    Args:
        folder: The project.
        page: Where it says what to put where.
        part: The title of the part of the page that is meant; all of it, if none is said.
    """
    text = (folder / page).read_text()
    if part:
        [text] = re.findall(rf"^## {part}\n(.*?)(?=^## |\Z)", text, flags=re.M | re.S)
    for name, kind, code in extensions(text):
        file = folder / name if name.startswith("conf/") else folder / "src/flight_delays" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        known = file.read_text() if file.exists() else ""
        if kind == "diff":
            file.write_text(patched(known, code))
        elif kind == "yaml" and known:
            both = merged(yaml.safe_load(known), yaml.safe_load(code))
            file.write_text(yaml.safe_dump(both, sort_keys=False))
        else:
            file.write_text(code)


def try_only(n_trials: dict[str, int], conf: Path, *files: str) -> None:
    """Leave no other family to win, in the files of conf that say what is tried."""
    for file in files:
        path = conf / f"{file}.yml"
        said = yaml.safe_load(path.read_text())
        said["modelling"]["n_trials"] = n_trials
        path.write_text(yaml.safe_dump(said, sort_keys=False))
