"""What the data is: tumours, each of which turned out to be malignant or not."""

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.prediction_log.contract import PredictionColumns


class Inputs(Contract):
    """What a microscope shows of the nuclei of a tumour's cells, on average."""

    patient: str = column("Whose it is", key=True, example="p001")
    mean_radius: float = column("Of a nucleus", feature=True, ge=0, le=50, example=14.1)
    mean_texture: float = column("Spread of grey", feature=True, ge=0, le=100, example=19.3)
    mean_perimeter: float = column("Of a nucleus", feature=True, ge=0, le=400, example=92)
    mean_area: float = column("Of a nucleus", feature=True, ge=0, le=5000, example=655)
    mean_smoothness: float = column("Of its edge", feature=True, ge=0, le=1, example=0.1)
    mean_compactness: float = column("Of its shape", feature=True, ge=0, le=1, example=0.1)
    mean_concavity: float = column("Depth of dents", feature=True, ge=0, le=1, example=0.09)
    mean_concave_points: float = column(
        "Share of dents in its edge", feature=True, ge=0, le=1, example=0.05
    )
    mean_symmetry: float = column("Of its shape", feature=True, ge=0, le=1, example=0.18)

    class Config:
        unique = ["patient"]


class Outcome(Contract):
    """What it turned out to be."""

    diagnosis: str = column(
        "What the tumour is; missing until it is known",
        label="binary", positive="malignant", isin=["benign", "malignant"], nullable=True,
    )  # fmt: skip


class Observation(Outcome, Inputs):
    """One tumour."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]
