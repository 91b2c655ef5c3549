"""The service that a release contains; ``bentofile.yaml`` names it."""

from kedro_mlops.serving.service import create_service

PredictionService = create_service(
    "flight_delays",
    "flight_delays.families.FAMILIES",
)
