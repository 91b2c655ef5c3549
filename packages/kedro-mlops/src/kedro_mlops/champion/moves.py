"""How another model becomes the champion: a person says so, or it has won its trial."""

import getpass
import logging
import os
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline
from kedro.runner import SequentialRunner

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.decision import MONITORING, Decision, Outcome

from .history import (
    CANDIDATE,
    CHAMPION,
    Catalog,
    Saved,
    champions,
    current_champion,
    find,
    last_judged,
    models,
    predecessor,
)
from .releases import bring_release, release_problem

if TYPE_CHECKING:
    from kedro_mlops.models.package import ModelPackage

logger = logging.getLogger(__name__)

CHALLENGER_DECISION = "challenger_decision"
# of the nodes that render what tells of the champion
OF_CHAMPION = "of_champion"


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
    judged = last_judged(catalog)
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
