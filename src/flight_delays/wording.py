"""Figures as people read them: metrics by the names they are known by, with their intervals."""

from collections.abc import Mapping

_NAMES = {"roc_auc": "ROC AUC", "f1": "F1", "flagged_share": "share flagged"}


def metric_name(name: str) -> str:
    """What a metric is called."""
    return _NAMES.get(name, name.replace("_", " "))


def interval_text(interval: Mapping[str, float]) -> str:
    """A value, and the ends of its interval."""
    return f"{interval['value']:.3f} [{interval['low']:.3f}, {interval['high']:.3f}]"


def measured_text(metrics: Mapping[str, Mapping[str, float]], *names: str) -> str:
    """Some metrics by name, those that were measured, with their intervals."""
    found = [name for name in names if name in metrics]
    return ", ".join(f"{metric_name(name)} {interval_text(metrics[name])}" for name in found)
