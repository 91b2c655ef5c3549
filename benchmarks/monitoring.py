"""Measures monitoring as `kedro run` does it, beside its drift alone.

Each is a process of its own; seconds are those of the processor. The rows are those of the model
input, many times over, with their labels, and the model is the champion, as if it had learned from
none of them.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copy, copytree

import ibis
from kedro.framework.startup import bootstrap_project

from benchmarks import labels
from benchmarks.processes import measure_apart, measure_here, text
from benchmarks.scoring import CONTRACT, DATA, LOGGED, ROWS_A_COPY, champion, repeat_rows
from kedro_mlops.contract.tables import TableDataset
from kedro_mlops.core.time_params import AsOf, Horizon
from kedro_mlops.replay.world import World
from kedro_mlops.scoring.nodes import score

# the rows are of seven months, which are watched in four windows
AS_OF, N_DAYS, WINDOW_DAYS = AsOf("2013-01-01"), 212, 53


def whole(folder: Path) -> None:
    """All of the pipeline."""
    _run(folder, "monitoring_report")


def drift_alone(folder: Path) -> None:
    """What makes the table of drift: predictions are looked at, and measured."""
    _run(folder, "drift")


def _run(folder: Path, wanted: str) -> None:
    asked = {
        "as_of": f"{AS_OF.moment:%Y-%m-%d}",
        "horizon": {"days": N_DAYS},
        "window": {"days": WINDOW_DAYS},
    }
    bootstrap_project(Path.cwd())
    World(Path.cwd(), "base").run(["monitoring"], [wanted], asked, data=str(folder / "data"))


def measure(copies: int) -> None:
    """Print seconds and peak memory of both, and of what looks at labels where more is asked."""
    if not (DATA.exists() and Path("data/06_models/champion").exists()):
        raise SystemExit("There is no champion yet: `make run` makes one.")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        print(f"{prepare(folder, copies * ROWS_A_COPY):,} predictions\n")
        part, all_of_it = _apart(drift_alone, folder), _apart(whole, folder)
        print(f"{'drift alone':24}{text(part)}")
        print(f"{'all of monitoring':24}{text(all_of_it)}{all_of_it[0] / part[0]:8.1f}x")
    print("\nwhat looks at labels, of as many predictions")
    for name in labels.PARTS:
        with tempfile.TemporaryDirectory() as scratch:
            labels.prepare(Path(scratch), copies * ROWS_A_COPY, name)
            print(f"{name:24}{text(labels.apart(name, Path(scratch)))}", flush=True)


def prepare(folder: Path, n_rows: int) -> int:
    """Write rows, what the champion says of them, and all else that monitoring reads."""
    data, began = folder / "data", AS_OF.moment
    for name in ("06_models", "08_reporting"):
        copytree(Path("data") / name, data / name)
    screening = Path("02_intermediate/data_screening.json")
    (data / screening).parent.mkdir()
    copy(Path("data") / screening, data / screening)
    model = replace(
        champion().with_record(as_of=began, trained_until=began, evaluated_until=began),
        evaluation=None,
    )
    [newest, *_] = sorted((data / "06_models/champion").glob("*/champion"), reverse=True)
    model.write(newest)
    (newest / "evaluation.json").unlink(missing_ok=True)
    (data / "05_model_input").mkdir()
    repeat_rows(data / "05_model_input", n_rows)
    rows = data / "05_model_input/rows.parquet"
    rows.rename(rows.with_name("model_input.parquet"))
    table = ibis.duckdb.connect().read_parquet(data / "05_model_input/model_input.parquet")
    predictions = score(CONTRACT, LOGGED, model, table, AS_OF, Horizon(days=N_DAYS))
    TableDataset(filepath=str(data / "07_model_output/predictions.parquet")).save(predictions)
    return n_rows


def _apart(function: Callable[[Path], None], folder: Path) -> tuple[float, float]:
    _, processor, gigabytes = measure_apart("benchmarks.monitoring", function.__name__, folder)
    return processor, gigabytes


if __name__ == "__main__":
    measure_here(globals()[sys.argv[1]], Path(sys.argv[2]))
