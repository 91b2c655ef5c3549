"""What somebody should hear of."""

from collections.abc import Iterator

from .decisions import BAD_DATA, Alert, RetrainDecision
from .findings import Performance, Quality, Skew

WRONG_LABELS = {"contradicting": "contradict each other", "unknown": "are of unknown predictions"}


def raise_alerts(
    decision: RetrainDecision, quality: Quality, performance: Performance, skew: Skew
) -> list[Alert]:
    """Alerts of this look at the champion; none if all is well."""
    return [
        Alert(
            kind=kind,
            at=decision.decided_at,
            model_version=decision.model_version,
            message=message,
        )
        for kind, message in _found(decision, quality, performance, skew)
    ]


def _found(
    decision: RetrainDecision, quality: Quality, performance: Performance, skew: Skew
) -> Iterator[tuple[str, str]]:
    for check in quality.failed:
        yield BAD_DATA, f"{check.in_words}."
    if skew.answered.by_another:
        yield "served by another model", skew.answered.in_words
    for rule in decision.rules:
        if rule.fired:
            yield rule.rule, rule.reason
    for guard in decision.guards:
        if guard.refused and decision.without_guards == "retrain":
            yield "retraining refused", guard.reason
    for check in performance.fairness:
        if not check.passed:
            yield "fairness", f"{check.in_words}."
    for name, what_is_wrong in WRONG_LABELS.items():
        if n := performance.labels[name]:
            yield "labels", f"{n:,} labels {what_is_wrong}."
