"""What the data is: the file an owner edits first. ``make adopt`` writes it from a table.

Each table is declared once, as a Pandera model. The catalog validates against it, and quarantine,
the model's preprocessing, the service's API, the prediction log, monitoring and the data dictionary
are built from it. Until there is a table, a row has a name and a label, and nothing to learn from.
"""

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.prediction_log.contract import PredictionColumns


class Inputs(Contract):
    """What is known of a row when a prediction is asked for."""

    row_id: str = column("What tells the row from others", key=True, example="a1")

    class Config:
        unique = ["row_id"]


class Outcome(Contract):
    """What really happened."""

    label: str = column(
        "Whether it came true; missing until it is known",
        label="binary",
        positive="yes",
        isin=["no", "yes"],
        nullable=True,
    )


class Observation(Outcome, Inputs):
    """One row to learn from."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]
