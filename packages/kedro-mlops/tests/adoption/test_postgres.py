"""A table of PostgreSQL is adopted as it is: in a schema, for a user with a password."""

from pathlib import Path
from urllib.parse import quote

import pandas as pd
import psycopg
import pytest
import yaml
from driving.postgres import Databases
from example.adopted import TODAY
from kedro.io import DataCatalog

from kedro_mlops.adoption.asked import Asked
from kedro_mlops.adoption.credentials import credentials_with
from kedro_mlops.adoption.decisions import decide
from kedro_mlops.adoption.opening import open_source
from kedro_mlops.adoption.profile import profile
from kedro_mlops.adoption.source import without_credentials
from kedro_mlops.adoption.writing import files_of, table_name
from kedro_mlops.core.errors import ProjectError

PASSWORD = "p@ss/w:rd #1"  # pragma: allowlist secret
N = 200
TABLE = """
CREATE SCHEMA "shop data";
CREATE TYPE tier AS ENUM ('low', 'high');
CREATE TABLE "shop data"."Sales 2024" AS SELECT
    n AS id,
    (n % 7)::smallint AS items,
    (n * 1.5)::double precision AS "Größe",
    (n / 3.0)::real AS share,
    round(n * 0.01, 2)::numeric(12, 2) AS price,
    n % 2 = 0 AS vip,
    timestamp '2024-01-31 12:00' + n * interval '1 hour' AS seen,
    (timestamp '2024-01-31 12:00' + n * interval '1 hour') AT TIME ZONE 'UTC' AS sold,
    date '2024-01-31' + n AS day,
    gen_random_uuid() AS token,
    (CASE WHEN n % 3 = 0 THEN 'low' ELSE 'high' END)::tier AS tier,
    'town ' || n % 5 AS town,
    ARRAY[n] AS list,
    '{}'::jsonb AS more
FROM generate_series(1, 200) AS n;
CREATE ROLE ann LOGIN;
GRANT USAGE ON SCHEMA "shop data" TO ann;
GRANT SELECT ON ALL TABLES IN SCHEMA "shop data" TO ann;
"""


@pytest.fixture(scope="module")
def url(databases: Databases) -> str:
    """Where the database is, for the user whose the table is not."""
    url = databases.new()
    with psycopg.connect(url) as connection:
        connection.execute(TABLE)
        connection.execute(f"ALTER ROLE ann PASSWORD '{PASSWORD}'")
    return url.replace("postgres:@", f"ann:{quote(PASSWORD, safe='')}@")


def test_every_column_that_contracts_have_a_kind_for_is_read(url: str) -> None:
    source = open_source(f"{url}#shop data.Sales 2024")

    found = {column.name: column for column in profile(source).columns}
    assert {name: column.kind for name, column in found.items()} == {
        "id": "integer", "items": "integer", "Größe": "number", "share": "number",
        "price": "number", "vip": "boolean", "seen": "moment", "sold": "moment", "day": "moment",
        "token": "text", "tier": "text", "town": "text",
    }  # fmt: skip
    assert source.left_out.keys() == {"list", "more"}
    assert found["seen"].low == found["sold"].low == pd.Timestamp("2024-01-31 13:00")
    assert found["price"].high == 2


def test_its_project_reads_it_by_credentials_that_are_in_no_file_of_git(
    url: str, tmp_path: Path
) -> None:
    source = open_source(f"{url}#shop data.Sales 2024")

    adoption = decide(
        profile(source), Asked("tier", key=("id",)), source.said, TODAY, table_name(source.name)
    )
    files = files_of(adoption, "example", source.entry(), TODAY)

    catalog = yaml.safe_load(files["conf/base/catalog_data_engineering.yml"])
    entry = {k: v for k, v in catalog["raw_sales_2024"].items() if k != "validator"}
    secrets = credentials_with(tmp_path, source.credentials, force=False)
    credentials = yaml.safe_load(secrets["conf/local/credentials.yml"])
    raw = DataCatalog.from_config({"raw": entry}, credentials).load("raw")
    assert isinstance(raw, pd.DataFrame)
    assert len(raw) == N
    assert quote(PASSWORD, safe="") not in "".join(files.values())


def test_the_tables_that_there_are_are_named(url: str) -> None:
    with pytest.raises(ProjectError, match=r"has no table shop data\.sales\. It has: Sales 2024"):
        open_source(f"{url}#shop data.sales")


def test_a_wrong_password_is_told_and_none_is_shown(url: str) -> None:
    wrong = url.replace("ann:", "bob:")

    with pytest.raises(ProjectError, match="bob") as error:
        open_source(f"{wrong}#sales")

    assert quote(PASSWORD, safe="") not in str(error.value)
    assert without_credentials("postgresql:///a?password=hush&b=1#c") == (
        "postgresql:///a?password=***&b=1#c"
    )
