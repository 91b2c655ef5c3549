"""Raw tables in; feature tables, model input and the online store out."""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    assemble_model_input,
    build_feature_tables,
    count_flights,
    join_flights,
    land_flights,
    land_planes,
    land_weather,
    publish,
)

MOMENTS = ["params:as_of", "params:horizon"]
FEATURE_TABLES = ["carrier_features", "origin_features", "destination_features", "plane_features"]


def create_pipeline() -> Pipeline:
    """Land, join, aggregate, assemble, publish."""
    return Pipeline(
        [
            Node(
                land_flights,
                ["raw_flights", *MOMENTS, "params:data_engineering"],
                "intermediate_flights",
            ),
            Node(land_weather, "raw_weather", "intermediate_weather"),
            Node(land_planes, "raw_planes", "plane_features"),
            Node(
                join_flights,
                [
                    "intermediate_flights",
                    "intermediate_weather",
                    *MOMENTS,
                    "params:data_engineering",
                ],
                "primary_flights",
            ),
            Node(count_flights, "primary_flights", "flight_counts"),
            Node(build_feature_tables, ["primary_flights", *MOMENTS], FEATURE_TABLES[:-1]),
            Node(assemble_model_input, ["primary_flights", *FEATURE_TABLES], "model_input"),
            Node(publish, FEATURE_TABLES, "online_store"),
        ],
        namespace="data_engineering",
        prefix_datasets_with_namespace=False,
    )
