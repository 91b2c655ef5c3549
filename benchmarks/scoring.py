"""Measures batch scoring, from Parquet to Parquet, beside the same in pandas and scikit-learn.

Each is a process of its own; seconds are those of the processor. The rows are those of the model
input, many times over, and the model is the champion.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from flight_delays.contracts import Observation, Prediction

from benchmarks.engines import ROWS_A_COPY, connect, write_rows
from benchmarks.processes import measure_apart, measure_here, text
from kedro_mlops.contract.columns import Columns
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.models.datasets import ModelPackageDataset
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.scoring.nodes import score

DATA, CHAMPION = Path("data/05_model_input/model_input.parquet"), Path("data/06_models/champion")
ANOTHER = "flight_number + 10000 * copy"
CONTRACT, LOGGED = Columns.of(Observation), Columns.of(Prediction).without_personal()
AS_OF, HORIZON = AsOf("2013-01-01"), Horizon(days=365)


def in_batches(folder: Path) -> None:
    """As the project does it."""
    rows = connect().read_parquet(folder / "rows.parquet")
    predictions = score(CONTRACT, LOGGED, champion(), rows, AS_OF, HORIZON)
    TableDataset(filepath=str(folder / "ours.parquet")).save(predictions)


def in_pandas(folder: Path) -> None:
    """The same columns, with the same ids, in one frame."""
    rows = pd.read_parquet(folder / "rows.parquet", columns=CONTRACT.inputs.names)
    asked = champion()
    keys = rows[CONTRACT.keys].assign(version=asked.version)
    predictions = rows.assign(
        prediction_id=pd.util.hash_pandas_object(keys, index=False).astype("str"),
        predicted_at=rows[CONTRACT.event_time].dt.normalize(),
        model_version=asked.version,
        variant="champion",
        missing_features=None,
        **asked.predict(rows),
    )
    predictions[LOGGED.names].to_parquet(folder / "pandas.parquet")


def champion() -> ModelPackage:
    [newest, *_] = sorted(CHAMPION.glob("*/champion"), reverse=True)
    package = ModelPackageDataset(filepath=str(newest)).load()
    assert package is not None
    return package


def measure(copies: int) -> None:
    """Print seconds and peak memory of both."""
    if not (DATA.exists() and CHAMPION.exists()):
        raise SystemExit("There is no champion yet: `make run` makes one.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        n_rows = repeat_rows(folder, copies * ROWS_A_COPY)
        print(f"{n_rows:,} rows\n")
        measured = {function: _apart(function, folder) for function in (in_batches, in_pandas)}
        for name, function in (("batches of Arrow", in_batches), ("pandas", in_pandas)):
            print(f"{name:24}{text(measured[function])}{n_rows / measured[function][0]:12,.0f} a s")
        print(f"{'share':24}{measured[in_batches][0] / measured[in_pandas][0]:8.2f}")


def repeat_rows(folder: Path, n_rows: int) -> int:
    """Write so many rows; each copy has flight numbers of its own."""
    query = f"SELECT * REPLACE ({ANOTHER} AS flight_number) FROM '{DATA}', {{copies}}"
    write_rows(connect(), query, n_rows, folder / "rows.parquet")
    return n_rows


def _apart(function: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    _, processor, gigabytes = measure_apart("benchmarks.scoring", function.__name__, folder)
    return processor, gigabytes


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
