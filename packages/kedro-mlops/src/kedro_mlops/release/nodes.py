"""From a selected model to a proven Bento, and only then to a champion."""

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bentoml
import numpy as np
import pandas as pd
import uv
from pydantic import Field

from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.table_diff import differences
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.files import hash_files
from kedro_mlops.core.json_records import json_records
from kedro_mlops.core.project import project_folder, run_in_project
from kedro_mlops.core.time_params import Parameters
from kedro_mlops.export.compiled import compiler
from kedro_mlops.export.fields import fields_of
from kedro_mlops.export.serving_form import export
from kedro_mlops.models.decision import GATE, Decision
from kedro_mlops.models.hashes import bento_hash, is_as_proven
from kedro_mlops.models.package import ModelPackage, is_mute
from kedro_mlops.models.released import bento_folder, model_folder, models_of, spec_of
from kedro_mlops.runtime.serving_spec import SPEC_LABEL, hash_of

from .artefacts import Bento, ProvenRelease
from .requirements import ENGINE
from .server import served

logger = logging.getLogger(__name__)

WHEELS = Path("build/wheels")
# the outcomes that change the champion, and those that leave a candidate worth trying
CHANGES_CHAMPION = ("promote", "rollback")
KEEPS_AS_CHALLENGER = ("keep", "await_approval")
NOT_RELEASED = "It is not released; the champion that serves stays."


class Release(Parameters):
    """Parameters of the release pipeline."""

    name: str = Field(
        pattern="^[a-z][a-z0-9_]*$",
        description="Of the model in BentoML's store; of its Bento likewise, with hyphens",
    )
    n_rows: int = Field(gt=0, description="Real rows that the Bento is asked")
    tolerance: float = Field(gt=0, description="Largest accepted difference in probability")
    start_timeout_seconds: float = Field(gt=0, description="Time the Bento has to get ready")
    challenger: bool = Field(
        description="Whether a candidate that passed the gate's checks and does not serve travels "
        "with the champion, to be tried on live requests"
    )


def select_model(
    candidate: ModelPackage, incumbent: ModelPackage | None, decision: Decision
) -> ModelPackage:
    """The model that should serve: the one that was promoted or returned to, else the champion.

    It keeps the list of the models that were rolled back, which the gate does not promote again.

    Raises:
        ProjectError: if the decision was taken against another champion than the present one; or
            if the candidate was not promoted and there is no champion to fall back on, or one that
            cannot answer here.
    """
    before, withdrawn, base = None, list[str](), None
    if incumbent is not None:
        before, withdrawn = incumbent.version, incumbent.metadata.withdrawn
        base = incumbent.base
    chosen = decision.outcome in CHANGES_CHAMPION and decision.candidate == candidate.version
    # the gate promotes nothing that serves, or was withdrawn, again
    done = decision.decided_by == GATE and candidate.version in (before, *withdrawn)
    if not chosen or done:
        if incumbent is None:
            raise ProjectError(_why_nothing_serves(decision))
        if is_mute(incumbent.estimator) and decision.outcome == "await_approval":
            raise ProjectError(" ".join(decision.reasons))
        return incumbent
    if decision.champion_before != before:
        raise ProjectError(
            f"{candidate.version} was judged against {decision.champion_before}, but "
            f"{before or 'no champion'} serves now. Nothing has changed; run the gate again: "
            "`kedro run --pipelines=gate,release`."
        )
    left = [before] if before and decision.outcome == "rollback" else []
    withdrawn = [version for version in (*withdrawn, *left) if version != candidate.version]
    return replace(candidate.with_record(decision=decision, withdrawn=withdrawn), base=base)


def _why_nothing_serves(decision: Decision) -> str:
    said = " ".join(decision.reasons)
    if decision.outcome == "await_approval":
        return f"There is no champion yet, so nothing can be released: {said}"
    return (
        "The gate did not promote the candidate, and there is no champion yet, so nothing can "
        f"be released: {said} Improve the model, or change its limits, which are the parameters "
        "`gate` and `behaviour`, and run again."
    )


