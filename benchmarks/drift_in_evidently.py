"""Drift of each window against a reference by Evidently: run apart, where that is installed.

Usage: ``python drift_in_evidently.py FOLDER '{"moment": …, "windows": […], …}'``.
Prints seconds of the processor and the peak of memory in gigabytes.
"""

import json
import resource
import sys
from pathlib import Path

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.presets import DataDriftPreset


def processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main(folder: Path, told: dict) -> None:
    columns = [*told["numeric"], *told["categories"]]
    definition = DataDefinition(
        numerical_columns=told["numeric"], categorical_columns=told["categories"]
    )
    start = processor_seconds()
    known = pd.read_parquet(folder / "known.parquet", columns=columns)
    rows = pd.read_parquet(folder / "few.parquet", columns=[*columns, told["moment"]])
    reference = Dataset.from_pandas(known, data_definition=definition)
    window = sum(
        (rows[told["moment"]] < pd.Timestamp(since)).astype(int) for since in told["windows"]
    )
    for _, part in rows.groupby(window):
        current = Dataset.from_pandas(part[columns], data_definition=definition)
        Report([DataDriftPreset()]).run(current, reference).dict()
    print(processor_seconds() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
