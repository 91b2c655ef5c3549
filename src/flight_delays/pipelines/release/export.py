"""The fitted model in the form that serves: compiled trees where they are proved equal."""

import logging
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from flight_delays.columns import Columns
from flight_delays.errors import ProjectError
from flight_delays.model_package import ModelPackage, dump_estimator
from flight_delays.portable.encoding import Coded, encode_rows
from flight_delays.portable.plan import MODEL, TREES, Encoding, EngineName, Plan, hash_of
from flight_delays.portable.trees import Trees

from .fields import fields_of

logger = logging.getLogger(__name__)

COMPILERS = ("cc", "gcc", "clang")
NO_ENCODING = Encoding({}, [], [])
# of ``tree_preprocessing``, which is what the encoding does
PARTS = {"categorical", "calendar", "numeric", "boolean"}
# Rows of doubles in, probabilities out. The generated code knows a missing value by its first 32
# bits being -1; a number that happens to have them is moved by one unit in the last place.
WRAPPER = """
#include <math.h>
#include <stddef.h>
#include "header.h"

void probabilities(const double* rows, size_t n_rows, double* out) {
  union Entry row[WIDTH];
  for (size_t i = 0; i < n_rows; ++i) {
    for (size_t j = 0; j < WIDTH; ++j) {
      row[j].fvalue = rows[i * WIDTH + j];
      if (isnan(row[j].fvalue)) {
        row[j].missing = -1;
      } else if (row[j].missing == -1) {
        row[j].fvalue = nextafter(row[j].fvalue, 0.0);
      }
    }
    out[i] = 0.0;
    predict(row, 0, out + i);
  }
}
"""


class NotEqualError(Exception):
    """Why a model is not served as compiled trees."""


def export(
    package: ModelPackage, columns: Columns, rows: pd.DataFrame, tolerance: float, folder: Path
) -> Plan:
    """Write the files that serve a model into an empty folder.

    Args:
        package: The model.
        columns: The contract of its inputs.
        rows: Real rows, on all of which the compiled trees must agree with scikit-learn.
        tolerance: Largest accepted difference in probability; decisions must be the same.
        folder: Where the files go.

    Returns:
        The plan, which is not written yet.
    """
    engine: EngineName = "compiled trees"
    try:
        encoding = encoding_of(package.estimator)
        _compile(package.estimator[-1], encoding.width, folder)
        reason = _prove(package, columns, encoding, rows, tolerance, folder / TREES)
    except NotEqualError as why:
        engine, encoding, reason = "scikit-learn", NO_ENCODING, str(why)
        (folder / TREES).unlink(missing_ok=True)
        (folder / MODEL).write_bytes(dump_estimator(package.estimator))
        logger.warning("Served by scikit-learn, many times slower: %s", why)
    files = {path.name: hash_of(path.read_bytes()) for path in sorted(folder.iterdir())}
    metadata = package.metadata
    return Plan(
        model_version=metadata.version,
        family=metadata.family,
        as_of=metadata.as_of.isoformat(),
        threshold=metadata.threshold,
        metrics=metadata.metrics,
        git_commit=metadata.lineage.git_commit,
        data_hash=metadata.lineage.data_hash,
        event_time=columns.event_time,
        # those that are looked up after those that are sent, as rows are completed
        fields=sorted(
            fields_of(columns, encoding.categories), key=lambda field: bool(field.source)
        ),
        features=metadata.features,
        engine=engine,
        engine_reason=reason,
        encoding=encoding,
        files=files,
    )


