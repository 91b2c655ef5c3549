"""The champion of another environment becomes that of this one, with the release that was proven.

Nothing is trained, exported or built: the files are those of the other environment, to the last
byte. The champion's record is written last, so whatever stops it leaves the champion that was.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kedro_mlops.contract.columns import Columns
from kedro_mlops.core.artefacts import CheckResult
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.run_lock import alone_in
from kedro_mlops.core.storage import on_store
from kedro_mlops.core.wording import in_environment
from kedro_mlops.export.fields import fields_of
from kedro_mlops.models.decision import Decision, Source
from kedro_mlops.models.kept_bentos import send
from kedro_mlops.models.metadata import Metadata
from kedro_mlops.models.released import (
    bento_folder,
    bentoml_home,
    models_of,
    spec_of,
)
from kedro_mlops.runtime.serving_spec import Field

from .history import CHAMPION, Catalog, Saved, champions, current_champion
from .moves import by_person, login
from .releases import STAYS, bring_release, carry, check_files, release_problem

if TYPE_CHECKING:
    from upath import UPath

    from kedro_mlops.models.package import ModelPackage

    from .comparison import Limits

# what pods have beside the artefacts of an environment
STORE_BESIDE = "bentoml"


@dataclass(frozen=True)
class Environment:
    """Where a champion is.

    Attributes:
        name: Of the environment.
        catalog: Its catalog.
        data: The folder of its artefacts.
        store: Where of these those are that last, if they are elsewhere.
    """

    name: str
    catalog: Catalog
    data: Path
    store: "UPath | None" = None


@dataclass(frozen=True)
class Approval:
    """Whether the target asks for a person's approval, and who has given it."""

    is_required: bool
    by: str | None = None


@contextlib.contextmanager
def alone_in_both(source: Environment, target: Environment) -> Iterator[None]:
    """Keep runs out of both environments, in one order, so that two who wait do not wait for ever.

    Raises:
        ProjectError: if both are one, or there is nothing in the source.
    """
    if source.data.resolve() == target.data.resolve():
        raise ProjectError(
            f"{source.name} and {target.name} keep their artefacts in one folder, {source.data}. "
            "Promote from one environment to another: each has a folder of its own, `data` in "
            "its globals.yml."
        )
    if source.store is None and not source.data.is_dir():
        raise _no_champion(source)
    with contextlib.ExitStack() as locks:
        for each in sorted([source, target], key=lambda environment: environment.data):
            locks.enter_context(alone_in(each.data, each.store))
        yield


def promote_from(
    source: Environment,
    target: Environment,
    version: str | None,
    reason: str,
    approval: Approval,
    limits: "Limits | None" = None,
) -> Saved:
    """Make the source's champion the target's, with the model and the Bento that it has there.

    Args:
        source: The environment whose champion it is.
        target: The one whose champion it is to be.
        version: Of the model, or its beginning, if the person who promotes has named it.
        reason: Why.
        approval: Of the target.
        limits: By which it is compared, on the target's rows, with the champion that it replaces;
            what is found is on record, and decides nothing.

    Raises:
        ProjectError: if there is no such champion, or it is the target's already, was not proven,
            is not whole, does not fit the contract, or is not approved.
    """
    from kedro_mlops.release.nodes import select_model  # noqa: PLC0415 - heavy

    with _about(source):
        chosen = _chosen(source, version)
        bring_release(chosen)
        package, home = chosen.package(), _home_of(chosen.metadata, source)
        check_files(chosen.metadata, home)
    current = current_champion(target.catalog)
    _refuse_the_same(chosen, current, target)
    _refuse_unapproved(approval, target)
    _check_fit(target.catalog.load("contract"), chosen.metadata, home)
    carry(str(chosen.metadata.release), home)
    if on_store(models := target.catalog[CHAMPION].folder.parent):
        send(str(chosen.metadata.release), models)
    package = _that_answers(package, chosen)
    incumbent = current.package() if current else None
    compared = limits.compare(target.catalog, package, incumbent) if limits else None
    decision = _record(source, chosen, current, reason, approval, compared)
    target.catalog.save(CHAMPION, select_model(package, incumbent, decision))
    return champions(target.catalog)[0]


def _record(
    source: Environment,
    chosen: Saved,
    current: Saved | None,
    reason: str,
    approval: Approval,
    compared: CheckResult | None,
) -> Decision:
    checks = [*(chosen.decision.checks if chosen.decision else []), *filter(None, [compared])]
    whence = Source(environment=source.name, since=chosen.moment, decision=chosen.decision)
    said = f"From {source.name}: {reason}"
    if compared:
        said = f"{said.removesuffix('.')}. Compared here {compared.in_words}."
    more = {"checks": checks, "source": whence, "approved_by": approval.by}
    return by_person("promote", chosen, current, said, **more)


