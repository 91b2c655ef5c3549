"""The packages that a Bento needs: what serves, and what its models are of, as they are locked."""

import re
from collections.abc import Collection, Iterator

import uv

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.project import run_in_project
from kedro_mlops.models.families import Families, Family
from kedro_mlops.models.released import model_folder, spec_of

ENGINE = "kedro-mlops"
LOCK = "uv.lock"


def export_requirements(families: Families, model_tag: str, challenger_tag: str) -> str:
    """The packages that the service needs for its models, pinned as in ``uv.lock``."""
    specs = [spec_of(model_folder(tag)) for tag in filter(None, [model_tag, challenger_tag])]
    slow = [spec for spec in specs if spec.engine == "scikit-learn"]
    extras = ["serving", *(["scikit-learn"] if slow else [])]
    lines = _export(f"--package={ENGINE}", *(f"--extra={extra}" for extra in extras))
    more = {name for spec in slow for name in _family(families, spec.family).packages}
    return "\n".join(dict.fromkeys([*lines, *(_pinned(more) if more else [])])) + "\n"


def _family(families: Families, name: str) -> Family:
    if name not in families:
        raise ProjectError(
            f"The model that is to serve is of the family '{name}', and the catalog's `families` "
            f"has only {', '.join(families)}. Declare it again, or promote another model."
        )
    return families[name]


def _pinned(names: Collection[str]) -> Iterator[str]:
    """The lines about some packages, and about all that these need."""
    needed = _uv("tree", "--universal", *(f"--package={name}" for name in names))
    found = set(re.findall(r"([\w.-]+) v\d", needed))
    if unknown := set(names) - found:
        raise ProjectError(
            f"{LOCK} has no {', '.join(sorted(unknown))}, which a family says its Bento needs. Add "
            "it to the project: `uv add PACKAGE`; or mend `packages` of that family."
        )
    for line in _export("--all-packages", "--all-extras"):
        [name] = re.findall(r"^[\w.-]+", line)
        if name in found:
            yield line


def _export(*what: str) -> list[str]:
    plain = ("--no-emit-workspace", "--no-hashes", "--no-header", "--no-annotate")
    return _uv("export", "--quiet", "--no-dev", *what, *plain).splitlines()


def _uv(*command: str) -> str:
    return run_in_project([uv.find_uv_bin(), *command, "--frozen"], f"{LOCK} could not be read")