def store_model(
    contract: Columns, selected: ModelPackage, test: pd.DataFrame, params: Release
) -> str:
    """Put the model, in the form that serves it, into BentoML's model store, once.

    The form is proved by all rows of the test window.

    Returns:
        The model's tag, ``name:version``; the version says which model, contract and export.
    """
    tag = f"{params.name}:{selected.version}-{_export_hash(contract, selected, params)[:8]}"
    stored = model_folder(tag)
    if _is_whole(stored, lambda: spec_of(stored)):
        return tag
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        label = contract[contract.label]
        spec = export(selected, contract.inputs, test, params.tolerance, folder, params.name, label)
        labels = _labels(selected) | {SPEC_LABEL: spec.write(folder), "engine": spec.engine}
        with bentoml.models.create(tag, labels=labels) as model:
            shutil.copytree(folder, model.path, dirs_exist_ok=True)
    slow = "" if spec.engine == "compiled trees" else ", many times slower"
    level = logging.WARNING if slow else logging.INFO
    logger.log(level, "Served by %s%s: %s", spec.engine, slow, spec.engine_reason)
    return tag


def store_challenger(
    contract: Columns,
    candidate: ModelPackage,
    selected: ModelPackage,
    decision: Decision,
    test: pd.DataFrame,
    params: Release,
) -> str:
    """Put the challenger into BentoML's model store, if there is to be one.

    Returns:
        Its tag; empty if none travels with the release.
    """
    if not params.challenger or candidate.version == selected.version:
        return ""
    if decision.candidate != candidate.version or decision.outcome not in KEEPS_AS_CHALLENGER:
        logger.info("%s is not tried: the gate blocked it", candidate.version)
        return ""
    return store_model(contract, candidate, test, params)


def _is_whole(folder: Path, read: Callable[[], object]) -> bool:
    """Whether BentoML's store has a folder, and it can be read; what is damaged is removed."""
    if not folder.exists():
        return False
    try:
        read()
    except ProjectError:
        logger.warning("%s in BentoML's store is damaged, and is made again", folder)
        shutil.rmtree(folder)
        return False
    return True


def _export_hash(contract: Columns, selected: ModelPackage, params: Release) -> str:
    """SHA-256 of what decides the exported files, from the model to code and compiler."""
    label = contract[contract.label]
    said = (
        selected.version, fields_of(contract.inputs), label.name, label.description,
        label.classes, params.tolerance, bool(compiler()),
    )  # fmt: skip
    code = Path(__file__).parents[1]
    rooms = ("runtime/*.py", "task/*.py", "export/*.*")
    return hash_files(repr(said), [file for room in rooms for file in code.glob(room)])


def pack_engine() -> str:
    """Pack the engine, which the service runs on, as the wheel that ``bentofile.yaml`` names.

    Returns:
        Its SHA-256.
    """
    folder = project_folder() / WHEELS
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        uv.find_uv_bin(), "build", "--quiet", "--wheel", f"--package={ENGINE}",
        f"--out-dir={folder}",
    ]  # fmt: skip
    run_in_project(command, "The engine could not be packed")
    [wheel] = folder.glob("*.whl")
    return hash_of(wheel.read_bytes())


def build_bento(
    model_tag: str,
    challenger_tag: str,
    selected: ModelPackage,
    requirements: str,
    wheel_hash: str,
    files_hash: str,
    params: Release,
) -> Bento:
    """Build the Bento from the locked requirements, unless just this one is there, whole.

    The version in its tag says which model and which code.
    """
    parts = (model_tag, challenger_tag, requirements, wheel_hash, files_hash)
    version = f"{selected.version}-{hash_files(str(parts), [])[:8]}"
    name = params.name.replace("_", "-")
    tag = f"{name}:{version}"
    bento = Bento(tag=tag, model=model_tag, challenger=challenger_tag or None)
    if _is_whole(bento_folder(tag), lambda: _read_bento(tag, selected)):
        return bento
    logger.info("Building %s", tag)
    labels = [part for k, v in _labels(selected).items() for part in ("--label", f"{k}={v}")]
    command = [
        sys.executable, "-m", "bentoml", "build", "--quiet",
        "--name", name, "--version", version, "--arg", f"model={model_tag}",
        "--arg", f"challenger={challenger_tag}", *labels,
    ]  # fmt: skip
    run_in_project(command, f"The Bento {tag} could not be built")
    return bento