def _that_answers(package: "ModelPackage", chosen: Saved) -> "ModelPackage":
    """The model, which can be loaded here, or for which its release, now at hand, answers.

    Raises:
        UnloadableError: if neither is so.
    """
    from kedro_mlops.models.package import UnloadableError, is_mute  # noqa: PLC0415 - heavy

    if is_mute(package.estimator):
        package = chosen.package()
    if is_mute(package.estimator):
        raise UnloadableError(package.estimator.why)
    return package


@contextlib.contextmanager
def _about(environment: Environment) -> Iterator[None]:
    """Let errors name commands as they are typed for this environment, not the target."""
    try:
        yield
    except ProjectError as error:
        raise ProjectError(in_environment(str(error), environment.name)) from error


def _chosen(source: Environment, version: str | None) -> Saved:
    """The source's champion, which has been proven."""
    chosen = current_champion(source.catalog)
    if chosen is None:
        raise _no_champion(source)
    if version and not chosen.version.startswith(version):
        raise ProjectError(
            f"The champion of {source.name} is {chosen.version}, not {version}. {STAYS} Look at "
            f"`kedro champion history --env {source.name}`."
        )
    if not chosen.metadata.release:
        raise ProjectError(
            f"{chosen.version} has no release that was proven in {source.name}: release it there "
            f"first, `kedro run --pipelines=release --env {source.name}`. {STAYS}"
        )
    return chosen


def _no_champion(source: Environment) -> ProjectError:
    return ProjectError(
        f"There is no champion in {source.name}. Make one with `kedro run --env {source.name}`."
    )


def _refuse_the_same(chosen: Saved, current: Saved | None, target: Environment) -> None:
    released = (chosen.version, chosen.metadata.release)
    if current and (current.version, current.metadata.release) == released:
        raise ProjectError(
            f"{chosen.version} is the champion of {target.name} already, with the same release. "
            f"{STAYS}"
        )


def _refuse_unapproved(approval: Approval, target: Environment) -> None:
    if not approval.is_required:
        return
    if approval.by is None:
        raise ProjectError(
            f"{target.name} asks for an approval, by `gate.require_approval`. {STAYS} Let somebody "
            "else look at the model, and say who by `--approved-by NAME`."
        )
    if approval.by == login():
        raise ProjectError(
            f"{approval.by} is who promotes: let somebody else approve, and say who. {STAYS}"
        )


def _home_of(metadata: Metadata, source: Environment) -> Path:
    """The home of the BentoML store that has the release, whole."""
    beside = source.data / STORE_BESIDE
    problem = release_problem(metadata)
    if problem is None:
        return bentoml_home()
    if bento_folder(str(metadata.release), beside).exists():
        problem = release_problem(metadata, beside)
        if problem is None:
            return beside
    raise ProjectError(
        f"The release that was proven in {source.name} is not at hand: {problem} If it is in a "
        f"store on another machine: `bentoml export {metadata.release} FILE` there, and "
        f"`bentoml import FILE` here. {STAYS}"
    )


def _check_fit(contract: Columns, metadata: Metadata, home: Path) -> None:
    """Refuse a release of another contract than this code has, which pipelines would not fit."""
    specs = [spec_of(folder) for folder in models_of(str(metadata.release), home)]
    spec = next(spec for spec in specs if spec.model_version == metadata.version)
    there, here = _asked(spec.fields), _asked(fields_of(contract.inputs))
    differ = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    task = contract.task
    if (spec.label, spec.task, spec.classes) != (contract.label, task.name, list(task.classes)):
        differ.append(contract.label)
    if differ:
        raise ProjectError(
            f"{metadata.release} was built for another contract than this code has, of "
            f"{', '.join(sorted(differ))}. {STAYS} Take the code that it was built by, "
            f"`git checkout {metadata.lineage.git_commit.removesuffix('-dirty')}`, or release a "
            "model of this one."
        )


def _asked(fields: list[Field]) -> dict[str, Field]:
    """What is asked of a row; which categories are known is the model's."""
    plain = [msgspec.structs.replace(each, allowed=None, example=None) for each in fields]
    # as a file says it
    read = msgspec.json.decode(msgspec.json.encode(plain), type=list[Field])
    return {each.name: each for each in read}
