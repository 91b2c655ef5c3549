"""Tables that become projects, without the commands."""

import importlib.util
import itertools
import sys
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from kedro_mlops.adoption.asked import Asked
from kedro_mlops.adoption.decisions import Adoption, decide
from kedro_mlops.adoption.opening import open_source
from kedro_mlops.adoption.profile import TableProfile, profile
from kedro_mlops.adoption.writing import files_of

TODAY = date(2026, 11, 27)
_numbers = itertools.count()


def churning(n: int = 600, **more: Any) -> pd.DataFrame:
    """Two numbers, one of which says something of the target, and what is added."""
    random = np.random.default_rng(0)
    size = random.normal(50, 10, n).round(2)
    churned = np.where(size + random.normal(0, 8, n) > 50, "yes", "no")
    return pd.DataFrame({"size": size, "noise": random.normal(0, 1, n).round(3), **more}).assign(
        churned=churned
    )


def profiled(rows: pd.DataFrame, folder: Path) -> TableProfile:
    """What is found in rows that come as a CSV file."""
    file = folder / "customers.csv"
    rows.to_csv(file, index=False)
    return profile(open_source(str(file)))


def adopted(rows: pd.DataFrame, folder: Path, target: str, **asked: Any) -> Adoption:
    """What is decided of such rows."""
    return decide(
        profiled(rows, folder), Asked(target, **asked), "customers.csv", TODAY, "customers"
    )


def written(adoption: Adoption, package: str = "example") -> dict[str, str]:
    """The files of such a project."""
    entry = {
        "type": "kedro_mlops.contract.csv_files.CSVTextDataset",
        "filepath": "data/01_raw/customers.csv",
    }
    return files_of(adoption, package, entry, TODAY)


def contracts(adoption: Adoption, folder: Path) -> ModuleType:
    """Its contracts, imported."""
    name = f"adopted_{next(_numbers)}"
    file = folder / f"{name}.py"
    file.write_text(written(adoption)["src/example/contracts.py"])
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
