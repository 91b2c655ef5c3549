"""What the data is: patients with diabetes, and how far it went on in a year."""

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.prediction_log.contract import PredictionColumns


class Inputs(Contract):
    """What is known of a patient at the beginning of the year."""

    patient: str = column("Who it is", key=True, example="p001")
    age: int = column("Years", feature=True, ge=18, le=110, example=48)
    sex: str = column(
        "As the source has it", feature=True, segment=True, protected=True, isin=["1", "2"],
        example="1",
    )  # fmt: skip
    bmi: float = column("kg/m²", feature=True, ge=10, le=80, example=26.4)
    blood_pressure: float = column("mmHg, on average", feature=True, ge=30, le=200, example=94)
    cholesterol: float = column("mg/dl", feature=True, ge=50, le=500, example=189)
    ldl: float = column("mg/dl", feature=True, ge=10, le=400, example=115)
    hdl: float = column("mg/dl", feature=True, ge=5, le=150, example=50)
    triglycerides: float = column("Logarithm of mg/dl", feature=True, ge=0, le=10, example=4.6)
    glucose: float = column("mg/dl", feature=True, ge=30, le=400, example=91)

    class Config:
        unique = ["patient"]


class Outcome(Contract):
    """What the year has brought."""

    progression: float = column(
        "How far the disease went on; missing until it is known",
        label="regression", unit="points", ge=0, le=500, nullable=True,
    )  # fmt: skip


class Observation(Outcome, Inputs):
    """One patient."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]
