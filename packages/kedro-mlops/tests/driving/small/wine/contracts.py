"""What the data is: wines, each of which is of one of three growers."""

from kedro_mlops.contract.columns import Contract, column
from kedro_mlops.prediction_log.contract import PredictionColumns


class Inputs(Contract):
    """What a laboratory finds in a wine."""

    bottle: str = column("Number of the bottle", key=True, example="b001")
    alcohol: float = column("% of its volume", feature=True, ge=5, le=25, example=13)
    malic_acid: float = column("g/l", feature=True, ge=0, le=20, example=2.3)
    ash: float = column("g/l", feature=True, ge=0, le=10, example=2.4)
    alcalinity_of_ash: float = column("meq/l", feature=True, ge=0, le=60, example=19.5)
    magnesium: int = column("mg/l", feature=True, ge=0, le=400, example=99)
    total_phenols: float = column("g/l", feature=True, ge=0, le=10, example=2.3)
    flavanoids: float = column("g/l", feature=True, ge=0, le=20, example=2)
    nonflavanoid_phenols: float = column("g/l", feature=True, ge=0, le=2, example=0.4)
    proanthocyanins: float = column("g/l", feature=True, ge=0, le=10, example=1.6)
    color_intensity: float = column("Absorbance", feature=True, ge=0, le=30, example=5.1)
    hue: float = column("Ratio of two absorbances", feature=True, ge=0, le=5, example=1)
    proline: int = column("mg/l", feature=True, ge=0, le=5000, example=747)

    class Config:
        unique = ["bottle"]


class Outcome(Contract):
    """Who made it."""

    grower: str = column(
        "Who grew the grapes; missing until it is known",
        label="multiclass", isin=["north", "middle", "south"], nullable=True,
    )  # fmt: skip


class Observation(Outcome, Inputs):
    """One wine."""


class Prediction(PredictionColumns, Inputs, of=Outcome):
    """One row of the prediction log."""

    class Config:
        unique = ["prediction_id"]
