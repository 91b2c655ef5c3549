"""The champions there have been, and how a person moves from one to another."""

import getpass
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from kedro_mlops.core.errors import ProjectError, suggestion
from kedro_mlops.core.storage import Place, on_store, place
from kedro_mlops.models.decision import GATE, MONITORING, Decision, Outcome
from kedro_mlops.models.kept_bentos import fetch
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.released import BUILD_AGAIN, models_of, spec_of

if TYPE_CHECKING:
    from kedro_mlops.models.package import ModelPackage

logger = logging.getLogger(__name__)

CHAMPION, CANDIDATE, VERDICTS = "champion", "candidate", "gate_history"
CHALLENGER_DECISION = "challenger_decision"
# the entries of which those tell who change nothing
TOLD = (CHAMPION, CANDIDATE, "gate_decision", VERDICTS)
# of the nodes that render what tells of the champion
OF_CHAMPION = "of_champion"

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


def tell_anew(catalog: Catalog) -> None:
    """Render anew, after a move, what tells of the champion, as far as there is something to tell.

    The move is done, so what cannot be rendered is said and no error.
    """
    catalog.release(CHAMPION)  # it remembers which version was the newest
    for node in pipelines["__default__"].only_nodes_with_tags(OF_CHAMPION).nodes:
        if all(catalog.exists(name) for name in node.inputs):
            try:
                SequentialRunner().run(Pipeline([node]), catalog)
            except Exception:
                logger.exception(
                    "%s still tells of the champion before. The champion has moved all the same; "
                    "render it with `kedro run --pipelines=documentation,scoring,monitoring`.",
                    node.outputs[0],
                )


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
    judged = _last_judged(catalog)
    if judged is None or judged.outcome != "await_approval":
        return None
    current = current_champion(catalog)
    # a person has decided since, if another model serves, or serves again
    before, withdrawn = (current.version, current.metadata.withdrawn) if current else (None, [])
    outdated = judged.champion_before != before or judged.candidate in withdrawn
    return None if outdated else judged.candidate


def _last_judged(catalog: Catalog) -> Decision | None:
    """What the gate said at last."""
    judged: Decision | None = None
    if catalog.exists("gate_decision"):
        judged = catalog.load("gate_decision")
    return judged


def roll_back(
    catalog: Catalog,
    version: str | None,
    reason: str | None,
    alone: AbstractContextManager[None] | None = None,
) -> Saved:
    """Return to an earlier champion, and keep the present one from being promoted again by itself.

    Its release serves at once if BentoML's store has it; else it is built and proven again, before
    the champion moves; ``alone`` keeps runs out meanwhile.

    Raises:
        ProjectError: if there is nothing to return to, or that was rolled back itself, or cannot
            answer here.
    """
    from kedro_mlops.models.package import UnloadableError, is_mute  # noqa: PLC0415 - heavy
    from kedro_mlops.release.nodes import select_model  # noqa: PLC0415

    history = champions(catalog)
    current = history[0]
    target = find(version, history) if version else predecessor(history)
    _check_target(target, current)
    said = f"Rolled back from {current.version}{f': {reason}' if reason else '.'}"
    move = {"from_version": current.version, "to": target.version}
    decision = by_person("rollback", target, current, said, **move)
    bring_release(target)
    package, problem = target.package(), release_problem(target.metadata)
    if is_mute(package.estimator):
        raise UnloadableError(package.estimator.why)
    if problem:
        logger.info("%s", problem)
        with alone or nullcontext():
            _release(catalog, package, decision)
    else:
        catalog.save(CHAMPION, select_model(package, current.package(), decision))
    return champions(catalog)[0]


def _check_target(target: Saved, current: Saved) -> None:
    if target.version == current.version:
        raise ProjectError(f"{target.version} is the champion. Nothing has changed.")
    if target.version in current.metadata.withdrawn:
        raise ProjectError(
            f"{target.version} was rolled back itself. To make it champion all the same: "
            f"`kedro champion promote {target.version} --reason …`."
        )


