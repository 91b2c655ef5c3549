"""What somebody should hear of."""

from collections.abc import Iterator
from typing import Any

from .triggers import describe

Alert = dict[str, Any]

WRONG_LABELS = {"contradicting": "contradict each other", "unknown": "are of unknown predictions"}


def raise_alerts(
    decision: dict[str, Any],
    quality: dict[str, Any],
    performance: dict[str, Any],
    skew: dict[str, Any],
) -> list[Alert]:
    """Alerts of this look at the champion; none if all is well.

    Returns:
        Each with ``kind``, ``at``, ``model_version`` and ``message``.
    """
    common = {"at": decision["decided_at"], "model_version": decision["model_version"]}
    return [
        {"kind": kind, **common, "message": message}
        for kind, message in _found(decision, quality, performance, skew)
    ]


def _found(
    decision: dict[str, Any],
    quality: dict[str, Any],
    performance: dict[str, Any],
    skew: dict[str, Any],
) -> Iterator[tuple[str, str]]:
    for check in quality["checks"]:
        if not check["passed"]:
            yield "bad data", f"{describe(check)}."
    if skew["answered"]["by_another"]:
        yield "served by another model", skew["answered"]["in_words"]
    for rule in decision["rules"]:
        if rule["fired"]:
            yield rule["rule"], rule["reason"]
    for guard in decision["guards"]:
        if guard["refused"] and decision["without_guards"] == "retrain":
            yield "retraining refused", guard["reason"]
    for name, what_is_wrong in WRONG_LABELS.items():
        if n := performance["labels"][name]:
            yield "labels", f"{n:,} labels {what_is_wrong}."
