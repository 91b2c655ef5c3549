"""The dashboard: every panel says what it shows, in which unit, and asks Prometheus for it."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import Tool
from tests.deploy.metrics import DASHBOARDS, DEPLOY, queries

if not DASHBOARDS:
    pytest.skip("this project has no dashboard", allow_module_level=True)
[DASHBOARD] = DASHBOARDS
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(DASHBOARD.read_text())


@pytest.fixture(scope="module")
def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_it_has_four_rows(dashboard: dict[str, Any]) -> None:
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]

    assert rows == ["Service", "Data", "Quality", "Lifecycle"]


def test_every_panel_has_title_unit_and_query(panels: list[dict[str, Any]]) -> None:
    assert len({panel["title"] for panel in panels}) == len(panels) > 20
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert all(target["expr"] for target in panel["targets"]), panel["title"]
        assert panel["targets"], panel["title"]


def test_the_data_source_is_chosen_by_whoever_looks(
    dashboard: dict[str, Any], panels: list[dict[str, Any]]
) -> None:
    [variable] = dashboard["templating"]["list"]

    asked = [panel["datasource"] for panel in panels]
    asked += [target["datasource"] for panel in panels for target in panel["targets"]]
    asked += [annotation["datasource"] for annotation in dashboard["annotations"]["list"]]

    assert (variable["name"], variable["type"]) == ("datasource", "datasource")
    assert all(source == DATASOURCE for source in asked)


def test_no_panel_covers_another(panels: list[dict[str, Any]]) -> None:
    covered = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


def test_every_query_is_promql(promtool: Tool, tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, (query, _) in enumerate(queries())
    ]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))

    assert f"{len(rules)} rules found" in promtool("check", "rules", file)


def test_grafana_is_told_where_prometheus_and_the_dashboards_are() -> None:
    provisioning = DEPLOY / "grafana/provisioning"

    [source] = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    [provider] = yaml.safe_load((provisioning / "dashboards/files.yml").read_text())["providers"]

    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    assert provider["options"]["path"] == "/etc/grafana/dashboards"
