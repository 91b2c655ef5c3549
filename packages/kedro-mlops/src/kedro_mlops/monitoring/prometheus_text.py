"""What was found, in the words of Prometheus: nobody can scrape what is watched in batches."""

from collections.abc import Iterable

import pandas as pd
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.models.package import ModelPackage

from .decisions import RetrainDecision
from .findings import Performance, Quality, Skew
from .performance import drifted_names

Sample = tuple[dict[str, str], float]

# where a window has a metric: the realised one under its own name
KINDS = {"realised": "", "estimated": "estimated_"}


def expose(
    performance: Performance,
    windows: pd.DataFrame,
    quality: Quality,
    skew: Skew,
    screening: ScreeningAccount,
    decision: RetrainDecision,
    champion: ModelPackage,
) -> str:
    """Write the figures of this look, for the textfile collector of node_exporter.

    A metric of the newest window that is not known is left out.

    Returns:
        Gauges in the text exposition format; moments in seconds since 1970, UTC.
    """
    newest = windows.tail(1)
    model = {"model_version": champion.version}
    rules: list[Sample] = [(model | {"rule": rule.rule}, rule.fired) for rule in decision.rules]
    n_drifted = len(drifted_names(newest))
    of_the_model = {
        "model_drifted_columns": ("Columns that drifted in the newest window", n_drifted),
        "model_drifted_windows": ("Windows that drifted", windows["drifted"].sum()),
        "model_label_coverage_ratio": (
            "Predictions whose label is known",
            performance.label_coverage,
        ),
        "model_served_skew_ratio": (
            "Served rows whose looked-up features differ from those built offline",
            skew.share,
        ),
        "model_retrain_requested": (
            "1 if the decision is to retrain",
            decision.outcome == "retrain",
        ),
        "model_champion_trained_timestamp_seconds": (
            "The day as of which the champion was trained",
            _seconds(champion.metadata.as_of),
        ),
    }
    of_the_data = {
        "data_quality_checks_failed": ("Checks of the data that failed", len(quality.failed)),
        "data_quarantined_ratio": ("Rows in quarantine, worst raw table", screening.largest_share),
        "monitoring_looked_until_timestamp_seconds": (
            "End of the days that were looked at",
            _seconds(decision.decided_at),
        ),
    }
    said = "{} of the newest window, on its labels or by estimate without them"
    families = [
        *(
            _gauge(f"model_{metric}", said.format(metric), _known(newest, metric, model))
            for metric in performance.reference
            if metric in newest
        ),
        _gauge("model_retraining_rule_fired", "1 if the rule asks for retraining", rules),
        *(_gauge(name, what, [(model, value)]) for name, (what, value) in of_the_model.items()),
        *(_gauge(name, what, [({}, value)]) for name, (what, value) in of_the_data.items()),
    ]
    registry = CollectorRegistry()
    registry.register(_Found(families))
    return generate_latest(registry).decode()


class _Found(Collector):
    # rather than gauges, whose values are global once a server's library has asked for that
    def __init__(self, families: list[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterable[GaugeMetricFamily]:
        return self._families


def _known(newest: pd.DataFrame, metric: str, model: dict[str, str]) -> list[Sample]:
    """The metric by kind, where the newest window has it."""
    return [
        (model | {"kind": kind}, value)
        for kind, prefix in KINDS.items()
        for value in newest.get(f"{prefix}{metric}", pd.Series()).dropna()
    ]


def _seconds(moment: object) -> float:
    return pd.Timestamp(str(moment)).tz_localize("UTC").timestamp()


def _gauge(name: str, said: str, samples: list[Sample]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=list(samples[0][0]) if samples else [])
    for labels, value in samples:
        family.add_metric(list(labels.values()), float(value))
    return family
