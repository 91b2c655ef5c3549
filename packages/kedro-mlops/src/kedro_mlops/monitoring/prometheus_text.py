"""What was found, in the words of Prometheus: nobody can scrape what is watched in batches."""

from collections.abc import Iterable, Iterator

import pandas as pd
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.measures.metrics import MAIN_METRICS
from kedro_mlops.models.package import ModelPackage

from .decisions import RetrainDecision
from .findings import Performance, Quality, Skew

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
    families = [
        *_of_the_model(performance, windows, skew, decision, champion),
        *_of_the_data(quality, screening),
        _gauge(
            "monitoring_looked_until_timestamp_seconds",
            "End of the days that were looked at",
            [({}, _seconds(pd.Timestamp(str(decision.decided_at))))],
        ),
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


def _of_the_model(
    performance: Performance,
    windows: pd.DataFrame,
    skew: Skew,
    decision: RetrainDecision,
    champion: ModelPackage,
) -> Iterator[GaugeMetricFamily]:
    newest = windows.tail(1)
    model = {"model_version": champion.version}
    for metric in MAIN_METRICS.names:
        said = f"{metric} of the newest window, on its labels or by estimate without them"
        yield _gauge(f"model_{metric}", said, _known(newest, metric, model))
    rules: list[Sample] = [(model | {"rule": rule.rule}, rule.fired) for rule in decision.rules]
    yield _gauge("model_retraining_rule_fired", "1 if the rule asks for retraining", rules)
    for name, (said, value) in {
        "model_drifted_columns": ("Columns that drifted in the newest window", _n_drifted(newest)),
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
            _seconds(pd.Timestamp(champion.metadata.as_of)),
        ),
    }.items():
        yield _gauge(name, said, [(model, value)])


def _of_the_data(quality: Quality, screening: ScreeningAccount) -> Iterator[GaugeMetricFamily]:
    n_failed = len(quality.failed)
    yield _gauge("data_quality_checks_failed", "Checks of the data that failed", [({}, n_failed)])
    share = screening.largest_share
    yield _gauge("data_quarantined_ratio", "Rows in quarantine, worst raw table", [({}, share)])


def _known(newest: pd.DataFrame, metric: str, model: dict[str, str]) -> list[Sample]:
    """The metric by kind, where the newest window has it."""
    return [
        (model | {"kind": kind}, value)
        for kind, prefix in KINDS.items()
        for value in newest[f"{prefix}{metric}"].dropna()
    ]


def _n_drifted(newest: pd.DataFrame) -> int:
    return sum(len(names.split(", ")) for names in newest["drifted_columns"] if names)


def _seconds(moment: pd.Timestamp) -> float:
    return moment.tz_localize("UTC").timestamp()


def _gauge(name: str, said: str, samples: list[Sample]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, said, labels=list(samples[0][0]) if samples else [])
    for labels, value in samples:
        family.add_metric(list(labels.values()), float(value))
    return family
