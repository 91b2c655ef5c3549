"""Train a model again from what its record says, and compare."""

import contextlib
import io
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedro.framework.project import settings

from kedro_mlops.core.artefacts import is_same
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.models.metadata import Lineage, Metadata

PIPELINES = ["data_engineering", "modelling"]
RAW = "01_raw"
# of the present, whatever the record says
CODE = "code_version"

Difference = tuple[str, Any, Any]


def code_differences(recorded: Lineage, present: dict[str, str]) -> list[str]:
    """What is not the code or the packages that the model was trained with, and what to do."""
    found = []
    commit = recorded.git_commit
    if commit != present["git_commit"]:
        found.append(
            f"It was trained by commit {commit}; this is {present['git_commit']}. "
            f"The same code: `git checkout {commit.removesuffix('-dirty')}`."
        )
    if commit.endswith("-dirty"):
        found.append("There were changes that were not committed; they are not on record.")
    if recorded.lock_hash != present["lock_hash"]:
        found.append(
            "It was trained with other packages: uv.lock differs. "
            "The same packages: `uv sync --frozen`, at that commit."
        )
    return found


def retrain(recorded: Metadata, data: Path, env: str | None) -> Metadata:
    """Run the pipelines up to the candidate with the recorded parameters, in a folder of its own.

    Of the folder of all artefacts, ``data``, only the raw tables are read.

    Raises:
        ProjectError: if the record has no parameters.
    """
    if not recorded.parameters:
        raise ProjectError(
            f"{recorded.version} cannot be trained again: its parameters are not on record, as of "
            "models from before they were. Models trained from now on have them: `make run`."
        )
    given = parameters_again(recorded)
    with tempfile.TemporaryDirectory(prefix="reproduce-") as folder:
        if (data / RAW).exists():
            (Path(folder) / RAW).symlink_to((data / RAW).resolve())
        with settings.SESSION_CLASS.create(
            env=env, runtime_params={**given, "globals": {"data": folder, "store": None}}
        ) as session:
            # the summary of the run would speak of what is gone with the folder
            with contextlib.redirect_stdout(io.StringIO()):
                session.run(pipeline_names=PIPELINES, to_outputs=["candidate"])
            metadata: Metadata = session.load_context().catalog.load("candidate").metadata
    return metadata


def parameters_again(recorded: Metadata) -> dict[str, Any]:
    """The recorded parameters, with as many trials as were made, whatever time they take now."""
    given = {name: value for name, value in recorded.parameters.items() if name != CODE}
    if recorded.n_trials and "modelling" in given:
        given["modelling"] = given["modelling"] | {"n_trials_made": recorded.n_trials}
    return given


def differences(recorded: Metadata, rebuilt: Metadata) -> list[Difference]:
    """What differs between two models, each with its name; nothing if they are the same.

    Parameters are named only as a possible reason: those of other pipelines do not matter.
    """
    found = _compare(_facts(recorded), _facts(rebuilt))
    parameters = [
        {f"parameter {name}": value for name, value in metadata.parameters.items() if name != CODE}
        for metadata in (recorded, rebuilt)
    ]
    return [*found, *_compare(*parameters)] if found else []


def _compare(recorded: dict[str, Any], rebuilt: dict[str, Any]) -> list[Difference]:
    names = list(dict.fromkeys([*recorded, *rebuilt]))
    found = [(name, recorded.get(name), rebuilt.get(name)) for name in names]
    return [(name, was, now) for name, was, now in found if not is_same(was, now)]


def _facts(metadata: Metadata) -> dict[str, Any]:
    metrics = {
        f"{name} {bound}": value
        for name, interval in metadata.metrics.items()
        for bound, value in interval
    }
    return {
        "version": metadata.version,
        "model hash": metadata.content_hash,
        "data hash": metadata.lineage.data_hash,
        **{name: value for name, value in asdict(metadata.rule).items() if value is not None},
        **metrics,
    }
