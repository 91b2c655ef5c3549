"""What a run made, how good it is, what was decided, and what to type next."""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any

import pandas as pd

from kedro_mlops.contract.screening_account import ScreeningAccount
from kedro_mlops.core.artefacts import Interval
from kedro_mlops.core.wording import (
    in_environment,
    interval_text,
    measured_text,
    metric_name,
    typed,
)
from kedro_mlops.measures.evaluation import Measured
from kedro_mlops.models.decision import Decision
from kedro_mlops.models.package import ModelPackage
from kedro_mlops.monitoring.decisions import ChallengerDecision, RetrainDecision
from kedro_mlops.monitoring.findings import Performance
from kedro_mlops.release.artefacts import ProvenRelease
from kedro_mlops.release.nodes import KEEPS_AS_CHALLENGER

# those that are for reading: a summary says where they are
PAGES = ("monitoring_report", "model_card")


def summarise(
    artefacts: Mapping[str, Any], env: str | None = None, has_champion: bool = False
) -> str:
    """Summarise a run in a few lines, one for each artefact that it made; of pages, the path."""
    lines = [
        (title, write(artefacts[name]))
        for name, (title, write) in ARTEFACTS.items()
        if name in artefacts and not _goes_without_saying(name, artefacts)
    ]
    lines.append(("Next", _next_step(artefacts, env, has_champion)))
    return in_environment(_titled(lines, 11), env)


def _goes_without_saying(name: str, artefacts: Mapping[str, Any]) -> bool:
    """That no challenger is on trial; and how long that of a candidate takes that is not tried."""
    if name == "challenger_decision":
        return bool(artefacts[name].outcome == "none")
    if name == "trial_plan":
        gate = artefacts.get("gate_decision")
        may_be_tried = gate is not None and gate.outcome in KEEPS_AS_CHALLENGER
        return not (may_be_tried and artefacts[name].lengths)
    return False


def _titled(lines: Iterable[tuple[str, str]], width: int) -> str:
    return "\n".join(f"{title:<{width}}{text}" for title, text in lines)


def _next_step(artefacts: Mapping[str, Any], env: str | None, has_champion: bool) -> str:
    decision: RetrainDecision | None = artefacts.get("retrain_decision")
    if decision and decision.outcome == "retrain" and "release" not in artefacts:
        until = str(decision.decided_at).partition("T")[0]
        return typed(f"kedro retrain --until {until}", env)
    if "release" in artefacts and "model_card" not in artefacts:
        command = typed("kedro run --pipelines=documentation,scoring,monitoring", env)
        return f"{command}: to tell of it"
    return typed("make serve" if has_champion else "make run", env)


def summarise_replay(policies: pd.DataFrame) -> str:
    """What each policy of a replay was worth, a line each."""
    loss = str(policies.columns[1])
    lines = [
        (
            row["policy"].replace("_", " "),
            f"{metric_name(loss)} {_of(row, loss)}, "
            f"cost {row['cost']:.3f} a row, {row['n_retrained']} retrainings, "
            f"{row['n_false_alarms']} of them for nothing",
        )
        for row in policies.to_dict(orient="records")
    ]
    return _titled(lines, 16)


def _screening(screening: ScreeningAccount) -> str:
    tables = screening.tables
    read = sum(table.n_read for table in tables)
    kept_out = sum(table.n_quarantined for table in tables)
    kept = f"{kept_out:,} {'row' if kept_out == 1 else 'rows'}"
    of_tables = f"{len(tables)} {'table' if len(tables) == 1 else 'tables'}"
    return f"{read:,} rows of {of_tables}; {kept} set aside in quarantine"


def _candidate(candidate: ModelPackage) -> str:
    metadata = candidate.metadata
    left_out = ", ".join(f"{name} ({why})" for name, why in metadata.left_out.items())
    return (
        f"{metadata.family.replace('_', ' ')}, {metadata.learned_from} rows known as of "
        f"{metadata.as_of:%Y-%m-%d}: {metadata.version}"
        f"{f'; left out: {left_out}' if left_out else ''}"
    )


def _metrics(metrics: Measured) -> str:
    candidate, window = metrics.candidate, metrics.window
    baselines = ", ".join(
        f"{name.replace('_', ' ')} {measured[metrics.loss].value:.3f}"
        for name, measured in metrics.baselines.items()
    )
    best, *others = (name for name in metrics.listed if name != metrics.loss)
    return (
        f"{window.n_in_words} rows{window.days}: "
        f"{measured_text(candidate, best, metrics.loss)} ({baselines}); "
        f"{measured_text(candidate, *others)}"
    )


def _decision(decision: Decision | ChallengerDecision | RetrainDecision) -> str:
    return f"{decision.outcome}: {' '.join(decision.reasons)}"


def _release(release: ProvenRelease) -> str:
    return (
        f"{release.bento}: {release.rows_compared} rows answered as in batch "
        f"(largest difference {release.largest_difference:.1g})"
    )


def _performance(performance: Performance) -> str:
    measured = measured_text(performance.metrics, *performance.listed)
    return (
        f"{performance.n_predictions:,} predictions, "
        f"{performance.label_coverage:.1%} with their label{': ' if measured else ''}{measured}"
    )


def _of(row: Mapping[Any, Any], metric: str) -> str:
    bounds = {bound: row[f"{metric}_{bound}"] for bound in ("low", "high")}
    return interval_text(Interval(value=row[metric], **bounds))


# the artefacts that a summary speaks of, in this order: the title of a line, and what makes it
ARTEFACTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "data_screening": ("Read", _screening),
    "candidate": ("Trained", _candidate),
    "metrics": ("Tested", _metrics),
    "gate_decision": ("Gate", _decision),
    "trial_plan": ("Trial", attrgetter("in_words")),
    "release": ("Released", _release),
    "performance": ("Watched", _performance),
    "challenger_decision": ("Challenger", _decision),
    "retrain_decision": ("Retrain?", _decision),
    "monitoring_report": ("Report", str),
    "model_card": ("Card", str),
}
