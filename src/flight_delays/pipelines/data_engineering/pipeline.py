"""Raw tables in; feature tables, model input and the online store out."""

from kedro.pipeline import Node, Pipeline

from kedro_mlops.contract.quarantine import admit, judge_screening
from kedro_mlops.feature_store.online_store import publish
from kedro_mlops.framework.pipelines import named_pipeline

from .nodes import (
    DAILY_FEATURES,
    assemble_model_input,
    build_feature_tables,
    check_availability,
    count_flights,
    join_flights,
    land_flights,
    land_planes,
    land_weather,
    screen_flights,
    screen_planes,
    screen_weather,
)

RAW = {"flights": screen_flights, "weather": screen_weather, "planes": screen_planes}
DAILY = {table: table for table in DAILY_FEATURES}
MOMENTS = ["params:as_of", "params:horizon"]
PARAMS = "params:data_engineering"


def create_pipeline() -> Pipeline:
    """Screen, land, join, aggregate, assemble, publish."""
    screened = {table: f"screened_{table}" for table in RAW}
    return named_pipeline(
        "data_engineering",
        [
            *(
                Node(
                    screening,
                    f"raw_{table}",
                    [screened[table], f"{table}_quarantine", f"{table}_account"],
                )
                for table, screening in RAW.items()
            ),
            Node(
                judge_screening,
                ["params:screening", *(f"{table}_account" for table in RAW)],
                "data_screening",
            ),
            Node(
                admit,
                {"screening": "data_screening", **screened},
                {table: f"admitted_{table}" for table in RAW},
            ),
            Node(land_flights, ["admitted_flights", *MOMENTS, PARAMS], "landed_flights"),
            Node(land_weather, "admitted_weather", "intermediate_weather"),
            Node(land_planes, "admitted_planes", "plane_features"),
            Node(
                join_flights,
                ["landed_flights", "intermediate_weather", *MOMENTS, PARAMS],
                "primary_flights",
            ),
            Node(count_flights, "primary_flights", "flight_counts"),
            Node(build_feature_tables, ["primary_flights", *MOMENTS], DAILY),
            Node(
                assemble_model_input,
                {"flights": "primary_flights", "planes": "plane_features", **DAILY},
                "model_input",
            ),
            Node(
                check_availability,
                [
                    "admitted_flights", "intermediate_weather", "plane_features",
                    "params:as_of", PARAMS,
                ],
                "availability",
            ),
            Node(publish, {**DAILY, "plane_features": "plane_features"}, "online_store"),
        ],
    )  # fmt: skip
