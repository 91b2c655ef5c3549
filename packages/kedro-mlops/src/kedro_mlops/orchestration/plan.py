"""What all schedulers are told, and how their files begin."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from kedro_mlops.core.errors import ProjectError

from .loop import Schedule

# neither a shell nor a path nor an expression of a scheduler takes any of it for its own
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
# a CronJob's name may have 52 characters, and ends in `-retrain`
LONGEST, MARK = 44, 6


def name_of(package: str, env: str | None) -> str:
    """What a project is called in an environment: lower letters, digits and hyphens.

    Two hyphens stand before the environment, and nowhere else, as in ``shop--staging``.
    Where more had to be changed than underscores of the package, a mark keeps names apart, such as
    those of ``prod_eu`` and ``prod-eu``.

    Raises:
        ProjectError: if what an environment is called cannot be told to all schedulers.
    """
    if env and not ENVIRONMENT.fullmatch(env):
        raise ProjectError(
            f"The environment '{env}' cannot be told to schedulers: to be, it begins with a letter "
            f"or digit, and has these, '-', '_' and '.' alone. Rename conf/{env}."
        )
    said = [package.replace("_", "-"), *([env] if env else [])]
    plain = [re.sub("[^a-z0-9]+", "-", part.lower()).strip("-") for part in said]
    name = "--".join(filter(None, plain))
    if plain == said and len(name) <= LONGEST:
        return name
    # neither has a slash
    mark = hashlib.sha256(f"{package}/{env or ''}".encode()).hexdigest()[:MARK]
    return "-".join(filter(None, [name[: LONGEST - MARK - 1].rstrip("-"), mark]))


@dataclass(frozen=True)
class Plan:
    """What is to run when, where, and under which name.

    Attributes:
        name: Of the project in an environment, as ``name_of`` makes it.
        folder: Where the project is.
        kedro: The command of its environment.
        data: The folder of artefacts, as seen from the project's, or wherever else it is.
        prediction_log: Where the service logs, as seen from there, too.
        own: And the folder of what git ignores of the configuration, such as credentials.
        image: Of the pipelines, where they run in one.
        retrain: What is done to renew the champion.
        watch: And in between.
    """

    name: str
    folder: Path
    kedro: Path
    data: str
    prediction_log: str
    own: str
    image: str | None
    retrain: Schedule
    watch: Schedule

    @property
    def schedules(self) -> tuple[Schedule, Schedule]:
        """What one machine does."""
        return self.retrain, self.watch


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Repeats what is the same, rather than to refer to it."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def heading(scheduler: str) -> str:
    """The first line of a file."""
    return f"# Written by `kedro schedule {scheduler}`: rather than change it, write it again.\n"


def as_yaml(scheduler: str, *documents: dict[str, Any]) -> str:
    """The text of a file of YAML."""
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=1000)
    return f"{heading(scheduler)}{text}"