def _read_bento(tag: str, selected: ModelPackage) -> None:
    """Read a Bento; if it is the one that the model serves by, it has the files that were proven.

    Raises:
        ProjectError: if it is damaged.
    """
    models_of(tag)
    record, folder = selected.metadata, bento_folder(tag)
    if record.release == tag and not is_as_proven(folder, record.release_sha256):
        raise ProjectError(f"The files in {folder} are not those that were proven.")


def verify(
    contract: Columns,
    logged: Columns,
    bento: Bento,
    selected: ModelPackage,
    rows: pd.DataFrame,
    feature_store_url: str,
    params: Release,
    seed: int,
) -> ProvenRelease:
    """Start the Bento, ask it for some of the rows, and compare with batch scoring of the same.

    What it has found in the online store must be what the rows have; its log, of the contract
    ``logged``, says so.

    Raises:
        ProjectError: if the Bento does not start, or answers otherwise than batch scoring.
    """
    asked = rows.sample(min(params.n_rows, len(rows)), random_state=seed)
    output, expected = selected.metadata.output, selected.score(asked)
    sent = {column.name: column.asked_as for column in contract.inputs.sent}
    with served(bento.tag, feature_store_url, params.start_timeout_seconds) as server:
        answers = server.predict(json_records(asked[[*sent]].rename(columns=sent)))
        rows_logged = server.logged(logged)
    features = _compare_features(contract, bento.tag, rows_logged, asked)
    answered = output.scores_in(pd.DataFrame(answers))
    off = np.abs(answered - expected).reshape(len(asked), -1)
    worst = int(np.argmax(off.max(axis=1)))
    [row] = json_records(asked.iloc[[worst]][contract.keys])
    difference = float(off[worst].max())
    if difference > params.tolerance:
        raise ProjectError(
            f"The Bento {bento.tag} differs from batch scoring by {difference:.2g}, more than "
            f"release.tolerance={params.tolerance:g}, e.g. {np.round(answered[worst], 6)} instead "
            f"of {np.round(expected[worst], 6)} for {row}; "
            f"features it did not find: {answers[worst]['missing_features'] or 'none'}. "
            f"{NOT_RELEASED}"
        )
    return ProvenRelease(
        bento=bento.tag,
        model=bento.model,
        engine=spec_of(model_folder(bento.model)).engine,
        challenger=bento.challenger,
        labels=_labels(selected),
        rows_compared=len(asked),
        features_compared=features,
        largest_difference=difference,
        tolerance=params.tolerance,
        bento_sha256=bento_hash(bento_folder(bento.tag)),
    )


def _compare_features(
    contract: Columns, bento_tag: str, logged: pd.DataFrame, asked: pd.DataFrame
) -> list[str]:
    """The inputs that the service worked with, column by column, against those built offline."""
    names = contract.inputs.without_personal().names
    found = differences(logged, asked, contract.keys, names)
    if len(found) != len(asked):
        raise ProjectError(
            f"The Bento {bento_tag} logged {len(found)} of the {len(asked)} rows that it answered. "
            f"{NOT_RELEASED}"
        )
    counts = found.sum()
    differ = counts[counts > 0].sort_values(ascending=False)
    if len(differ):
        raise ProjectError(
            f"The Bento {bento_tag} works with other features than training: "
            f"{', '.join(differ.index)}; '{differ.index[0]}' differs on {differ.iloc[0]} of "
            f"{len(asked)} rows. The online store must have what the model input has: "
            f"`kedro run --pipelines=data_engineering,release`. {NOT_RELEASED}"
        )
    return names


def promote(selected: ModelPackage, release: ProvenRelease) -> ModelPackage:
    """The selected model, now that its release is proven: the champion."""
    return selected.with_record(release=release.bento, release_sha256=release.bento_sha256)


def _labels(package: ModelPackage) -> dict[str, str]:
    """The lineage, as labels."""
    metadata = package.metadata
    scores = {name: f"{interval.value:.4f}" for name, interval in metadata.metrics.items()}
    return {
        "git_commit": metadata.lineage.git_commit,
        "data_hash": metadata.lineage.data_hash,
        "lock_hash": metadata.lineage.lock_hash,
        "as_of": f"{metadata.as_of:%Y-%m-%d}",
        "champion_version": metadata.version,
        **{f"test_{name}": score for name, score in scores.items()},
    }
