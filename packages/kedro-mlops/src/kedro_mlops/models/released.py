"""The releases in BentoML's store: the files that serve a model, if they are what was released.

The store is read as it lies, because BentoML's own import takes longer than all the rest of
``kedro champion show``.
"""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.serving_spec import SPEC_LABEL, ServingSpec

from .hashes import INSIDE

BUILD_AGAIN = "Build it again: `kedro run --pipelines=release`."


class _Tagged(msgspec.Struct):
    tag: str


class _Service(msgspec.Struct):
    models: list[_Tagged]


class _Bento(msgspec.Struct):
    """``bento.yaml``, as far as it is needed."""

    services: list[_Service]


class _Model(msgspec.Struct):
    """``model.yaml``, as far as it is needed."""

    labels: dict[str, str]


_Described = TypeVar("_Described", _Bento, _Model)


def bentoml_home() -> Path:
    """Where BentoML has its store."""
    return Path(os.path.expandvars(os.environ.get("BENTOML_HOME", Path.home() / "bentoml")))


def model_folder(tag: str, home: Path | None = None) -> Path:
    """Where BentoML's store, or that of another home, keeps a model, if it has it."""
    return _folder(home, "models", tag)


def bento_folder(release: str, home: Path | None = None) -> Path:
    """Where BentoML's store, or that of another home, keeps a Bento, if it has it."""
    return _folder(home, "bentos", release)


def serving(release: str, host: str, port: int, **told: str) -> tuple[list[str], dict[str, str]]:
    """The command that serves a Bento, and its environment, with what the service is told by it.

    It runs on the engine that it came with, not on this one.
    """
    address = ["--host", host, "--port", str(port)]
    packed = sorted((bento_folder(release) / "env/python/wheels").glob("*.whl"))
    path = os.pathsep.join([*map(str, packed), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | told | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return [sys.executable, "-m", "bentoml", "serve", release, *address], environment


def models_of(release: str, home: Path | None = None) -> list[Path]:
    """The folders of a Bento's models.

    Raises:
        ProjectError: if the Bento is not in the store, or damaged.
    """
    return models_at(bento_folder(release, home), home)


def models_at(bento: Path, home: Path | None = None) -> list[Path]:
    """The folders of the models of a Bento, wherever it is; that in an image has them inside.

    Raises:
        ProjectError: if the Bento is damaged.
    """
    described = _read(bento / "bento.yaml", _Bento)
    tags = [model.tag for service in described.services for model in service.models]
    inside = bento / INSIDE
    if inside.is_dir():
        return [inside.joinpath(*tag.split(":")) for tag in tags]
    return [model_folder(tag, home) for tag in tags]


def store_files(release: str, models: Iterable[str]) -> list[Path]:
    """The files by which the store describes a Bento and models, if it has them."""
    return [
        bento_folder(release) / "bento.yaml",
        *(model_folder(tag) / "model.yaml" for tag in models),
    ]


def spec_of(folder: Path) -> ServingSpec:
    """What a model in the store is served by.

    Raises:
        ProjectError: if the model is not in the store, or a file is not the one that was released.
    """
    return ServingSpec.read(folder, _read(folder / "model.yaml", _Model).labels.get(SPEC_LABEL))


def _folder(home: Path | None, kind: str, tag: str) -> Path:
    return Path(home or bentoml_home(), kind, *tag.split(":"))


def _read(file: Path, described: type[_Described]) -> _Described:
    try:
        return msgspec.yaml.decode(file.read_bytes(), type=described)
    except FileNotFoundError:
        why = "is missing"
    except (OSError, msgspec.MsgspecError) as error:
        why = f"cannot be read: {' '.join(str(error).split())}"
    raise ProjectError(f"The release is not whole in BentoML's store: {file} {why}. {BUILD_AGAIN}")
