"""The alerts: that they fire when they should, and only then, and say what to do."""

import re

import pytest
import yaml

from tests.deploy.conftest import Tool
from tests.deploy.metrics import DEPLOY, RULES, alerts, metrics_of

CASES = sorted(RULES.parent.glob("rules*_test.yml"))
CONFIG = RULES.with_name("prometheus.yml")
READ = "".join(
    page.read_text() for page in [DEPLOY.parent / "README.md", *DEPLOY.parent.glob("docs/*.md")]
)
PAGES = {
    *("ErrorBudgetBurnsFast", "LatencyBudgetBurnsFast", "PredictionLogLosesRows", "ServiceDown"),
    "ServiceNotReady",
}


def test_alerts_fire_when_they_should_and_only_then(promtool: Tool) -> None:
    assert "SUCCESS" in promtool("test", "rules", *CASES)


def test_rules_and_configuration_are_valid(promtool: Tool) -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)
    # without the secret, which is not in the repository
    assert "SUCCESS" in promtool("check", "config", "--syntax-only", CONFIG)


def test_prometheus_reads_these_rules_and_asks_the_service_with_a_key() -> None:
    config = yaml.safe_load(CONFIG.read_text())

    service = config["scrape_configs"][0]
    assert config["rule_files"] == [RULES.name]
    assert service["job_name"] == "flight-delays"
    assert service["authorization"]["credentials_file"].startswith("/run/secrets/")


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    fired = {name for file in CASES for name in re.findall(r'alertname="(\w+)"', file.read_text())}

    assert fired == {alert["alert"] for alert in alerts()}


def test_every_case_looks_before_the_alert_fires_or_after() -> None:
    cases = [case for file in CASES for case in yaml.safe_load(file.read_text())["tests"]]

    looked = [look["exp_samples"] for case in cases for look in case.get("promql_expr_test", [])]

    assert len(cases) > 20
    assert sum(not samples for samples in looked) > 20


def test_only_what_cannot_wait_wakes_somebody() -> None:
    severities = {alert["alert"]: alert["labels"]["severity"] for alert in alerts()}

    assert {name for name, severity in severities.items() if severity == "page"} == PAGES
    assert set(severities.values()) == {"page", "ticket"}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_says_what_is_wrong_and_what_to_do(alert: dict) -> None:
    said = alert["annotations"]

    assert said.keys() == {"summary", "description", "runbook"}
    for command in re.findall(r"`([^`]+)`", said["runbook"]):
        # the command itself, whatever it is given here
        words = re.split(r" (?=--|[A-Z])", command)[0]
        assert words in READ, f"neither README.md nor docs know {command}"


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ('sum by (le, job) (rate(a_bucket{le="0.1", x=~"b|c{1}"}[5m])) / 2e3', {"a_bucket"}),
        ("a unless on (v) b offset 5m and ignoring(x) group_left(y) c", {"a", "b", "c"}),
        ("histogram_quantile(0.5, sum by (le) (rate(a_b[$__rate_interval]))) > bool 3", {"a_b"}),
        ("time() - max(job:a:rate5m) == 1 or absent(b)", {"job:a:rate5m", "b"}),
        ("sum(a)by(b)>1e-3 or vector(0)", {"a"}),
    ],
)
def test_metrics_are_told_from_what_is_said_of_them(expression: str, named: set[str]) -> None:
    assert metrics_of(expression) == named
