"""The champions there have been, and the other models that there are."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kedro.io import CatalogProtocol

from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.storage import Place, place
from kedro_mlops.models.decision import GATE, Decision
from kedro_mlops.models.metadata import Metadata

if TYPE_CHECKING:
    from kedro_mlops.models.package import ModelPackage

logger = logging.getLogger(__name__)

CHAMPION, CANDIDATE, VERDICTS = "champion", "candidate", "gate_history"
# the entries of which those tell who change nothing
TOLD = (CHAMPION, CANDIDATE, "gate_decision", VERDICTS)

Catalog = CatalogProtocol[Any, Any]


@dataclass(frozen=True)
class Saved:
    """A saved version of a model: when it was saved, what is known of it, and who reads it."""

    moment: str
    folder: Place
    metadata: Metadata
    read: "Callable[[Place, str], ModelPackage]"

    @property
    def version(self) -> str:
        """The model's version."""
        return self.metadata.version

    @property
    def decision(self) -> Decision | None:
        """What made it champion."""
        return self.metadata.decision

    def package(self) -> "ModelPackage":
        """Read the whole of it."""
        return self.read(self.folder, self.moment)


def saved_versions(catalog: Catalog, entry: str) -> list[Saved]:
    """The saved versions of a catalog entry, newest first; older ones only if they can be read.

    Raises:
        ProjectError: if the newest cannot be read.
    """
    dataset = catalog[entry]
    folders = [place(path) for path in dataset.list_versions()]
    saved = []
    for folder in folders:
        try:
            saved.append(Saved(folder.parent.name, folder, Metadata.read(folder), dataset.read))
        except ProjectError as error:
            if folder == folders[0]:
                raise
            logger.warning("%s", error)
    return saved


def past_champions(catalog: Catalog) -> list[Saved]:
    """The champion, and those before it; none at first."""
    return saved_versions(catalog, CHAMPION)


def current_champion(catalog: Catalog) -> Saved | None:
    """The champion, if there is one."""
    return next(iter(past_champions(catalog)), None)


def champions(catalog: Catalog) -> list[Saved]:
    """The champion, and those before it.

    Raises:
        ProjectError: if there is none yet.
    """
    history = past_champions(catalog)
    if not history:
        raise ProjectError("There is no champion yet. Make one with `make run`.")
    return history


def candidates(catalog: Catalog) -> list[Saved]:
    """Every model that was trained, newest first; of one that came out again, the newest saving."""
    found: dict[str, Saved] = {}
    for saved in saved_versions(catalog, CANDIDATE):
        found.setdefault(saved.version, saved)
    return list(found.values())


def verdicts(catalog: Catalog) -> dict[str, str]:
    """What the gate has said of candidates at last, by their versions."""
    champions = [(one.version, one.decision) for one in past_champions(catalog)]
    told = {
        version: made.outcome for version, made in champions if made and made.decided_by == GATE
    }
    judged = catalog[VERDICTS].records()
    return told | {row["candidate"]: row["outcome"] for row in judged}


def models(catalog: Catalog) -> list[Saved]:
    """Whatever can be promoted: the candidates, then the champions."""
    return [*saved_versions(catalog, CANDIDATE), *past_champions(catalog)]


def find(version: str, saved: Sequence[Saved]) -> Saved:
    """The first that has a model's version, or the beginning of just one model's version.

    Raises:
        ProjectError: naming the versions that there are, or that it may be.
    """
    found = [one for one in saved if one.version == version]
    found = found or [one for one in saved if one.version.startswith(version)]
    names = list(dict.fromkeys(one.version for one in found or saved))
    if not names:
        raise ProjectError("There is no model yet. Train one with `make run`.")
    if not found:
        raise ProjectError(f"There is no model '{version}' here. {suggestion(version, names)}")
    if len(names) > 1:
        raise ProjectError(f"'{version}' may be {' or '.join(names)}. Type more of it.")
    return found[0]


def predecessor(history: Sequence[Saved]) -> Saved:
    """The champion before the present one that was not rolled back itself.

    Raises:
        ProjectError: if there is none.
    """
    current = history[0]
    for earlier in history[1:]:
        if earlier.version not in (current.version, *current.metadata.withdrawn):
            return earlier
    raise ProjectError(
        f"There is no champion before {current.version} to roll back to. What has been: "
        "`kedro champion history`. A candidate is made champion by `kedro champion promote`."
    )


def awaiting(catalog: Catalog) -> str | None:
    """The candidate that passed the gate and awaits a person's approval, if there is one."""
    judged = last_judged(catalog)
    if judged is None or judged.outcome != "await_approval":
        return None
    current = current_champion(catalog)
    # a person has decided since, if another model serves, or serves again
    before, withdrawn = (current.version, current.metadata.withdrawn) if current else (None, [])
    outdated = judged.champion_before != before or judged.candidate in withdrawn
    return None if outdated else judged.candidate


def last_judged(catalog: Catalog) -> Decision | None:
    """What the gate said at last."""
    judged: Decision | None = None
    if catalog.exists("gate_decision"):
        judged = catalog.load("gate_decision")
    return judged