def encoding_of(estimator: Pipeline) -> Encoding:
    """What the fitted preprocessing does, if it is no more than codes, moments and numbers.

    Raises:
        NotEqualError: if it does more.
    """
    preprocessing, model = estimator[0], estimator[-1]
    if not isinstance(model, HistGradientBoostingClassifier):
        raise NotEqualError(f"{type(model).__name__} is not made of trees.")
    parts = {name: (part, columns) for name, part, columns in preprocessing.transformers_}
    if parts.keys() != PARTS or not isinstance(parts["categorical"][0], OrdinalEncoder):
        raise NotEqualError(f"The preprocessing is not that of trees: it has {', '.join(parts)}.")
    encoder, categorical = parts["categorical"]
    # without columns the encoder was not fitted
    categories = encoder.categories_ if len(categorical) else []
    # a missing category is not one that was seen
    named = [[str(value) for value in found if not pd.isna(value)] for found in categories]
    return Encoding(
        categories=dict(zip(categorical, named, strict=True)),
        moments=list(parts["calendar"][1]),
        numbers=[*parts["numeric"][1], *parts["boolean"][1]],
    )


def compiler() -> str | None:
    """The C compiler of this machine, if there is one."""
    return next(filter(None, map(shutil.which, COMPILERS)), None)


def _compile(model: HistGradientBoostingClassifier, width: int, folder: Path) -> None:
    """Write the trees as C and compile them to ``trees.so``."""
    import tl2cgen  # noqa: PLC0415 - only needed here, and they are heavy
    import treelite  # noqa: PLC0415

    command = compiler()
    if command is None:
        raise NotEqualError("There is no C compiler here (cc, gcc or clang).")
    trees = treelite.sklearn.import_model(model)  # type: ignore[no-untyped-call]
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch)
        tl2cgen.generate_c_code(trees, dirpath=str(source), params={"parallel_comp": 4})
        (source / "wrapper.c").write_text(WRAPPER.replace("WIDTH", str(width)))
        files = sorted(path.name for path in source.glob("*.c"))
        # small code is the quickest: it fits the cache
        arguments = ["-Os", "-shared", "-fPIC", "-o", str(folder.resolve() / TREES), *files, "-lm"]
        try:
            subprocess.run(  # noqa: S603
                [command, *arguments], cwd=source, capture_output=True, text=True, check=True
            )
        except OSError as error:
            raise NotEqualError(f"`{command}` failed: {error}.") from error
        except subprocess.CalledProcessError as error:
            raise NotEqualError(f"`{command}` failed: {error.stderr.strip()[-500:]}") from error


def _prove(
    package: ModelPackage,
    columns: Columns,
    encoding: Encoding,
    rows: pd.DataFrame,
    tolerance: float,
    library: Path,
) -> str:
    """Compare the compiled trees with scikit-learn; the proof, in words."""
    matrix, _ = encode_rows(as_arrays(rows, columns), encoding)
    try:
        served = Trees(library, encoding.width).predict(matrix)
    except ProjectError as error:
        raise NotEqualError(str(error)) from error
    expected = package.predict(rows)
    difference = float(np.abs(served - expected).max())
    n_other = int((package.decide(served) != package.decide(expected)).sum())
    if not difference <= tolerance or n_other:
        raise NotEqualError(
            f"Compiled, the trees differ from scikit-learn by {difference:.2g} in probability "
            f"(release.tolerance={tolerance:g}) and in {n_other} of {len(rows):,} decisions."
        )
    return f"Equal to scikit-learn on {len(rows):,} rows, within {difference:.1g}."


def as_arrays(rows: pd.DataFrame, columns: Columns) -> dict[str, Coded | NDArray[Any]]:
    """The features of a table as the encoding takes them."""
    arrays: dict[str, Coded | NDArray[Any]] = {}
    for name in columns.features:
        kind, values = columns[name].kind, rows[name]
        if kind == "categorical":
            codes, found = pd.factorize(values, use_na_sentinel=False)
            arrays[name] = Coded(codes, [None if pd.isna(value) else value for value in found])
        elif kind == "datetime":
            arrays[name] = values.to_numpy("datetime64[us]")
        else:
            arrays[name] = values.astype("Float64").to_numpy(np.float64, na_value=np.nan)
    return arrays
