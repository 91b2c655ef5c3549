"""What is secret of a table, in the file that git ignores."""

from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from kedro_mlops.core.errors import ProjectError

from .yaml_text import escaped

CREDENTIALS = "conf/local/credentials.yml"


def credentials_with(
    project: Path, new: Mapping[str, Mapping[str, str]], *, force: bool
) -> dict[str, str]:
    """What a project's file of credentials is to hold, by its path; nothing if it is to stay.

    If it cannot just go on, with what people have written there, a second file keeps that.

    Args:
        project: Its folder.
        new: What the file has to say, by name.
        force: Whether what it says otherwise of these names is replaced.

    Raises:
        ProjectError: if it says otherwise of a name, and is not to be forced; or is no YAML.
    """
    before = _text(project)
    known = _read(before)
    said = {name: escaped(dict(each)) for name, each in new.items()}
    others = [name for name in said if known.get(name, said[name]) != said[name]]
    if others and not force:
        raise ProjectError(
            f"{CREDENTIALS} has another {', '.join(others)} already. Nothing was changed. Rename "
            "that in the file, and in the catalog; or say --force to replace it."
        )
    whole = known | said
    if whole == known:
        return {}
    end = "\n" if before and not before.endswith("\n") else ""
    longer = f"{before}{end}{yaml.safe_dump(said)}"
    if not others and _says(longer, whole):
        return {CREDENTIALS: longer}
    return {CREDENTIALS: yaml.safe_dump(whole), _free(project, before): before}


def _text(project: Path) -> str:
    """What the file says, with the line ends that it has."""
    file = project / CREDENTIALS
    try:
        return file.read_bytes().decode() if file.exists() else ""
    except UnicodeDecodeError:
        raise ProjectError(
            f"{CREDENTIALS} is not in UTF-8, in which it is read: save it so, or move it away."
        ) from None


def _free(project: Path, text: str) -> str:
    """A path beside the file, of nothing else than the text, which no project reads."""
    paths = (f"{CREDENTIALS}.before{n or ''}" for n in count())
    free = (p for p in paths if not (project / p).exists() or _holds(project / p, text))
    return next(free)


def _holds(file: Path, text: str) -> bool:
    return file.is_file() and file.read_bytes() == text.encode()


def _read(text: str) -> dict[str, Any]:
    try:
        known = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        # the error itself would quote what is secret
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1} of {CREDENTIALS}" if mark else CREDENTIALS
        advice = "put quotes around ${…}" if "${" in text else "mend it"
        raise ProjectError(f"{where} is no YAML: {advice}, or move the file away.") from None
    if not isinstance(known, dict):
        raise ProjectError(f"{CREDENTIALS} has no names of credentials: mend it, or move it away.")
    return known


def _says(text: str, whole: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text) == whole)
    except yaml.YAMLError:
        return False
