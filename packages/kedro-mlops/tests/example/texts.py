"""CSV files, read as datasets read them, or refused."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from kedro_mlops.contract.csv_files import CSVTextDataset
from kedro_mlops.contract.text_files import BadFileError
from kedro_mlops.core.errors import BadDataError

TEXT = "id,name,paid\n1,Ann,2.5\n2,Zoë,3\n3,Bob €,\n"


def loaded(file: Path, **load_args: Any) -> pd.DataFrame:
    """The rows as they come, in pandas."""
    rows: pd.DataFrame = CSVTextDataset(filepath=str(file), load_args=load_args).load().to_pandas()
    return rows


def refused(file: Path, **load_args: Any) -> str:
    """What is said of a file that is not read."""
    with pytest.raises(BadFileError) as error:
        loaded(file, **load_args)
    assert str(file) in str(error.value)
    assert isinstance(error.value, BadDataError)
    return str(error.value)


def advised(message: str) -> Any:
    """The arguments that a message tells to write into the catalog."""
    [told] = re.findall(r"`load_args: (\{.*?\})`", message)
    return yaml.safe_load(told)
