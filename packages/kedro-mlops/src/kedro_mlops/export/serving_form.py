"""The fitted model in the form that serves: compiled trees where they are proved equal."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder

from kedro_mlops.contract.columns import Column, Columns
from kedro_mlops.core.errors import ProjectError
from kedro_mlops.core.json_records import json_records
from kedro_mlops.models.package import (
    Model,
    ModelPackage,
    Unloadable,
    UnloadableError,
    dump_estimator,
)
from kedro_mlops.models.preprocessing import DateFeatures
from kedro_mlops.models.stand_in import tree_predictor
from kedro_mlops.runtime.encoding import Arrays, encode_rows
from kedro_mlops.runtime.known_rows import KnownRows
from kedro_mlops.runtime.serving_spec import (
    MODEL,
    TREES,
    Encoding,
    EngineName,
    Means,
    ServingSpec,
    hash_of,
)
from kedro_mlops.runtime.trees import Trees
from kedro_mlops.task.outputs import Floats, Output

from .compiled import NotEqualError, compile_trees
from .fields import fields_of

COMPILED = HistGradientBoostingClassifier | HistGradientBoostingRegressor
# of ``tree_preprocessing``, which is what the encoding does
PARTS = {"categorical", "calendar", "numeric", "boolean"}
MORE_PARTS = {"by_target", "dates"}
# rows that whoever takes the model asks for
N_KNOWN_ROWS = 20


def export(
    package: ModelPackage,
    columns: Columns,
    rows: pd.DataFrame,
    tolerance: float,
    folder: Path,
    name: str = "",
    label: Column | None = None,
) -> ServingSpec:
    """Write the files that serve a model into an empty folder.

    Args:
        package: The model.
        columns: The contract of its inputs.
        rows: Real rows, on all of which the compiled trees must agree with scikit-learn.
        tolerance: Largest accepted difference in a score; decisions must be the same.
        folder: Where the files go.
        name: What the service is called.
        label: What is predicted.

    Returns:
        The serving spec, which is not written yet.

    Raises:
        UnloadableError: if the model cannot be loaded.
    """
    estimator = package.estimator
    if isinstance(estimator, Unloadable):
        raise UnloadableError(estimator.why)
    engine: EngineName = "compiled trees"
    categories = categories_of(estimator)
    try:
        encoding = encoding_of(estimator)
        compile_trees(estimator[-1], encoding.width, folder / TREES)
        reason = _prove(package, columns, encoding, rows, tolerance, folder / TREES)
    except NotEqualError as why:
        engine, encoding, reason = "scikit-learn", Encoding(categories, [], []), str(why)
        (folder / TREES).unlink(missing_ok=True)
        (folder / MODEL).write_bytes(dump_estimator(estimator))
    _known_rows(package, rows, tolerance).write(folder)
    files = {path.name: hash_of(path.read_bytes()) for path in sorted(folder.iterdir())}
    metadata = package.metadata
    return ServingSpec(
        model_version=metadata.version,
        family=metadata.family,
        as_of=metadata.as_of.isoformat(),
        task=metadata.task,
        rule=metadata.rule,
        metrics={name: found.model_dump() for name, found in metadata.metrics.items()},
        git_commit=metadata.lineage.git_commit,
        data_hash=metadata.lineage.data_hash,
        event_time=columns.event_time if columns.has_time else "",
        # those that are looked up after those that are sent, as rows are completed
        fields=sorted(fields_of(columns, categories), key=lambda field: bool(field.source)),
        features=metadata.features,
        engine=engine,
        engine_reason=reason,
        encoding=encoding,
        files=files,
        confusion=package.evaluation.confusion if package.evaluation else {},
        name=name,
        predicts=label.description if label else "",
        label=label.name if label else "",
        classes=metadata.classes,
        unit=metadata.unit,
        score_buckets=[] if metadata.output.buckets else _buckets(package),
    )


def _known_rows(package: ModelPackage, rows: pd.DataFrame, tolerance: float) -> KnownRows:
    """Rows from first to last, as many as are enough, with what scikit-learn says of them."""
    places = np.unique(np.linspace(0, len(rows) - 1, N_KNOWN_ROWS).astype(int))
    known = rows.iloc[places]
    features = json_records(known[package.metadata.features])
    return KnownRows(features, package.score(known).tolist(), tolerance)


def _buckets(package: ModelPackage) -> list[float]:
    """The bins that scores had on the test window."""
    [edges] = package.reference.score.edges.values()
    return sorted(set(edges))


def encoding_of(estimator: Pipeline) -> Encoding:
    """What the fitted preprocessing does, if it is no more than codes, moments and numbers.

    Raises:
        NotEqualError: if it does more.
    """
    model = estimator[-1]
    if not isinstance(model, COMPILED):
        raise NotEqualError(
            f"{type(model).__name__} is not compiled; trees of HistGradientBoosting are."
        )
    parts = _parts_of(estimator)
    more = parts.keys() - PARTS
    by_codes = "categorical" in parts and isinstance(parts["categorical"][0], OrdinalEncoder)
    if not (by_codes and parts.keys() >= PARTS and more <= MORE_PARTS):
        raise NotEqualError(f"The preprocessing is not that of trees: it has {', '.join(parts)}.")
    return Encoding(
        categories=categories_of(estimator),
        moments=list(parts["calendar"][1]),
        numbers=[*parts["numeric"][1], *parts["boolean"][1]],
        means=_means_of(*parts["by_target"]) if "by_target" in more else {},
        **(_dates_of(*parts["dates"]) if "dates" in more else {}),
    )


def compiled(model: Model) -> Callable[[Arrays], Floats]:
    """What a fitted model says of columns, by compiled trees; threads may share it.

    Raises:
        NotEqualError: if it cannot be compiled.
    """
    if isinstance(model, Unloadable):
        raise NotEqualError(model.why)
    encoding = encoding_of(model)
    with tempfile.TemporaryDirectory() as scratch:
        # it is not read again once it is loaded
        library = Path(scratch) / TREES
        compile_trees(model[-1], encoding.width, library)
        try:
            trees = Trees(library, encoding.width)
        except ProjectError as error:
            raise NotEqualError(str(error)) from error
    return lambda columns: trees.predict(encode_rows(columns, encoding))


def _means_of(encoder: TargetEncoder, columns: list[str]) -> dict[str, Means]:
    """What the categories of each column become."""
    otherwise = np.ravel(encoder.target_mean_).tolist()
    width = len(otherwise)
    found = {}
    for number, (name, seen) in enumerate(zip(columns, encoder.categories_, strict=True)):
        values = np.transpose(encoder.encodings_[number * width : (number + 1) * width]).tolist()
        is_missing = [bool(pd.isna(category)) for category in seen]
        known = [row for row, missing in zip(values, is_missing, strict=True) if not missing]
        missing = next((row for row, m in zip(values, is_missing, strict=True) if m), otherwise)
        found[name] = Means(known, missing, otherwise)
    return found


def _dates_of(parts: DateFeatures, columns: list[str]) -> dict[str, Any]:
    """Which columns are dates, and since when they are counted."""
    since = parts.since or ""
    return {"dates": [name for name in columns if name != since], "since": since}


def categories_of(estimator: Pipeline) -> dict[str, list[str]]:
    """Per categorical feature, the categories that the preprocessing has seen, if it says."""
    parts, seen = _parts_of(estimator), dict[str, list[str]]()
    for part in ("categorical", "by_target"):
        encoder, columns = parts.get(part, (None, []))
        encoder = encoder[0] if isinstance(encoder, Pipeline) else encoder
        # without columns the encoder was not fitted
        if len(columns) and isinstance(encoder, OneHotEncoder | OrdinalEncoder | TargetEncoder):
            # a missing category is not one that was seen
            named = [[str(v) for v in found if not pd.isna(v)] for found in encoder.categories_]
            seen |= dict(zip(columns, named, strict=True))
    return seen


def _parts_of(estimator: Pipeline) -> dict[str, tuple[Any, Any]]:
    """The transformers of the preprocessing and their columns, without what it drops."""
    transformers = getattr(estimator[0], "transformers_", [])
    return {n: (part, columns) for n, part, columns in transformers if part != "drop"}


def _prove(
    package: ModelPackage,
    columns: Columns,
    encoding: Encoding,
    rows: pd.DataFrame,
    tolerance: float,
    library: Path,
) -> str:
    """Compare the compiled trees with scikit-learn; the proof, in words."""
    kinds = {name: columns[name].kind for name in columns.features}
    try:
        served = tree_predictor(library, encoding, kinds)(rows)
    except ProjectError as error:
        raise NotEqualError(str(error)) from error
    difference = difference_to(package.score(rows), served, package.metadata.output, tolerance)
    how = f"within {difference:.1g}" if difference else "to the last bit"
    return f"Equal to scikit-learn on {len(rows):,} rows, {how}."


def difference_to(expected: Floats, served: Floats, output: Output, tolerance: float) -> float:
    """By how much scores of compiled trees differ from scikit-learn's, at most.

    Raises:
        NotEqualError: if that is more than accepted, or another decision follows.
    """
    if served.shape != expected.shape:
        raise NotEqualError(
            f"Compiled, the trees give scores of shape {served.shape}, "
            f"scikit-learn {expected.shape}."
        )
    difference = float(np.abs(served - expected).max())
    one, other = (output.columns(scores) for scores in (served, expected))
    n_other = int(np.sum(output.differ(one, other)))
    if not difference <= tolerance or n_other:
        raise NotEqualError(
            f"Compiled, the trees differ from scikit-learn by {difference:.2g} in their scores, of "
            f"which {tolerance:g} is accepted, and in {n_other} of {len(expected):,} decisions."
        )
    return difference