def promote(catalog: Catalog, version: str, reason: str) -> Saved:
    """Make a candidate, or an earlier champion, the champion, whatever the gate said.

    Its release is built and proven first, as any other.

    Raises:
        ProjectError: if there is no such model, or it is the champion, or its release fails.
    """
    target = find(version, models(catalog))
    current = current_champion(catalog)
    if current is not None and current.version == target.version:
        raise ProjectError(f"{target.version} is the champion already. Nothing has changed.")
    judged = _last_judged(catalog)
    checks = judged.checks if judged and judged.candidate == target.version else []
    decision = by_person("promote", target, current, reason, checks=checks)
    _release(catalog, target.package(), decision)
    return champions(catalog)[0]


def promote_winner(catalog: Catalog) -> Saved | None:
    """Promote the challenger that monitoring found to be surely better, if that is still so.

    Returns:
        The new champion; nothing if monitoring does not promote one.

    Raises:
        ProjectError: if its release fails.
    """
    from kedro_mlops.monitoring.decisions import ChallengerDecision  # noqa: PLC0415 - heavy

    if not catalog.exists(CHALLENGER_DECISION):
        return None
    found: ChallengerDecision = catalog.load(CHALLENGER_DECISION)
    current = current_champion(catalog)
    if found.outcome != "promote" or found.challenger is None or current is None:
        return None
    beaten = found.champion.model_version if found.champion else None
    if current.version != beaten or found.challenger in current.metadata.withdrawn:
        return None  # it was compared with another champion, or a person has decided since
    known = models(catalog)
    if found.challenger not in {one.version for one in known}:
        logger.warning(
            "%s has won its trial, and is no model of this environment any more, so it is not "
            "promoted here",
            found.challenger,
        )
        return None
    target = find(found.challenger, known)
    decision = _decided("promote", target, current, " ".join(found.reasons), decided_by=MONITORING)
    _release(catalog, target.package(), decision)
    return champions(catalog)[0]


def by_person(
    outcome: Outcome, target: Saved, current: Saved | None, reason: str, **more: Any
) -> Decision:
    """The record of what a person decides now."""
    return _decided(outcome, target, current, reason, decided_by=login(), **more)


def _decided(
    outcome: Outcome, target: Saved, current: Saved | None, reason: str, **more: Any
) -> Decision:
    return Decision(
        outcome=outcome,
        candidate=target.version,
        champion_before=current.version if current else None,
        as_of=f"{target.metadata.as_of:%Y-%m-%d}",
        decided_at=datetime.now(UTC).isoformat(timespec="seconds"),
        reasons=[reason],
        **more,
    )


def login() -> str:
    """Who types."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # in a container, a person may have a number only
        return f"user {os.getuid()}"


def _release(catalog: Catalog, package: "ModelPackage", decision: Decision) -> None:
    """Build, prove and promote a model by the release pipeline, on a decision of its own."""
    logger.info("Building the release of %s, and asking it for real rows", package.version)
    decided = {CANDIDATE: "chosen", "gate_decision": "ruling"}
    catalog["chosen"], catalog["ruling"] = package, decision
    SequentialRunner().run(Pipeline(pipelines["release"], inputs=decided), catalog)


def bring_release(champion: Saved) -> None:
    """Fetch the release from the store that a champion is on, if another machine has built it."""
    if champion.metadata.release and on_store(champion.folder):
        fetch(champion.metadata.release, champion.folder.parents[2])


def release_problem(metadata: Metadata, home: Path | None = None) -> str | None:
    """Why a champion's release cannot serve as it is; nothing if it can.

    It is looked for in BentoML's store, or in that of another home.
    """
    try:
        specs = [spec_of(model) for model in models_of(str(metadata.release), home)]
    except ProjectError as error:
        return str(error)
    served = [(spec.model_version, spec.rule) for spec in specs]
    if (metadata.version, metadata.rule) not in served:
        return (
            f"The release {metadata.release} in BentoML's store holds another model. {BUILD_AGAIN}"
        )
    return None


def release_of(catalog: Catalog) -> str:
    """Which Bento the champion is.

    Raises:
        ProjectError: if there is no champion, or its release cannot serve as it is.
    """
    champion = champions(catalog)[0]
    bring_release(champion)
    if problem := release_problem(champion.metadata):
        raise ProjectError(problem)
    return str(champion.metadata.release)
