"""Edits of the contract, and of the one node that computes what is new, as an owner makes them."""

from pathlib import Path
from typing import NamedTuple

CONTRACTS = "flight_delays/contracts.py"
NODES = "flight_delays/pipelines/data_engineering/nodes.py"


class Edit(NamedTuple):
    """A text of a file of the package, and what takes its place."""

    file: str
    old: str
    new: str


LOOKED_UP, SENT = "carrier_flights_7d", "dew_point_spread_f"
ADD = [
    Edit(
        CONTRACTS,
        "    plane_year: float = column(",
        f"""    {LOOKED_UP}: float = column(
        "Flights of the carrier in the 7 days before",
        feature=True,
        ge=0,
        nullable=True,
        lookup=Lookup("carrier_features", by="carrier", column="flights_7d"),
    )
    {SENT}: float = column(
        "Degrees by which it is warmer than the dew point",
        feature=True,
        ge=-1,
        le=150,
        nullable=True,
        example=16.9,
    )
    plane_year: float = column(""",
    ),
    Edit(
        NODES,
        "    return table.select(Columns.of(Observation).names)",
        f"""    table = table.mutate({SENT}=_.temperature_f - _.dew_point_f)
    return table.select(Columns.of(Observation).names)""",
    ),
]
RENAME = [
    Edit(CONTRACTS, "    wind_gust_mph: float", "    gust_speed_mph: float"),
    Edit(NODES, "wind_gust_mph=_.wind_gust", "gust_speed_mph=_.wind_gust"),
]
TIGHTEN = [
    Edit(
        CONTRACTS,
        '"Wind speed, mph", ge=0, le=200, nullable=True)',
        '"Wind speed, mph", ge=0, le=40, nullable=True)',
    ),
    Edit(
        CONTRACTS,
        '"Wind speed, mph", feature=True, ge=0, le=200,',
        '"Wind speed, mph", feature=True, ge=0, le=40,',
    ),
]
REMOVE = [
    Edit(
        CONTRACTS,
        '    pressure: float = column("Sea level pressure, millibars", ge=800, le=1100, '
        "nullable=True)\n",
        "",
    ),
    Edit(
        CONTRACTS,
        """    pressure_mb: float = column(
        "Sea level pressure, millibars",
        feature=True,
        ge=800,
        le=1100,
        nullable=True,
        example=1011.2,
    )
""",
        "",
    ),
    Edit(NODES, "        pressure_mb=_.pressure.mean(),\n", ""),
]
SLICE = [
    Edit(
        CONTRACTS,
        '"Airport of arrival", feature=True, str_matches',
        '"Airport of arrival", feature=True, segment=True, str_matches',
    ),
]


def make(edits: list[Edit], source: Path) -> None:
    """Make edits in the folder that holds the package."""
    for file, old, new in edits:
        text = (source / file).read_text()
        assert text.count(old) == 1, f"{file} has {text.count(old)} times: {old}"
        (source / file).write_text(text.replace(old, new))
