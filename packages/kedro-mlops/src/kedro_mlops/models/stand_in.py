"""What answers in place of a model that cannot be loaded: the compiled trees of its release."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from kedro_mlops.core.errors import ProjectError
from kedro_mlops.runtime.encoding import ArrayColumn, Coded, as_coded, encode_rows
from kedro_mlops.runtime.kinds import Kind
from kedro_mlops.runtime.serving_spec import TREES, Encoding
from kedro_mlops.runtime.trees import Trees

from .package import ModelPackage, Unloadable
from .released import models_of, spec_of

logger = logging.getLogger(__name__)


def with_stand_in(package: ModelPackage) -> ModelPackage:
    """The package; where its model cannot be loaded, its release answers in its place.

    Compiled trees need no scikit-learn, and were equal to the model when it was released.
    """
    model, release = package.estimator, package.metadata.release
    if not isinstance(model, Unloadable) or release is None:
        return package
    try:
        for folder in models_of(release):
            spec = spec_of(folder)
            if spec.model_version == package.version and spec.engine == "compiled trees":
                kinds = {f.name: f.kind for f in spec.fields if f.name in spec.features}
                stand_in = tree_predictor(folder / TREES, spec.encoding, kinds)
                return replace(package, estimator=replace(model, stand_in=stand_in))
    except ProjectError as error:
        logger.warning("%s", error)
    return package


def tree_predictor(
    library: Path, encoding: Encoding, kinds: Mapping[str, Kind]
) -> Callable[[pd.DataFrame], NDArray[np.float64]]:
    """What compiled trees say of a table, whose columns are of the kinds.

    Raises:
        ProjectError: if the library cannot be used here.
    """
    trees = Trees(library, encoding.width)
    return lambda rows: trees.predict(encode_rows(as_arrays(rows, kinds), encoding))


def arrays_of(batch: pa.RecordBatch, kinds: Mapping[str, Kind]) -> dict[str, ArrayColumn]:
    """The columns of a batch of Arrow, whose kinds are given, as the encoding takes them."""
    return {name: _array_of(batch.column(name), kind) for name, kind in kinds.items()}


def _array_of(values: pa.Array, kind: Kind) -> ArrayColumn:
    if kind == "categorical":
        return as_coded(values)
    if kind == "boolean":
        values = values.cast("uint8")
    if kind != "datetime":
        values = values.cast("float64", safe=False)
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return array.astype("datetime64[us]") if kind == "datetime" else array


def as_arrays(rows: pd.DataFrame, kinds: Mapping[str, Kind]) -> dict[str, ArrayColumn]:
    """The columns of a table, whose kinds are given, as the encoding takes them."""
    arrays: dict[str, ArrayColumn] = {}
    for name, kind in kinds.items():
        values = rows[name]
        if kind == "categorical":
            codes, found = pd.factorize(values, use_na_sentinel=False)
            arrays[name] = Coded(codes, [None if pd.isna(value) else value for value in found])
        elif kind == "datetime":
            arrays[name] = values.to_numpy("datetime64[us]")
        else:
            arrays[name] = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return arrays
