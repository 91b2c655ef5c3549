"""What is secret of a table, in the file that git ignores."""

from collections.abc import Mapping
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

    Args:
        project: Its folder.
        new: What the file has to say, by name.
        force: Whether what it says otherwise of these names is replaced.

    Raises:
        ProjectError: if it says otherwise of a name, and is not to be forced; or is no YAML.
    """
    file = project / CREDENTIALS
    before = file.read_text(encoding="utf-8") if file.exists() else ""
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
    # what people have written there stays as they wrote it, if that is possible
    end = "\n" if before and not before.endswith("\n") else ""
    longer = f"{before}{end}{yaml.safe_dump(said)}"
    is_enough = not others and _says(longer, whole)
    return {CREDENTIALS: longer if is_enough else yaml.safe_dump(whole)}


def _read(text: str) -> dict[str, Any]:
    try:
        known = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        # the error itself would quote what is secret
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1} of {CREDENTIALS}" if mark else CREDENTIALS
        raise ProjectError(f"{where} is no YAML: mend it, or move the file away.") from None
    if not isinstance(known, dict):
        raise ProjectError(f"{CREDENTIALS} has no names of credentials: mend it, or move it away.")
    return known


def _says(text: str, whole: dict[str, Any]) -> bool:
    try:
        return bool(yaml.safe_load(text) == whole)
    except yaml.YAMLError:
        return False
