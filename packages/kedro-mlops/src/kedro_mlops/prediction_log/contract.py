"""What the service adds to the inputs of a prediction when it logs it."""

import pandas as pd

from kedro_mlops.contract.columns import Contract, column

VARIANTS = ["champion", "canary", "shadow"]


class PredictionColumns(Contract):
    """The columns of a prediction log beside the inputs; a project's log inherits them first."""

    prediction_id: str = column("Identifies the prediction")
    predicted_at: pd.Timestamp = column("Moment of the prediction")
    model_version: str = column("Model that made it")
    variant: str = column(
        "Role of the model that made it; what a shadow says nobody is told", isin=VARIANTS
    )
    probability: float = column("Estimated probability of the positive class", ge=0, le=1)
    decision: bool = column("Whether the probability reaches the decision threshold")
    missing_features: str = column(
        "Looked-up features that were not found, each with its reason, e.g. `name=unknown_key`, "
        "separated by commas",
        nullable=True,
    )
