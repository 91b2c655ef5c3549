"""What the service adds to the inputs of a prediction when it logs it."""

from typing import Any

import pandas as pd

from kedro_mlops.contract.columns import Columns, Contract, column
from kedro_mlops.contract.names import ALIAS
from kedro_mlops.core.errors import ContractError
from kedro_mlops.task.outputs import Told

VARIANTS = ["champion", "canary", "shadow"]


class PredictionColumns(Contract):
    """The columns of a prediction log beside the inputs; a project's log inherits them first.

    What is predicted follows from the label, which is that of the contract named by ``of``::

        class Prediction(PredictionColumns, Inputs, of=Outcome): ...
    """

    prediction_id: str = column("Identifies the prediction", told=True)
    predicted_at: pd.Timestamp = column("Moment of the prediction", told=True)
    model_version: str = column("Model that made it", told=True)
    variant: str = column(
        "Role of the model that made it; what a shadow says nobody is told", isin=VARIANTS
    )
    missing_features: str = column(
        "Looked-up features that were not found, each with its reason, e.g. `name=unknown_key`, "
        "separated by commas",
        nullable=True,
    )

    def __init_subclass__(cls, of: type[Contract] | None = None, **options: Any) -> None:
        """Add what is predicted."""
        for told in Columns.of(of).task.output().told if of else ():
            if hasattr(cls, told.name):
                raise ContractError(
                    f"{cls.__name__} in contracts.py has a column whose Python name is "
                    f"'{told.name}', which is what the log calls what is predicted: {ALIAS}."
                )
            field = _field(told)
            field.__set_name__(cls, told.name)
            setattr(cls, told.name, field)
            cls.__annotations__[told.name] = told.type
        super().__init_subclass__(**options)  # type: ignore[no-untyped-call]


def _field(told: Told) -> Any:
    checks = {"ge": told.least, "le": told.most, "isin": told.classes}
    asked: dict[str, Any] = {name: limit for name, limit in checks.items() if limit is not None}
    return column(told.description, told=True, **asked)
