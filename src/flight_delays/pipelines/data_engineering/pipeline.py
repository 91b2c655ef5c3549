"""Raw tables in; feature tables, model input and the online store out."""

from kedro.pipeline import Node, Pipeline

from flight_delays.quarantine import judge_screening

from .nodes import (
    admit,
    assemble_model_input,
    build_feature_tables,
    check_availability,
    count_flights,
    join_flights,
    land_flights,
    land_planes,
    land_weather,
    publish,
    screen_flights,
    screen_planes,
    screen_weather,
)

RAW = {"flights": screen_flights, "weather": screen_weather, "planes": screen_planes}
MOMENTS = ["params:as_of", "params:horizon"]
PARAMS = "params:data_engineering"
FEATURE_TABLES = ["carrier_features", "origin_features", "destination_features", "plane_features"]


def create_pipeline() -> Pipeline:
    """Screen, land, join, aggregate, assemble, publish."""
    return Pipeline(
        [
            *(
                Node(
                    screening,
                    f"raw_{table}",
                    [f"screened_{table}", f"{table}_quarantine", f"{table}_account"],
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
                ["data_screening", *(f"screened_{table}" for table in RAW)],
                [f"admitted_{table}" for table in RAW],
            ),
            Node(land_flights, ["admitted_flights", *MOMENTS, PARAMS], "intermediate_flights"),
            Node(land_weather, "admitted_weather", "intermediate_weather"),
            Node(land_planes, "admitted_planes", "plane_features"),
            Node(
                join_flights,
                ["intermediate_flights", "intermediate_weather", *MOMENTS, PARAMS],
                "primary_flights",
            ),
            Node(count_flights, "primary_flights", "flight_counts"),
            Node(build_feature_tables, ["primary_flights", *MOMENTS], FEATURE_TABLES[:-1]),
            Node(assemble_model_input, ["primary_flights", *FEATURE_TABLES], "model_input"),
            Node(
                check_availability,
                [
                    "admitted_flights",
                    "intermediate_weather",
                    "plane_features",
                    "params:as_of",
                    PARAMS,
                ],
                "availability",
            ),
            Node(publish, FEATURE_TABLES, "online_store"),
        ],
        namespace="data_engineering",
        prefix_datasets_with_namespace=False,
    )
