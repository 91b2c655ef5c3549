"""What all schedulers are told, and how their files begin."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .loop import Schedule


@dataclass(frozen=True)
class Plan:
    """What is to run when, where, and under which name.

    Attributes:
        name: Of the project, in an environment if there is one, in letters, digits and hyphens.
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
