"""The metrics that alerts and dashboards ask for."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus/rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana/dashboards").glob("*.json"))

_TEXT = re.compile(r'"(?:\\.|[^"\\])*"')
# what is no metric, though it may hold words: matchers, ranges, lists of labels, durations
_NO_METRIC = re.compile(
    r"\{[^{}]*\}|\[[^\[\]]*\]"
    r"|\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)"
    r"|\b[0-9][0-9a-z.]*"
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\(|[a-zA-Z0-9_:])")
_KEYWORDS = {"and", "or", "unless", "bool", "group_left", "group_right", "offset", "inf", "nan"}


def metrics_named() -> set[str]:
    """The samples by name that rules and dashboards ask for, but for those that rules record."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = [rule["expr"] for rule in rules()] + [query for query, _ in queries()]
    return {name for expression in asked for name in metrics_of(expression)} - recorded


def metrics_of(expression: str) -> set[str]:
    """The names of the metrics in a PromQL expression."""
    bare = _TEXT.sub("", expression)  # before all else: they may hold braces
    return set(_NAME.findall(_NO_METRIC.sub(" ", bare))) - _KEYWORDS


def rules() -> list[dict[str, Any]]:
    """All rules, those that record and those that alert."""
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def alerts() -> list[dict[str, Any]]:
    """The rules that alert."""
    return [rule for rule in rules() if "alert" in rule]


def queries() -> Iterator[tuple[str, str]]:
    """Each query of a dashboard, and whose it is: of a panel or an annotation."""
    for file in DASHBOARDS:
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            yield from ((target["expr"], panel["title"]) for target in panel.get("targets", []))
        for annotation in dashboard["annotations"]["list"]:
            yield annotation["expr"], annotation["name"]
